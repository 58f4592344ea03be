/* The gateway's watchdog: who is killed and who is not, at a time that the tests name; what becomes
 * of a descriptor whose number is given out again; and the thread itself, with real time. */

#include "gateway/watchdog.h"

#include "base/clock.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define N_SLOTS 8
#define HANG_MS 30000

static struct watchdog *make(uint32_t n)
{
    struct watchdog *d = NULL;

    assert_int_equal(watchdog_new(n, &d), 0);
    return d;
}

static struct pidref sleeper(void)
{
    struct pidref p = PIDREF_NULL;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        for (;;)
            (void)pause();
    }
    assert_int_equal(pidref_open_child(pid, &p), 0);
    return p;
}

/* Whether it has ended, within the time. */
static bool has_ended(const struct pidref *p, int wait_ms)
{
    struct pollfd fd = {.fd = p->fd, .events = POLLIN};

    return poll(&fd, 1, wait_ms) == 1;
}

static void end(struct pidref *p)
{
    int status = 0;

    (void)pidref_kill(p, SIGKILL);
    assert_true(has_ended(p, HANG_MS));
    assert_int_equal(pidref_reap(p, &status), 1);
    pidref_done(p);
}

static void only_what_is_due_is_killed(void **state)
{
    struct watchdog *d = make(N_SLOTS);
    struct pidref a = sleeper(), b = sleeper();
    uint32_t slot_a = WATCHDOG_NONE, slot_b = WATCHDOG_NONE;

    assert_int_equal(watchdog_arm(d, &slot_a, a.fd, 1000), 0);
    assert_int_equal(watchdog_arm(d, &slot_b, b.fd, 2000), 0);
    assert_int_equal(watchdog_scan(d, 999), 1000);
    assert_int_equal(watchdog_n_kills(d), 0);
    assert_int_equal(watchdog_scan(d, 1000), 2000);
    assert_true(has_ended(&a, HANG_MS));
    assert_true(watchdog_fired(d, slot_a));
    assert_false(watchdog_fired(d, slot_b));
    assert_false(has_ended(&b, 0));
    assert_int_equal(watchdog_n_kills(d), 1);
    assert_int_equal(watchdog_scan(d, 1500), 2000); /* nobody is killed twice */
    assert_int_equal(watchdog_n_kills(d), 1);
    watchdog_release(d, &slot_a, &a.fd);
    watchdog_release(d, &slot_b, &b.fd);
    assert_true(a.fd >= 0 && b.fd >= 0);
    assert_int_equal(watchdog_scan(d, 5000), WATCHDOG_FOREVER);
    assert_false(has_ended(&b, 0));
    end(&a);
    end(&b);
    watchdog_free(d);
}

static void a_deadline_is_never_early(void **state)
{
    struct watchdog *d = make(N_SLOTS);
    struct pidref p = sleeper();
    uint32_t slot = WATCHDOG_NONE;

    for (uint64_t at = 1001; at < 1020; at++) {
        assert_int_equal(watchdog_arm(d, &slot, p.fd, at), 0);
        assert_in_range(watchdog_scan(d, at - 1), at, at + 7);
    }
    assert_int_equal(watchdog_n_kills(d), 0);
    watchdog_release(d, &slot, &p.fd);
    end(&p);
    watchdog_free(d);
}

static void who_is_disarmed_lives_and_can_be_armed_again(void **state)
{
    struct watchdog *d = make(N_SLOTS);
    struct pidref p = sleeper();
    uint32_t slot = WATCHDOG_NONE, before;

    assert_int_equal(watchdog_arm(d, &slot, p.fd, 1000), 0);
    before = slot;
    watchdog_disarm(d, slot);
    assert_int_equal(watchdog_scan(d, 3000), WATCHDOG_FOREVER);
    assert_false(watchdog_fired(d, slot));
    assert_int_equal(watchdog_arm(d, &slot, p.fd, 8000), 0);
    assert_int_equal(slot, before);
    assert_int_equal(watchdog_scan(d, 7000), 8000);
    assert_false(has_ended(&p, 0));
    assert_int_equal(watchdog_scan(d, 8000), WATCHDOG_FOREVER);
    assert_true(has_ended(&p, HANG_MS));
    assert_int_equal(watchdog_arm(d, &slot, p.fd, 9000), -EBUSY);
    watchdog_release(d, &slot, &p.fd);
    end(&p);
    watchdog_free(d);
}

/* The heart of it: the worker has ended, its number names another process now. */
static void a_number_that_is_given_out_again_kills_nobody(void **state)
{
    struct watchdog *d = make(N_SLOTS);
    struct pidref first = sleeper(), second;
    uint32_t slot = WATCHDOG_NONE;
    int number = first.fd;

    assert_int_equal(watchdog_arm(d, &slot, first.fd, 1000), 0);
    watchdog_release(d, &slot, &first.fd);
    end(&first);
    second = sleeper();
    assert_int_equal(second.fd, number);
    assert_int_equal(watchdog_scan(d, 5000), WATCHDOG_FOREVER);
    assert_int_equal(watchdog_n_kills(d), 0);
    assert_false(has_ended(&second, 0));
    end(&second);
    watchdog_free(d);
}

