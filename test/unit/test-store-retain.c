/* Forgetting keeps to its limits, takes the oldest, takes no more than it may at a time, believes
 * no clock that has jumped, gives bytes back, and says what it did. */

#include "test-store.h"

static struct store_retained gone;
static struct retention keep;

static int retain_setup(void **state)
{
    memset(&gone, 0, sizeof(gone));
    keep = (struct retention){.settle_s = 0};
    return store_setup(state);
}

/* Until there is nothing more to do. */
static void retain(uint64_t now_us)
{
    int r;

    memset(&gone, 0, sizeof(gone));
    do
        r = store_retain(store, &keep, now_us, 10000, &gone);
    while (r == 1);
    if (r != 0)
        fail_msg("%s", store_error(store));
}

static void add_line(uint64_t time_us, const char *function, struct slice request_id)
{
    struct log_line l = {
        .time_us = time_us,
        .request_id = request_id,
        .function = slice_str(function),
        .version = SLICE_LIT("v1"),
        .text = SLICE_LIT("a line"),
    };

    assert_int_equal(store_add_log(store, &l), 0);
}

/* n records from T0 on, one a second, each with two lines. */
static void fill(const char *function, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct record r = record_at(T0 + i * SECOND_US, i);

        r.function = slice_str(function);
        r.log_lines = 2;
        add_line(r.start_us + 1, function, r.request_id);
        add_line(r.start_us + 2, function, r.request_id);
        add(&r);
    }
    commit();
}

static struct {
    size_t n;
    uint64_t oldest_us, newest_us;
} seen;

static int see(void *ctx, uint64_t number, const struct record *r)
{
    seen.newest_us = seen.n == 0 ? r->start_us : seen.newest_us;
    seen.oldest_us = r->start_us;
    seen.n++;
    return 0;
}

static int see_line(void *ctx, uint64_t number, const struct log_line *l)
{
    seen.oldest_us = seen.n == 0 ? l->time_us : seen.oldest_us;
    seen.n++;
    return 0;
}

static size_t records(const char *function)
{
    struct store_query q = STORE_QUERY_ANY;
    char cursor[STORE_CURSOR_MAX];

    memset(&seen, 0, sizeof(seen));
    q.function = slice_str(function);
    q.limit = STORE_LIMIT_MAX;
    assert_int_equal(store_records(store, &q, see, NULL, cursor), 0);
    return seen.n;
}

static size_t lines(const char *function)
{
    struct store_query q = STORE_QUERY_ANY;
    char cursor[STORE_CURSOR_MAX];

    memset(&seen, 0, sizeof(seen));
    q.function = slice_str(function);
    q.limit = STORE_LIMIT_MAX;
    assert_int_equal(store_logs(store, &q, see_line, NULL, cursor), 0);
    return seen.n;
}

static struct store_info info(void)
{
    struct store_info i;

    assert_int_equal(store_info(store, &i), 0);
    return i;
}

/* ---- limits ---- */

static void test_without_limits_nothing_goes(void **unused)
{
    fill("a", 100);
    retain(T0 + 1000 * DAY_US);
    assert_int_equal(gone.records + gone.log_lines + gone.rollups, 0);
    assert_int_equal(records(""), 100);
}

static void test_what_is_too_old_goes_with_its_lines(void **unused)
{
    fill("a", 300);
    keep.all.age_us = DAY_US;
    retain(T0 + DAY_US + 100 * SECOND_US);
    assert_int_equal(gone.records, 100);
    assert_int_equal(gone.log_lines, 200);
    assert_int_equal(records(""), 200);
    assert_int_equal(seen.oldest_us, T0 + 100 * SECOND_US);
    assert_int_equal(lines(""), 400);
    assert_int_equal(info().records, 200);
    assert_int_equal(info().log_lines, 400);
    retain(T0 + DAY_US + 100 * SECOND_US);
    assert_int_equal(gone.records, 0);
}

static void test_the_newest_of_too_many_stay(void **unused)
{
    fill("a", 500);
    keep.all.records = 33;
    retain(T0);
    assert_int_equal(gone.records, 467);
    assert_int_equal(records(""), 33);
    assert_int_equal(seen.oldest_us, T0 + 467 * SECOND_US);
    assert_int_equal(lines(""), 66);
}

static void test_lines_have_limits_of_their_own(void **unused)
{
    fill("a", 100);
    add_line(T0, "a", SLICE_NULL); /* of no request */
    commit();
    keep.all.log_lines = 50;
    retain(T0);
    assert_int_equal(gone.log_lines, 151);
    assert_int_equal(lines(""), 50);
    keep.all = (struct retention_rule){.age_us = 10 * DAY_US, .log_age_us = DAY_US};
    retain(T0 + DAY_US + 90 * SECOND_US);
    assert_int_equal(records(""), 100);
    assert_int_equal(lines(""), 20);
}

