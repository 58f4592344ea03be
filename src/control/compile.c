/* A result is built under a temporary name and then renamed, so that a program that is there is
 * whole, whoever was interrupted. */

#include "control/compile.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "control/target.h"
#include "os/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_READ_MAX 65536

/* How a zygote is linked: static, which forks fastest. A sanitized build says otherwise. */
#ifndef NATIVE_LINK
#define NATIVE_LINK "-static"
#endif

extern char **environ;

/* A compiler at work. */
struct run {
    struct compile_job *job; /* NULL: free */
    pid_t pid;
    int fd; /* what it says */
    uint64_t deadline_ns;
    bool timed_out;
    struct buf words;
    char *folder; /* STATE/build/KEY.tmp */
};

char *path_search(const char *name)
{
    const char *path = getenv("PATH");

    if (!path || !path[0])
        path = "/usr/local/bin:/usr/bin:/bin";
    for (;;) {
        size_t n = strcspn(path, ":");
        char *candidate;

        if (n > 0 && path[0] == '/') {
            if (asprintf(&candidate, "%.*s/%s", (int)n, path, name) < 0)
                return NULL;
            if (path_is_program(candidate))
                return candidate;
            free(candidate);
        }
        if (path[n] == '\0')
            return NULL;
        path += n + 1;
    }
}

char *compile_compiler(void)
{
    static const char *const names[] = {"cc", "gcc", "clang"};
    char *found = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(names) && !found; i++)
        found = path_search(names[i]);
    return found;
}

int path_make(const char *path)
{
    _cleanup_free_ char *copy = slice_dup(slice_str(path));

    if (!copy)
        return -ENOMEM;
    for (char *p = copy + 1;; p++) {
        char c = *p;

        if (c != '/' && c != '\0')
            continue;
        *p = '\0';
        if (mkdir(copy, 0755) < 0 && errno != EEXIST)
            return -errno;
        *p = c;
        if (c == '\0')
            return 0;
    }
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

/* ---- one compiler ---- */

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

static int compiler_spawn(struct run *run, const char *cc, const char *lib)
{
    const struct compile_job *job = run->job;
    _cleanup_free_ char *glue = path_join(run->folder, "glue.c");
    _cleanup_free_ char *program = path_join(run->folder, job->symbol);
    _cleanup_free_ char *archive = path_join(lib, "native/libmayfly-native.a");
    _cleanup_free_ char *include = NULL;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, usual;
    int fds[2] = {-1, -1}, r;

    if (asprintf(&include, "-I%s/include", lib) < 0)
        include = NULL;
    if (!glue || !program || !archive || !include)
        return -ENOMEM;
    r = glue_write(glue, job->symbol);
    if (r == 0)
        r = fd_pipe(fds, 0);
    if (r < 0)
        return r;

    (void)sigemptyset(&none);
    (void)sigemptyset(&usual);
    (void)sigaddset(&usual, SIGPIPE); /* those that control ignores */
    (void)sigaddset(&usual, SIGINT);
    (void)sigaddset(&usual, SIGHUP);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawnattr_init(&attr);
    r = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    r = r ? r : posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
    r = r ? r : posix_spawn_file_actions_adddup2(&actions, fds[1], 2);
    /* Its words then name the files as the author knows them. */
    r = r ? r : posix_spawn_file_actions_addchdir_np(&actions, job->dir);
    r = r ? r : posix_spawnattr_setsigmask(&attr, &none);
    r = r ? r : posix_spawnattr_setsigdefault(&attr, &usual);
    r = r ? r
          : posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                POSIX_SPAWN_SETSIGDEF);
    if (r == 0) {
        char *const argv[] = {(char *)cc, "-O2",   "-g",    NATIVE_LINK,
                              include,    "-o",    program, (char *)job->file,
                              glue,       archive, "-lm",   NULL};

        r = posix_spawn(&run->pid, cc, &actions, &attr, argv, environ);
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attr);
    (void)close(fds[1]);
    if (r != 0) {
        (void)close(fds[0]);
        return -r;
    }
    run->fd = fds[0];
    run->deadline_ns = clock_now_ns() + COMPILE_TIMEOUT_MS * NS_PER_MS;
    return fd_set_nonblock(run->fd, true);
}

static _printf_(2, 3) void job_break(struct compile_job *job, const char *format, ...)
{
    va_list args;

    free(job->broken);
    va_start(args, format);
    if (vasprintf(&job->broken, format, args) < 0)
        job->broken = NULL;
    va_end(args);
}

static void run_done(struct run *run)
{
    if (run->folder)
        folder_remove(run->folder);
    free(run->folder);
    buf_deinit(&run->words);
    run->fd = fd_close(run->fd);
    run->folder = NULL;
    run->job = NULL;
}

static int run_start(struct run *run, struct compile_job *job, const char *cc,
                     const struct compile_context *ctx)
{
    int r;

    *run = (struct run){.job = job, .fd = -1, .words = BUF_INIT(WORDS_READ_MAX)};
    if (asprintf(&run->folder, "%s/build/%s.tmp", ctx->state, job->key) < 0) {
        run->folder = NULL;
        run_done(run);
        return -ENOMEM;
    }
    folder_remove(run->folder); /* of one that was interrupted */
    r = path_make(run->folder);
    if (r == 0)
        r = compiler_spawn(run, cc, ctx->lib);
    if (r < 0) {
        job_break(job, "%s: cannot start %s in %s: %s", job->file, cc, run->folder,
                  strerrordesc_np(-r));
        run_done(run);
    }
    return r == -ENOMEM ? r : 0;
}

