/* mayfly-perl: Perl as a zygote. It is a program with Perl's library in it, because perl opens its
 * script with a number that a zygote needs, and because exit() in a handler must end the request
 * and not leap over the zygote. main.pl does the rest, by the functions of module.c. */

#include "shared/reserve.h"
#include "shared/stack.h"

#include "module.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define REHEARSALS 4
#define FRAMES_MAX 64

static PerlInterpreter *the_perl;
static SV *the_serve, *the_touch;

EXTERN_C void boot_DynaLoader(pTHX_ CV *cv);

/* ---- stacks ---- */

static struct slice sub_name(pTHX_ CV *sub)
{
    GV *gv;

    if (CvNAMED(sub))
        return slice(HEK_KEY(CvNAME_HEK(sub)), (size_t)HEK_LEN(CvNAME_HEK(sub)));
    gv = ((XPVCV *)SvANY(sub))->xcv_gv_u.xcv_gv; /* CvGV() may make one */
    return gv ? slice(GvNAME(gv), (size_t)GvNAMELEN(gv)) : SLICE_LIT("(eval)");
}

static bool is_ours(struct slice file)
{
    static const struct slice ours = SLICE_LIT("/MayflyHost/"), script = SLICE_LIT("/perl/main.pl");

    return memmem(file.base, file.len, ours.base, ours.len) ||
           (file.len > script.len &&
            memcmp(file.base + file.len - script.len, script.base, script.len) == 0);
}

static void tell_frame(pTHX_ struct slice name, const COP *cop)
{
    struct slice file = slice_str(cop && CopFILE(cop) ? CopFILE(cop) : "");

    if (file.len > 0 && !is_ours(file))
        stack_frame(name, file, (unsigned)CopLINE(cop));
}

/* Perl's contexts from the innermost on: each knows the statement that called it. */
static void tell_frames(void)
{
    dTHXa(the_perl);
    const COP *cop = PL_curcop;
    int left = FRAMES_MAX;

    for (const PERL_SI *si = PL_curstackinfo; si && left > 0; si = si->si_prev) {
        for (I32 i = si->si_cxix; i >= 0 && left > 0; i--) {
            const PERL_CONTEXT *cx = &si->si_cxstack[i];

            if (CxTYPE(cx) != CXt_SUB || !cx->blk_sub.cv)
                continue;
            tell_frame(aTHX_ sub_name(aTHX_ cx->blk_sub.cv), cop);
            cop = cx->blk_oldcop;
            left--;
        }
    }
    tell_frame(aTHX_ SLICE_LIT("main"), cop);
}

void host_opened(void)
{
    stack_install(tell_frames, 0);
}

/* ---- the host's calls ---- */

static bool call(pTHX_ SV *code)
{
    bool result = false;
    dSP;

    ENTER;
    SAVETMPS;
    PUSHMARK(SP);
    if (call_sv(code, G_SCALAR | G_NOARGS | G_EVAL) == 1) {
        SPAGAIN;
        result = SvTRUE(TOPs);
        (void)POPs;
        PUTBACK;
    }
    FREETMPS;
    LEAVE;
    return result;
}

/* Calls it in scalar context. Returns whether it returned something true; *ret_exit is the status
 * if it called exit() instead, else -1. */
static bool call_until_exit(pTHX_ SV *code, int *ret_exit)
{
    volatile bool result = false;
    int how;
    dJMPENV;

    *ret_exit = -1;
    JMPENV_PUSH(how);
    if (how == 0)
        result = call(aTHX_ code);
    else
        *ret_exit = STATUS_EXIT; /* my_exit() has unwound everything up to here */
    JMPENV_POP;
    return result;
}

static void after_fork(void *ctx)
{
    dTHXa(the_perl);

    stack_set_owner();
    PL_srand_called = FALSE; /* the next rand() asks the system for a seed */
    PL_basetime = time(NULL);
}

static void on_variable(void *ctx, const char *name, const char *value)
{
    dTHXa(the_perl);
    HV *env = get_hv("ENV", GV_ADD);
    SV **sv = hv_fetch(env, name, (I32)strlen(name), 1);

    if (sv)
        sv_setpv_mg(*sv, value);
}

static void touch(void *ctx, struct worker *w)
{
    dTHXa(the_perl);
    int status;

    answer_begin(&the_answer, w);
    (void)call_until_exit(aTHX_ the_touch, &status);
}

/* exit() in a handler ends the process, as its author means it; the client hears of it. */
static int fail_exit(int status)
{
    char message[64];

    if (status == 0)
        (void)snprintf(message, sizeof(message), "Runtime exited without providing a reason");
    else
        (void)snprintf(message, sizeof(message), "Runtime exited with error: exit status %d",
                       status);
    (void)answer_fail(&the_answer, 0, "Runtime.ExitError", message, "");
    return -ECANCELED;
}

static int serve(void *ctx, struct worker *w)
{
    dTHXa(the_perl);
    bool go_on;
    int status;

    answer_begin(&the_answer, w);
    go_on = call_until_exit(aTHX_ the_serve, &status);
    (void)PerlIO_flush(NULL); /* every handle: the process ends without asking Perl */
    if (status >= 0)
        return fail_exit(status);
    return go_on ? 0 : -ECANCELED;
}

_noreturn_ void host_run(pTHX_ SV *serve_code, SV *touch_code)
{
    static const struct zygote_host host = {
        .on_variable = on_variable, .after_fork = after_fork, .touch = touch, .serve = serve};

    the_serve = newSVsv(serve_code);
    the_touch = newSVsv(touch_code);
    for (int i = 0; i < REHEARSALS; i++)
        touch(NULL, NULL);
    (void)PerlIO_flush(NULL); /* else each worker would write it once more */
    (void)malloc_trim(0);
    zygote_run(the_zygote, &host, NULL);
}

/* ---- the program ---- */

static void define(pTHX)
{
    (void)newXS("DynaLoader::boot_DynaLoader", boot_DynaLoader, __FILE__);
    module_define(aTHX);
}

int main(int argc, char **argv, char **env)
{
    PerlInterpreter *my_perl;
    int status;

    if (reserve_numbers() < 0)
        return EXIT_FAILURE;
    PERL_SYS_INIT3(&argc, &argv, &env);
    my_perl = the_perl = perl_alloc();
    if (!my_perl)
        return EXIT_FAILURE;
    perl_construct(my_perl);
    PL_perl_destruct_level = 0;
    PL_exit_flags |= PERL_EXIT_DESTRUCT_END;
    status = perl_parse(my_perl, define, argc, argv, NULL);
    if (status == 0)
        status = perl_run(my_perl);
    /* Code that called exit() while it was loaded. */
    if (the_zygote)
        zygote_fail_text(the_zygote, "Runtime.ExitError",
                         "the function's code called exit() while it was loaded", "");
    return status;
}