static void test_a_function_has_limits_of_its_own(void **unused)
{
    const struct retention_override own[] = {
        {SLICE_LIT("chatty"), {.records = 5}},
        {SLICE_LIT("brief"), {.age_us = 50 * SECOND_US}},
        {SLICE_LIT("unknown"), {.records = 1}},
    };

    fill("chatty", 100);
    fill("brief", 100);
    fill("other", 100);
    fill("free", 10);
    keep.each.records = 40;
    keep.overrides = own;
    keep.n_overrides = ARRAY_SIZE(own);
    retain(T0 + 100 * SECOND_US);
    assert_int_equal(records("chatty"), 5);
    assert_int_equal(seen.newest_us, T0 + 99 * SECOND_US);
    assert_int_equal(records("brief"), 50);
    assert_int_equal(records("other"), 40);
    assert_int_equal(records("free"), 10);
    assert_int_equal(info().records, 105);
    assert_int_equal(lines("chatty"), 10);
}

static void test_the_file_keeps_within_its_bytes_and_gives_back(void **unused)
{
    uint64_t before, limit;

    fill("a", 5000);
    before = info().bytes;
    limit = before / 2;
    keep.bytes = limit;
    retain(T0);
    assert_true(gone.records > 1000);
    assert_true(info().bytes <= limit);
    assert_true(records("") > 0);
    assert_int_equal(seen.newest_us, T0 + 4999 * SECOND_US);
    open_again(); /* which writes the journal into the file */
    assert_true(info().file_bytes < before * 9 / 10);
}

static void test_bytes_that_are_only_lines_go_too(void **unused)
{
    for (unsigned i = 0; i < 5000; i++)
        add_line(T0 + i, "a", SLICE_NULL);
    commit();
    keep.bytes = info().bytes / 2;
    retain(T0);
    assert_true(info().bytes <= keep.bytes);
    assert_true(info().log_lines > 0);
}

static void test_a_limit_that_cannot_be_met_ends(void **unused)
{
    fill("a", 100);
    keep.bytes = 1;
    retain(T0);
    assert_int_equal(records(""), 0);
}

static void test_a_little_at_a_time(void **unused)
{
    unsigned calls = 0;
    int r;

    fill("a", 3000);
    keep.all.records = 1;
    assert_int_equal(store_retain(store, &keep, T0, 0, &gone), 1);
    assert_int_equal(gone.records, 0);
    do {
        uint64_t before = gone.records;

        r = store_retain(store, &keep, T0, 1, &gone);
        assert_true(r >= 0);
        assert_true(gone.records >= before);
        calls++;
    } while (r == 1);
    assert_true(calls > 1);
    assert_int_equal(records(""), 1);
}

static void test_a_request_with_very_many_lines_does_not_come_with_others(void **unused)
{
    for (unsigned i = 0; i < 10; i++) {
        struct record r = record_at(T0 + i * SECOND_US, i);

        r.log_lines = 5000;
        add(&r);
    }
    commit();
    keep.all.records = 1;
    /* Each is a piece of its own, so a small budget ends before the last. */
    while (store_retain(store, &keep, T0, 1, &gone) == 1)
        ;
    assert_int_equal(gone.records, 9);
}

static void test_what_was_added_before_stays(void **unused)
{
    struct record r = record_at(T0 + DAY_US, 1);

    fill("a", 10);
    keep.all.records = 5;
    add(&r);
    retain(T0);
    open_again();
    assert_int_equal(records("hello"), 1);
}

static void test_numbers_are_not_given_again(void **unused)
{
    fill("a", 10);
    keep.all.age_us = DAY_US;
    retain(T0 + 10 * DAY_US);
    assert_int_equal(records(""), 0);
    assert_int_equal(lines(""), 0);
    open_again();
    fill("a", 1);
    assert_int_equal(store_last_record(store), 11);
    assert_int_equal(store_last_log(store), 22);
}

/* ---- clocks ---- */

static void test_a_clock_that_jumps_takes_nothing_with_it(void **unused)
{
    fill("a", 10);
    keep.all.age_us = 30 * DAY_US;
    keep.settle_s = 3600;
    retain(T0 + 10 * SECOND_US);
    assert_false(gone.clock_waits);
    retain(T0 + 3650 * DAY_US); /* ten years in a moment */
    assert_true(gone.clock_waits);
    assert_int_equal(records(""), 10);
    retain(T0 + 3650 * DAY_US + SECOND_US); /* steadily so, but not for long */
    assert_true(gone.clock_waits);
    assert_int_equal(records(""), 10);
}

static void test_a_start_long_after_the_last_record_waits_too(void **unused)
{
    fill("a", 10);
    keep.all.age_us = 30 * DAY_US;
    keep.settle_s = 3600;
    open_again();
    retain(T0 + 3650 * DAY_US);
    assert_true(gone.clock_waits);
    assert_int_equal(records(""), 10);
    keep.all.records = 4; /* other limits hold */
    retain(T0 + 3650 * DAY_US);
    assert_int_equal(records(""), 4);
}

