/* Sums are true: exactly what was added, in each resolution, however late it comes, across restarts
 * in the middle of a minute, and once if it is offered twice. */

#include "test-store.h"

#include "base/clock.h"

#define MINUTE_US  60000000ull
#define HOUR_US    3600000000ull
#define POINTS_MAX 4000

static struct {
    size_t n;
    struct rollup sum; /* of all points */
    uint64_t starts[POINTS_MAX];
    uint64_t counts[POINTS_MAX];
} seen;

static int see(void *ctx, const struct rollup *r)
{
    assert_true(seen.n < POINTS_MAX);
    seen.starts[seen.n] = r->start_us;
    seen.counts[seen.n++] = r->count;
    seen.sum.count += r->count;
    for (size_t i = 0; i < _OUTCOME_MAX; i++)
        seen.sum.outcomes[i] += r->outcomes[i];
    seen.sum.cold += r->cold;
    seen.sum.run_ns += r->run_ns;
    seen.sum.user_us += r->user_us;
    seen.sum.system_us += r->system_us;
    seen.sum.mib_us += r->mib_us;
    seen.sum.bytes_in += r->bytes_in;
    seen.sum.bytes_out += r->bytes_out;
    seen.sum.log_lines += r->log_lines;
    seen.sum.memory_peak_bytes = MAX(seen.sum.memory_peak_bytes, r->memory_peak_bytes);
    seen.sum.total_max_us = MAX(seen.sum.total_max_us, r->total_max_us);
    histogram_merge(&seen.sum.total, &r->total);
    histogram_merge(&seen.sum.run, &r->run);
    histogram_merge(&seen.sum.wait, &r->wait);
    histogram_merge(&seen.sum.init, &r->init);
    return 0;
}

static void series(const char *function, uint64_t since_us, uint64_t until_us, uint32_t step_s)
{
    memset(&seen, 0, sizeof(seen));
    assert_int_equal(
        store_series(store, slice_str(function), since_us, until_us, step_s, see, NULL), 0);
}

/* What was added, counted by hand. */
static struct rollup expected;

static void add_counted(struct record *r)
{
    add(r);
    expected.count++;
    expected.outcomes[r->outcome]++;
    expected.cold += r->cold;
    expected.run_ns += r->run_ns;
    expected.user_us += r->user_us;
    expected.system_us += r->system_us;
    expected.mib_us += (r->memory_limit_bytes / MIB * r->run_ns + 500) / 1000;
    expected.bytes_in += r->bytes_in;
    expected.bytes_out += r->bytes_out;
    expected.log_lines += r->log_lines;
    expected.memory_peak_bytes = MAX(expected.memory_peak_bytes, r->memory_peak_bytes);
    expected.total_max_us = MAX(expected.total_max_us, r->total_ns / 1000);
    histogram_add(&expected.total, r->total_ns / 1000);
    histogram_add(&expected.wait, r->wait_ns / 1000);
    if (r->run_ns > 0)
        histogram_add(&expected.run, r->run_ns / 1000);
    if (r->init_ns > 0)
        histogram_add(&expected.init, r->init_ns / 1000);
}

/* A record of many numbers, all from i. */
static struct record varied(uint64_t time_us, unsigned i)
{
    struct record r = record_at(time_us, i);

    r.outcome = i % _OUTCOME_MAX;
    r.cold = i % 7 == 0;
    r.init_ns = i % 7 == 0 ? 40000000 + i : 0;
    r.run_ns = r.outcome == OUTCOME_THROTTLED ? 0 : 1000000ull + i * 1001;
    r.total_ns = 2000000ull + i * 1003;
    r.user_us = 500 + i;
    r.system_us = 100 + i;
    r.bytes_in = i;
    r.bytes_out = 2 * i;
    r.log_lines = i % 3;
    r.memory_peak_bytes = 20 * MIB + i;
    r.version = i % 2 ? SLICE_LIT("v1") : SLICE_LIT("v2");
    return r;
}

