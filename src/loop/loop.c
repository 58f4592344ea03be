#include "loop/loop.h"

#include "loop/timers.h"
#include "os/fault.h"
#include "os/fd.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define BATCH_MAX 128 /* events a round; more only delays timers */

struct loop {
    int epoll_fd;
    uint64_t (*clock)(void);
    uint64_t now_ns;
    struct timers timers;
    struct list tasks;
    struct list again;
    struct epoll_event batch[BATCH_MAX];
    int n_batch; /* events of the current round, those before next_batch are done */
    int next_batch;
    bool stopped;
    int result;
    struct loop_io signal_io;
    loop_signal_f on_signal;
    void *signal_ctx;
};

int loop_new(struct loop **ret)
{
    struct loop *l;
    int r = os_fault(OS_CALL_EPOLL);

    if (r < 0)
        return r;
    l = calloc(1, sizeof(*l));
    if (!l)
        return -ENOMEM;
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll_fd < 0) {
        r = -errno;
        free(l);
        return r;
    }
    list_init(&l->tasks);
    list_init(&l->again);
    loop_io_init(&l->signal_io);
    l->clock = clock_now_ns;
    l->now_ns = l->clock();
    *ret = l;
    return 0;
}

struct loop *loop_free(struct loop *l)
{
    if (!l)
        return NULL;
    fd_close(l->signal_io.fd);
    fd_close(l->epoll_fd);
    free(l->timers.heap);
    free(l);
    return NULL;
}

uint64_t loop_now(const struct loop *l)
{
    return l->now_ns;
}

void loop_set_clock(struct loop *l, uint64_t (*now_ns)(void))
{
    l->clock = now_ns;
    l->now_ns = now_ns();
}

/* ---- descriptors ---- */

int loop_io_add(struct loop *l, struct loop_io *io, int fd, uint32_t events, loop_io_f on_ready)
{
    struct epoll_event event = {.events = events | EPOLLET, .data.ptr = io};
    int r = os_fault(OS_CALL_EPOLL);

    assert(!io->loop);
    if (r < 0)
        return r;
    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return -errno;
    io->loop = l;
    io->fd = fd;
    io->ready = 0;
    io->on_ready = on_ready;
    list_init(&io->again);
    return 0;
}

void loop_io_remove(struct loop_io *io)
{
    if (!io->loop)
        return;
    (void)epoll_ctl(io->loop->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
    loop_io_remove_closing(io);
}

void loop_io_remove_closing(struct loop_io *io)
{
    struct loop *l = io->loop;

    if (!l)
        return;
    for (int i = l->next_batch; i < l->n_batch; i++) {
        if (l->batch[i].data.ptr == io)
            l->batch[i].data.ptr = NULL;
    }
    list_remove(&io->again);
    io->loop = NULL;
    io->ready = 0;
}

void loop_io_again(struct loop_io *io)
{
    if (io->loop && list_is_empty(&io->again))
        list_add_last(&io->loop->again, &io->again);
}

/* ---- timers ---- */

int loop_timer_at(struct loop *l, struct loop_timer *t, uint64_t at_ns, loop_timer_f on_due)
{
    int r;

    t->at_ns = at_ns;
    t->on_due = on_due;
    if (t->loop) {
        timers_move(&l->timers, t);
        return 0;
    }
    r = timers_put(&l->timers, t);
    if (r == 0)
        t->loop = l;
    return r;
}

int loop_timer_after(struct loop *l, struct loop_timer *t, uint64_t delay_ns, loop_timer_f on_due)
{
    return loop_timer_at(l, t, l->now_ns + delay_ns, on_due);
}

void loop_timer_cancel(struct loop_timer *t)
{
    if (!t->loop)
        return;
    timers_remove(&t->loop->timers, t);
    t->loop = NULL;
}

static void run_timers(struct loop *l)
{
    while (l->timers.n > 0 && l->timers.heap[0]->at_ns <= l->now_ns) {
        struct loop_timer *t = l->timers.heap[0];

        loop_timer_cancel(t);
        t->on_due(t);
    }
}

/* ---- tasks ---- */

void loop_task_put(struct loop *l, struct loop_task *t)
{
    if (list_is_empty(&t->link))
        list_add_last(&l->tasks, &t->link);
}

static void run_tasks(struct loop *l)
{
    struct list *link;

    while ((link = list_first(&l->tasks))) {
        struct loop_task *t = list_entry(link, struct loop_task, link);

        list_remove(link);
        t->run(t);
    }
}

/* ---- signals ---- */

static void on_signal_ready(struct loop_io *io)
{
    struct loop *l = container_of(io, struct loop, signal_io);
    struct signalfd_siginfo info;

    while (read(io->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        l->on_signal(l->signal_ctx, (int)info.ssi_signo);
    loop_io_drained(io, EPOLLIN);
}

int loop_signals(struct loop *l, const int *signals, loop_signal_f on_signal, void *ctx)
{
    _cleanup_close_ int fd = -1;
    sigset_t set;
    int r;

    sigemptyset(&set);
    for (; *signals; signals++)
        sigaddset(&set, *signals);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    l->on_signal = on_signal;
    l->signal_ctx = ctx;
    r = loop_io_add(l, &l->signal_io, fd, EPOLLIN, on_signal_ready);
    if (r == 0)
        take_fd(&fd);
    return r;
}

/* ---- the loop ---- */

static int wait_ms(const struct loop *l, bool poll)
{
    uint64_t at, ms;

    if (poll || !list_is_empty((struct list *)&l->again))
        return 0;
    if (l->timers.n == 0)
        return -1;
    at = l->timers.heap[0]->at_ns;
    if (at <= l->now_ns)
        return 0;
    ms = (at - l->now_ns + NS_PER_MS - 1) / NS_PER_MS;
    return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

static void run_again(struct loop *l)
{
    struct list ready, *link;

    /* Taken aside, because on_ready may put itself back for the next round. */
    if (list_is_empty(&l->again))
        return;
    ready = l->again;
    ready.next->prev = ready.prev->next = &ready;
    list_init(&l->again);
    while ((link = list_first(&ready))) {
        struct loop_io *io = list_entry(link, struct loop_io, again);

        list_remove(link);
        io->on_ready(io);
    }
}

int loop_round(struct loop *l, bool poll)
{
    int n;

    n = epoll_wait(l->epoll_fd, l->batch, BATCH_MAX, wait_ms(l, poll));
    if (n < 0 && errno != EINTR)
        return -errno;
    l->now_ns = l->clock();
    l->n_batch = MAX(n, 0);
    l->next_batch = 0;
    run_again(l);
    while (l->next_batch < l->n_batch) {
        struct epoll_event *event = &l->batch[l->next_batch++];
        struct loop_io *io = event->data.ptr;

        if (!io)
            continue;
        io->ready |= event->events;
        io->on_ready(io);
    }
    l->n_batch = 0;
    run_timers(l);
    run_tasks(l);
    return 0;
}

int loop_run(struct loop *l)
{
    l->stopped = false;
    run_tasks(l);
    while (!l->stopped) {
        int r = loop_round(l, false);

        if (r < 0)
            return r;
    }
    return l->result;
}

void loop_stop(struct loop *l, int result)
{
    l->stopped = true;
    l->result = result;
}
