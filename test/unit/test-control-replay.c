/* What is taken out of a recorded request, and how two answers are compared. */

#include "control/compare.h"
#include "control/scrub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static char *const own[] = {(char *)"pin", (char *)"X-Mine", NULL};

static void assert_text(struct buf *b, const char *wanted)
{
    const char *text = buf_cstr(b);

    assert_non_null(text);
    assert_string_equal(text, wanted);
    buf_deinit(b);
}

static void heads_lose_the_values_of_named_headers_and_parameters(void **state)
{
    static const struct {
        const char *head, *wanted;
        bool has_line;
        int r;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: x\r\n", "GET / HTTP/1.1\r\nHost: x\r\n", true, 0},
        {"GET /a?b=1 HTTP/1.1\r\n", "GET /a?b=1 HTTP/1.1\r\n", true, 0},
        {"GET /a?PIN=1&b=2&token= HTTP/1.1\r\n", "GET /a?PIN=[redacted]&b=2&token= HTTP/1.1\r\n",
         true, 1},
        {"GET /a?&&=x&flag HTTP/1.1\r\n", "GET /a?&&=x&flag HTTP/1.1\r\n", true, 0},
        {"authorization: Basic x\r\nA: b\r\nx-mine: c\r\n",
         "authorization: [redacted]\r\nA: b\r\nx-mine: [redacted]\r\n", false, 1},
        {"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n",
         "Set-Cookie: [redacted]\r\nSet-Cookie: [redacted]\r\n", false, 1},
        {"", "", false, 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buf b = BUF_INIT(4096);

        assert_int_equal(scrub_head(own, slice_str(cases[i].head), cases[i].has_line, &b),
                         cases[i].r);
        assert_text(&b, cases[i].wanted);
    }
}

static void bodies_lose_the_values_of_named_fields(void **state)
{
#define LEFT_OUT "[left out: it has a field to be redacted, and cannot be read in full]"
    static const struct {
        const char *type, *body, *wanted;
        int r;
    } cases[] = {
        {"application/json", "{\"a\": 1.50}", "{\"a\": 1.50}", 0},
        {"application/json", "{\"a\":[{\"Pin\":[1,2]}],\"b\":null}",
         "{\"a\":[{\"Pin\":\"[redacted]\"}],\"b\":null}", 1},
        {"application/vnd.x+json; charset=utf-8", "{\"password\":{\"deep\":1}}",
         "{\"password\":\"[redacted]\"}", 1},
        {"text/plain", "{\"secret\":\"x\"}", "{\"secret\":\"[redacted]\"}", 1},
        {"application/json", "{\"pin\": ", LEFT_OUT, 1},
        {"application/json", "{\"a\": ", "{\"a\": ", 0},
        {"application/x-www-form-urlencoded", "a=1&pin=2", "a=1&pin=[redacted]", 1},
        {"multipart/form-data; boundary=x", "--x\r\nname=\"PIN\"", LEFT_OUT, 1},
        {"multipart/form-data; boundary=x", "--x\r\nname=\"a\"", "--x\r\nname=\"a\"", 0},
        {"text/plain", "my pin is 1234", "my pin is 1234", 0},
        {"", "", "", 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buf b = BUF_INIT(4096);
        char head[256];

        (void)snprintf(head, sizeof(head), "A: b\r\nCONTENT-TYPE:  %s\r\n", cases[i].type);
        assert_int_equal(scrub_body(own, slice_str(head), slice_str(cases[i].body), &b),
                         cases[i].r);
        assert_text(&b, cases[i].wanted);
    }
}

static void a_text_that_does_not_fit_is_an_error_not_a_piece(void **state)
{
    struct buf b = BUF_INIT(8);

    assert_true(scrub_head(own, slice_str("Authorization: x\r\n"), false, &b) < 0);
    buf_deinit(&b);
}

static void assert_compared(const struct compared *before, const struct compared *after, unsigned n,
                            const char *wanted)
{
    struct buf b = BUF_INIT(65536);
    struct jsonw w = JSONW_INIT(&b);

    assert_int_equal(compare_write(before, after, &w), n);
    assert_int_equal(jsonw_end(&w), 0);
    if (wanted)
        assert_text(&b, wanted);
    else
        buf_deinit(&b);
}

static struct compared answer(const char *head, const char *body)
{
    return (struct compared){.status = 200, .head = slice_str(head), .body = slice_str(body)};
}

static void what_differs_always_is_no_difference(void **state)
{
    struct compared a = answer("Date: x\r\nContent-Type: t\r\nMayfly-Request-Id: 1\r\n", "x");
    struct compared b = answer("content-type: t\r\nDate: y\r\nServer-Timing: z\r\n", "x");

    assert_compared(&a, &b, 0, "[]");
}

static void headers_are_compared_by_name_and_order(void **state)
{
    struct compared a = answer("Set-A: 1\r\nSet-A: 2\r\nGone: x\r\nSecret: [redacted]\r\n", "");
    struct compared b = answer("Set-A: 1\r\nSet-A: 3\r\nNew: y\r\nSecret: z\r\n", "");

    b.status = 404;
    assert_compared(&a, &b, 4,
                    "[{\"where\":\"status\",\"before\":\"200\",\"after\":\"404\"},"
                    "{\"where\":\"header Set-A\",\"before\":\"2\",\"after\":\"3\"},"
                    "{\"where\":\"header Gone\",\"before\":\"x\",\"after\":null},"
                    "{\"where\":\"header New\",\"before\":null,\"after\":\"y\"}]");
}

static void json_is_compared_by_value_and_told_by_place(void **state)
{
    struct compared a = answer("", "{\"a\": [1, {\"b\": 2}], \"c\":\"[redacted]\",\"gone\": 1}");
    struct compared b = answer("", "{\"c\": 5, \"a\": [1, {\"b\": 3}, 4], \"new\":null}");

    assert_compared(&a, &b, 4,
                    "[{\"where\":\"body.a[1].b\",\"before\":\"2\",\"after\":\"3\"},"
                    "{\"where\":\"body.a[2]\",\"before\":null,\"after\":\"4\"},"
                    "{\"where\":\"body.gone\",\"before\":\"1\",\"after\":null},"
                    "{\"where\":\"body.new\",\"before\":null,\"after\":\"null\"}]");
    b = answer("", " {\"gone\":1, \"a\": [1, {\"b\": 2}], \"c\":\"x\"}");
    assert_compared(&a, &b, 0, "[]");
}

static void texts_are_compared_by_line_and_bytes_as_a_whole(void **state)
{
    struct compared a = answer("", "one\ntwo\n"), b = answer("", "one\ndos\ntres");
    struct compared c = answer("", ""), d = answer("", "");

    assert_compared(&a, &b, 2,
                    "[{\"where\":\"body, line 2\",\"before\":\"two\",\"after\":\"dos\"},"
                    "{\"where\":\"body, line 3\",\"before\":null,\"after\":\"tres\"}]");
    c.body = slice("\xff\x00", 2);
    d.body = slice("\xff\x01\x02", 3);
    assert_compared(&c, &d, 1,
                    "[{\"where\":\"body\",\"before\":\"2 bytes\",\"after\":\"3 bytes\"}]");
}

static void of_a_body_that_was_cut_the_beginning_counts(void **state)
{
    struct compared a = answer("", "one tw"), b = answer("", "one two three");

    a.is_cut = true;
    assert_compared(&a, &b, 0, "[]");
    b = answer("", "ten two three");
    assert_compared(&a, &b, 1, NULL);
}

static void many_differences_are_counted_but_not_all_told(void **state)
{
    struct buf x = BUF_INIT(65536), y = BUF_INIT(65536), out = BUF_INIT(1 << 20);
    struct jsonw w = JSONW_INIT(&out);
    struct compared a, b;

    for (int i = 0; i < 3 * COMPARE_MAX; i++) {
        assert_int_equal(buf_printf(&x, "a%d\n", i), 0);
        assert_int_equal(buf_printf(&y, "b%d\n", i), 0);
    }
    a = answer("", buf_cstr(&x));
    b = answer("", buf_cstr(&y));
    assert_true(compare_write(&a, &b, &w) > COMPARE_MAX);
    assert_int_equal(jsonw_end(&w), 0);
    buf_deinit(&x);
    buf_deinit(&y);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_lose_the_values_of_named_headers_and_parameters),
        cmocka_unit_test(bodies_lose_the_values_of_named_fields),
        cmocka_unit_test(a_text_that_does_not_fit_is_an_error_not_a_piece),
        cmocka_unit_test(what_differs_always_is_no_difference),
        cmocka_unit_test(headers_are_compared_by_name_and_order),
        cmocka_unit_test(json_is_compared_by_value_and_told_by_place),
        cmocka_unit_test(texts_are_compared_by_line_and_bytes_as_a_whole),
        cmocka_unit_test(of_a_body_that_was_cut_the_beginning_counts),
        cmocka_unit_test(many_differences_are_counted_but_not_all_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
