/* What is exported: its JSON, batches and tries, answers, settings. */

#include "otlp/answer.h"
#include "otlp/encode.h"
#include "otlp/queue.h"

#include "base/clock.h"
#include "json/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN  "00f067aa0ba902b7"

static const struct otlp_settings settings = {.host_name = "here"};

static struct record a_record(void)
{
    return (struct record){.request_id = SLICE_LIT("id"),
                           .function = SLICE_LIT("f"),
                           .version = SLICE_LIT("v"),
                           .method = SLICE_LIT("GET"),
                           .path = SLICE_LIT("/"),
                           .trace_id = SLICE_LIT(TRACE),
                           .span_id = SLICE_LIT(SPAN),
                           .start_us = 1700000000 * US_PER_S,
                           .status = 200,
                           .wait_ns = 1,
                           .run_ns = 2,
                           .total_ns = 3};
}

static json_t *load(struct buf *b, const char *before, const char *behind)
{
    struct buf whole = BUF_INIT(1 << 20);
    struct error err;
    json_t *json = NULL;

    assert_int_equal(buf_append_str(&whole, before), 0);
    assert_int_equal(buf_append_slice(&whole, buf_slice(b)), 0);
    assert_int_equal(buf_append_str(&whole, behind), 0);
    if (json_text_load(buf_slice(&whole), "otlp", &json, &err) < 0)
        fail_msg("%s: %.*s", err.text, SLICE_ARG(buf_slice(&whole)));
    buf_deinit(&whole);
    return json;
}

/* ---- spans ---- */

static void spans_without_a_phase_leave_it_out(void **state)
{
    struct buf b = BUF_INIT(1 << 16);
    struct record r = a_record();
    json_t *json;

    assert_int_equal(otlp_write_spans(&b, &r), 3);
    json = load(&b, "[", "]");
    assert_int_equal(json_array_size(json), 3);
    json_decref(json);
    buf_clear(&b);
    r.run_ns = r.wait_ns = 0;
    r.outcome = OUTCOME_THROTTLED;
    assert_int_equal(otlp_write_spans(&b, &r), 1);
    json = load(&b, "[", "]");
    assert_int_equal(json_array_size(json), 1);
    json_decref(json);
    buf_deinit(&b);
}

static void phases_have_the_same_ids_each_time_and_none_of_their_invocations(void **state)
{
    struct buf a = BUF_INIT(1 << 16), b = BUF_INIT(1 << 16);
    struct record r = a_record();
    json_t *json;
    const char *ids[3];

    assert_int_equal(otlp_write_spans(&a, &r), 3);
    assert_int_equal(otlp_write_spans(&b, &r), 3);
    assert_true(slice_eq(buf_slice(&a), buf_slice(&b)));
    json = load(&a, "[", "]");
    for (size_t i = 0; i < 3; i++)
        ids[i] = json_string_value(json_object_get(json_array_get(json, i), "spanId"));
    assert_string_equal(ids[0], SPAN);
    assert_string_not_equal(ids[1], ids[2]);
    assert_string_not_equal(ids[1], SPAN);
    json_decref(json);
    buf_deinit(&a);
    buf_deinit(&b);
}

/* Whoever adds a trigger or an outcome is told here. */
static void each_trigger_and_outcome_has_its_words(void **state)
{
    static const char *const known[] = {"datasource", "http", "pubsub", "timer", "other"};

    for (unsigned i = 0; i < _TRIGGER_MAX * _OUTCOME_MAX; i++) {
        struct buf b = BUF_INIT(1 << 16);
        struct record r = a_record();
        json_t *json, *span;
        const char *trigger = NULL;
        bool found = false;

        r.trigger = i / _OUTCOME_MAX;
        r.outcome = i % _OUTCOME_MAX;
        assert_int_equal(otlp_write_spans(&b, &r), 3);
        json = load(&b, "[", "]");
        span = json_array_get(json, 0);
        trigger = json_string_value(json_object_get(
            json_object_get(json_array_get(json_object_get(span, "attributes"), 0), "value"),
            "stringValue"));
        for (size_t k = 0; k < ARRAY_SIZE(known); k++)
            found = found || strcmp(trigger, known[k]) == 0;
        assert_true(found);
        assert_true(json_integer_value(json_object_get(span, "kind")) > 0);
        assert_int_equal(json_object_get(span, "status") != NULL, r.outcome != OUTCOME_OK);
        json_decref(json);
        buf_deinit(&b);
    }
}