static void check_sums(void)
{
    expected.start_us = seen.sum.start_us;
    expected.step_s = seen.sum.step_s;
    assert_int_equal(seen.sum.count, expected.count);
    assert_memory_equal(&seen.sum, &expected, sizeof(expected));
}

static int sums_setup(void **state)
{
    memset(&expected, 0, sizeof(expected));
    return store_setup(state);
}

/* ---- truth ---- */

static void check_all_steps(uint64_t since_us, uint64_t until_us)
{
    static const uint32_t steps[] = {60, 300, 3600, 7200, 86400, 7 * 86400};

    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        series("hello", since_us, until_us, steps[i]);
        check_sums();
        for (size_t n = 0; n < seen.n; n++)
            assert_int_equal(seen.starts[n] % (steps[i] * SECOND_US), 0);
        for (size_t n = 1; n < seen.n; n++)
            assert_true(seen.starts[n] > seen.starts[n - 1]);
        series("", since_us, until_us, steps[i]);
        check_sums();
    }
}

static void test_sums_are_those_of_what_was_added_in_each_step(void **unused)
{
    for (unsigned i = 0; i < 3000; i++) {
        struct record r = varied(T0 + i * 97 * SECOND_US, i);

        add_counted(&r);
        if (i % 100 == 0)
            commit();
    }
    check_all_steps(T0, T0 + 4 * DAY_US); /* with what is not committed yet */
}

static void test_late_records_count_in_each_step(void **unused)
{
    uint64_t now = clock_wall_us();

    /* Now, minutes ago, hours ago, and in a wrong future: folded already, or not yet. */
    static const int64_t ages_s[] = {0, 30, 59, 61, 121, 600, 3600, 90000, -60, -7200, -86400};

    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < ARRAY_SIZE(ages_s); i++) {
            struct record r = varied(now - (uint64_t)(ages_s[i] * (int64_t)SECOND_US), i);

            add_counted(&r);
            commit();
        }
        open_again();
    }
    check_all_steps(now - 3 * DAY_US, now + 3 * DAY_US);
}

static void test_a_restart_in_the_middle_of_a_minute_loses_and_doubles_nothing(void **unused)
{
    uint64_t now = clock_wall_us();

    for (unsigned i = 0; i < 40; i++) {
        struct record r = varied(now, i);

        assert_int_equal(store_batch_begin(store, 1, i + 1), 0);
        add_counted(&r);
        commit();
        if (i % 4 == 0) {
            /* Offered again, then lost in the middle of a transaction. */
            assert_int_equal(store_batch_begin(store, 1, i + 1), 1);
            assert_int_equal(store_batch_begin(store, 1, i + 2), 0);
            add(&r);
            open_again();
        }
    }
    check_all_steps(now - DAY_US, now + DAY_US);
}

static void test_minutes_are_folded_once(void **unused)
{
    uint64_t now = clock_wall_us();

    /* An hour of minutes; each commit folds what is over, and there are many. */
    for (unsigned i = 0; i < 120; i++) {
        struct record r = varied(now - HOUR_US + i * 30 * SECOND_US, i);

        add_counted(&r);
        commit();
        if (i % 10 == 0)
            open_again();
    }
    check_all_steps(now - 2 * DAY_US, now + DAY_US);
}

static void test_more_functions_than_are_kept_in_memory_count_as_well(void **unused)
{
    char name[32];

    for (unsigned i = 0; i < 600; i++) {
        struct record r = varied(T0 + i * 7 * SECOND_US, i);

        (void)snprintf(name, sizeof(name), "function-%u", i % 300);
        r.function = slice_str(name);
        add_counted(&r);
    }
    commit();
    series("", T0, T0 + DAY_US, 86400);
    check_sums();
    series("function-7", T0, T0 + DAY_US, 60);
    assert_int_equal(seen.sum.count, 2);
}

static void test_gb_seconds_are_of_the_limit_or_else_of_the_peak(void **unused)
{
    struct record r = record_at(T0, 1);

    r.run_ns = 1024000; /* 1.024 ms */
    r.memory_limit_bytes = 512 * MIB;
    add(&r);
    commit();
    series("hello", T0, T0 + MINUTE_US, 60);
    assert_int_equal(seen.sum.mib_us, 512 * 1024);
    r.memory_limit_bytes = 0;
    r.memory_peak_bytes = 3 * MIB + 1;
    add(&r);
    commit();
    series("hello", T0, T0 + MINUTE_US, 60);
    assert_int_equal(seen.sum.mib_us, (512 + 4) * 1024);
}

