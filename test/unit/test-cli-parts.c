/* What the command line reads: events of a stream, times, prices, addresses; and how it shows
 * amounts. */

#include "base/clock.h"
#include "cli/price.h"
#include "cli/show.h"
#include "cli/sse.h"
#include "cli/url.h"
#include "cli/when.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

/* ---- server-sent events ---- */

struct told {
    char text[1024];
    int fail;
};

static int on_event(void *ctx, const struct sse_event *event)
{
    struct told *told = ctx;
    size_t len = strlen(told->text);

    (void)snprintf(told->text + len, sizeof told->text - len, "[%.*s|%.*s|%.*s]",
                   SLICE_ARG(event->name), SLICE_ARG(event->data), SLICE_ARG(event->id));
    return told->fail;
}

static const struct {
    const char *stream, *events;
} streams[] = {
    {"data: a\n\n", "[message|a|]"},
    {"event: log\nid: 7\ndata: {}\n\ndata: x\n\n", "[log|{}|7][message|x|7]"},
    {"data: a\r\ndata: b\r\r\ndata:c\r\n\r\n", "[message|a\nb|][message|c|]"},
    {"data\n\n", "[message||]"},
    {"data:\ndata:\n\n", "[message|\n|]"},
    {": ping\n\n: ping\n\nevent: x\n\ndata: a\n\n", "[message|a|]"},
    {"data:  two blanks\n\n", "[message| two blanks|]"},
    {"data: not the end\n", ""},
    {"unknown: x\nretry: 20\ndata: a\nid\n\n", "[message|a|]"},
    {"\xef\xbb\xbf"
     "data: a\n\n\xef\xbb\xbf"
     "data: b\n\n",
     "[message|a|]"},
};

static void events_are_the_same_however_they_are_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
        for (size_t piece = 1; piece < 40; piece++) {
            struct slice rest = slice_str(streams[i].stream);
            struct told told = {0};
            struct sse sse;

            sse_init(&sse);
            while (rest.len > 0) {
                size_t n = MIN(piece, rest.len);

                assert_int_equal(sse_push(&sse, slice(rest.base, n), on_event, &told), 0);
                rest = slice(rest.base + n, rest.len - n);
            }
            assert_string_equal(told.text, streams[i].events);
            sse_deinit(&sse);
        }
    }
}

static void an_event_has_a_ceiling(void **state)
{
    static char line[1 << 20];
    struct told told = {0};
    struct sse sse;
    int r = 0;

    (void)state;
    memset(line, 'x', sizeof line);
    memcpy(line, "data:", 5);
    line[sizeof line - 1] = '\n';
    sse_init(&sse);
    for (int i = 0; i < 32 && r == 0; i++)
        r = sse_push(&sse, slice(line, sizeof line), on_event, &told);
    assert_int_equal(r, -EMSGSIZE);
    sse_deinit(&sse);
    sse_init(&sse); /* an id, which is kept for ever */
    memcpy(line, "id:  ", 5);
    assert_int_equal(sse_push(&sse, slice(line, sizeof line), on_event, &told), -EMSGSIZE);
    sse_deinit(&sse);
    sse_init(&sse);
    assert_int_equal(sse_push(&sse, SLICE_LIT("retry: 250\nretry: soon\n"), on_event, &told), 0);
    assert_int_equal(sse.retry_ms, 250);
    told.fail = -ECANCELED;
    assert_int_equal(sse_push(&sse, SLICE_LIT("data: a\n\ndata: b\n\n"), on_event, &told),
                     -ECANCELED);
    assert_string_equal(told.text, "[message|a|]");
    sse_deinit(&sse);
}

/* ---- times ---- */

static const struct {
    const char *text;
    int result;
    uint64_t us;
} durations[] = {
    {"10", 0, 10 * US_PER_S},
    {"1.5", 0, 1500000},
    {"250us", 0, 250},
    {"1.5ms", 0, 1500},
    {"0.0000001s", 0, 0},
    {"10m", 0, 600 * US_PER_S},
    {"2h30m", 0, 9000 * US_PER_S},
    {"1d2h3m4s5ms6us", 0, 93784005006},
    {"1w", 0, 604800 * US_PER_S},
    {"1.5d", 0, 129600 * US_PER_S},
    {"", -EINVAL, 0},
    {"m", -EINVAL, 0},
    {"-5m", -EINVAL, 0},
    {"5 m", -EINVAL, 0},
    {"5m2h", -EINVAL, 0},
    {"5m5m", -EINVAL, 0},
    {"5m5", -EINVAL, 0},
    {"5x", -EINVAL, 0},
    {"1.", -EINVAL, 0},
    {".5s", -EINVAL, 0},
    {"1e3", -EINVAL, 0},
    {"99999999999999999999", -ERANGE, 0},
    {"101w99999999999d", -EINVAL, 0},
    {"40000d", -ERANGE, 0},
};

