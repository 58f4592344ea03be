/* A program's output read as a CGI reply: what counts as one, and that it does not matter how the
 * bytes are cut. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "cgi.h"

#define PLAIN "200 -1\nContent-Type: text/plain; charset=utf-8\n|"

/* What was told, as text: status, announced length, headers, '|', body; or "error: ..."; or "more".
 */
static void tell(enum cgi_event event, const struct cgi_parser *p, const struct cgi_head *head,
                 struct slice rest, struct buf *b)
{
    if (event == CGI_EVENT_MORE) {
        assert_int_equal(buf_append_str(b, "more"), 0);
        return;
    }
    if (event == CGI_EVENT_ERROR) {
        assert_int_equal(buf_printf(b, "error: %s", p->error_text), 0);
        return;
    }
    assert_int_equal(buf_printf(b, "%u %lld\n", head->status, (long long)head->content_length), 0);
    for (uint32_t i = 0; i < head->n_headers; i++)
        assert_int_equal(buf_printf(b, "%.*s: %.*s\n", SLICE_ARG(head->headers[i].name),
                                    SLICE_ARG(head->headers[i].value)),
                         0);
    assert_int_equal(buf_append(b, "|", 1), 0);
    assert_int_equal(buf_append_slice(b, rest), 0);
}

/* Reads `output` in pieces of `piece` bytes, the first one of `first`. Each call gets its bytes at
 * another place, so that nothing may point into those of the call before. */
static void read_cut(struct slice output, size_t first, size_t piece, struct buf *b)
{
    struct cgi_parser p;
    static struct cgi_head head;
    enum cgi_event event = CGI_EVENT_MORE;
    char *copy = NULL;
    size_t used = 0;

    cgi_parser_init(&p);
    for (size_t len = first; event == CGI_EVENT_MORE && len < output.len; len += piece) {
        char *again = slice_dup(slice(output.base, len));

        assert_non_null(again);
        free(copy);
        copy = again;
        event = cgi_parse(&p, slice(copy, len), false, &head, &used);
    }
    if (event == CGI_EVENT_MORE)
        event = cgi_parse(&p, output, true, &head, &used);
    tell(event, &p, &head, slice(output.base + used, output.len - used), b);
    free(copy);
}

static void expect(struct slice output, const char *expected)
{
    struct buf b = BUF_INIT(1024 * 1024);

    read_cut(output, output.len, 1, &b);
    assert_string_equal(buf_cstr(&b), expected);
    for (size_t cut = 0; cut < MIN(output.len, 512u); cut++) {
        buf_clear(&b);
        read_cut(output, cut, output.len, &b);
        assert_string_equal(buf_cstr(&b), expected);
    }
    buf_clear(&b);
    read_cut(output, 0, 1, &b);
    assert_string_equal(buf_cstr(&b), expected);
    buf_deinit(&b);
}

struct row {
    const char *output, *expected;
};

static void expect_all(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        expect(slice_str(rows[i].output), rows[i].expected);
}

static void test_replies(void **state)
{
    static const struct row rows[] = {
        {"Content-Type: text/html\n\nhi", "200 -1\nContent-Type: text/html\n|hi"},
        {"content-type:text/html\r\n\r\nhi", "200 -1\ncontent-type: text/html\n|hi"},
        {"Content-Type: a/b\r\n\nhi", "200 -1\nContent-Type: a/b\n|hi"}, /* both in one head */
        {"Status: 404 Not Found\nContent-Type: a/b\n\n", "404 -1\nContent-Type: a/b\n|"},
        {"X-First: 1\nContent-Type: a/b\nX-Last:  v w \t\n\n\nb",
         "200 -1\nX-First: 1\nContent-Type: a/b\nX-Last: v w\n|\nb"},
        {"Content-Type: a/b\nX:\n\n", "200 -1\nContent-Type: a/b\nX: \n|"},
        {"Content-Type: a/b\nContent-Length: 2\n\nhi", "200 2\nContent-Type: a/b\n|hi"},
        {"Content-Type: a/b\nSet-Cookie: a\nSet-Cookie: b\n\n",
         "200 -1\nContent-Type: a/b\nSet-Cookie: a\nSet-Cookie: b\n|"},
        /* A type is added where a browser would guess one. */
        {"Status: 200\n\nhi", "200 -1\nContent-Type: text/plain; charset=utf-8\n|hi"},
    };

    expect_all(rows, ARRAY_SIZE(rows));
}

static void test_redirects(void **state)
{
    static const struct row rows[] = {
        {"Location: https://example.org/\n\n", "302 -1\nLocation: https://example.org/\n|"},
        {"Location: /here?a=1\n\n", "302 -1\nLocation: /here?a=1\n|"},
        {"Status: 301\nLocation: /x\nContent-Type: a/b\n\ngone",
         "301 -1\nLocation: /x\nContent-Type: a/b\n|gone"},
        {"Location: /made\nStatus: 201 Created\n\n", "201 -1\nLocation: /made\n|"},
    };

    expect_all(rows, ARRAY_SIZE(rows));
}

