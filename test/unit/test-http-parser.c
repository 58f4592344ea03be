/* Limits as they are by default, and what the parser promises besides its events. */

#include "test-http.h"

static struct slice repeated(struct buf *b, const char *before, char c, size_t n, const char *after)
{
    buf_init(b, SIZE_MAX / 2);
    add(b, slice_str(before));
    for (size_t i = 0; i < n; i++)
        add(b, slice(&c, 1));
    add(b, slice_str(after));
    return buf_slice(b);
}

static void expect_limit(const char *before, const char *after, size_t n_max, unsigned error)
{
    for (size_t n = n_max; n <= n_max + 1; n++) {
        struct http_parser p;
        static struct http_head head;
        struct buf b;
        struct slice input = repeated(&b, before, 'a', n, after), data;
        enum http_event event = HTTP_EVENT_MORE;

        start(&p, HTTP_REQUEST);
        for (size_t at = 0, have = 1; have <= input.len && event != HTTP_EVENT_ERROR; have++) {
            size_t used;

            do {
                event = http_parse(&p, slice(input.base + at, have - at), &used, &head, &data);
                at += used;
            } while (event != HTTP_EVENT_MORE && event != HTTP_EVENT_ERROR);
        }
        assert_int_equal(event, n == n_max ? HTTP_EVENT_MORE : HTTP_EVENT_ERROR);
        assert_int_equal(p.error_status, n == n_max ? 0 : error);
        assert_int_equal(p.state, n == n_max ? HTTP_STATE_DONE : HTTP_STATE_ERROR);
        buf_deinit(&b);
    }
}

static void test_default_line_limit(void **state)
{
    expect_limit("GET /", " HTTP/1.0\r\n\r\n", 8192 - strlen("GET / HTTP/1.0"), 414);
}

static void test_default_head_limit(void **state)
{
    expect_limit("GET / HTTP/1.0\r\nA:", "\r\n\r\n", 32768 - strlen("GET / HTTP/1.0rnA:rnrn"), 431);
}

static void test_chunk_line_limit(void **state)
{
    expect_limit("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0;", "\r\n\r\n",
                 4096 - 2, 400);
}

static void test_header_ceiling(void **state)
{
    struct http_limits limits = HTTP_LIMITS_DEFAULT;

    limits.n_headers_max = UINT32_MAX;
    for (uint32_t n = HTTP_HEADERS_MAX; n <= HTTP_HEADERS_MAX + 1; n++) {
        struct buf b = BUF_INIT(65536);
        static struct http_head head;
        struct http_parser p;

        add(&b, BYTES("GET / HTTP/1.0\r\n"));
        for (uint32_t i = 0; i < n; i++)
            assert_int_equal(http_write_header_u64(&b, "N", i), 0);
        add(&b, BYTES("\r\n"));
        http_parser_init(&p, HTTP_REQUEST, &limits);
        if (n == HTTP_HEADERS_MAX) {
            assert_int_equal(parse_once(&p, buf_slice(&b), &head), HTTP_EVENT_HEAD);
            assert_int_equal(head.n_headers, n);
            assert_true(slice_eq(head.headers[n - 1].value, BYTES("127")));
        } else {
            assert_int_equal(parse_once(&p, buf_slice(&b), &head), HTTP_EVENT_ERROR);
            assert_int_equal(p.error_status, 431);
        }
        buf_deinit(&b);
    }
}

/* The parser's own account: however many calls, it never goes back behind what it has searched. */
static void test_no_byte_is_searched_twice(void **state)
{
    struct buf b;
    struct slice input = repeated(&b, "GET / HTTP/1.0\r\nA: ", 'a', 30000, "");
    static struct http_head head;
    struct http_parser p;

    start(&p, HTTP_REQUEST);
    for (size_t have = 0; have <= input.len; have++) {
        assert_int_equal(parse_once(&p, slice(input.base, have), &head), HTTP_EVENT_MORE);
        assert_true(p.scanned + 1 >= have); /* a last CR is looked at again */
        assert_true(p.line_start <= strlen("GET / HTTP/1.0rn"));
    }
    buf_deinit(&b);
}

static void test_no_byte_of_a_trailer_is_searched_twice(void **state)
{
    static const char before[] = "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    struct buf b;
    struct slice input = repeated(&b, before, '0', 16, "\r\nA: b\r\nC: "), data;
    static struct http_head head;
    struct http_parser p;
    size_t used;

    start(&p, HTTP_REQUEST);
    assert_int_equal(http_parse(&p, input, &used, &head, &data), HTTP_EVENT_HEAD);
    input = slice(input.base + used, input.len - used);
    assert_int_equal(http_parse(&p, input, &used, &head, &data), HTTP_EVENT_MORE);
    assert_int_equal(used, input.len - strlen("C: "));
    assert_int_equal(p.scanned, strlen("C: "));
    assert_int_equal(p.line_start, 0);
    buf_deinit(&b);
}

