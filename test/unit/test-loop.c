/* The event loop: when timers fire and in which order, what a callback may take away from others,
 * and what is put off. Time is a clock that the tests move by hand. */

#include "loop/loop.h"
#include "loop/timers.h"
#include "os/fd.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define N_TIMERS 1000

static uint64_t fake_now;

static uint64_t fake_clock(void)
{
    return fake_now;
}

static struct loop *loop_make(void)
{
    struct loop *l = NULL;

    assert_int_equal(loop_new(&l), 0);
    fake_now = 1000;
    loop_set_clock(l, fake_clock);
    return l;
}

/* ---- timers ---- */

struct alarm {
    struct loop_timer timer;
    unsigned n_fired;
    struct alarm *victim; /* cancelled when this one fires */
    uint64_t again_after;
};

static uint64_t last_fired_at;

static void on_alarm(struct loop_timer *t)
{
    struct alarm *a = container_of(t, struct alarm, timer);

    assert_false(loop_timer_is_armed(t));
    assert_true(last_fired_at <= t->at_ns);
    last_fired_at = t->at_ns;
    a->n_fired++;
    if (a->victim)
        loop_timer_cancel(&a->victim->timer);
}

static void timers_fire_once_in_the_order_of_their_times(void **state)
{
    static struct alarm alarms[N_TIMERS];
    struct loop *l = loop_make();
    uint64_t seed = 7;

    last_fired_at = 0;
    memset(alarms, 0, sizeof(alarms));
    for (int i = 0; i < N_TIMERS; i++) {
        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        assert_int_equal(loop_timer_after(l, &alarms[i].timer, (seed >> 33) % 5000, on_alarm), 0);
    }
    while (fake_now < 7000) {
        fake_now += 10;
        assert_int_equal(loop_round(l, true), 0);
        for (int i = 0; i < N_TIMERS; i++)
            assert_int_equal(alarms[i].n_fired, alarms[i].timer.at_ns <= fake_now);
    }
    loop_free(l);
}

static void a_timer_can_be_moved_and_cancelled(void **state)
{
    struct loop *l = loop_make();
    struct alarm a = {0}, b = {0};

    last_fired_at = 0;
    loop_timer_cancel(&a.timer); /* never armed */
    assert_int_equal(loop_timer_after(l, &a.timer, 100, on_alarm), 0);
    assert_int_equal(loop_timer_after(l, &b.timer, 50, on_alarm), 0);
    assert_int_equal(loop_timer_after(l, &a.timer, 10, on_alarm), 0);
    fake_now += 20;
    assert_int_equal(loop_round(l, true), 0);
    assert_int_equal(a.n_fired, 1);
    assert_int_equal(b.n_fired, 0);
    loop_timer_cancel(&b.timer);
    loop_timer_cancel(&b.timer);
    fake_now += 1000;
    assert_int_equal(loop_round(l, true), 0);
    assert_int_equal(a.n_fired + b.n_fired, 1);
    loop_free(l);
}

static void a_callback_may_cancel_a_timer_that_is_due_too(void **state)
{
    struct loop *l = loop_make();
    struct alarm victim = {0}, first = {.victim = &victim};

    last_fired_at = 0;
    assert_int_equal(loop_timer_after(l, &first.timer, 5, on_alarm), 0);
    assert_int_equal(loop_timer_after(l, &victim.timer, 6, on_alarm), 0);
    fake_now += 100;
    assert_int_equal(loop_round(l, true), 0);
    assert_int_equal(first.n_fired, 1);
    assert_int_equal(victim.n_fired, 0);
    assert_false(loop_timer_is_armed(&victim.timer));
    loop_free(l);
}

static struct loop *loop_of_rearm;

static void on_rearm(struct loop_timer *t)
{
    struct alarm *a = container_of(t, struct alarm, timer);

    a->n_fired++;
    (void)loop_timer_after(loop_of_rearm, t, a->again_after, on_rearm);
}

