#include "control/build.h"

#include "base/clock.h"
#include "base/log.h"
#include "control/target.h"
#include "os/fd.h"

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

extern char **environ;

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

void build_break(struct build_job *job, const char *format, ...)
{
    va_list args;

    free(job->broken);
    va_start(args, format);
    if (vasprintf(&job->broken, format, args) < 0)
        job->broken = NULL;
    va_end(args);
}

/* ---- one command ---- */

static int spawn(struct build_job *job, const struct build_command *c, int out)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, usual;
    int r;

    (void)sigemptyset(&none);
    (void)sigemptyset(&usual);
    (void)sigaddset(&usual, SIGPIPE); /* those that control ignores */
    (void)sigaddset(&usual, SIGINT);
    (void)sigaddset(&usual, SIGHUP);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawnattr_init(&attr);
    r = c->input_fd > 0 ? posix_spawn_file_actions_adddup2(&actions, c->input_fd, 0)
                        : posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    r = r ? r : posix_spawn_file_actions_adddup2(&actions, out, 1);
    r = r ? r : posix_spawn_file_actions_adddup2(&actions, out, 2);
    if (c->dir)
        r = r ? r : posix_spawn_file_actions_addchdir_np(&actions, c->dir);
    r = r ? r : posix_spawnattr_setsigmask(&attr, &none);
    r = r ? r : posix_spawnattr_setsigdefault(&attr, &usual);
    r = r ? r
          : posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                POSIX_SPAWN_SETSIGDEF);
    r = r ? r : posix_spawn(&job->pid, c->argv[0], &actions, &attr, c->argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attr);
    return -r;
}

int build_spawn(struct build_job *job, const struct build_command *command)
{
    int fds[2], r = fd_pipe(fds, 0);

    if (r < 0)
        return r;
    r = spawn(job, command, fds[1]);
    (void)close(fds[1]);
    if (r < 0) {
        job->pid = 0;
        (void)close(fds[0]);
        return r;
    }
    job->fd = fds[0];
    return fd_set_nonblock(job->fd, true);
}

static void job_done(struct build_job *job)
{
    if (job->kind->clean)
        job->kind->clean(job);
    buf_deinit(&job->words);
    job->fd = fd_close(job->fd);
    job->pid = 0;
}

static int job_start(struct build_job *job, const struct build_context *ctx)
{
    struct error err = ERROR_NULL;
    int r;

    job->fd = -1;
    job->pid = 0;
    job->timed_out = false;
    job->words = BUF_INIT(WORDS_READ_MAX);
    job->started_ns = clock_now_ns();
    r = job->kind->start(job, ctx, &err);
    if (r < 0) {
        build_break(job, "%s", err.text[0] ? err.text : strerrordesc_np(-r));
        job_done(job);
    }
    return r == -ENOMEM ? r : 0;
}

static void words_add(struct build_job *job, const char *bytes, size_t n)
{
    if (n > buf_room(&job->words) && job->kind->keeps_end)
        buf_consume(&job->words, n - buf_room(&job->words));
    (void)buf_append(&job->words, bytes, MIN(n, buf_room(&job->words)));
}

/* Reads what it says; at its end reaps it. Returns whether it is over. */
static bool job_step(struct build_job *job, const struct build_context *ctx)
{
    struct slice words;
    char bytes[4096];
    int status;

    if (clock_now_ns() > job->started_ns + job->kind->timeout_ms * NS_PER_MS && !job->timed_out) {
        job->timed_out = true;
        (void)killpg(job->pid, SIGKILL); /* not reaped yet, so the group is still its own */
    }
    for (;;) {
        ssize_t n = read(job->fd, bytes, sizeof(bytes));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        words_add(job, bytes, (size_t)n);
    }
    if (waitpid(job->pid, &status, WNOHANG) != job->pid)
        return false;
    words = buf_slice(&job->words);
    while (words.len > 0 && words.base[words.len - 1] == '\n')
        words.len--;
    job->kind->finish(job, ctx, status, job->timed_out, words);
    job_done(job);
    return true;
}

static void job_cancel(struct build_job *job)
{
    (void)killpg(job->pid, SIGKILL);
    (void)waitpid(job->pid, NULL, 0);
    job_done(job);
}

/* ---- what is told ---- */

