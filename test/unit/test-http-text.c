/* Facts, the writer, and targets. */

#include "test-http.h"

/* ---- facts ---- */

static void test_reasons(void **state)
{
    assert_string_equal(http_reason(404), "Not Found");
    assert_string_equal(http_reason(200), "OK");
    assert_string_equal(http_reason(299), "Unknown");
    assert_string_equal(http_reason(0), "Unknown");
    assert_string_equal(http_reason(600), "Unknown");
}

/* Byte by byte against the grammar, spelt out. */
static void test_byte_classes(void **state)
{
    for (int c = 0; c < 256; c++) {
        char byte = (char)c;
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool token = alnum || (c != 0 && strchr("!#$%&'*+-.^_`|~", c));

        assert_int_equal(http_is_token(slice(&byte, 1)), token);
        assert_int_equal(http_is_value(slice(&byte, 1)), c == '\t' || (c >= 0x20 && c != 0x7f));
    }
    assert_false(http_is_token(SLICE_NULL));
    assert_true(http_is_value(SLICE_NULL));
}

static void test_hop_headers(void **state)
{
    static const char *const hop[] = {"connection",
                                      "Keep-Alive",
                                      "PROXY-CONNECTION",
                                      "Proxy-Authenticate",
                                      "Proxy-Authorization",
                                      "te",
                                      "Trailer",
                                      "Transfer-Encoding",
                                      "upgrade"};
    static const char *const other[] = {
        "", "T", "TEE", "Host", "Content-Length", "Authorization", "Connectio"};

    for (size_t i = 0; i < ARRAY_SIZE(hop); i++)
        assert_true(http_is_hop_header(slice_str(hop[i])));
    for (size_t i = 0; i < ARRAY_SIZE(other); i++)
        assert_false(http_is_hop_header(slice_str(other[i])));
}

static void test_connection_lists(void **state)
{
    static struct http_head head;
    struct http_parser p;

    start(&p, HTTP_REQUEST);
    assert_int_equal(
        parse_once(&p, GET("Connection: ,a , X-B\r\nCONNECTION: c\r\nOther: d\r\n\r\n"), &head),
        HTTP_EVENT_HEAD);
    assert_true(http_connection_lists(&head, BYTES("A")));
    assert_true(http_connection_lists(&head, BYTES("x-b")));
    assert_true(http_connection_lists(&head, BYTES("c")));
    assert_false(http_connection_lists(&head, BYTES("d")));
    assert_false(http_connection_lists(&head, BYTES("X-")));
}

static void test_find_takes_the_first(void **state)
{
    static struct http_head head;
    struct http_parser p;
    struct slice value = BYTES("untouched");

    start(&p, HTTP_REQUEST);
    assert_int_equal(parse_once(&p, GET("Abc: 1\r\nabc: 2\r\n\r\n"), &head), HTTP_EVENT_HEAD);
    assert_false(http_head_find(&head, "ab", &value));
    assert_true(slice_eq(value, BYTES("untouched")));
    assert_true(http_head_find(&head, "ABC", &value));
    assert_true(slice_eq(value, BYTES("1")));
}

/* ---- writing ---- */

static void test_written_request_is_read(void **state)
{
    struct buf b = BUF_INIT(10000);
    struct row row = {.name = "written request",
                      .expected = "PUT /a?b 1.1 h=h:1 keep chunked "
                                  "{Host=h:1}{Transfer-Encoding=chunked}{N=18446744073709551615}"
                                  " \"hello, world, this is 31 bytes!\" end; "};

    assert_int_equal(http_write_request_line(&b, BYTES("PUT"), BYTES("/a?b")), 0);
    assert_int_equal(http_write_header(&b, BYTES("Host"), BYTES("h:1")), 0);
    assert_int_equal(http_write_header_str(&b, "Transfer-Encoding", "chunked"), 0);
    assert_int_equal(http_write_header_u64(&b, "N", UINT64_MAX), 0);
    assert_int_equal(http_write_head_end(&b), 0);
    assert_int_equal(http_write_chunk_start(&b, 31), 0);
    add(&b, BYTES("hello, world, this is 31 bytes!"));
    assert_int_equal(http_write_chunk_end(&b), 0);
    assert_int_equal(http_write_last_chunk(&b), 0);
    row.input = buf_slice(&b);
    run_row(&row, HTTP_REQUEST);
    buf_deinit(&b);
}