static void test_records_of_the_future_do_not_crowd_out_those_of_today(void **unused)
{
    for (unsigned i = 0; i < 20; i++) {
        struct record r = record_at(T0 + 3650 * DAY_US, i);

        r.function = SLICE_LIT("a");
        add(&r);
    }
    commit();
    fill("a", 20);
    keep.each.records = 20;
    retain(T0 + 100 * SECOND_US);
    assert_int_equal(records("a"), 20);
    assert_int_equal(seen.newest_us, T0 + 19 * SECOND_US);
    /* Of all together what came first goes. */
    for (unsigned i = 0; i < 5; i++) {
        struct record r = record_at(T0 + 3650 * DAY_US, 100 + i);

        add(&r);
    }
    fill("b", 20);
    keep.each.records = 0;
    keep.all.records = 20;
    retain(T0 + 100 * SECOND_US);
    assert_int_equal(records("b"), 20);
}

/* ---- rollups, captures, sessions ---- */

static int see_point(void *ctx, const struct rollup *r)
{
    ++*(size_t *)ctx;
    return 0;
}

static size_t points(uint32_t step_s)
{
    size_t n = 0;

    assert_int_equal(store_series(store, SLICE_NULL, T0, T0 + 100 * DAY_US, step_s, see_point, &n),
                     0);
    return n;
}

static void test_sums_outlive_their_records_by_their_resolution(void **unused)
{
    for (unsigned i = 0; i < 100; i++) {
        struct record r = record_at(T0 + i * DAY_US, i);

        add(&r);
    }
    commit();
    keep = RETENTION_DEFAULT;
    keep.settle_s = 0;
    keep.all.records = 1;
    retain(T0 + 99 * DAY_US + SECOND_US);
    assert_int_equal(records(""), 1);
    assert_int_equal(points(60), 8);
    assert_int_equal(points(3600), 91);
    assert_int_equal(points(86400), 100);
    keep.days_us = 50 * DAY_US;
    retain(T0 + 99 * DAY_US + SECOND_US);
    assert_true(points(86400) < 100 && points(86400) >= 51); /* by whole months */
}

static int see_capture(void *ctx, const struct store_capture *c)
{
    return 0;
}

static void add_capture(unsigned n, size_t bytes)
{
    static char body[100000];
    struct store_capture c = {
        .request_id = id_at(T0 + n * SECOND_US, n),
        .function = SLICE_LIT("a"),
        .time_us = T0 + n * SECOND_US,
        .request_body = slice(body, bytes),
    };

    assert_int_equal(store_add_capture(store, &c), 0);
}

static bool has_capture(unsigned n)
{
    return store_capture(store, id_at(T0 + n * SECOND_US, n), see_capture, NULL) == 0;
}

static void test_captures_go_by_age_by_bytes_and_with_their_record(void **unused)
{
    fill("a", 10);
    for (unsigned i = 0; i < 10; i++)
        add_capture(i, 100000);
    commit();
    keep.capture_bytes = 800000;
    retain(T0);
    assert_int_equal(gone.captures, 2);
    assert_true(!has_capture(1) && has_capture(2));
    keep.capture_age_us = DAY_US;
    retain(T0 + DAY_US + 5 * SECOND_US);
    assert_int_equal(gone.captures, 3);
    assert_true(!has_capture(4) && has_capture(5));
    keep.all.records = 2;
    retain(T0);
    assert_true(!has_capture(7) && has_capture(8));
    assert_int_equal(info().captures, 2);
}

static void test_sessions_that_have_ended_go(void **unused)
{
    uint8_t hash[STORE_HASH_SIZE] = {1};

    assert_int_equal(store_session_add(store, hash, T0, T0 + DAY_US), 0);
    hash[0] = 2;
    assert_int_equal(store_session_add(store, hash, T0, T0 + 2 * DAY_US), 0);
    retain(T0 + DAY_US);
    assert_int_equal(gone.sessions, 1);
    assert_int_equal(store_session_remove(store, hash), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, retain_setup, store_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_without_limits_nothing_goes),
        TEST(test_what_is_too_old_goes_with_its_lines),
        TEST(test_the_newest_of_too_many_stay),
        TEST(test_lines_have_limits_of_their_own),
        TEST(test_a_function_has_limits_of_its_own),
        TEST(test_the_file_keeps_within_its_bytes_and_gives_back),
        TEST(test_bytes_that_are_only_lines_go_too),
        TEST(test_a_limit_that_cannot_be_met_ends),
        TEST(test_a_little_at_a_time),
        TEST(test_a_request_with_very_many_lines_does_not_come_with_others),
        TEST(test_what_was_added_before_stays),
        TEST(test_numbers_are_not_given_again),
        TEST(test_a_clock_that_jumps_takes_nothing_with_it),
        TEST(test_a_start_long_after_the_last_record_waits_too),
        TEST(test_records_of_the_future_do_not_crowd_out_those_of_today),
        TEST(test_sums_outlive_their_records_by_their_resolution),
        TEST(test_captures_go_by_age_by_bytes_and_with_their_record),
        TEST(test_sessions_that_have_ended_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
