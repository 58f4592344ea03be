/* A result is built under a temporary name and then renamed, so that a program that is there is
 * whole, whoever was interrupted. */

#include "control/compile.h"

#include "base/log.h"
#include "control/target.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* How a zygote is linked: static, which forks fastest. A sanitized build says otherwise. */
#ifndef NATIVE_LINK
#define NATIVE_LINK "-static"
#endif

char *compile_compiler(void)
{
    static const char *const names[] = {"cc", "gcc", "clang"};
    char *found = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(names) && !found; i++)
        found = path_search(names[i]);
    return found;
}

/* A folder with files only. What cannot be removed stays; it does no harm. */
static void folder_remove(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;

    while (d && (e = readdir(d))) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            (void)unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d)
        (void)closedir(d);
    (void)rmdir(path);
}

void compile_prune(const char *state, const char *const *keys, size_t n_keys)
{
    _cleanup_free_ char *build = path_join(state, "build");
    DIR *d = build ? opendir(build) : NULL;
    struct dirent *e;

    while (d && (e = readdir(d))) {
        _cleanup_free_ char *path = path_join(build, e->d_name);
        bool wanted = e->d_name[0] == '.' || !path;

        for (size_t i = 0; i < n_keys && !wanted; i++)
            wanted = strcmp(e->d_name, keys[i]) == 0;
        if (!wanted)
            folder_remove(path);
    }
    if (d)
        (void)closedir(d);
}

static struct compile_job *job_of(const struct build_job *build)
{
    return container_of((struct build_job *)(uintptr_t)build, struct compile_job, build);
}

static int glue_write(const char *path, const char *symbol)
{
    FILE *f = fopen(path, "wxe");
    bool bad;

    if (!f)
        return -errno;
    bad = fprintf(f,
                  "#include <mayfly.h>\n"
                  "int %s(mayfly_request *, mayfly_response *);\n"
                  "extern int (*const mayfly_entry)(mayfly_request *, mayfly_response *);\n"
                  "int (*const mayfly_entry)(mayfly_request *, mayfly_response *) = %s;\n",
                  symbol, symbol) < 0;
    bad = fclose(f) != 0 || bad;
    return bad ? -EIO : 0;
}

static int compiler_spawn(struct compile_job *job, const char *lib)
{
    _cleanup_free_ char *glue = path_join(job->folder, "glue.c");
    _cleanup_free_ char *program = path_join(job->folder, job->symbol);
    _cleanup_free_ char *archive = path_join(lib, "native/libmayfly-native.a");
    _cleanup_free_ char *include = NULL;
    int r;

    if (asprintf(&include, "-I%s/include", lib) < 0)
        include = NULL;
    if (!glue || !program || !archive || !include)
        return -ENOMEM;
    r = glue_write(glue, job->symbol);
    if (r == 0) {
        char *const argv[] = {job->compiler, "-O2",   "-g",    NATIVE_LINK,
                              include,       "-o",    program, (char *)(uintptr_t)job->file,
                              glue,          archive, "-lm",   NULL};
        /* Its words then name the files as the author knows them. */
        const struct build_command command = {.argv = argv, .dir = job->dir};

        r = build_spawn(&job->build, &command);
    }
    return r;
}

static int compile_start(struct build_job *build, const struct build_context *ctx,
                         struct error *err)
{
    struct compile_job *job = job_of(build);
    int r;

    job->compiler = compile_compiler();
    if (!job->compiler)
        return error_set(err, -ENOENT, "there is no C compiler; run: apt install gcc libc6-dev");
    if (asprintf(&job->folder, "%s/build/%s.tmp", ctx->state, job->key) < 0) {
        job->folder = NULL;
        return -ENOMEM;
    }
    folder_remove(job->folder); /* of one that was interrupted */
    r = path_make(job->folder);
    if (r == 0)
        r = compiler_spawn(job, ctx->lib);
    return r < 0 ? error_set_errno(err, r, "%s: cannot start %s in %s", job->file, job->compiler,
                                   job->folder)
                 : 0;
}

/* The compiler has ended: its result takes its place, or its words tell why there is none. */
static void compile_finish(struct build_job *build, const struct build_context *ctx, int status,
                           bool timed_out, struct slice words)
{
    struct compile_job *job = job_of(build);
    _cleanup_free_ char *final = NULL, *glue = path_join(job->folder, "glue.c");

    if (asprintf(&final, "%s/build/%s", ctx->state, job->key) < 0)
        final = NULL;
    words.len = MIN(words.len, (size_t)COMPILE_WORDS_MAX);
    if (timed_out) {
        build_break(build, "%s: compiling took longer than %d seconds", job->file,
                    COMPILE_TIMEOUT_MS / 1000);
    } else if (status != 0) {
        build_break(build, "%s: does not compile:\n%.*s", job->file, SLICE_ARG(words));
    } else if (final && glue) {
        (void)unlink(glue);
        folder_remove(final); /* left over without its program */
        if (rename(job->folder, final) < 0)
            build_break(build, "%s: cannot make %s: %s", job->file, final, strerrordesc_np(errno));
        else
            job->program = path_join(final, job->symbol);
    }
}

static void compile_clean(struct build_job *build)
{
    struct compile_job *job = job_of(build);

    if (job->folder)
        folder_remove(job->folder);
    free(job->folder);
    free(job->compiler);
    job->folder = job->compiler = NULL;
}

static bool compile_is_settled(struct build_job *build, const struct build_context *ctx)
{
    struct compile_job *job = job_of(build);
    char *path;

    if (asprintf(&path, "%s/build/%s/%s", ctx->state, job->key, job->symbol) < 0)
        return false;
    if (path_is_program(path)) {
        job->program = path;
        return true;
    }
    free(path);
    return false;
}

static const char *compile_describe(const struct build_job *build, size_t n_done, size_t n,
                                    char *dst, size_t size)
{
    char name[64];

    (void)snprintf(dst, size, "compiling %zu of %zu: %s", n_done + 1, n,
                   log_quote(slice_str(job_of(build)->file), name, sizeof(name)));
    return dst;
}

const struct build_kind compile_kind = {
    .timeout_ms = COMPILE_TIMEOUT_MS,
    .describe = compile_describe,
    .is_settled = compile_is_settled,
    .start = compile_start,
    .finish = compile_finish,
    .clean = compile_clean,
};
