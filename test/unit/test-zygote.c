/* The zygote's book of its children, held against a plain list. */

#include "zygote/zygote-internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define N_OPERATIONS 100000
#define PID_MAX      4194304

static struct children children;

static void the_table_agrees_with_a_list_over_random_operations(void **state)
{
    static pid_t pids[CHILDREN_SIZE / 2];
    static uint64_t workers[CHILDREN_SIZE / 2];
    uint32_t n = 0;
    uint64_t seed = 1, worker;

    memset(&children, 0, sizeof(children));
    for (uint64_t step = 1; step <= N_OPERATIONS; step++) {
        pid_t pid;
        uint32_t k;

        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        /* Pids of a small range, and runs of neighbours, so that they meet in the table. */
        pid = (pid_t)(1 + (seed >> 33) % (step % 3 == 0 ? PID_MAX : 3000));
        k = n > 0 ? (uint32_t)(seed >> 17) % n : 0;
        if (n > 0 && (seed >> 40) % 5 < 2) {
            assert_true(children_remove(&children, pids[k], &worker));
            assert_true(worker == workers[k]);
            assert_false(children_has(&children, pids[k]));
            n--;
            pids[k] = pids[n];
            workers[k] = workers[n];
        } else if (!children_has(&children, pid) && n < CHILDREN_SIZE / 2) {
            assert_int_equal(children_add(&children, pid, step, children_next_slot(&children)), 0);
            pids[n] = pid;
            workers[n++] = step;
        }
        assert_int_equal(children.n, n);
        for (uint32_t i = 0; step % 5000 == 0 && i < n; i++)
            assert_true(children_has(&children, pids[i]));
    }
    while (n-- > 0) {
        assert_true(children_remove(&children, pids[n], &worker));
        assert_true(worker == workers[n]);
    }
    for (uint32_t i = 0; i < CHILDREN_SIZE; i++)
        assert_int_equal(children.table[i].pid, 0);
}

static void a_table_that_is_half_full_takes_no_more(void **state)
{
    uint64_t worker = 0;

    memset(&children, 0, sizeof(children));
    for (pid_t pid = 1; pid <= CHILDREN_SIZE / 2; pid++)
        assert_int_equal(children_add(&children, pid, (uint64_t)pid, (uint32_t)pid - 1), 0);
    assert_int_equal(children_add(&children, PID_MAX, 1, children_next_slot(&children)), -ENOBUFS);
    assert_false(children_has(&children, PID_MAX));
    assert_true(children_remove(&children, 77, &worker));
    assert_true(worker == 77);
    assert_int_equal(children_add(&children, PID_MAX, 1, children_next_slot(&children)), 0);
    for (pid_t pid = 1; pid <= CHILDREN_SIZE / 2; pid++)
        assert_int_equal(children_has(&children, pid), pid != 77);
}

static void a_slot_is_one_childs_alone_and_the_lowest_that_is_free(void **state)
{
    uint64_t worker;

    memset(&children, 0, sizeof(children));
    for (pid_t pid = 1; pid <= 200; pid++) {
        assert_int_equal(children_next_slot(&children), pid - 1);
        assert_int_equal(children_add(&children, pid, 0, children_next_slot(&children)), 0);
    }
    assert_true(children_remove(&children, 131, &worker));
    assert_true(children_remove(&children, 66, &worker));
    assert_int_equal(children_next_slot(&children), 65);
    assert_int_equal(children_add(&children, 900, 0, 65), 0);
    assert_int_equal(children_next_slot(&children), 130);
}

static void a_child_that_is_not_ours_is_not_found(void **state)
{
    uint64_t worker = 12345;

    memset(&children, 0, sizeof(children));
    assert_false(children_remove(&children, 1, &worker));
    assert_int_equal(children_add(&children, 2, 9, 0), 0);
    assert_false(children_has(&children, 1));
    assert_false(children_remove(&children, 1, &worker));
    assert_true(worker == 12345);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_agrees_with_a_list_over_random_operations),
        cmocka_unit_test(a_table_that_is_half_full_takes_no_more),
        cmocka_unit_test(a_slot_is_one_childs_alone_and_the_lowest_that_is_free),
        cmocka_unit_test(a_child_that_is_not_ours_is_not_found),
    };

    return cmocka_run_group_tests_name("zygote", tests, NULL, NULL);
}