static void test_written_response_is_read(void **state)
{
    struct buf b = BUF_INIT(10000);
    struct row row = {.name = "written response",
                      .expected =
                          "299 'Fine\xff' 1.1 keep length=2 {Content-Length=2}{A=} \"hi\" end; "
                          "204 '' 1.1 keep none end; "};

    assert_int_equal(http_write_status_line(&b, 299, BYTES("Fine\xff")), 0);
    assert_int_equal(http_write_header_u64(&b, "Content-Length", 2), 0);
    assert_int_equal(http_write_header_str(&b, "A", ""), 0);
    assert_int_equal(http_write_head_end(&b), 0);
    add(&b, BYTES("hi"));
    assert_int_equal(http_write_status_line(&b, 204, SLICE_NULL), 0);
    assert_int_equal(http_write_head_end(&b), 0);
    row.input = buf_slice(&b);
    run_row(&row, HTTP_RESPONSE);
    buf_deinit(&b);
}

static void test_chunk_sizes(void **state)
{
    static const struct {
        uint64_t n;
        const char *text;
    } rows[] = {{1, "1\r\n"},
                {15, "f\r\n"},
                {16, "10\r\n"},
                {0x1f, "1f\r\n"},
                {UINT64_MAX, "ffffffffffffffff\r\n"}};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct buf b = BUF_INIT(100);

        assert_int_equal(http_write_chunk_start(&b, rows[i].n), 0);
        assert_true(slice_eq(buf_slice(&b), slice_str(rows[i].text)));
        buf_deinit(&b);
    }
}

/* Nothing that anybody passes in may end a line or begin another. */
static void test_writer_refuses_injection(void **state)
{
    static const struct slice bad_values[] = {BYTES("a\r\nB: c"), BYTES("a\nB: c"), BYTES("a\rB"),
                                              BYTES("a\0b"),      BYTES("\x01"),    BYTES("a\x7f"),
                                              BYTES("a\r\n")};
    static const struct slice bad_names[] = {BYTES(""),       BYTES("A:"),  BYTES("A B"),
                                             BYTES("A\r\nB"), BYTES("A\0"), BYTES("\xc3\xa4"),
                                             BYTES(" A"),     BYTES("A\t")};
    static const struct slice bad_targets[] = {BYTES(""),    BYTES("/a b"), BYTES("/a\r\n"),
                                               BYTES("/#a"), BYTES("a"),    BYTES("/\xff"),
                                               BYTES("/\0"), BYTES("**"),   BYTES("http://h/")};
    struct buf b = BUF_INIT(1000);

    add(&b, BYTES("before"));
    for (size_t i = 0; i < ARRAY_SIZE(bad_values); i++) {
        assert_int_equal(http_write_header(&b, BYTES("A"), bad_values[i]), -EINVAL);
        assert_int_equal(http_write_status_line(&b, 200, bad_values[i]), -EINVAL);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad_names); i++) {
        assert_int_equal(http_write_header(&b, bad_names[i], BYTES("a")), -EINVAL);
        assert_int_equal(http_write_request_line(&b, bad_names[i], BYTES("/")), -EINVAL);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad_targets); i++)
        assert_int_equal(http_write_request_line(&b, BYTES("GET"), bad_targets[i]), -EINVAL);
    assert_int_equal(http_write_header_str(&b, "A", "b\r\n"), -EINVAL);
    assert_int_equal(http_write_header_u64(&b, "A:", 1), -EINVAL);
    assert_int_equal(http_write_status_line(&b, 99, SLICE_NULL), -EINVAL);
    assert_int_equal(http_write_status_line(&b, 600, SLICE_NULL), -EINVAL);
    assert_true(slice_eq(buf_slice(&b), BYTES("before")));
    buf_deinit(&b);
}

static void test_writer_adds_all_or_nothing(void **state)
{
    struct buf b = BUF_INIT(20);

    assert_int_equal(http_write_header_str(&b, "A", "123456789012345"), 0);
    assert_int_equal(buf_len(&b), 20);
    buf_clear(&b);
    assert_int_equal(http_write_header_str(&b, "A", "1234567890123456"), -ENOBUFS);
    assert_int_equal(buf_len(&b), 0);
    buf_deinit(&b);
}

