/* What goes on now, counted from records; and the line that says what a request took. */

#include "control/live.h"
#include "control/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct record record_of(const char *function, enum outcome outcome, uint64_t total_us)
{
    return (struct record){.function = slice_str(function),
                           .outcome = outcome,
                           .total_ns = total_us * NS_PER_US,
                           .user_us = 1000};
}

static json_t *live_now(struct live *l)
{
    struct buf b = BUF_INIT(1 << 20);
    struct jsonw w = JSONW_INIT(&b);
    struct error err = ERROR_NULL;
    json_t *json = NULL;

    live_write(l, NULL, &w);
    assert_int_equal(jsonw_end(&w), 0);
    if (json_text_load(buf_slice(&b), "live", &json, &err) < 0)
        fail_msg("%s", err.text);
    buf_deinit(&b);
    return json;
}

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

#define LIVE_JSON                                                                                  \
    "{\"processes\":[{\"kind\":\"worker\",\"function\":\"b\",\"version\":\"v\",\"pid\":0,"         \
    "\"age_ms\":5,\"state\":\"busy\",\"request_id\":\"x\"}],\"omitted\":3,\"functions\":["         \
    "{\"name\":\"a\",\"version\":\"v\",\"state\":\"cold\",\"standbys\":0,\"busy\":0,\"queued\":0," \
    "\"oldest_queued_ms\":0},{\"name\":\"b\",\"version\":\"v\",\"state\":\"warm\",\"standbys\":2," \
    "\"busy\":1,\"queued\":4,\"oldest_queued_ms\":7}],\"workers\":1,\"workers_max\":9}"

static void rates_are_of_the_last_ten_seconds(void **state)
{
    uint64_t now_ns = clock_now_ns();
    struct live l = {.n_windows = 0};
    struct record good = record_of("b", OUTCOME_OK, 1000),
                  bad = record_of("b", OUTCOME_ERROR, 64000);
    json_t *live, *b;

    for (int i = 0; i < 30; i++)
        live_record(&l, &good, now_ns - 3 * NS_PER_S);
    for (int i = 0; i < 10; i++)
        live_record(&l, &bad, now_ns - 3 * NS_PER_S);
    assert_int_equal(live_take(&l, SLICE_LIT(LIVE_JSON), now_ns), 0);
    live = live_now(&l);
    b = json_array_get(json_object_get(live, "functions"), 1);
    assert_string_equal(json_string_value(json_object_get(b, "name")), "b");
    assert_true(number(b, "rate") == 4 && number(live, "rate") == 4);
    assert_true(number(b, "error_rate") == 1);
    assert_true(number(b, "cpu_percent") == 0.4); /* 40 ms in 10 s */
    assert_in_range((uint64_t)number(b, "p50_us"), 1000 - 1000 / 32, 1000 + 1000 / 32);
    assert_in_range((uint64_t)number(b, "p99_us"), 64000 - 64000 / 32, 64000 + 64000 / 32);
    assert_true(number(b, "queued") == 4 && number(live, "queued") == 4);
    assert_true(number(live, "workers_max") == 9 && number(live, "omitted") == 3);
    assert_int_equal(json_array_size(json_object_get(live, "processes")), 1);
    json_decref(live);
    live_deinit(&l);
}

static void what_is_over_counts_no_more(void **state)
{
    uint64_t now_ns = clock_now_ns();
    struct live l = {.n_windows = 0};
    struct record r = record_of("b", OUTCOME_OK, 1000);
    json_t *live;

    live_record(&l, &r, now_ns - 15 * NS_PER_S);
    live_record(&l, &r, now_ns); /* nor does this second, which is not over yet */
    live = live_now(&l);
    assert_true(number(live, "rate") == 0);
    json_decref(live);
    live_deinit(&l);
}

static void very_many_functions_are_counted_together(void **state)
{
    uint64_t now_ns = clock_now_ns() - 2 * NS_PER_S;
    struct live l = {.n_windows = 0};
    json_t *live;

    for (int i = 0; i < LIVE_FUNCTIONS_MAX + 100; i++) {
        char name[16];
        struct record r;

        (void)snprintf(name, sizeof(name), "f%d", i);
        r = record_of(name, OUTCOME_OK, 1000);
        live_record(&l, &r, now_ns);
    }
    assert_int_equal(l.n_windows, LIVE_FUNCTIONS_MAX);
    live = live_now(&l);
    assert_true(number(live, "rate") == (LIVE_FUNCTIONS_MAX + 100) / 10.0);
    json_decref(live);
    live_record(&l, &(struct record){.function = SLICE_LIT("x")}, now_ns + 60 * NS_PER_S);
    assert_int_equal(l.n_windows, 1); /* those that are quiet have gone */
    live_deinit(&l);
}

static void what_is_no_json_is_refused(void **state)
{
    struct live l = {.n_windows = 0};

    assert_true(live_take(&l, SLICE_LIT("{\"functions\":[}"), 1) < 0);
    assert_false(live_is_fresh(&l, 1));
    assert_int_equal(live_take(&l, SLICE_LIT("{\"functions\":7,\"processes\":\"x\"}"), 1), 0);
    json_decref(live_now(&l));
    live_deinit(&l);
}

static void the_report_is_as_aws_writes_it(void **state)
{
    struct record r = {.request_id = SLICE_LIT("id"),
                       .function = SLICE_LIT("f"),
                       .start_us = 1000000,
                       .total_ns = 7 * NS_PER_MS,
                       .run_ns = 5736000,
                       .memory_limit_bytes = 128 * MIB,
                       .memory_peak_bytes = 57 * MIB - 1};
    char text[REPORT_SIZE], wanted[2 * REPORT_SIZE];
    struct log_line line = report_line(&r, text);

    assert_int_equal(line.time_us, 1007000);
    assert_int_equal(line.stream, LOG_SYSTEM);
    assert_string_equal(text, "REPORT RequestId: id\tDuration: 5.74 ms\tBilled Duration: 6 ms\t"
                              "Memory Size: 128 MB\tMax Memory Used: 57 MB\t");
    r.init_ns = 123454999;
    (void)snprintf(wanted, sizeof(wanted), "%sInit Duration: 123.45 ms\t", text);
    (void)report_line(&r, text);
    assert_string_equal(text, wanted);
}

static void handlers_that_are_lambdas_have_one(void **state)
{
    static const struct {
        enum runtime runtime;
        const char *handler;
        bool has;
    } cases[] = {
        {RUNTIME_PYTHON, "app.lambda_handler", true}, {RUNTIME_NODE, "index.handler", true},
        {RUNTIME_PYTHON, "app.app", false},           {RUNTIME_NATIVE, "a.handler", false},
        {RUNTIME_PROVIDED, "bootstrap", true},        {RUNTIME_RUBY, "m.Class.Handler", true},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct function f = {.runtime = cases[i].runtime,
                             .handler = (char *)(uintptr_t)cases[i].handler};

        assert_int_equal(report_is_for(&f), cases[i].has);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_of_the_last_ten_seconds),
        cmocka_unit_test(what_is_over_counts_no_more),
        cmocka_unit_test(very_many_functions_are_counted_together),
        cmocka_unit_test(what_is_no_json_is_refused),
        cmocka_unit_test(the_report_is_as_aws_writes_it),
        cmocka_unit_test(handlers_that_are_lambdas_have_one),
    };

    return cmocka_run_group_tests_name("control-live", tests, NULL, NULL);
}