static void test_status_lines(void **state)
{
    static const struct row rows[] = {
        {"HTTP/1.1 404 Not Found\r\nContent-Type: a/b\r\n\r\nx", "404 -1\nContent-Type: a/b\n|x"},
        {"HTTP/1.0 500\n\n", "500 -1\nContent-Type: text/plain; charset=utf-8\n|"},
        {"HTTP/1.1 404\nStatus: 200\n\n",
         "error: it wrote two Status headers (line 2 of its output: \"Status: 200\")"},
        {"Status: 200\nHTTP/1.1 404 x\n\n",
         "error: it wrote a status line among its headers (line 2 of its output: "
         "\"HTTP/1.1 404 x\")"},
        {"X-A: b\nHTTP/1.1 200 OK\n\nx", PLAIN "X-A: b\nHTTP/1.1 200 OK\n\nx"},
        {"HTTP/2 200\n\nx", PLAIN "HTTP/2 200\n\nx"},
        {"HTTP/1.1 99 x\n\nx", PLAIN "HTTP/1.1 99 x\n\nx"},
        {"HTTP/1.1", PLAIN "HTTP/1.1"},
    };

    expect_all(rows, ARRAY_SIZE(rows));
}

static void test_plain_text(void **state)
{
    static const struct row rows[] = {
        {"", PLAIN},
        {"\n", PLAIN "\n"},
        {"\r\n\r\n", PLAIN "\r\n\r\n"},
        {"hello", PLAIN "hello"},
        {"hello\n\nContent-Type: a/b\n\n", PLAIN "hello\n\nContent-Type: a/b\n\n"},
        {"two words: and a colon\n\n", PLAIN "two words: and a colon\n\n"},
        {"{\"json\": 1}\n", PLAIN "{\"json\": 1}\n"},
        {"<p>a: b</p>\n\n", PLAIN "<p>a: b</p>\n\n"},
        {"\nContent-Type: a/b\n\nx", PLAIN "\nContent-Type: a/b\n\nx"},
        /* Header lines, but none of those that a reply must have: YAML, say. */
        {"name: mayfly\nlegs: 6\n", PLAIN "name: mayfly\nlegs: 6\n"},
        {"name: mayfly\n\nmore\n", PLAIN "name: mayfly\n\nmore\n"},
        {"name: mayfly\n- list\n", PLAIN "name: mayfly\n- list\n"},
        {"name : mayfly\nStatus: 200\n\n", PLAIN "name : mayfly\nStatus: 200\n\n"},
        {"Name:", PLAIN "Name:"},
        {"Content-Type: a/b", PLAIN "Content-Type: a/b"}, /* a line that does not end is none */
        {"\rContent-Type: a/b\n\n", PLAIN "\rContent-Type: a/b\n\n"},
    };

    expect_all(rows, ARRAY_SIZE(rows));
}

static void test_mistakes_in_headers(void **state)
{
    static const struct row rows[] = {
        {"Content-Type: a/b\nhello\n\n",
         "error: it wrote a line among its headers that is not \"Name: value\" (line 2 of its "
         "output: \"hello\")"},
        {"Content-Type: a/b\n folded\n\n",
         "error: it wrote a line among its headers that is not \"Name: value\" (line 2 of its "
         "output: \" folded\")"},
        {"Content-Type: a/b\nX: \x01\n\n",
         "error: it wrote a line among its headers that is not \"Name: value\" (line 2 of its "
         "output: \"X: \\x01\")"},
        {"Content-Type: a/b\nX: a\rY: b\n\n",
         "error: it wrote a line among its headers that is not \"Name: value\" (line 2 of its "
         "output: \"X: a\\x0dY: b\")"},
        {"Content-Type: a/b\n",
         "error: its output ends before the empty line behind the headers (line 2 of its output: "
         "\"\")"},
        {"Content-Type: a/b\nX: 1",
         "error: its output ends before the empty line behind the headers (line 2 of its output: "
         "\"X: 1\")"},
        {"Status: 1000\n\n",
         "error: it wrote a Status that is no number from 200 to 599 (line 1 of "
         "its output: \"Status: 1000\")"},
        {"Status: 199\n\n", "error: it wrote a Status that is no number from 200 to 599 (line 1 of "
                            "its output: \"Status: 199\")"},
        {"Status: OK\n\n", "error: it wrote a Status that is no number from 200 to 599 (line 1 of "
                           "its output: \"Status: OK\")"},
        {"Status: 200OK\n\n", "error: it wrote a Status that is no number from 200 to 599 (line 1 "
                              "of its output: \"Status: 200OK\")"},
        {"Status: 200\nStatus: 200\n\n",
         "error: it wrote two Status headers (line 2 of its output: \"Status: 200\")"},
        {"Content-Type: a\nX: 1\nContent-Type: b\n\n",
         "error: it wrote two Content-Type headers (line 3 of its output: \"Content-Type: b\")"},
        {"Location: /a\nLocation: /b\n\n",
         "error: it wrote two Location headers (line 2 of its output: \"Location: /b\")"},
        {"Status: 200\nContent-Length: 1\nContent-Length: 1\n\n",
         "error: it wrote two Content-Length headers (line 3 of its output: \"Content-Length: "
         "1\")"},
        {"Status: 200\nContent-Length: -1\n\n",
         "error: it wrote a Content-Length that is no number (line 2 of its output: "
         "\"Content-Length: -1\")"},
        {"Status: 200\nContent-Length: 99999999999999999999\n\n",
         "error: it wrote a Content-Length that is no number (line 2 of its output: "
         "\"Content-Length: 99999999999999999999\")"},
    };

    expect_all(rows, ARRAY_SIZE(rows));
}