/* ---- targets ---- */

static void test_percent_decode(void **state)
{
    static const struct {
        struct slice input;
        bool plus;
        ssize_t len;
        const char *output;
    } rows[] = {
        {BYTES(""), false, 0, ""},
        {BYTES("abc"), false, 3, "abc"},
        {BYTES("a%20b"), false, 3, "a b"},
        {BYTES("%c3%A4"), false, 2, "\xc3\xa4"},
        {BYTES("a+b"), false, 3, "a+b"},
        {BYTES("a+b"), true, 3, "a b"},
        {BYTES("a%2Bb"), true, 3, "a+b"},
        {BYTES("%2541"), false, 3, "%41"},
        {BYTES("12345678"), false, 8, "12345678"},
        {BYTES("123456789"), false, -ENOBUFS, NULL},
        {BYTES("%"), false, -EINVAL, NULL},
        {BYTES("%4"), false, -EINVAL, NULL},
        {BYTES("%4g"), false, -EINVAL, NULL},
        {BYTES("%-1"), false, -EINVAL, NULL},
        {BYTES("%00"), false, -EINVAL, NULL},
        {BYTES("a\0"), false, -EINVAL, NULL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char dst[8];
        ssize_t n = http_percent_decode(rows[i].input, rows[i].plus, dst, sizeof(dst));

        assert_int_equal(n, rows[i].len);
        if (n >= 0)
            assert_memory_equal(dst, rows[i].output, (size_t)n);
    }
}

static void test_percent_encode(void **state)
{
    struct buf b = BUF_INIT(10000);
    char all[255], back[255];

    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (char)(i + 1);
    assert_int_equal(http_percent_encode(&b, slice(all, sizeof(all))), 0);
    assert_int_equal(http_percent_decode(buf_slice(&b), true, back, sizeof(back)), sizeof(all));
    assert_memory_equal(all, back, sizeof(all));
    buf_clear(&b);
    assert_int_equal(http_percent_encode(&b, BYTES("aZ9-._~ /\xff\0")), 0);
    assert_true(slice_eq(buf_slice(&b), BYTES("aZ9-._~%20%2F%FF%00")));
    buf_deinit(&b);
}

static void test_routable_paths(void **state)
{
    static const struct slice good[] = {
        BYTES("/"),      BYTES("/a"),      BYTES("/a/b/"),     BYTES("/a//b"), BYTES("/..."),
        BYTES("/.a"),    BYTES("/a."),     BYTES("/a..b/c"),   BYTES("/%20"),  BYTES("/%C3%A4"),
        BYTES("/a%2Fb"), BYTES("/%25%32"), BYTES("/%2e%2e%2e")};
    static const struct slice bad[] = {
        BYTES(""),        BYTES("a"),       BYTES("*"),      BYTES("/."),
        BYTES("/.."),     BYTES("/a/../b"), BYTES("/a/./b"), BYTES("/a/.."),
        BYTES("/%2e"),    BYTES("/%2E./a"), BYTES("/.%2e"),  BYTES("/a%2F..%2Fb"),
        BYTES("/a%2f.."), BYTES("/..%2fa"), BYTES("/a\\b"),  BYTES("/a%5cb"),
        BYTES("/%"),      BYTES("/%2"),     BYTES("/%zz"),   BYTES("/%00"),
        BYTES("/a\0b"),   BYTES("/\n"),     BYTES("/%0a"),   BYTES("/%7f"),
        BYTES("/\x7f"),
    };

    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_true(http_path_is_routable(good[i]));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(http_path_is_routable(bad[i]));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_byte_classes),
        cmocka_unit_test(test_hop_headers),
        cmocka_unit_test(test_connection_lists),
        cmocka_unit_test(test_find_takes_the_first),
        cmocka_unit_test(test_written_request_is_read),
        cmocka_unit_test(test_written_response_is_read),
        cmocka_unit_test(test_chunk_sizes),
        cmocka_unit_test(test_writer_refuses_injection),
        cmocka_unit_test(test_writer_adds_all_or_nothing),
        cmocka_unit_test(test_percent_decode),
        cmocka_unit_test(test_percent_encode),
        cmocka_unit_test(test_routable_paths),
    };

    return cmocka_run_group_tests_name("http-text", tests, NULL, NULL);
}