static void durations_are_read_strictly(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(durations); i++) {
        uint64_t us = 77;
        int r = when_duration_us(slice_str(durations[i].text), &us);

        if (durations[i].result == -EINVAL)
            assert_true(r < 0);
        else
            assert_int_equal(r, durations[i].result);
        assert_int_equal(us, r < 0 ? 77 : durations[i].us);
    }
}

/* 2026-11-29T12:00:00Z, which is 13:00 in the zone of these tests, an hour east without summer. */
#define NOON (1795953600 * US_PER_S)

static const struct {
    const char *text;
    uint64_t us; /* 0: refused */
} moments[] = {
    {"now", NOON},
    {"10m", NOON - 600 * US_PER_S},
    {"today", NOON - 13 * 3600 * US_PER_S},
    {"yesterday", NOON - 37 * 3600 * US_PER_S},
    {"2026-11-29", NOON - 13 * 3600 * US_PER_S},
    {"2026-11-29T13:00", NOON},
    {"2026-11-29 13:00:00", NOON},
    {"2026-11-29T12:00Z", NOON},
    {"2026-11-29T12:00:00.25Z", NOON + 250000},
    {"2026-11-29T07:30:00-04:30", NOON},
    {"2026-11-28T23:00Z", NOON - 13 * 3600 * US_PER_S},
    {"13:00", NOON},
    {"13:00:01.5", NOON + 1500000},
    {"12:00Z", NOON},
    {"", 0},
    {"soon", 0},
    {"2026-13-01", 0},
    {"2026-02-30", 0},
    {"2026-02-30T00:00Z", 0},
    {"2026-11-29T", 0},
    {"2026-11-29T25:00", 0},
    {"2026-11-29T12:60", 0},
    {"2026-11-29T12:00:60", 0},
    {"2026-11-29T12:00X", 0},
    {"2026-11-29T12:00+1", 0},
    {"2026-11-29X", 0},
    {"1969-12-31", 0},
    {"26-11-29", 0},
    {"1:00", 0},
};

static void moments_are_read_in_local_time(void **state)
{
    (void)state;
    (void)setenv("TZ", "ZONE-1", 1);
    tzset();
    for (size_t i = 0; i < ARRAY_SIZE(moments); i++) {
        uint64_t us = 0;
        int r = when_parse(slice_str(moments[i].text), NOON, &us);

        if (r != (moments[i].us ? 0 : -EINVAL) || us != moments[i].us)
            fail_msg("%s: %d, %llu", moments[i].text, r, (unsigned long long)us);
    }
}

/* ---- prices ---- */

static const struct {
    const char *text, *error; /* what the error contains */
} bad_prices[] = {
    {"[]", "p.json:1: a list; write an object"},
    {"{}", "p.json:1: no price"},
    {"{\n \"currency\": \"EUR\"}", "p.json:1: no price"},
    {"{\n \"per_request\": \"1\"}", "p.json:2: per_request is a string; write a number"},
    {"{\n\n \"per_gb_second\": -1}", "p.json:3: per_gb_second must be from 0 to 1000000"},
    {"{\"per_cpu_second\": 1e7}", "p.json:1: per_cpu_second must be"},
    {"{\n \"per_second\": 1}", "p.json:2: no such key: per_second; there are currency"},
    {"{\n\"per_request\": 1,\n\"currency\": \"a b\"}", "p.json:3: currency must be a word"},
    {"{\"per_request\": 1,\n\"currency\": \"\\u001b[31m\"}", "p.json:2: currency must be a word"},
    {"{\"per_request\": 1,\n\"currency\": 5}", "p.json:2: currency must be a word"},
    {"{\n\"per_request\": 1,\n}", "p.json:3:1: "},
};

static void a_price_file_is_read_strictly(void **state)
{
    struct price price;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad_prices); i++) {
        struct error err = ERROR_NULL;

        assert_int_equal(price_parse(slice_str(bad_prices[i].text), "p.json", &price, &err),
                         -EINVAL);
        if (strstr(err.text, bad_prices[i].error) != err.text)
            fail_msg("%s: %s", bad_prices[i].text, err.text);
    }
    assert_int_equal(
        price_parse(
            SLICE_LIT("{\"currency\": \"EUR\", \"per_request\": 2e-7, \"per_gb_second\": 1}"),
            "p.json", &price, NULL),
        0);
    assert_string_equal(price.currency, "EUR");
    assert_true(price.per_request == 2e-7 && price.per_gb_second == 1.0);
    assert_true(price.per_cpu_second == 0.0);
    assert_int_equal(price_load("/nonexistent", &price, NULL), -ENOENT);
}

