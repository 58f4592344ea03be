#pragma once

/* The gateway's side of a worker: its socket, its output, its end. */

#include "gateway/log.h"

/* States:
 *
 *   STANDBY --assigned--> BUSY --answer complete--> ENDING --ended--> (freed)
 *      |                   ^ \--------instance: answer complete---> STANDBY
 *      \__ not needed, died ______________________________^
 */

enum worker_state {
    WORKER_STANDBY,
    WORKER_BUSY,
    WORKER_ENDING,
    _WORKER_STATE_MAX,
};

struct usage {
    uint32_t status;
    uint64_t user_us, system_us, memory_peak_bytes, minor_faults, major_faults, voluntary_switches,
        involuntary_switches;
    struct limit_use limit; /* that the zygote names */
};

struct worker {
    struct list link; /* in the pool's standbys or busy */
    struct pool *pool;
    uint64_t id;
    enum worker_state state;
    struct pidref process;       /* unknown until WORKER_STARTED */
    bool kill_pending;           /* as soon as it is known */
    uint32_t watch;              /* its slot with the watchdog */
    bool gone;                   /* its process has ended; what it wrote may still be here */
    bool eof;                    /* all that it wrote has been read */
    bool lost;                   /* it died with its zygote */
    int fork_error;              /* errno with which the zygote could not make it, or 0 */
    bool buried;                 /* waits for the end of the round to be freed */
    bool interim;                /* the head being read is that of a 1xx */
    bool may_stay;               /* the answer's head left the connection open */
    bool tunnel;                 /* 101: the bytes are not HTTP any more */
    bool usable_again;           /* instance: the last answer left the connection in order */
    struct loop_timer eof_grace; /* closed its socket: how did it end? ENDING: it must be told */
    struct loop_task finish;     /* gone already when its invocation came to its end */
    int fd;
    struct loop_io io;
    struct http_parser parser;
    struct buf in;
    struct log_pipe out, err;
    struct buf stack;
    uint64_t log_bytes, log_lines, log_dropped;
    struct limit_use told;  /* the limit that it named itself, while it crashed */
    uint64_t since_ns;      /* in this state */
    uint64_t cpu_before_us; /* instance: used by earlier requests */
    struct loop_timer cpu_look;
    uint64_t forked_ns;
    struct invocation *invocation;
    struct usage usage;
};

/* Asks the zygote for a worker. Returns it as STANDBY, or NULL. */
struct worker *worker_new(struct pool *pool);
void worker_move(struct worker *w, enum worker_state to);

/* Writes what the invocation holds for it; reads what it answered. */
void worker_pump_out(struct worker *w);
void worker_pump_in(struct worker *w);

/* Signals it, now or as soon as its process is known. */
void worker_kill(struct worker *w, int signal);

/* Has it killed by the watchdog at at_ns, unless it has ended by then; cancelled by the return to
 * STANDBY. Does nothing while its process is not known. */
void worker_watch(struct worker *w, uint64_t at_ns);

/* Whether the watchdog has killed it. */
bool worker_was_overdue(const struct worker *w);

/* Its process has ended (or never was). Frees it as soon as its invocation is over. */
void worker_ended(struct worker *w, const struct usage *usage);
void worker_free(struct worker *w);

/* Instance: the CPU time since the last measurement, into usage. */
void worker_measure(struct worker *w);

/* Takes the pidfd that the zygote sent. Returns 0, -EPERM if the process is none of the zygote's
 * children, or -errno. */
int worker_started(struct worker *w, int pidfd_consume);
