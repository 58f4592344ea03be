/* A process that is killed while it stores, at any moment, loses what it had not committed and
 * nothing else: its successor is offered all batches again that were not acknowledged, and each
 * record counts once, in the rows as in the sums. */

#include "test-store.h"

#include "base/clock.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#define ROUNDS         12
#define BATCH_RECORDS  20
#define BATCHES_COMMIT 3

/* Offers batches from `first` on, and says each one that it has committed: a byte. Runs until it is
 * killed. */
static _noreturn_ void write_until_killed(int fd, uint64_t first, uint64_t now)
{
    struct error err = ERROR_NULL;

    if (store_open(at(STORE_NAME), 0, &store, &err) < 0)
        _exit(1);
    for (uint64_t batch = first;; batch++) {
        int r = store_batch_begin(store, 7, batch);

        for (unsigned i = 0; r == 0 && i < BATCH_RECORDS; i++) {
            struct record rec =
                record_at(now + i * SECOND_US * 5, (unsigned)batch * BATCH_RECORDS + i);
            struct log_line line = {.time_us = now,
                                    .request_id = rec.request_id,
                                    .function = rec.function,
                                    .text = SLICE_LIT("a line")};

            if (store_add_record(store, &rec) < 0 || store_add_log(store, &line) < 0)
                _exit(2);
        }
        if (r < 0 || (batch % BATCHES_COMMIT == 0 && store_commit(store) < 0))
            _exit(3);
        if (batch % BATCHES_COMMIT == 0 && write(fd, "x", 1) != 1)
            _exit(4);
    }
}

/* Kills it after so many acknowledged commits. Returns how many there were. */
static unsigned run_and_kill(unsigned commits, uint64_t first, uint64_t now)
{
    unsigned n = 0;
    int fds[2], status;
    char byte;
    pid_t pid;

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        write_until_killed(fds[1], first, now);
    (void)close(fds[1]);
    while (n < commits && read(fds[0], &byte, 1) == 1)
        n++;
    assert_int_equal(n, commits);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    while (read(fds[0], &byte, 1) == 1)
        n++;
    (void)close(fds[0]);
    return n;
}

static int add_point(void *ctx, const struct rollup *r)
{
    *(uint64_t *)ctx += r->count;
    return 0;
}

static uint64_t sum_of(const char *function, uint32_t step_s)
{
    uint64_t n = 0;

    assert_int_equal(
        store_series(store, slice_str(function), 0, 2 * clock_wall_us(), step_s, add_point, &n), 0);
    return n;
}

/* The number of records, by each book that is kept of it. */
static uint64_t count_all(void)
{
    struct store_info info;
    uint64_t n = store_last_record(store);

    assert_int_equal(store_info(store, &info), 0);
    assert_int_equal(info.records, n);
    assert_int_equal(info.log_lines, n);
    assert_int_equal(store_last_log(store), n);
    assert_int_equal(sum_of("hello", 60), n);
    assert_int_equal(sum_of("hello", 3600), n);
    assert_int_equal(sum_of("", 86400), n);
    return n;
}

static void test_killed_at_any_moment_each_record_counts_once(void **unused)
{
    uint64_t acknowledged = 0;                        /* batches */
    uint64_t now = clock_wall_us() - 600 * SECOND_US; /* minutes that are folded, or soon */

    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t n;

        store = store_free(store);
        /* From the first that was not acknowledged, as a gateway would; some of them are there. */
        acknowledged += BATCHES_COMMIT * run_and_kill(1 + round % 5, acknowledged + 1, now);
        open_again();
        n = count_all();
        assert_int_equal(n % BATCH_RECORDS, 0);
        assert_true(n >= acknowledged * BATCH_RECORDS);
        /* At most one commit was on its way when it was killed. */
        assert_true(n <= (acknowledged + BATCHES_COMMIT) * BATCH_RECORDS);
        now += 37 * SECOND_US;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_killed_at_any_moment_each_record_counts_once,
                                        store_setup, store_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