static void a_timer_may_arm_itself_again(void **state)
{
    struct loop *l = loop_of_rearm = loop_make();
    struct alarm a = {.again_after = 10};

    assert_int_equal(loop_timer_after(l, &a.timer, 10, on_rearm), 0);
    for (unsigned i = 1; i <= 5; i++) {
        fake_now += 10;
        assert_int_equal(loop_round(l, true), 0);
        assert_int_equal(a.n_fired, i);
    }
    loop_timer_cancel(&a.timer);
    loop_free(l);
}

static void the_heap_of_timers_agrees_with_a_sorted_list(void **state)
{
    static struct loop_timer timers[200];
    struct timers q = {0};
    bool in[200] = {false};
    uint64_t seed = 99;

    for (int step = 0; step < 100000; step++) {
        uint32_t k;

        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        k = (seed >> 20) % 200;
        if (!in[k]) {
            timers[k].at_ns = seed >> 40;
            assert_int_equal(timers_put(&q, &timers[k]), 0);
        } else if (seed >> 63) {
            timers[k].at_ns = seed >> 40;
            timers_move(&q, &timers[k]);
            continue;
        } else {
            timers_remove(&q, &timers[k]);
        }
        in[k] = !in[k];
        for (uint32_t i = 1; step % 100 == 0 && i < q.n; i++) {
            assert_true(q.heap[(i - 1) / 2]->at_ns <= q.heap[i]->at_ns);
            assert_int_equal(q.heap[i]->index, i);
        }
    }
    free(q.heap);
}

/* ---- descriptors ---- */

struct end {
    struct loop_io io;
    int fds[2];
    unsigned n_ready;
    struct end *victim; /* removed when this one is ready */
    bool ask_again;
};

static void on_end_ready(struct loop_io *io)
{
    struct end *e = container_of(io, struct end, io);
    char bytes[16];

    e->n_ready++;
    if (e->victim)
        loop_io_remove(&e->victim->io);
    if (e->ask_again) {
        loop_io_again(io);
        return;
    }
    while (read(io->fd, bytes, sizeof(bytes)) > 0)
        ;
    loop_io_drained(io, EPOLLIN);
}

static void end_open(struct loop *l, struct end *e)
{
    assert_int_equal(fd_pipe(e->fds, 0), 0);
    assert_int_equal(fd_set_nonblock(e->fds[0], true), 0);
    loop_io_init(&e->io);
    assert_int_equal(loop_io_add(l, &e->io, e->fds[0], EPOLLIN, on_end_ready), 0);
}

static void end_close(struct end *e)
{
    loop_io_remove(&e->io);
    loop_io_remove(&e->io);
    fd_close(e->fds[0]);
    fd_close(e->fds[1]);
}

static void readiness_is_told_once_and_remembered(void **state)
{
    struct loop *l = loop_make();
    struct end e = {.ask_again = true};

    end_open(l, &e);
    assert_int_equal(loop_round(l, true), 0);
    assert_int_equal(e.n_ready, 0);
    assert_int_equal(write(e.fds[1], "x", 1), 1);
    assert_int_equal(loop_round(l, true), 0);
    assert_int_equal(e.n_ready, 1);
    assert_true(e.io.ready & EPOLLIN);
    e.ask_again = false;
    assert_int_equal(loop_round(l, true), 0); /* it had asked for this round */
    assert_int_equal(e.n_ready, 2);
    assert_false(e.io.ready & EPOLLIN);
    assert_int_equal(loop_round(l, true), 0);
    assert_int_equal(e.n_ready, 2);
    end_close(&e);
    loop_free(l);
}

static void who_is_removed_in_a_round_is_not_called_in_it(void **state)
{
    struct loop *l = loop_make();
    struct end a = {0}, b = {0};

    end_open(l, &a);
    end_open(l, &b);
    a.victim = &b;
    b.victim = &a;
    assert_int_equal(write(a.fds[1], "x", 1), 1);
    assert_int_equal(write(b.fds[1], "x", 1), 1);
    assert_int_equal(loop_round(l, true), 0);
    assert_int_equal(a.n_ready + b.n_ready, 1);
    assert_int_equal(loop_round(l, true), 0);
    assert_int_equal(a.n_ready + b.n_ready, 1);
    end_close(&a);
    end_close(&b);
    loop_free(l);
}