/* ---- steps ---- */

static void test_a_step_that_is_none_is_refused(void **unused)
{
    static const uint32_t bad[] = {0, 1, 59, 61, 90, 420, 7 * 3600, 86401, 86460};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(store_series(store, SLICE_NULL, T0, T0 + DAY_US, bad[i], see, NULL),
                         -EINVAL);
}

static void test_the_span_is_widened_to_whole_steps(void **unused)
{
    for (unsigned i = 0; i < 10; i++) {
        struct record r = record_at(T0 + i * MINUTE_US, i);

        add(&r);
    }
    commit();
    series("", T0 + 2 * MINUTE_US + 1, T0 + 4 * MINUTE_US, 60);
    assert_int_equal(seen.n, 2);
    assert_int_equal(seen.starts[0], T0 + 2 * MINUTE_US);
    series("", T0 + 2 * MINUTE_US + 1, T0 + 4 * MINUTE_US + 1, 60);
    assert_int_equal(seen.n, 3);
    series("", T0 + 2 * MINUTE_US, T0 + 3 * MINUTE_US, 300);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.counts[0], 5);
    series("nobody", T0, T0 + DAY_US, 60);
    assert_int_equal(seen.n, 0);
}

/* ---- usage ---- */

static struct {
    size_t n;
    struct {
        char key[64];
        uint64_t day_us, invocations, errors, mib_us;
    } rows[64];
    uint64_t invocations, since_us, until_us;
} used;

static int see_usage(void *ctx, const struct store_usage *u)
{
    assert_true(used.n < ARRAY_SIZE(used.rows));
    (void)snprintf(used.rows[used.n].key, sizeof(used.rows[0].key), "%.*s/%.*s",
                   SLICE_ARG(u->function), SLICE_ARG(u->version));
    used.rows[used.n].day_us = u->day_us;
    used.rows[used.n].invocations = u->invocations;
    used.rows[used.n].errors = u->errors;
    used.rows[used.n++].mib_us = u->mib_us;
    used.invocations += u->invocations;
    return 0;
}

static size_t usage(enum store_usage_by by, const char *function, uint64_t since_us,
                    uint64_t until_us)
{
    memset(&used, 0, sizeof(used));
    assert_int_equal(store_usage(store, by, slice_str(function), since_us, until_us, see_usage,
                                 NULL, &used.since_us, &used.until_us),
                     0);
    return used.n;
}

/* A request each minute for 5 days, of two functions and two versions in turn. */
#define MINUTES (5 * 1440)

static void fill_days(void)
{
    for (unsigned i = 0; i < MINUTES; i++) {
        struct record r = record_at(T0 + i * MINUTE_US, i);

        r.function = i % 2 ? SLICE_LIT("b") : SLICE_LIT("a");
        r.version = i % 4 < 2 ? SLICE_LIT("v1") : SLICE_LIT("v2");
        r.outcome = i % 10 ? OUTCOME_OK : OUTCOME_TIMEOUT;
        add(&r);
    }
    commit();
}

static void test_usage_is_by_function_version_or_day(void **unused)
{
    fill_days();
    assert_int_equal(usage(STORE_USAGE_FUNCTION, "", T0, T0 + 5 * DAY_US), 2);
    assert_string_equal(used.rows[0].key, "a/");
    assert_int_equal(used.rows[0].invocations, MINUTES / 2);
    assert_int_equal(used.rows[0].errors, MINUTES / 10);
    assert_int_equal(used.rows[0].mib_us, MINUTES / 2 * 128 * 1500);
    assert_int_equal(used.rows[1].errors, 0);
    assert_int_equal(usage(STORE_USAGE_VERSION, "", T0, T0 + 5 * DAY_US), 4);
    assert_string_equal(used.rows[3].key, "b/v2");
    assert_int_equal(used.rows[3].invocations, MINUTES / 4);
    assert_int_equal(usage(STORE_USAGE_DAY, "", T0, T0 + 5 * DAY_US), 5);
    assert_int_equal(used.rows[4].day_us, T0 + 4 * DAY_US);
    assert_int_equal(used.rows[4].invocations, 1440);
    assert_int_equal(usage(STORE_USAGE_DAY, "b", T0, T0 + 5 * DAY_US), 5);
    assert_int_equal(used.rows[4].invocations, 720);
    assert_int_equal(usage(STORE_USAGE_FUNCTION, "nobody", T0, T0 + 5 * DAY_US), 0);
}