static void more_than_there_are_slots_are_not_watched(void **state)
{
    struct watchdog *d = make(2);
    struct pidref p = sleeper();
    uint32_t slots[3] = {WATCHDOG_NONE, WATCHDOG_NONE, WATCHDOG_NONE};

    assert_int_equal(watchdog_arm(d, &slots[0], p.fd, 1000), 0);
    assert_int_equal(watchdog_arm(d, &slots[1], p.fd, 1000), 0);
    assert_int_equal(watchdog_arm(d, &slots[2], p.fd, 1000), -ENOBUFS);
    assert_int_equal(slots[2], WATCHDOG_NONE);
    assert_false(watchdog_fired(d, slots[2]));
    watchdog_release(d, &slots[2], &p.fd); /* of none: nothing */
    watchdog_release(d, &slots[0], &p.fd);
    assert_int_equal(watchdog_arm(d, &slots[2], p.fd, 1000), 0);
    watchdog_release(d, &slots[1], &p.fd);
    watchdog_release(d, &slots[2], &p.fd);
    end(&p);
    watchdog_free(d);
}

/* A process of the table below may only end when it was due; numbers are reused all the time. */
#define ROUNDS    3000
#define N_AT_ONCE 16

static void the_thread_kills_the_late_and_no_others(void **state)
{
    struct watchdog *d = make(N_AT_ONCE * 2);
    uint32_t slots[N_AT_ONCE];
    struct pidref p[N_AT_ONCE];
    bool late[N_AT_ONCE];
    unsigned n_sure = 0;
    int refused = 0, r;

    r = watchdog_start(d, &refused);
    assert_true(r == 0 || (r == 1 && refused > 0));
    for (int i = 0; i < N_AT_ONCE; i++)
        p[i] = PIDREF_NULL;
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned i = round % N_AT_ONCE;

        if (p[i].pid) {                      /* of N_AT_ONCE rounds ago */
            if (late[i] && round % 2 == 0) { /* else we are at it at the same time as the thread */
                assert_true(has_ended(&p[i], HANG_MS));
                n_sure++;
            }
            if (!late[i]) {
                assert_false(watchdog_fired(d, slots[i]));
                assert_false(has_ended(&p[i], 0));
            }
            (void)pidref_kill(&p[i], SIGKILL);
            assert_int_equal(waitpid(p[i].pid, NULL, 0), p[i].pid);
            watchdog_release(d, &slots[i], &p[i].fd);
            pidref_done(&p[i]);
        }
        p[i] = sleeper();
        late[i] = round % 3 == 0;
        slots[i] = WATCHDOG_NONE;
        /* Due by now, soon, or never in this test. */
        r = watchdog_arm(d, &slots[i], p[i].fd,
                         clock_now_ns() + (late[i] ? round % 7 * NS_PER_MS / 4 : 600 * NS_PER_S));
        assert_int_equal(r, 0);
    }
    for (int i = 0; i < N_AT_ONCE; i++) {
        watchdog_release(d, &slots[i], &p[i].fd);
        (void)kill(p[i].pid, SIGKILL);
        assert_int_equal(waitpid(p[i].pid, NULL, 0), p[i].pid);
        pidref_done(&p[i]);
    }
    assert_true(n_sure > ROUNDS / 10);
    assert_in_range(watchdog_n_kills(d), n_sure - 1, ROUNDS / 3);
    /* It is not freed: the thread goes on. */
}

static void a_thread_with_nothing_to_do_sleeps(void **state)
{
    struct watchdog *d = make(N_SLOTS);
    struct pidref p = sleeper();
    uint32_t slot = WATCHDOG_NONE;
    int refused = 0;
    uint64_t before;

    assert_in_range(watchdog_start(d, &refused), 0, 1);
    while (watchdog_n_scans(d) < 1)
        (void)usleep(1000);
    assert_int_equal(watchdog_arm(d, &slot, p.fd, clock_now_ns() + 600 * NS_PER_S), 0);
    while (watchdog_n_scans(d) < 2)
        (void)usleep(1000); /* woken by the first deadline ever */
    (void)usleep(50000);
    before = watchdog_n_scans(d);
    for (unsigned i = 0; i < 10000; i++) { /* all of them later than what it knows */
        watchdog_disarm(d, slot);
        assert_int_equal(watchdog_arm(d, &slot, p.fd, clock_now_ns() + (600 + i) * NS_PER_S), 0);
    }
    (void)usleep(50000);
    assert_int_equal(watchdog_n_scans(d), before);
    watchdog_release(d, &slot, &p.fd);
    end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_due_is_killed),
        cmocka_unit_test(a_deadline_is_never_early),
        cmocka_unit_test(who_is_disarmed_lives_and_can_be_armed_again),
        cmocka_unit_test(a_number_that_is_given_out_again_kills_nobody),
        cmocka_unit_test(more_than_there_are_slots_are_not_watched),
        cmocka_unit_test(the_thread_kills_the_late_and_no_others),
        cmocka_unit_test(a_thread_with_nothing_to_do_sleeps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