static void who_asks_again_and_is_removed_is_not_called(void **state)
{
    struct loop *l = loop_make();
    struct end a = {0}, b = {0};

    end_open(l, &a);
    end_open(l, &b);
    a.victim = &b;
    loop_io_again(&a.io);
    loop_io_again(&b.io);
    loop_io_again(&b.io);
    assert_int_equal(loop_round(l, true), 0);
    assert_int_equal(a.n_ready, 1);
    assert_int_equal(b.n_ready, 0);
    end_close(&a);
    end_close(&b);
    loop_io_again(&a.io); /* nobody watches it: nothing happens */
    assert_int_equal(loop_round(l, true), 0);
    assert_int_equal(a.n_ready, 1);
    loop_free(l);
}

static void asking_again_gives_one_call_a_round(void **state)
{
    struct loop *l = loop_make();
    struct end a = {.ask_again = true};

    end_open(l, &a);
    loop_io_again(&a.io);
    for (unsigned i = 1; i <= 4; i++) {
        assert_int_equal(loop_round(l, true), 0);
        assert_int_equal(a.n_ready, i);
    }
    end_close(&a);
    loop_free(l);
}

/* ---- tasks, signals, the end ---- */

struct chore {
    struct loop_task task;
    struct loop *loop;
    unsigned n_run;
    struct chore *next;
};

static void on_chore(struct loop_task *t)
{
    struct chore *c = container_of(t, struct chore, task);

    c->n_run++;
    if (c->next)
        loop_task_put(c->loop, &c->next->task);
}

static void a_task_runs_once_at_the_end_of_the_round(void **state)
{
    struct loop *l = loop_make();
    struct chore b = {.loop = l}, a = {.loop = l, .next = &b};

    loop_task_init(&a.task, on_chore);
    loop_task_init(&b.task, on_chore);
    loop_task_put(l, &a.task);
    loop_task_put(l, &a.task);
    assert_int_equal(a.n_run, 0);
    assert_int_equal(loop_round(l, true), 0);
    assert_int_equal(a.n_run, 1);
    assert_int_equal(b.n_run, 1); /* put by a task: still this round */
    assert_int_equal(loop_round(l, true), 0);
    assert_int_equal(a.n_run + b.n_run, 2);
    loop_task_put(l, &a.task);
    list_remove(&a.task.link); /* how an owner that goes takes it back */
    assert_int_equal(loop_round(l, true), 0);
    assert_int_equal(a.n_run, 1);
    loop_free(l);
}

static void on_signal(void *ctx, int signal)
{
    struct loop *l = ctx;

    loop_stop(l, signal);
}

static void a_signal_is_a_call_and_stop_gives_the_result(void **state)
{
    static const int signals[] = {SIGUSR1, 0};
    struct loop *l = loop_make();
    sigset_t set;

    assert_int_equal(loop_signals(l, signals, on_signal, l), 0);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(loop_run(l), SIGUSR1);
    loop_free(l);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    assert_int_equal(sigprocmask(SIG_UNBLOCK, &set, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_once_in_the_order_of_their_times),
        cmocka_unit_test(a_timer_can_be_moved_and_cancelled),
        cmocka_unit_test(a_callback_may_cancel_a_timer_that_is_due_too),
        cmocka_unit_test(a_timer_may_arm_itself_again),
        cmocka_unit_test(the_heap_of_timers_agrees_with_a_sorted_list),
        cmocka_unit_test(readiness_is_told_once_and_remembered),
        cmocka_unit_test(who_is_removed_in_a_round_is_not_called_in_it),
        cmocka_unit_test(who_asks_again_and_is_removed_is_not_called),
        cmocka_unit_test(asking_again_gives_one_call_a_round),
        cmocka_unit_test(a_task_runs_once_at_the_end_of_the_round),
        cmocka_unit_test(a_signal_is_a_call_and_stop_gives_the_result),
    };

    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