static void rows_of_a_bill_add_up_to_its_total(void **state)
{
    struct price price = {.per_request = 2e-7, .per_gb_second = 1.66667e-5, .per_cpu_second = 1e-5};
    struct price_sum sum = {0};
    int64_t total = 0;

    (void)state;
    for (uint64_t i = 1; i <= 1000; i++) {
        struct price_use use = {.requests = i, .gb_us = i * 777, .cpu_us = i * 333};
        struct price_sum row = price_of(&price, &use);

        assert_int_equal(row.total, row.requests + row.memory + row.cpu);
        assert_int_equal(row.requests, 200 * i);
        total += row.total;
        price_add(&sum, &row);
    }
    assert_int_equal(sum.total, total);
    assert_int_equal(sum.total, sum.requests + sum.memory + sum.cpu);
}

static void a_bill_has_no_overflow(void **state)
{
    struct price price = {.per_request = 1e6, .per_gb_second = 1e6, .per_cpu_second = 1e6};
    struct price_use use = {UINT64_MAX, UINT64_MAX, UINT64_MAX};
    struct price_sum row = price_of(&price, &use), sum = row;

    (void)state;
    assert_true(row.total > 0);
    for (int i = 0; i < 10; i++)
        price_add(&sum, &row);
    assert_true(sum.total == INT64_MAX);
}

/* ---- addresses ---- */

static const struct {
    const char *text, *host, *port; /* host NULL: refused */
    bool local;
} urls[] = {
    {"http://127.0.0.1:8081", "127.0.0.1", "8081", true},
    {"http://localhost:8081/", "localhost", "8081", true},
    {"http://[::1]:8081", "::1", "8081", true},
    {"http://[::1]", "::1", "80", true},
    {"http://box.example", "box.example", "80", false},
    {"box:81", "box", "81", false},
    {"https://box:81", NULL, NULL, false},
    {"http://", NULL, NULL, false},
    {"http://:81", NULL, NULL, false},
    {"http://box:0", NULL, NULL, false},
    {"http://box:65536", NULL, NULL, false},
    {"http://box:81/api", NULL, NULL, false},
    {"http://user:secret@box:81", NULL, NULL, false},
    {"http://user@box", NULL, NULL, false},
    {"http://[::1]81", NULL, NULL, false},
    {"http://box\r\nX: y", NULL, NULL, false},
    {"ftp://box", NULL, NULL, false},
};

static void an_address_is_read_strictly(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
        struct error err = ERROR_NULL;
        struct url url;
        int r = url_parse(slice_str(urls[i].text), &url, &err);

        if (r != (urls[i].host ? 0 : -EINVAL))
            fail_msg("%s: %d", urls[i].text, r);
        if (r < 0) {
            assert_true(err.text[0] != '\0');
            continue;
        }
        assert_string_equal(url.host, urls[i].host);
        assert_string_equal(url.port, urls[i].port);
        assert_int_equal(url_is_local(&url), urls[i].local);
    }
}

/* ---- amounts ---- */

static void amounts_are_short(void **state)
{
    static const struct {
        uint64_t us;
        const char *text;
    } times[] = {
        {0, "0us"},          {999, "999us"},      {1000, "1.00ms"},      {9994, "9.99ms"},
        {9995, "10.0ms"},    {99949, "99.9ms"},   {99950, "100ms"},      {999499, "999ms"},
        {999500, "1.00s"},   {9994999, "9.99s"},  {9995000, "10.0s"},    {59949999, "59.9s"},
        {59950000, "59.9s"}, {60000000, "1m00s"}, {3600000000, "1h00m"}, {90000000000, "1d01h"},
    };
    static const struct {
        uint64_t bytes;
        const char *text;
    } sizes[] = {
        {0, "0B"},        {999, "999B"},     {1000, "1.0K"},       {1536, "1.5K"},
        {102400, "100K"}, {1048576, "1.0M"}, {1073741824, "1.0G"}, {UINT64_MAX, "16.0E"},
    };
    char text[SHOW_SIZE];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(times); i++)
        assert_string_equal(show_us(times[i].us, text), times[i].text);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
        assert_string_equal(show_bytes(sizes[i].bytes, text), sizes[i].text);
    assert_string_equal(show_nano(1500000000, 3, text), "1.500");
    assert_string_equal(show_nano(200, 9, text), "0.000000200");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_the_same_however_they_are_cut),
        cmocka_unit_test(an_event_has_a_ceiling),
        cmocka_unit_test(durations_are_read_strictly),
        cmocka_unit_test(moments_are_read_in_local_time),
        cmocka_unit_test(a_price_file_is_read_strictly),
        cmocka_unit_test(rows_of_a_bill_add_up_to_its_total),
        cmocka_unit_test(a_bill_has_no_overflow),
        cmocka_unit_test(an_address_is_read_strictly),
        cmocka_unit_test(amounts_are_short),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
