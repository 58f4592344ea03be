/* Counters of functions, their ceiling, and the page's text. */

#include "gateway/metrics.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct record record_of(uint64_t run_ns)
{
    return (struct record){.trigger = TRIGGER_HTTP,
                           .outcome = OUTCOME_OK,
                           .run_ns = run_ns,
                           .total_ns = run_ns,
                           .start_us = 600 * US_PER_S};
}

/* The whole page, in as many pieces as it takes; the caller's. */
static char *page_of(const struct metrics *m, size_t *ret_n_pieces)
{
    struct metrics_page page = {.metrics = m};
    struct buf whole = BUF_INIT(256 * MIB), piece = BUF_INIT(METRICS_PIECE_MAX);
    char *text;
    int r;

    *ret_n_pieces = 0;
    do {
        r = metrics_page_next(&page, &piece);
        assert_true(r >= 0);
        assert_int_equal(buf_append_slice(&whole, buf_slice(&piece)), 0);
        buf_clear(&piece);
        ++*ret_n_pieces;
    } while (r == 1);
    text = slice_dup(buf_slice(&whole));
    assert_non_null(text);
    buf_deinit(&piece);
    buf_deinit(&whole);
    return text;
}

static void the_same_name_has_the_same_counters(void **state)
{
    struct metrics *m = metrics_new();
    struct metric_function *a = metrics_of(m, SLICE_LIT("a")), *b = metrics_of(m, SLICE_LIT("b"));

    assert_ptr_not_equal(a, b);
    assert_ptr_equal(metrics_of(m, SLICE_LIT("a")), a);
    assert_ptr_equal(metrics_of(m, SLICE_LIT("b")), b);
    metrics_free(m);
}

static void beyond_the_ceiling_functions_share_and_nothing_is_lost(void **state)
{
    struct metrics *m = metrics_new();
    struct record r = record_of(NS_PER_MS);
    char name[32], *text, expected[96];
    unsigned long long sum = 0, n;
    size_t n_pieces;

    for (int i = 0; i < 5000; i++) {
        int len = snprintf(name, sizeof(name), "function-%d", i);

        metrics_record(metrics_of(m, slice(name, (size_t)len)), &r);
    }
    text = page_of(m, &n_pieces);
    assert_true(n_pieces > 100);
    (void)snprintf(expected, sizeof(expected),
                   "mayfly_invocations_total{fn=\"(other)\",trigger=\"http\",outcome=\"ok\"} %d\n",
                   5000 - METRICS_FUNCTIONS_MAX);
    assert_non_null(strstr(text, expected));
    for (char *at = text; (at = strstr(at, "outcome=\"ok\"} ")); at++) {
        assert_int_equal(sscanf(at, "outcome=\"ok\"} %llu", &n), 1);
        sum += n;
    }
    assert_int_equal(sum, 5000);
    free(text);
    metrics_free(m);
}

static void a_hostile_name_stays_within_its_quotes(void **state)
{
    static const struct {
        struct slice name;
        const char *label;
    } cases[] = {
        {SLICE_LIT("a\"b"), "a\\\"b"},
        {SLICE_LIT("a\\"), "a\\\\"},
        {SLICE_LIT("a\nb 1\n"), "a\\nb 1\\n"},
        {SLICE_LIT("\"} 1\nup 0\n"), "\\\"} 1\\nup 0\\n"},
        {SLICE_LIT("gr\xC3\xBC\xC3\x9F"), "gr\xC3\xBC\xC3\x9F"},
        {SLICE_LIT("\xF0\x9F\xAA\xB0"), "\xF0\x9F\xAA\xB0"},
        {SLICE_LIT("\xC3"), "\xEF\xBF\xBD"},
        {SLICE_LIT("a\xFF\xFE"), "a\xEF\xBF\xBD\xEF\xBF\xBD"},
    };
    struct metrics *m = metrics_new();
    char worst[FUNCTION_NAME_MAX];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_string_equal(metrics_of(m, cases[i].name)->label, cases[i].label);
    memset(worst, 0xFF, sizeof(worst));
    assert_true(strlen(metrics_of(m, slice(worst, sizeof(worst)))->label) <= sizeof(worst) * 3);
    metrics_free(m);
}

static void a_value_on_a_bound_belongs_to_it(void **state)
{
    struct metric_histogram h = {0};

    metric_observe(&h, 0);
    metric_observe(&h, 250 * NS_PER_US);
    metric_observe(&h, 250 * NS_PER_US + 1);
    metric_observe(&h, 10 * NS_PER_S);
    metric_observe(&h, 10 * NS_PER_S + 1);
    assert_int_equal(h.buckets[0], 2);
    assert_int_equal(h.buckets[1], 1);
    assert_int_equal(h.buckets[METRIC_BUCKETS - 1], 1);
    assert_int_equal(h.buckets[METRIC_BUCKETS], 1);
    assert_int_equal(h.sum_ns, 500 * NS_PER_US + 1 + 20 * NS_PER_S + 1);
}

static void a_request_without_a_worker_has_no_duration(void **state)
{
    struct metrics *m = metrics_new();
    struct metric_function *f = metrics_of(m, SLICE_LIT("f"));
    struct record r = {.trigger = TRIGGER_INVOKE, .outcome = OUTCOME_THROTTLED, .wait_ns = 1};
    size_t n_pieces;
    char *text;

    metrics_record(f, &r);
    text = page_of(m, &n_pieces);
    assert_non_null(strstr(
        text, "mayfly_invocations_total{fn=\"f\",trigger=\"invoke\",outcome=\"throttled\"} 1\n"));
    assert_null(strstr(text, "_bucket"));
    assert_null(strstr(text, "(other)"));
    free(text);
    metrics_free(m);
}

static void a_peak_is_forgotten_after_the_next_minute(void **state)
{
    struct metrics *m = metrics_new();
    struct metric_function *f = metrics_of(m, SLICE_LIT("f"));
    struct record r = record_of(NS_PER_MS);

    r.memory_peak_bytes = 100;
    metrics_record(f, &r); /* at 600 s */
    r.memory_peak_bytes = 50;
    metrics_record(f, &r);
    assert_int_equal(metrics_memory_peak(f, 601 * US_PER_S), 100);
    assert_int_equal(metrics_memory_peak(f, 719 * US_PER_S), 100);
    assert_int_equal(metrics_memory_peak(f, 720 * US_PER_S), 0);
    r.start_us = 665 * US_PER_S;
    metrics_record(f, &r);
    assert_int_equal(metrics_memory_peak(f, 665 * US_PER_S), 100);
    assert_int_equal(metrics_memory_peak(f, 725 * US_PER_S), 50);
    assert_int_equal(metrics_memory_peak(f, 599 * US_PER_S), 0); /* a clock that was set back */
    metrics_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_name_has_the_same_counters),
        cmocka_unit_test(beyond_the_ceiling_functions_share_and_nothing_is_lost),
        cmocka_unit_test(a_hostile_name_stays_within_its_quotes),
        cmocka_unit_test(a_value_on_a_bound_belongs_to_it),
        cmocka_unit_test(a_request_without_a_worker_has_no_duration),
        cmocka_unit_test(a_peak_is_forgotten_after_the_next_minute),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
