#pragma once

/* What every runtime hosts: the process in which a function is loaded and warm. A runtime's host
 * program opens the zygote, loads the function in its own way, and calls zygote_run(), which forks
 * a worker for each FORK of the gateway's and reports how it ended. The zygote itself never serves.
 *
 *   int main() { zygote_open(&z); load(zygote_start(z)); zygote_run(z, &host, ctx); }
 *
 * The supervisor starts a zygote with these descriptors, all others closed:
 */

#include "base/error.h"
#include "base/slice.h"
#include "model/function.h"

#include <poll.h>

#define ZYGOTE_FD_WORKER  3 /* reserved: in a worker its request socket, in the zygote /dev/null */
#define ZYGOTE_FD_CONTROL 4 /* channel to the supervisor */
#define ZYGOTE_FD_GATEWAY 5 /* channel to the gateway */
#define ZYGOTE_FD_SLOTS   6 /* where its workers' control groups are, or /dev/null */
#define ZYGOTE_FD_OOM     7 /* SANDBOX_FD_OOM: its own oom_score_adj, or /dev/null */
#define ZYGOTE_FD_LAST                                                                             \
    14 /* 8 to here are the zygote's own, too; a worker has none of 4 to here                      \
        */

/* Behind them, if the function has secrets: a memory file with them, which a worker closes as soon
 * as it has read it. It is not mapped in the zygote. */
#define ZYGOTE_FD_SECRETS (ZYGOTE_FD_LAST + 1)

#define ZYGOTE_POLLS_MAX 80 /* descriptors that a host waits for, at most */

struct pidref;
struct zygote;
struct worker;

/* What the supervisor said of the function; strings are terminated and live as long as z. */
struct zygote_start {
    const char *function;
    const char *version;
    const char *handler;
    enum isolation isolation;
    bool dev;
    const char *const *secrets; /* variables that come from secrets, NULL-terminated */
    bool secrets_at_load;       /* they are set already; else each worker sets them */
    uint64_t timeout_ms;
    uint64_t memory_bytes;
};

/* What a runtime does in a new worker, in this order (but for fork). All but serve may be NULL. */
struct zygote_host {
    /* Learns of a variable that the worker's environment has got, in case that the runtime has an
     * idea of it of its own. */
    void (*on_variable)(void *ctx, const char *name, const char *value);

    /* For a host with processes of its own (zygote_program_start()): what it waits for beside them,
     * in the zygote's loop. Fills in `fds` and returns how many; may lower *timeout_ms, after which
     * on_polls is called, as it is whenever one is ready. */
    unsigned (*polls)(void *ctx, struct pollfd fds[static ZYGOTE_POLLS_MAX], int *timeout_ms);
    void (*on_polls)(void *ctx, const struct pollfd *fds, unsigned n);

    /* A child of the zygote has ended, a worker or another; it is reaped. */
    void (*on_child_end)(void *ctx, pid_t pid, int status);

    /* The zygote is to end; it does when this returns. */
    void (*on_end)(void *ctx);

    /* Makes the runtime right after the fork: thread ids, locks, randomness. */
    void (*after_fork)(void *ctx);

    /* Touches what a first request will touch, without side effects; then the worker waits. */
    void (*touch)(void *ctx, struct worker *w);

    /* For an interpreter that must be forked in its own way: calls clone(arg) where that would call
     * fork(), and returns what it returned: 0 in the worker, which has no blocked signal then. */
    int (*fork)(void *ctx, int (*clone)(void *arg), void *arg);

    /* Answers the request that worker_head() describes. Returns 0, or a negative errno when it
     * cannot go on; an answer that is not complete then counts as a crash. Must have flushed
     * stdout and stderr when it completes the answer. With ISOLATION_INSTANCE it is called again
     * for the next request. */
    int (*serve)(void *ctx, struct worker *w);
};

/* Waits for the supervisor's START; from here on SIGCHLD is blocked. Returns 0 or -errno with *err.
 */
int zygote_open(struct zygote **ret, struct error *err);

const struct zygote_start *zygote_start(const struct zygote *z);

/* Says READY and serves until the supervisor closes the channel. Does not return: the zygote ends
 * by _exit(0), each worker by _exit() of its own.
 *
 * Context: single-threaded; SIGCHLD is blocked and every child of the process is reaped here. */
_noreturn_ void zygote_run(struct zygote *z, const struct zygote_host *host, void *ctx);

/* The same for a runtime that speaks HTTP on ZYGOTE_FD_WORKER by itself: returns in each worker,
 * when its variables are set and host's after_fork has run. touch and serve are not called. The
 * worker ends by _exit(), and z is not there any more. Never returns in the zygote. */
void zygote_run_bare(struct zygote *z, const struct zygote_host *host, void *ctx);

/* Tells why the function cannot be loaded, and exits. `json` is
 * {"errorType": ..., "errorMessage": ..., "stackTrace": [...]} as an unhandled error is. */
_noreturn_ void zygote_fail(struct zygote *z, struct slice json);

/* The same with the JSON made of its parts; `stack` has lines separated by '\n' and may be empty.
 */
_noreturn_ void zygote_fail_text(struct zygote *z, const char *type, const char *message,
                                 const char *stack);

/* ---- a host with processes of its own ----
 * They end with the zygote at the latest. Both may be called from zygote_open() on, and in the
 * hooks of the zygote's loop; the zygote must run no foreign code itself then. */

/* Starts a process for a program of the author's, in the sandbox that each worker has: a user id, a
 * /tmp, a limit on memory and a process namespace of its own, no rights, and the secrets in its
 * environment. Its output is the zygote's. run(arg) runs in it, as PID 1, with the zygote's
 * descriptors from ZYGOTE_FD_LAST on open, and must not return. Returns 0 with *ret, or -errno. */
int zygote_program_start(struct zygote *z, void (*run)(void *arg), void *arg, struct pidref *ret);

/* Starts a process of the runtime's own code beside the zygote, with its user and its
 * capabilities, in new namespaces (CLONE_NEW... or 0). Otherwise as above. */
int zygote_helper_start(struct zygote *z, uint64_t namespaces, void (*run)(void *arg), void *arg,
                        struct pidref *ret);

/* Whether the sandbox has namespaces here, so that new ones can be made. */
bool zygote_has_namespaces(const struct zygote *z);
