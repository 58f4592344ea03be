#pragma once

/* The event loop of supervisor and gateway: epoll, timers, signals, and work put off to the end of
 * a round. One thread, no allocation per event; objects embed what they wait with.
 *
 * Readiness is edge-triggered inside and level-like outside: `ready` of a loop_io remembers what
 * epoll told, until its owner, having met EAGAIN, clears it by loop_io_drained(). So nothing is
 * ever registered twice, and an owner that does not want to read yet just does not.
 *
 * Context: single-threaded; not to be used after a fork. */

#include "base/clock.h"
#include "base/list.h"

#include <sys/epoll.h>

struct loop;
struct loop_io;
struct loop_timer;
struct loop_task;

/* ---- descriptors ---- */

typedef void (*loop_io_f)(struct loop_io *io);

struct loop_io {
    struct loop *loop; /* NULL while not added */
    struct list again;
    int fd;         /* borrowed: remove before closing */
    uint32_t ready; /* EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR */
    loop_io_f on_ready;
};

static inline void loop_io_init(struct loop_io *io)
{
    *io = (struct loop_io){.fd = -1};
    list_init(&io->again);
}

/* Watches fd for `events` (EPOLLIN | EPOLLOUT | EPOLLRDHUP; errors and hang-ups always). Returns 0
 * or -errno. */
int loop_io_add(struct loop *l, struct loop_io *io, int fd, uint32_t events, loop_io_f on_ready);

/* Never calls on_ready again, not even for what has happened already. May be called twice. */
void loop_io_remove(struct loop_io *io);

/* The same when the caller closes fd right after and nobody else holds it open: the kernel then
 * forgets it by itself, which saves a system call. */
void loop_io_remove_closing(struct loop_io *io);

static inline void loop_io_drained(struct loop_io *io, uint32_t events)
{
    io->ready &= ~events;
}

/* Calls on_ready once more in the next round: for an owner that has had its share in this one, or
 * that wants to read again what it left. */
void loop_io_again(struct loop_io *io);

/* ---- timers ---- */

typedef void (*loop_timer_f)(struct loop_timer *t);

struct loop_timer {
    struct loop *loop; /* NULL while not armed */
    uint64_t at_ns;
    uint32_t index;
    loop_timer_f on_due;
};

/* Arms or moves the timer; it fires once. Returns 0 or -ENOMEM. */
int loop_timer_at(struct loop *l, struct loop_timer *t, uint64_t at_ns, loop_timer_f on_due);
int loop_timer_after(struct loop *l, struct loop_timer *t, uint64_t delay_ns, loop_timer_f on_due);

static inline bool loop_timer_is_armed(const struct loop_timer *t)
{
    return t->loop != NULL;
}

void loop_timer_cancel(struct loop_timer *t); /* may be called twice */

/* ---- work at the end of a round ---- */

typedef void (*loop_task_f)(struct loop_task *t);

struct loop_task {
    struct list link;
    loop_task_f run;
};

static inline void loop_task_init(struct loop_task *t, loop_task_f run)
{
    list_init(&t->link);
    t->run = run;
}

/* Runs the task once, after the events of this round and before waiting; calling it again before
 * then changes nothing. */
void loop_task_put(struct loop *l, struct loop_task *t);

/* ---- signals ---- */

typedef void (*loop_signal_f)(void *ctx, int signal);

/* Blocks the signals (an array that ends in 0) and delivers them as calls. Once per loop. Returns 0
 * or -errno. */
int loop_signals(struct loop *l, const int *signals, loop_signal_f on_signal, void *ctx);

/* ---- the loop ---- */

/* Returns 0, -ENOMEM or -errno. */
int loop_new(struct loop **ret);
struct loop *loop_free(struct loop *l);

/* The time at which this round's events were seen. */
uint64_t loop_now(const struct loop *l);

/* For tests: a clock that only moves by hand. */
void loop_set_clock(struct loop *l, uint64_t (*now_ns)(void));

/* One round: waits at most until the next timer, or not at all with `poll`. Returns 0 or -errno. */
int loop_round(struct loop *l, bool poll);

/* Runs rounds until loop_stop(). Returns what that was given, or -errno. */
int loop_run(struct loop *l);
void loop_stop(struct loop *l, int result);