static void test_nul_bytes_are_body_not_end(void **state)
{
    static const char output[] = "a\0b: c\n\0";
    struct buf b = BUF_INIT(1024);

    read_cut(slice(output, sizeof(output) - 1), 0, 1, &b);
    assert_int_equal(buf_len(&b), strlen(PLAIN) + sizeof(output) - 1);
    buf_deinit(&b);
}

/* A head of CGI_HEAD_MAX bytes with its empty line is taken, one more is refused, however it is
 * cut.
 */
static void test_ceiling_of_the_head(void **state)
{
    static char output[CGI_HEAD_MAX + 64];
    const struct slice begin = SLICE_LIT("Status: 200\nX: ");

    for (int64_t around = -3; around <= 3; around++) {
        size_t last_line_end = (size_t)(CGI_HEAD_MAX + around); /* where the LF of X stands */
        struct buf whole = BUF_INIT(1024 * 1024), cut = BUF_INIT(1024 * 1024);

        memset(output, 'x', sizeof(output));
        memcpy(output, begin.base, begin.len);
        memcpy(output + last_line_end, "\n\nbody", 6);
        read_cut(slice(output, last_line_end + 6), last_line_end + 6, 1, &whole);
        for (size_t first = last_line_end - 4; first < last_line_end + 6; first++) {
            buf_clear(&cut);
            read_cut(slice(output, last_line_end + 6), first, 1, &cut);
            assert_true(slice_eq(buf_slice(&whole), buf_slice(&cut)));
        }
        assert_int_equal(buf_slice(&whole).base[0], around <= -2 ? '2' : 'e');
        buf_deinit(&whole);
        buf_deinit(&cut);
    }
}

static void test_long_text_is_plain(void **state)
{
    static char output[2 * CGI_HEAD_MAX];
    struct buf b = BUF_INIT(1024 * 1024);

    memset(output, 'a', sizeof(output)); /* a token: it could be the name of a header for ever */
    read_cut(slice(output, sizeof(output)), 0, 4096, &b);
    assert_int_equal(buf_len(&b), strlen(PLAIN) + sizeof(output));
    buf_deinit(&b);
}

static void test_number_of_headers(void **state)
{
    for (size_t n = CGI_HEADERS_MAX - 1; n <= CGI_HEADERS_MAX + 1; n++) {
        struct buf output = BUF_INIT(65536), b = BUF_INIT(65536);

        for (size_t i = 0; i < n; i++)
            assert_int_equal(buf_append_str(&output, "X: 1\n"), 0);
        assert_int_equal(buf_append_str(&output, "Status: 200\n\n"), 0);
        read_cut(buf_slice(&output), 0, 7, &b);
        assert_int_equal(buf_slice(&b).base[0], n <= CGI_HEADERS_MAX ? '2' : 'e');
        buf_deinit(&output);
        buf_deinit(&b);
    }
}

static void test_plain_text_is_told_before_its_line_ends(void **state)
{
    static struct cgi_head head;
    struct cgi_parser p;
    size_t used;

    cgi_parser_init(&p);
    assert_int_equal(cgi_parse(&p, SLICE_LIT("Working"), false, &head, &used), CGI_EVENT_MORE);
    assert_int_equal(cgi_parse(&p, SLICE_LIT("Working ..."), false, &head, &used), CGI_EVENT_HEAD);
    assert_true(head.is_plain);
    assert_int_equal(used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_redirects),
        cmocka_unit_test(test_status_lines),
        cmocka_unit_test(test_plain_text),
        cmocka_unit_test(test_mistakes_in_headers),
        cmocka_unit_test(test_nul_bytes_are_body_not_end),
        cmocka_unit_test(test_ceiling_of_the_head),
        cmocka_unit_test(test_long_text_is_plain),
        cmocka_unit_test(test_number_of_headers),
        cmocka_unit_test(test_plain_text_is_told_before_its_line_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