static void test_moved_bytes(void **state)
{
    /* The caller's buffer may move between two calls: nothing of the old place is kept. */
    static const struct slice input = BYTES("GET /x HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n");
    static struct http_head head;
    struct http_parser p;
    struct slice value;

    start(&p, HTTP_REQUEST);
    for (size_t have = 1; have <= input.len; have++) {
        char *bytes = malloc(have);
        enum http_event event;

        assert_non_null(bytes);
        memcpy(bytes, input.base, have);
        event = parse_once(&p, slice(bytes, have), &head);
        assert_int_equal(event, have == input.len ? HTTP_EVENT_HEAD : HTTP_EVENT_MORE);
        if (event == HTTP_EVENT_HEAD) {
            assert_true(http_head_find(&head, "a", &value));
            assert_true(value.base > bytes && value.base < bytes + have);
            assert_true(head.path.base > bytes && head.path.base < bytes + have);
        }
        free(bytes);
    }
}

static void test_path_and_query(void **state)
{
    static const struct {
        const char *target, *path, *query;
    } rows[] = {
        {"/", "/", ""},
        {"/a/b", "/a/b", ""},
        {"/a?b", "/a", "b"},
        {"/a?", "/a", ""},
        {"/a?b?c=d", "/a", "b?c=d"},
        {"/?/..", "/", "/.."},
        {"http://h/a?b", "/a", "b"},
        {"http://h", "/", ""},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        static struct http_head head;
        struct http_parser p;
        struct buf b = BUF_INIT(1000);

        assert_int_equal(buf_printf(&b, "GET %s HTTP/1.0\r\n\r\n", rows[i].target), 0);
        start(&p, HTTP_REQUEST);
        assert_int_equal(parse_once(&p, buf_slice(&b), &head), HTTP_EVENT_HEAD);
        assert_true(slice_eq(head.path, slice_str(rows[i].path)));
        assert_true(slice_eq(head.query, slice_str(rows[i].query)));
        buf_deinit(&b);
    }
}

static void test_error_stays(void **state)
{
    static struct http_head head;
    struct http_parser p;

    start(&p, HTTP_REQUEST);
    assert_int_equal(parse_once(&p, BYTES("\n"), &head), HTTP_EVENT_ERROR);
    assert_int_equal(parse_once(&p, BYTES("GET / HTTP/1.0\r\n\r\n"), &head), HTTP_EVENT_ERROR);
    assert_int_equal(http_parse_eof(&p, false), HTTP_EVENT_ERROR);
    assert_int_equal(p.error_status, 400);
}

static void test_done_waits_for_next(void **state)
{
    static const struct slice input = BYTES("GET / HTTP/1.0\r\n\r\n");
    static struct http_head head;
    struct http_parser p;

    start(&p, HTTP_REQUEST);
    assert_int_equal(parse_once(&p, input, &head), HTTP_EVENT_HEAD);
    assert_int_equal(parse_once(&p, SLICE_NULL, &head), HTTP_EVENT_END);
    assert_int_equal(parse_once(&p, input, &head), HTTP_EVENT_MORE);
    assert_int_equal(http_parse_eof(&p, true), HTTP_EVENT_MORE);
    http_parser_next(&p);
    assert_int_equal(parse_once(&p, input, &head), HTTP_EVENT_HEAD);
}

static void test_body_limit_of_the_function(void **state)
{
    static const struct slice input =
        BYTES("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n");
    static struct http_head head;
    struct slice data;
    struct http_parser p;
    size_t used;

    start(&p, HTTP_REQUEST);
    assert_int_equal(http_parse(&p, input, &used, &head, &data), HTTP_EVENT_HEAD);
    p.limits.body_max = 3;
    assert_int_equal(parse_once(&p, slice(input.base + used, input.len - used), &head),
                     HTTP_EVENT_ERROR);
    assert_int_equal(p.error_status, 413);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default_line_limit),
        cmocka_unit_test(test_default_head_limit),
        cmocka_unit_test(test_chunk_line_limit),
        cmocka_unit_test(test_header_ceiling),
        cmocka_unit_test(test_no_byte_is_searched_twice),
        cmocka_unit_test(test_no_byte_of_a_trailer_is_searched_twice),
        cmocka_unit_test(test_moved_bytes),
        cmocka_unit_test(test_path_and_query),
        cmocka_unit_test(test_error_stays),
        cmocka_unit_test(test_done_waits_for_next),
        cmocka_unit_test(test_body_limit_of_the_function),
    };

    return cmocka_run_group_tests_name("http-parser", tests, NULL, NULL);
}
