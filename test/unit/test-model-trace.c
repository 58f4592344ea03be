/* W3C trace context: what is a traceparent, what is none, and what is passed on of it. */

#include "model/trace.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>

#include <cmocka.h>

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN  "00f067aa0ba902b7"

static void a_trace_is_continued(void **state)
{
    static const struct {
        const char *text, *passed_on;
    } cases[] = {
        {"00-" TRACE "-" SPAN "-01", "00-" TRACE "-b7ad6b7169203331-01"},
        {"00-" TRACE "-" SPAN "-00", "00-" TRACE "-b7ad6b7169203331-00"},
        {"00-" TRACE "-" SPAN "-03", "00-" TRACE "-b7ad6b7169203331-03"}, /* its id is random */
        {"00-" TRACE "-" SPAN "-ff", "00-" TRACE "-b7ad6b7169203331-03"}, /* flags nobody knows */
        {"01-" TRACE "-" SPAN "-01", "00-" TRACE "-b7ad6b7169203331-01"}, /* of the future */
        {"cc-" TRACE "-" SPAN "-01-what the future brings.", "00-" TRACE "-b7ad6b7169203331-01"},
        {"fe-" TRACE "-" SPAN "-01-", "00-" TRACE "-b7ad6b7169203331-01"},
    };
    static const uint8_t own[8] = {0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[TRACE_PARENT_LEN + 1];
        struct trace t;

        assert_int_equal(trace_parse(slice_str(cases[i].text), &t), 0);
        assert_string_equal(t.trace_id, TRACE);
        assert_string_equal(t.parent_span_id, SPAN);
        trace_set_span(&t, own);
        trace_write_parent(&t, text);
        assert_string_equal(text, cases[i].passed_on);
    }
}

static void what_the_standard_calls_invalid_is_none(void **state)
{
    static const char *const cases[] = {
        "",
        "00",
        "00-" TRACE "-" SPAN,
        "00-" TRACE "-" SPAN "-",
        "00-" TRACE "-" SPAN "-0",
        "00-" TRACE "-" SPAN "-1",
        "00-" TRACE "-" SPAN "-01-", /* version 00 has nothing behind it */
        "00-" TRACE "-" SPAN "-01-more",
        "00-" TRACE "-" SPAN "-01 ",
        "00-" TRACE "-" SPAN "-0g",
        "00-" TRACE "-" SPAN "-0A",
        "01-" TRACE "-" SPAN "-01.more", /* nor a newer one without a dash */
        "01-" TRACE "-" SPAN "-011",
        "ff-" TRACE "-" SPAN "-01",
        "FF-" TRACE "-" SPAN "-01",
        "0G-" TRACE "-" SPAN "-01",
        "0-" TRACE "-" SPAN "-01-0",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" TRACE "-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473-0" SPAN "-01",
        "00-" TRACE "0-0f067aa0ba902b7-01",
        "00-" TRACE "-00F067AA0BA902B7-01",
        "00_" TRACE "-" SPAN "-01",
        "00-" TRACE "_" SPAN "-01",
        "00-" TRACE "-" SPAN "_01",
        " 00-" TRACE "-" SPAN "-01",
        "00-" TRACE "-" SPAN "-01,00-" TRACE "-" SPAN "-01",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct trace t = {.trace_id = "untouched"};

        assert_int_equal(trace_parse(slice_str(cases[i]), &t), -EINVAL);
        assert_string_equal(t.trace_id, "untouched");
    }
}

static void a_trace_that_begins_here_has_no_parent(void **state)
{
    static const uint8_t random[16] = {0xab, [15] = 0x01}, zeros[16] = {0};
    char text[TRACE_PARENT_LEN + 1];
    struct trace t, again;

    (void)state;
    trace_begin(&t, random);
    trace_set_span(&t, random);
    assert_string_equal(t.parent_span_id, "");
    trace_write_parent(&t, text);
    assert_string_equal(text, "00-ab000000000000000000000000000001-ab00000000000000-01");

    trace_begin(&t, zeros); /* the one id that means none */
    trace_set_span(&t, zeros);
    trace_write_parent(&t, text);
    assert_int_equal(trace_parse(slice_str(text), &again), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trace_is_continued),
        cmocka_unit_test(what_the_standard_calls_invalid_is_none),
        cmocka_unit_test(a_trace_that_begins_here_has_no_parent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