/* The compiler has ended: its result takes its place, or its words tell why there is none. */
static void run_finish(struct run *run, int status, const struct compile_context *ctx)
{
    struct compile_job *job = run->job;
    _cleanup_free_ char *final = NULL, *glue = path_join(run->folder, "glue.c");
    struct slice words = buf_slice(&run->words);

    if (asprintf(&final, "%s/build/%s", ctx->state, job->key) < 0)
        final = NULL;
    while (words.len > 0 && words.base[words.len - 1] == '\n')
        words.len--;
    words.len = MIN(words.len, (size_t)COMPILE_WORDS_MAX);
    if (run->timed_out) {
        job_break(job, "%s: compiling took longer than %d seconds", job->file,
                  COMPILE_TIMEOUT_MS / 1000);
    } else if (status != 0) {
        job_break(job, "%s: does not compile:\n%.*s", job->file, SLICE_ARG(words));
    } else if (final && glue) {
        (void)unlink(glue);
        folder_remove(final); /* left over without its program */
        if (rename(run->folder, final) < 0)
            job_break(job, "%s: cannot make %s: %s", job->file, final, strerrordesc_np(errno));
        else
            job->program = path_join(final, job->symbol);
    }
    run_done(run);
}

/* Reads what it says; at its end reaps it. Returns whether the run is over. */
static bool run_step(struct run *run, const struct compile_context *ctx)
{
    char bytes[4096];
    int status;

    if (clock_now_ns() > run->deadline_ns && !run->timed_out) {
        run->timed_out = true;
        (void)killpg(run->pid, SIGKILL); /* not reaped yet, so the group is still its own */
    }
    for (;;) {
        ssize_t n = read(run->fd, bytes, sizeof(bytes));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        (void)buf_append(&run->words, bytes, MIN((size_t)n, buf_room(&run->words)));
    }
    if (waitpid(run->pid, &status, WNOHANG) != run->pid)
        return false;
    run_finish(run, status, ctx);
    return true;
}

static void run_cancel(struct run *run)
{
    if (!run->job)
        return;
    (void)killpg(run->pid, SIGKILL);
    (void)waitpid(run->pid, NULL, 0);
    run_done(run);
}

/* ---- all ---- */

/* Whether there is a result already, or none can come. */
static bool job_is_settled(struct compile_job *job, const struct compile_context *ctx)
{
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

static void progress_show(const struct compile_context *ctx, size_t done, size_t n,
                          const char *file)
{
    char name[64];

    if (ctx->progress && file)
        (void)fprintf(stderr, "\r\033[Kcompiling %zu of %zu: %s", done + 1, n,
                      log_quote(slice_str(file), name, sizeof(name)));
    else if (ctx->progress)
        (void)fprintf(stderr, "\r\033[K");
}

static int runs_wait(struct run *runs, const struct compile_context *ctx)
{
    struct pollfd fds[COMPILE_PARALLEL];
    nfds_t n = 0;

    for (size_t i = 0; i < COMPILE_PARALLEL; i++) {
        if (runs[i].job)
            fds[n++] = (struct pollfd){.fd = runs[i].fd, .events = POLLIN};
    }
    /* A hang-up shows at once, the exit a moment later; so this does not wait for the fd alone. */
    if (poll(fds, n, 50) > 0 && n > 0 && (fds[0].revents & POLLHUP))
        (void)poll(NULL, 0, 1);
    return ctx->idle ? ctx->idle(ctx->idle_ctx) : 0;
}

int compile_run(struct compile_job *jobs, size_t n_jobs, const struct compile_context *ctx)
{
    _cleanup_free_ char *cc = compile_compiler();
    struct run runs[COMPILE_PARALLEL] = {{.fd = -1}, {.fd = -1}};
    size_t next = 0, n_done = 0;
    int r = 0;

    while (n_done < n_jobs && r >= 0) {
        bool waiting = false;

        for (size_t i = 0; i < COMPILE_PARALLEL && r >= 0; i++) {
            struct run *run = &runs[i];

            if (run->job && run_step(run, ctx))
                n_done++;
            while (!run->job && next < n_jobs && r >= 0) {
                struct compile_job *job = &jobs[next++];

                if (job_is_settled(job, ctx)) {
                    n_done++;
                    continue;
                }
                if (!cc) {
                    job_break(job, "there is no C compiler; run: apt install gcc libc6-dev");
                    n_done++;
                    continue;
                }
                progress_show(ctx, n_done, n_jobs, job->file);
                r = run_start(run, job, cc, ctx);
                n_done += !run->job;
            }
            waiting = waiting || run->job;
        }
        if (waiting && r >= 0)
            r = runs_wait(runs, ctx);
    }
    for (size_t i = 0; i < COMPILE_PARALLEL; i++)
        run_cancel(&runs[i]);
    if (n_jobs > 0)
        progress_show(ctx, n_done, n_jobs, NULL);
    return MIN(r, 0);
}