static void test_usage_of_any_span_is_exact_to_the_minute(void **unused)
{
    static const uint64_t minutes[] = {0,    1,    59,   60,   61,   1439, 1440,
                                       1441, 2000, 2879, 2880, 4321, 7199, 7200};

    fill_days();
    for (size_t a = 0; a < ARRAY_SIZE(minutes); a++) {
        for (size_t b = a + 1; b < ARRAY_SIZE(minutes); b++) {
            for (int by = STORE_USAGE_FUNCTION; by <= STORE_USAGE_DAY; by++) {
                (void)usage((enum store_usage_by)by, "", T0 + minutes[a] * MINUTE_US,
                            T0 + minutes[b] * MINUTE_US);
                assert_int_equal(used.invocations, minutes[b] - minutes[a]);
                assert_int_equal(used.since_us, T0 + minutes[a] * MINUTE_US);
                assert_int_equal(used.until_us, T0 + minutes[b] * MINUTE_US);
            }
        }
    }
}

static void test_usage_until_now_has_the_minute_that_runs(void **unused)
{
    uint64_t now = clock_wall_us();
    struct record r = record_at(now, 1);

    add(&r);
    commit();
    (void)usage(STORE_USAGE_FUNCTION, "", now - HOUR_US, 0);
    assert_int_equal(used.invocations, 1);
    assert_true(used.until_us > now);
    (void)usage(STORE_USAGE_DAY, "hello", 0, 0);
    assert_int_equal(used.invocations, 1);
}

static void test_where_minutes_are_gone_usage_is_of_whole_hours_or_days(void **unused)
{
    struct retention keep = RETENTION_DEFAULT;
    struct store_retained gone = {0};

    fill_days();
    keep.settle_s = 0;
    keep.minutes_us = 2 * DAY_US;
    keep.hours_us = 4 * DAY_US;
    while (store_retain(store, &keep, T0 + 5 * DAY_US + 90 * MINUTE_US, 1000, &gone) > 0)
        ;
    assert_true(gone.rollups > 0);
    (void)usage(STORE_USAGE_FUNCTION, "", T0 + 30 * MINUTE_US, T0 + 5 * DAY_US - MINUTE_US);
    assert_int_equal(used.since_us, T0);
    assert_int_equal(used.until_us, T0 + 5 * DAY_US - MINUTE_US);
    assert_int_equal(used.invocations, MINUTES - 1);
    (void)usage(STORE_USAGE_FUNCTION, "", T0 + 2 * DAY_US + 90 * MINUTE_US,
                T0 + 3 * DAY_US + 30 * MINUTE_US);
    assert_int_equal(used.since_us, T0 + 2 * DAY_US + 60 * MINUTE_US);
    assert_int_equal(used.until_us, T0 + 3 * DAY_US + 60 * MINUTE_US);
    assert_int_equal(used.invocations, 1440);
    series("", T0, T0 + 5 * DAY_US, 86400);
    assert_int_equal(seen.sum.count, MINUTES);
}

static void test_numbers_that_cannot_be_true_do_not_break_the_sums(void **unused)
{
    for (unsigned i = 0; i < 100; i++) {
        struct record r = record_at(T0, i);

        r.run_ns = r.user_us = r.system_us = r.bytes_in = r.bytes_out = r.log_lines = UINT64_MAX;
        r.memory_limit_bytes = r.memory_peak_bytes = r.total_ns = r.wait_ns = UINT64_MAX;
        add(&r);
        commit();
    }
    series("", T0, T0 + DAY_US, 60);
    assert_int_equal(seen.sum.count, 100);
    assert_int_equal(usage(STORE_USAGE_DAY, "", T0, T0 + DAY_US), 1);
    assert_int_equal(used.invocations, 100);
}