/* On a terminal one line, of the command that was started last. */
static void progress_show(const struct build_context *ctx, const struct build_job *job, size_t done,
                          size_t n)
{
    uint64_t seconds = job ? (clock_now_ns() - job->started_ns) / NS_PER_S : 0;
    char text[160];

    if (!ctx->progress)
        return;
    if (!job)
        (void)fprintf(stderr, "\r\033[K");
    else if (seconds > 1)
        (void)fprintf(stderr, "\r\033[K%s ... %llu s",
                      job->kind->describe(job, done, n, text, sizeof(text)),
                      (unsigned long long)seconds);
    else
        (void)fprintf(stderr, "\r\033[K%s", job->kind->describe(job, done, n, text, sizeof(text)));
}

static void line_tell(const struct build_context *ctx, const struct build_job *job, bool ended)
{
    uint64_t ms = (clock_now_ns() - job->started_ns) / NS_PER_MS;
    char text[160], quoted[320];

    if (!job->kind->tells_lines || ctx->progress)
        return;
    (void)log_quote(slice_str(job->kind->describe(job, 0, 1, text, sizeof(text))), quoted,
                    sizeof(quoted));
    if (!ended)
        log_info("build.start", "%s", quoted);
    else
        log_info("build.end", "%s: %s after %llu.%llu s", quoted, job->broken ? "failed" : "done",
                 (unsigned long long)ms / 1000, (unsigned long long)ms % 1000 / 100);
}

/* ---- all ---- */

struct pool {
    struct build_job *running[BUILD_PARALLEL];
    size_t n_done, n_jobs;
    uint64_t shown_ns;
};

static int pool_wait(struct pool *p, const struct build_context *ctx)
{
    struct pollfd fds[BUILD_PARALLEL];
    uint64_t now_ns = clock_now_ns();
    struct build_job *last = NULL;
    nfds_t n = 0;

    for (size_t i = 0; i < BUILD_PARALLEL; i++) {
        if (!p->running[i])
            continue;
        fds[n++] = (struct pollfd){.fd = p->running[i]->fd, .events = POLLIN};
        last = !last || p->running[i]->started_ns > last->started_ns ? p->running[i] : last;
    }
    if (now_ns > p->shown_ns + NS_PER_S) {
        progress_show(ctx, last, p->n_done, p->n_jobs);
        p->shown_ns = now_ns;
    }
    /* A hang-up shows at once, the exit a moment later; so this does not wait for the fd alone. */
    if (poll(fds, n, 50) > 0 && n > 0 && (fds[0].revents & POLLHUP))
        (void)poll(NULL, 0, 1);
    return ctx->idle ? ctx->idle(ctx->idle_ctx) : 0;
}

/* Starts the next one that has to run, if there is one. */
static int pool_next(struct pool *p, size_t slot, struct build_job *const *jobs, size_t *next,
                     const struct build_context *ctx)
{
    int r = 0;

    while (!p->running[slot] && *next < p->n_jobs && r >= 0) {
        struct build_job *job = jobs[(*next)++];

        if (job->broken || job->kind->is_settled(job, ctx)) {
            p->n_done++;
            continue;
        }
        r = job_start(job, ctx);
        if (job->pid == 0) {
            p->n_done++;
            continue;
        }
        p->running[slot] = job;
        progress_show(ctx, job, p->n_done, p->n_jobs);
        p->shown_ns = clock_now_ns();
        line_tell(ctx, job, false);
    }
    return r;
}

int build_run(struct build_job *const *jobs, size_t n_jobs, const struct build_context *ctx)
{
    struct pool p = {.n_jobs = n_jobs};
    size_t next = 0;
    int r = 0;

    while (p.n_done < n_jobs && r >= 0) {
        bool waiting = false;

        for (size_t i = 0; i < BUILD_PARALLEL && r >= 0; i++) {
            if (p.running[i] && job_step(p.running[i], ctx)) {
                line_tell(ctx, p.running[i], true);
                p.running[i] = NULL;
                p.n_done++;
            }
            r = pool_next(&p, i, jobs, &next, ctx);
            waiting = waiting || p.running[i];
        }
        if (waiting && r >= 0)
            r = pool_wait(&p, ctx);
    }
    for (size_t i = 0; i < BUILD_PARALLEL; i++) {
        if (p.running[i])
            job_cancel(p.running[i]);
    }
    if (n_jobs > 0)
        progress_show(ctx, NULL, p.n_done, n_jobs);
    return MIN(r, 0);
}
