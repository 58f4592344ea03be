/* mayfly-php: a zygote with PHP started and the function's script compiled. Each worker runs the
 * script for its request as any PHP server does, from request startup to shutdown. */

#include "server.h"

#include "shared/stack.h"
#include "zygote/zygote.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REHEARSALS 4

/* ---- errors ---- */

struct told {
    char *type;
    char *message;
    char *stack;
};

/* "Uncaught TYPE: MESSAGE in FILE:LINE\nStack trace:\n#0 ...\n  thrown", where several that came
 * from one another are separated by "\n\nNext ": the last is the one that was not caught. */
static void tell_uncaught(char *text, struct told *ret)
{
    char *next, *stack, *where, *colon;

    text += strlen("Uncaught ");
    while ((next = strstr(text, "\n\nNext ")))
        text = next + strlen("\n\nNext ");
    stack = strstr(text, "\nStack trace:\n");
    if (stack) {
        *stack = '\0';
        stack += strlen("\nStack trace:\n");
        next = strstr(stack, "\n  thrown");
        if (next)
            *next = '\0';
    }
    where = NULL;
    for (char *at = strstr(text, " in "); at; at = strstr(at + 1, " in "))
        where = at;
    if (where)
        *where = '\0';
    colon = strstr(text, ": ");
    if (colon)
        *colon = '\0';
    ret->type = text;
    ret->message = colon ? colon + 2 : (char *)"";
    if (asprintf(&ret->stack, "%s%s%s", where ? where + 4 : "", stack ? "\n" : "",
                 stack ? stack : "") < 0)
        ret->stack = NULL;
}

static void failure_tell(struct php_failure *f, struct told *ret)
{
    *ret = (struct told){.type = (char *)"Fatal error", .message = f->text};
    if (f->text && strncmp(f->text, "Uncaught ", 9) == 0 && strstr(f->text, "Stack trace:")) {
        tell_uncaught(f->text, ret);
        return;
    }
    if (f->text && strncmp(f->text, "Uncaught ", 9) == 0) { /* "Uncaught ParseError: ..." at load */
        char *colon = strstr(f->text, ": ");

        ret->type = f->text + 9;
        ret->message = colon ? colon + 2 : (char *)"";
        if (colon)
            *colon = '\0';
    } else if (f->text && strncmp(f->text, "syntax error", 12) == 0) {
        ret->type = (char *)"ParseError";
    }
    if (asprintf(&ret->stack, "%s:%u", f->file ? f->file : "?", f->line) < 0)
        ret->stack = NULL;
}

/* ---- the host's calls ---- */

static void after_fork(void *ctx)
{
    stack_set_owner();
    server_after_fork();
}

static void touch(void *ctx, struct worker *w)
{
    struct php_failure failure = {0};
    struct answer a;

    answer_begin(&a, w);
    server_run(&a, true, &failure);
    php_failure_clear(&failure);
    (void)answer_finish(&a);
}

static int serve(void *ctx, struct worker *w)
{
    struct php_failure failure = {0};
    struct answer a;
    struct told told;
    int r;

    answer_begin(&a, w);
    server_run(&a, false, &failure);
    (void)fflush(NULL); /* the log is complete before the answer is */
    if (failure.is_set) {
        failure_tell(&failure, &told);
        r = answer_fail(&a, failure.no_memory ? ENOMEM : 0, told.type,
                        told.message ? told.message : "", told.stack ? told.stack : "");
        free(told.stack);
        php_failure_clear(&failure);
        return r;
    }
    if (a.state == ANSWER_NONE) /* no output, and no headers were sent: PHP's shutdown does it */
        (void)answer_start(&a, 200, NULL, 0, 0);
    return answer_finish(&a);
}

/* ---- loading ---- */

static void load(struct zygote *z)
{
    const char *handler = zygote_start(z)->handler;
    struct php_failure failure = {0};
    char script[4096], root[4096];
    struct told told;
    char *slash;

    if (!getcwd(root, sizeof(root) - 1))
        zygote_fail_text(z, "Runtime.Start", "the folder of the function cannot be named", "");
    if (snprintf(script, sizeof(script), "%s%s%s", handler[0] == '/' ? "" : root,
                 handler[0] == '/' ? "" : "/", handler) >= (int)sizeof(script) ||
        access(script, R_OK) < 0)
        zygote_fail_text(z, "Runtime.ImportModuleError", "the script cannot be read", handler);
    /* A file below api/ is served by its path; any other is a front controller, whose folder is
     * the document root. */
    if (strncmp(handler, "api/", 4) != 0) {
        (void)snprintf(root, sizeof(root), "%s", script);
        slash = strrchr(root, '/');
        *slash = '\0';
    }
    if (server_start(script, root, zygote_start(z)->memory_bytes) < 0)
        zygote_fail_text(z, "Runtime.Start", "PHP does not start; its log says why", "");
    stack_install(server_tell_frames, 0);
    server_compile(&failure);
    if (failure.is_set) {
        failure_tell(&failure, &told);
        zygote_fail_text(z, told.type, told.message ? told.message : "",
                         told.stack ? told.stack : "");
    }
    cache_make_private();
}

int main(int argc, char **argv)
{
    static const struct zygote_host host = {
        .after_fork = after_fork, .touch = touch, .serve = serve};
    struct error err = ERROR_NULL;
    struct zygote *z;

    if (zygote_open(&z, &err) < 0) {
        (void)fprintf(stderr, "mayfly: %s\n", err.text);
        return EXIT_FAILURE;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 4096);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
    load(z);
    for (int i = 0; i < REHEARSALS; i++)
        touch(NULL, NULL);
    zygote_run(z, &host, NULL);
}