/* ---- versions, losses ---- */

static int see_version(void *ctx, const struct store_version *v)
{
    char *dst = ctx;

    (void)snprintf(dst + strlen(dst), 1024 - strlen(dst), "%.*s/%.*s %llu %llu %llu\n",
                   SLICE_ARG(v->function), SLICE_ARG(v->version),
                   (unsigned long long)(v->first_us - T0), (unsigned long long)(v->last_us - T0),
                   (unsigned long long)v->invocations);
    return 0;
}

static void test_versions_know_when_they_ran_and_how_often(void **unused)
{
    static const struct {
        const char *version;
        uint64_t time;
    } runs[] = {{"old", 5}, {"new", 7}, {"old", 3}, {"new", 9}, {"new", 8}};
    char text[1024] = "";

    for (unsigned i = 0; i < ARRAY_SIZE(runs); i++) {
        struct record r = record_at(T0 + runs[i].time, i);

        r.version = slice_str(runs[i].version);
        add(&r);
        commit();
    }
    assert_int_equal(store_versions(store, SLICE_LIT("hello"), see_version, text), 0);
    assert_string_equal(text, "hello/new 7 9 3\nhello/old 3 5 2\n");
    *text = '\0';
    assert_int_equal(store_versions(store, SLICE_NULL, see_version, text), 0);
    assert_string_equal(text, "hello/new 7 9 3\nhello/old 3 5 2\n");
    *text = '\0';
    assert_int_equal(store_versions(store, SLICE_LIT("other"), see_version, text), 0);
    assert_string_equal(text, "");
}

static int see_loss(void *ctx, const struct store_loss *l)
{
    char *dst = ctx;

    assert_true(l->time_us > T0 - 400 * DAY_US);
    (void)snprintf(dst + strlen(dst), 1024 - strlen(dst), "%llu %.*s: %.*s\n",
                   (unsigned long long)l->n, SLICE_ARG(l->what), SLICE_ARG(l->why));
    return 0;
}

static void test_losses_are_told_the_latest_first(void **unused)
{
    char text[1024] = "";

    assert_int_equal(store_add_loss(store, "records", 12, "the disk was full"), 0);
    commit();
    assert_int_equal(store_add_loss(store, "log lines", 3, "the gateway's buffer was full"), 0);
    commit();
    open_again();
    assert_int_equal(store_losses(store, 0, see_loss, text), 0);
    assert_string_equal(
        text, "3 log lines: the gateway's buffer was full\n12 records: the disk was full\n");
    *text = '\0';
    assert_int_equal(store_losses(store, clock_wall_us() + DAY_US, see_loss, text), 0);
    assert_string_equal(text, "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, sums_setup, store_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_sums_are_those_of_what_was_added_in_each_step),
        TEST(test_late_records_count_in_each_step),
        TEST(test_a_restart_in_the_middle_of_a_minute_loses_and_doubles_nothing),
        TEST(test_minutes_are_folded_once),
        TEST(test_more_functions_than_are_kept_in_memory_count_as_well),
        TEST(test_gb_seconds_are_of_the_limit_or_else_of_the_peak),
        TEST(test_a_step_that_is_none_is_refused),
        TEST(test_the_span_is_widened_to_whole_steps),
        TEST(test_usage_is_by_function_version_or_day),
        TEST(test_usage_of_any_span_is_exact_to_the_minute),
        TEST(test_usage_until_now_has_the_minute_that_runs),
        TEST(test_where_minutes_are_gone_usage_is_of_whole_hours_or_days),
        TEST(test_numbers_that_cannot_be_true_do_not_break_the_sums),
        TEST(test_versions_know_when_they_ran_and_how_often),
        TEST(test_losses_are_told_the_latest_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