static void a_record_with_ids_that_are_none_adds_nothing(void **state)
{
    static const char *const bad[] = {
        "",
        "4bf92f3577b34da6a3ce929d0e0e473",
        "4bf92f3577b34da6a3ce929d0e0e47366",
        "4BF92F3577B34DA6A3CE929D0E0E4736",
        "00000000000000000000000000000000",
        "4bf92f3577b34da6a3ce929d0e0e473\"",
    };
    struct buf b = BUF_INIT(1 << 16);

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct record r = a_record();

        r.trace_id = slice_str(bad[i]);
        assert_int_equal(otlp_write_spans(&b, &r), -EINVAL);
        assert_int_equal(buf_len(&b), 0);
    }
    buf_deinit(&b);
}

static void what_does_not_fit_adds_nothing(void **state)
{
    struct record r = a_record();

    for (size_t max = 0; max < 1200; max += 50) {
        struct buf b = BUF_INIT(max);

        assert_int_equal(otlp_write_spans(&b, &r), -ENOBUFS);
        assert_int_equal(buf_len(&b), 0);
        buf_deinit(&b);
    }
}

/* ---- lines ---- */

static void the_severity_is_where_loggers_put_it(void **state)
{
    static const struct {
        const char *text;
        enum log_stream stream;
        int number;
    } cases[] = {
        {"hello", LOG_STDOUT, 9},
        {"hello", LOG_STDERR, 17},
        {"OutOfMemory: used 128 MB of 128 MB", LOG_SYSTEM, 13},
        {"DEBUG:x:y", LOG_STDERR, 5},
        {"[warn] x", LOG_STDOUT, 13},
        {"[critical]", LOG_STDOUT, 21},
        {"error: x", LOG_STDOUT, 17},
        {"ERROR x", LOG_STDOUT, 17},
        {"error in line 3", LOG_STDOUT, 9},
        {"INFORMATION: x", LOG_STDERR, 17},
        {"[info x", LOG_STDERR, 17},
        {"", LOG_STDOUT, 9},
        {"[", LOG_STDOUT, 9},
        {"WARN", LOG_STDOUT, 9},
        {"{\"level\": \"fatal\"}", LOG_STDOUT, 21},
        {"{\"severity\": \"Debug\"}", LOG_STDERR, 5},
        {"{\"level\": 30}", LOG_STDOUT, 9},
        {"{\"level\": \"warn\"", LOG_STDOUT, 9},
    };
    struct buf b = BUF_INIT(1 << 16);

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct log_line l = {
            .time_us = 1, .stream = cases[i].stream, .text = slice_str(cases[i].text)};
        json_t *json;

        buf_clear(&b);
        assert_int_equal(otlp_write_log(&b, &l, 2), 0);
        json = load(&b, "", "");
        if (json_integer_value(json_object_get(json, "severityNumber")) != cases[i].number)
            fail_msg("%s: %.*s", cases[i].text, SLICE_ARG(buf_slice(&b)));
        assert_null(json_object_get(json, "traceId"));
        json_decref(json);
    }
    buf_deinit(&b);
}

static void a_piece_of_a_line_is_not_read_as_json(void **state)
{
    struct log_line l = {.stream = LOG_STDOUT, .text = SLICE_LIT("{\"a\": 1}"), .goes_on = true};
    struct buf b = BUF_INIT(1 << 16);
    json_t *json;

    assert_int_equal(otlp_write_log(&b, &l, 2), 0);
    json = load(&b, "", "");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(json, "body"), "stringValue")),
        "{\"a\": 1}");
    json_decref(json);
    buf_deinit(&b);
}

/* ---- batches ---- */

static void add(struct queue *q, const char *function, const char *json, uint64_t now_ns)
{
    queue_add(q,
              &(struct queue_item){.json = slice_str(json),
                                   .function = slice_str(function),
                                   .version = SLICE_LIT("v"),
                                   .n = 1},
              now_ns);
}

