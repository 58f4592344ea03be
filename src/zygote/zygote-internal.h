#pragma once

/* Inside src/zygote only: what its files share. */

#include "cgroup/cgroup.h"
#include "model/limit-hit.h"
#include "os/pidref.h"
#include "sandbox/sandbox.h"
#include "wire/wire.h"
#include "zygote/worker.h"
#include "zygote/zygote.h"

/* Who is alive, by pid: which worker number of the gateway's a child has. An open-addressed table
 * of a fixed size, because it lives in memory that a fork does not copy (see zygote.c). */
#define CHILDREN_SIZE 32768 /* a power of two, more than twice the machine's ceiling of workers */

#define CHILD_OF_HOST UINT64_MAX /* no worker: see zygote_program_start() */

struct child {
    pid_t pid; /* 0 is empty */
    uint32_t slot;
    uint64_t worker;
};

/* Each living child has a slot: the lowest number that no other has. */
#define CHILDREN_MAX (CHILDREN_SIZE / 2)

struct children {
    struct child table[CHILDREN_SIZE];
    uint64_t slots[CHILDREN_MAX / 64]; /* a bit is set: taken */
    uint32_t n;
};

/* The slot that the next child gets; there is one as long as n < CHILDREN_MAX. */
uint32_t children_next_slot(const struct children *c);

/* Returns 0, or -ENOBUFS when there are CHILDREN_MAX. */
int children_add(struct children *c, pid_t pid, uint64_t worker, uint32_t slot);

/* Returns true with *ret_worker, and forgets the child; or false if the pid is none of them. */
bool children_remove(struct children *c, pid_t pid, uint64_t *ret_worker);
bool children_has(const struct children *c, pid_t pid);

/* Returns the child or NULL; valid until the next change. */
const struct child *children_get(const struct children *c, pid_t pid);

/* ---- slots.c: what the kernel counts of single workers ---- */

struct worker_slots {
    uint32_t n;     /* how many have a group; 0: none has */
    uint32_t asked; /* for so many in all */
    bool v2;
    uint64_t oom_kills[CGROUP_SLOTS_MAX]; /* seen so far */
    char oom_score[8];                    /* the zygote's own, as /proc tells it */
    size_t oom_len;
};

/* Moves a descriptor to a reserved number. Returns 0 or -errno; it is consumed in every case. */
int zygote_fd_place(int fd_consume, int number);

void slots_init(struct worker_slots *s);

/* From the supervisor's CGROUP and SLOTS. */
int slots_take(struct worker_slots *s, struct wire_message *m);
void slots_grown(struct worker_slots *s, uint32_t n);
bool slots_has(const struct worker_slots *s, uint32_t slot);

/* When `slot` is handed out: how many slots to ask the supervisor for now, or 0. */
uint32_t slots_wanted(struct worker_slots *s, uint32_t slot);

/* When the worker in it is dead: whether it, or what it started, met the limit on memory. */
bool slots_end(struct worker_slots *s, uint32_t slot, uint64_t *ret_peak_bytes);

/* Around a fork: the worker is the one to go when memory runs out, not the zygote. */
void slots_fork_begin(const struct worker_slots *s);
void slots_fork_end(const struct worker_slots *s);

/* What a worker may keep of the zygote: fds 0 to 2 (its own), the request socket, and what the
 * author's code had open when it was loaded. All else is given here and goes in fork_child(). */
struct inheritance {
    int socket;
    int out;
    int err;
    uint32_t slot;
    uint32_t n_alive;
    bool has_slot; /* of memory: see slots.c */
    bool slots_v2;
    const struct sandbox_fork *sandbox; /* in memory that a fork copies */
};

/* Forks a worker into its part of the sandbox. In the zygote returns 1 with *ret or -errno; in the
 * worker returns 0 when everything that must not be inherited is gone.
 *
 * Context: the only place that forks without an exec. */
int fork_worker(const struct inheritance *inheritance, struct pidref *ret);

/* The same for a process of our own code, that keeps the zygote's user and capabilities and none of
 * its descriptors up to ZYGOTE_FD_LAST. */
int fork_helper(uint64_t namespaces, struct pidref *ret);

/* ---- secrets.c ---- */

/* In the zygote: keeps the memory file in its place. Returns 0 or -errno. */
int secrets_keep(int fd_consume);

/* In the worker, or in the zygote if they are wanted at load: sets the variables and closes the
 * file. host may be NULL. Returns 0 or -errno. */
int secrets_take(const struct zygote_host *host, void *ctx);

/* Adds the text without the values of the secrets that this process has. Returns 1 if there was
 * one, 0 if there was none (then nothing is added), or -errno. */
int secrets_redact(struct slice text, struct buf *b);

/* In the worker, before anything else: what it uses is its own from there on. Returns 0 or -errno.
 */
int slots_join(const struct inheritance *inheritance);

/* ---- sockets.c ---- */

/* In the zygote, when the function is loaded: replaces what it has connected, or opened to listen,
 * by sockets that are at their end, and tells the author. */
void sockets_let_go(void);

/* ---- fork.c, limits.c ---- */

/* Whether not one process more may be started: tried out.
 * Context: async-signal-safe. */
bool fork_is_refused(void);

/* Which limit a worker has run into (limits.c). remember() comes first, in the zygote. find(): by
 * the errno that something failed with, or 0; used and max are 0 where they are not known. */
struct rusage;
void limits_remember(const struct sandbox_worker *w);
bool limits_find(int error, struct limit_use *ret);
bool limits_of_child(int code, int status, const struct rusage *usage, struct limit_use *ret);

/* The first that a worker does: its variables, then what its runtime must make right. Ends the
 * process if it cannot. */
void worker_begin(const struct zygote_host *host, void *ctx);

/* And all that comes then. */
_noreturn_ void worker_run(const struct zygote_host *host, void *ctx, enum isolation isolation);

/* Instead of an error from which secrets cannot be taken out for want of memory. */
#define WORKER_ERROR_WITHHELD                                                                      \
    "{\"errorType\": \"Runtime.OutOfMemory\", \"errorMessage\": \"no memory to tell the error "    \
    "without its secrets\", \"stackTrace\": []}"

/* {"errorType": ..., "errorMessage": ..., "stackTrace": [...]} of its parts. */
int worker_error_json(struct buf *b, const char *type, const char *message, const char *stack);