static void a_batch_has_one_resource_for_each_function_and_keeps_the_order(void **state)
{
    struct queue q;
    struct error err;
    json_t *json = NULL, *groups;

    queue_init(&q, QUEUE_LOGS);
    add(&q, "a", "1", 0);
    add(&q, "b", "2", 0);
    add(&q, "a", "3", 0);
    add(&q, "c", "4", 0);
    add(&q, "b", "5", 0);
    assert_int_equal(queue_begin(&q, &settings, NS_PER_S), 0);
    assert_int_equal(q.n_batch, 5);
    assert_int_equal(json_text_load(buf_slice(&q.body), "batch", &json, &err), 0);
    groups = json_object_get(json, "resourceLogs");
    assert_int_equal(json_array_size(groups), 3);
    for (size_t i = 0; i < 3; i++) {
        static const char *const expected[] = {"[1,3]", "[2,5]", "[4]"};
        json_t *scope = json_array_get(json_object_get(json_array_get(groups, i), "scopeLogs"), 0);
        char *text = json_dumps(json_object_get(scope, "logRecords"), JSON_COMPACT);

        assert_string_equal(text, expected[i]);
        free(text);
    }
    json_decref(json);
    queue_delivered(&q, 0, "");
    assert_int_equal(q.n_lost, 0);
    assert_int_equal(queue_due_ns(&q, true), UINT64_MAX);
    queue_deinit(&q);
}

static void one_waits_for_others_but_not_for_ever(void **state)
{
    struct queue q;

    queue_init(&q, QUEUE_TRACES);
    assert_int_equal(queue_due_ns(&q, false), UINT64_MAX);
    add(&q, "f", "1", 5 * NS_PER_S);
    assert_int_equal(queue_due_ns(&q, false), 6 * NS_PER_S);
    assert_int_equal(queue_due_ns(&q, true), 0);
    for (unsigned i = 1; i < BATCH_ITEMS_MAX; i++)
        add(&q, "f", "1", 5 * NS_PER_S);
    assert_int_equal(queue_due_ns(&q, false), 0);
    add(&q, "f", "1", 5 * NS_PER_S);
    assert_int_equal(queue_begin(&q, &settings, 0), 0);
    assert_int_equal(q.n_batch, BATCH_ITEMS_MAX);
    assert_int_equal(q.n_items, 1);
    assert_int_equal(queue_due_ns(&q, false), UINT64_MAX); /* one is on its way */
    queue_deinit(&q);
}

static void tries_are_further_and_further_apart_until_it_gives_up(void **state)
{
    uint64_t now_ns = NS_PER_S, last_ns = 0, begin_ns = now_ns;
    struct slice body;
    struct queue q;
    unsigned n = 0;

    queue_init(&q, QUEUE_TRACES);
    add(&q, "f", "1", 0);
    for (;;) {
        assert_int_equal(queue_begin(&q, &settings, now_ns), 0);
        body = buf_slice(&q.body);
        assert_true(body.len > 0); /* the same batch */
        queue_failed(&q, now_ns, 0, n * 977, "away");
        n++;
        if (q.state == QUEUE_IDLE)
            break;
        assert_true(q.again_ns > now_ns);
        assert_true(q.again_ns - now_ns <= 30 * NS_PER_S);
        assert_true(q.again_ns - now_ns >= last_ns / 2 || last_ns > 10 * NS_PER_S);
        last_ns = q.again_ns - now_ns;
        now_ns = q.again_ns;
    }
    assert_true(n > 10 && n < 40);
    assert_true(now_ns - begin_ns <= 300 * NS_PER_S && now_ns - begin_ns > 240 * NS_PER_S);
    assert_int_equal(q.n_lost, 1);
    assert_string_equal(q.why, "away");
    queue_deinit(&q);
}

static void the_collectors_word_of_when_to_come_again_holds_within_reason(void **state)
{
    struct queue q;

    queue_init(&q, QUEUE_TRACES);
    add(&q, "f", "1", 0);
    assert_int_equal(queue_begin(&q, &settings, NS_PER_S), 0);
    queue_failed(&q, NS_PER_S, 7000, 5, "");
    assert_int_equal(q.again_ns, 8 * NS_PER_S);
    assert_int_equal(queue_begin(&q, &settings, q.again_ns), 0);
    queue_failed(&q, 8 * NS_PER_S, 86400 * 1000ULL, 5, "");
    assert_int_equal(q.again_ns, 128 * NS_PER_S);
    queue_give_up(&q, "end");
    assert_int_equal(q.n_lost, 1);
    queue_deinit(&q);
}

static void beyond_its_ceilings_it_loses_what_is_new_and_counts_it(void **state)
{
    static char big[64 * 1024 + 1];
    struct queue q;
    unsigned n = 0;

    memset(big, '1', sizeof(big) - 1);
    queue_init(&q, QUEUE_LOGS);
    while (q.n_lost == 0 && n < 10000) {
        add(&q, "f", big, 0);
        n++;
    }
    assert_true(q.n_bytes <= QUEUE_BYTES_MAX && q.n_bytes > QUEUE_BYTES_MAX - sizeof(big));
    queue_give_up(&q, "end");
    assert_int_equal(q.n_lost, n);
    assert_int_equal(q.n_bytes, 0);
    q.n_lost = 0;
    for (n = 0; n < QUEUE_ITEMS_MAX + 7; n++)
        add(&q, "f", "1", 0);
    assert_int_equal(q.n_lost, 7);
    queue_deinit(&q);
}

static void a_full_batch_of_different_functions_fits(void **state)
{
    static char big[2048];
    struct queue q;
    char name[32];

    memset(big, '1', sizeof(big) - 1);
    queue_init(&q, QUEUE_TRACES);
    for (int i = 0; i < BATCH_ITEMS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "function-%d", i);
        add(&q, name, big, 0);
    }
    assert_int_equal(queue_begin(&q, &settings, 0), 0);
    assert_int_equal(q.n_lost, 0);
    queue_deinit(&q);
}

/* ---- answers ---- */

static void answers_mean_what_otlp_says(void **state)
{
    static const struct {
        long status;
        const char *body;
        enum answer answer;
        uint64_t rejected;
        const char *why;
    } cases[] = {
        {200, "{}", ANSWER_DELIVERED, 0, ""},
        {200, "", ANSWER_DELIVERED, 0, ""},
        {202, "nonsense", ANSWER_DELIVERED, 0, ""},
        {200, "{\"partialSuccess\":{\"rejectedSpans\":\"3\",\"errorMessage\":\"m\"}}",
         ANSWER_DELIVERED, 3, "the collector rejects some: m"},
        {200, "{\"partialSuccess\":{\"rejectedSpans\":3}}", ANSWER_DELIVERED, 3,
         "the collector rejects some: "},
        {200, "{\"partialSuccess\":{\"errorMessage\":\"note\\n\"}}", ANSWER_DELIVERED, 0,
         "note\\x0a"},
        {200, "{\"partialSuccess\":{\"rejectedSpans\":-5}}", ANSWER_DELIVERED, 0, ""},
        {200, "{\"partialSuccess\":{\"rejectedSpans\":\"18446744073709551616\"}}", ANSWER_DELIVERED,
         0, ""},
        {200, "{\"partialSuccess\":[]}", ANSWER_DELIVERED, 0, ""},
        {429, "", ANSWER_RETRY, 0, "the collector answers 429"},
        {502, "<html>", ANSWER_RETRY, 0, "the collector answers 502"},
        {503, "{\"message\":\"later\"}", ANSWER_RETRY, 0, "the collector answers 503: later"},
        {504, "[]", ANSWER_RETRY, 0, "the collector answers 504"},
        {500, "", ANSWER_REFUSED, 0, "the collector answers 500"},
        {400, "{\"message\":7}", ANSWER_REFUSED, 0, "the collector answers 400: "},
        {404, "", ANSWER_REFUSED, 0, "the collector answers 404 (is the address right?)"},
        {302, "", ANSWER_REFUSED, 0, "the collector answers 302"},
        {0, "", ANSWER_REFUSED, 0, "the collector answers 0"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char why[ANSWER_WHY_MAX];
        uint64_t rejected;

        assert_int_equal(otlp_answer_read(cases[i].status, slice_str(cases[i].body),
                                          "rejectedSpans", &rejected, why),
                         cases[i].answer);
        assert_int_equal(rejected, cases[i].rejected);
        assert_string_equal(why, cases[i].why);
    }
}

/* ---- settings ---- */

static const char *const *variables; /* name, value, name, value, NULL */

static const char *get(const char *name)
{
    for (size_t i = 0; variables && variables[i]; i += 2) {
        if (strcmp(variables[i], name) == 0)
            return variables[i + 1];
    }
    return NULL;
}

static void settings_are_read_as_opentelemetry_writes_them(void **state)
{
    static const char *const given[] = {"OTEL_EXPORTER_OTLP_HEADERS",
                                        "a=b, c = d%2C%3D ,,e=",
                                        "OTEL_RESOURCE_ATTRIBUTES",
                                        "k=v%20w,%C3%BC=1",
                                        "OTEL_EXPORTER_OTLP_TIMEOUT",
                                        "250",
                                        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
                                        "https://logs.example/x",
                                        NULL};
    struct otlp_settings s;
    struct error err = ERROR_NULL;

    variables = given;
    assert_int_equal(otlp_settings_read(&s, "http://h:4318//", get, &err), 0);
    assert_string_equal(s.urls[0], "http://h:4318/v1/traces");
    assert_string_equal(s.urls[1], "https://logs.example/x");
    assert_int_equal(s.n_headers, 3);
    assert_string_equal(s.headers[1].name, "c");
    assert_string_equal(s.headers[1].value, "d,=");
    assert_string_equal(s.headers[2].value, "");
    assert_int_equal(s.n_attributes, 2);
    assert_string_equal(s.attributes[0].value, "v w");
    assert_string_equal(s.attributes[1].name, "\xC3\xBC");
    assert_int_equal(s.timeout_ms, 250);
    assert_true(s.gzip);
    otlp_settings_deinit(&s);
}

static void settings_that_make_no_sense_name_their_variable(void **state)
{
    static char many[] = "a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,"
                         "a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,"
                         "a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,"
                         "a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1";
    static const char *const cases[][2] = {
        {"OTEL_EXPORTER_OTLP_HEADERS", "a"},
        {"OTEL_EXPORTER_OTLP_HEADERS", "=b"},
        {"OTEL_EXPORTER_OTLP_HEADERS", "a=b%0d%0aEvil: 1"},
        {"OTEL_EXPORTER_OTLP_HEADERS", "a b=c"},
        {"OTEL_EXPORTER_OTLP_HEADERS", "Content-Length=5"},
        {"OTEL_EXPORTER_OTLP_HEADERS", many},
        {"OTEL_RESOURCE_ATTRIBUTES", "novalue"},
        {"OTEL_EXPORTER_OTLP_TIMEOUT", "0"},
        {"OTEL_EXPORTER_OTLP_TIMEOUT", "1s"},
        {"OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *const given[] = {cases[i][0], cases[i][1], NULL};
        struct otlp_settings s;
        struct error err = ERROR_NULL;

        variables = given;
        assert_int_equal(otlp_settings_read(&s, "http://h", get, &err), -EINVAL);
        assert_non_null(strstr(err.text, cases[i][0]));
        otlp_settings_deinit(&s);
    }
    variables = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_without_a_phase_leave_it_out),
        cmocka_unit_test(phases_have_the_same_ids_each_time_and_none_of_their_invocations),
        cmocka_unit_test(each_trigger_and_outcome_has_its_words),
        cmocka_unit_test(a_record_with_ids_that_are_none_adds_nothing),
        cmocka_unit_test(what_does_not_fit_adds_nothing),
        cmocka_unit_test(the_severity_is_where_loggers_put_it),
        cmocka_unit_test(a_piece_of_a_line_is_not_read_as_json),
        cmocka_unit_test(a_batch_has_one_resource_for_each_function_and_keeps_the_order),
        cmocka_unit_test(one_waits_for_others_but_not_for_ever),
        cmocka_unit_test(tries_are_further_and_further_apart_until_it_gives_up),
        cmocka_unit_test(the_collectors_word_of_when_to_come_again_holds_within_reason),
        cmocka_unit_test(beyond_its_ceilings_it_loses_what_is_new_and_counts_it),
        cmocka_unit_test(a_full_batch_of_different_functions_fits),
        cmocka_unit_test(answers_mean_what_otlp_says),
        cmocka_unit_test(settings_are_read_as_opentelemetry_writes_them),
        cmocka_unit_test(settings_that_make_no_sense_name_their_variable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
