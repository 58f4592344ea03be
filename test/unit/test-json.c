/* JSON in and out: bounded reading, errors that say where, and output that no content can break. */

#include "json/cut.h"
#include "json/text.h"
#include "json/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

static const struct {
    const char *text;
    const char *error;
} bad[] = {
    {"", "x.json:1:0: '[' or '{' expected near end of file; close what is open: a quote, a "
         "bracket"},
    {"{\n  \"a\": 1,\n}", "x.json:3:1: string or '}' expected near '}'; look for a comma, quote or "
                          "bracket too many or too few before it"},
    {"{\"a\": 1,\n \"a\": 2}",
     "x.json:2:4: duplicate object key near '\"a\"'; a key may stand once; remove one of them"},
    {"{\"a\": [1, 2", "x.json:1:11: ']' expected near end of file; close what is open: a quote, a "
                      "bracket"},
    {"{} {}", "x.json:1:4: end of file expected near '{'; nothing may stand behind the last "
              "bracket"},
    {"{\"a\": \"\xff\"}", "x.json:1:7: unable to decode byte 0xff near '\"'; save the text as "
                          "UTF-8"},
    {"{\"a\": \"\\u0000\"}", "x.json:1:14: \\u0000 is not allowed without JSON_ALLOW_NUL near "
                             "'\"\\u0000\"'; leave the NUL character out"},
    {"3", "x.json:1:1: '[' or '{' expected near '3'; look for a comma, quote or bracket too many "
          "or too few before it"},
};

static void an_error_says_where_and_what_to_do(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct error err = ERROR_NULL;
        json_t *value = NULL;

        assert_int_equal(json_text_load(slice_str(bad[i].text), "x.json", &value, &err), -EINVAL);
        assert_null(value);
        assert_string_equal(err.text, bad[i].error);
    }
}

static void depth_has_a_ceiling(void **state)
{
    char text[2 * (JSON_DEPTH_MAX + 1) + 1];
    struct error err = ERROR_NULL;
    json_t *value = NULL;

    (void)state;
    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    assert_int_equal(json_text_load(slice(text, 2 * JSON_DEPTH_MAX), "x", &value, &err), 0);
    json_decref(value);
    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    assert_int_equal(json_text_load(slice(text, sizeof(text) - 1), "x", &value, &err), -EINVAL);
    assert_string_equal(err.text, "x:1: more than 64 brackets within one another");
    /* Brackets in strings are no brackets. */
    assert_int_equal(json_text_load(SLICE_LIT("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
                                              "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[\"]"),
                                    "x", &value, &err),
                     0);
    json_decref(value);
}

static void a_file_has_a_ceiling(void **state)
{
    char path[] = "/tmp/mayfly-test-json-XXXXXX";
    struct buf text = BUF_INIT(16);
    struct error err = ERROR_NULL;
    json_t *value = NULL;
    int fd = mkstemp(path);

    (void)state;
    assert_int_equal(write(fd, "{\"abcdefghi\": 12}", 16), 16);
    assert_int_equal(json_file_load(path, "x.json", &text, &value, &err), -EINVAL);
    buf_clear(&text);
    assert_int_equal(write(fd, "}", 1), 1);
    assert_int_equal(json_file_load(path, "x.json", &text, &value, &err), -EFBIG);
    assert_string_equal(err.text, "x.json: is larger than 16 bytes");
    text.max = 17;
    buf_clear(&text);
    assert_int_equal(json_file_load(path, "x.json", &text, &value, &err), 0);
    json_decref(value);
    (void)unlink(path);
    (void)close(fd);
    assert_int_equal(json_file_load(path, "x.json", &text, &value, &err), -ENOENT);
    assert_string_equal(err.text, "x.json: cannot open it: No such file or directory");
    assert_true(json_file_load("/", "dir", &text, &value, &err) < 0);
    buf_deinit(&text);
}

static const char place_text[] = "\n{ \"a\": {\"x\": \"}\\\"]\",\n"
                                 "  \"y\": [1, {\"k\": \"a\"},\n"
                                 "    [], {},\n"
                                 "    \"last\"]},\n"
                                 "  \"esc\\u0061ped\": true,\n"
                                 "\"b\":\n"
                                 "   {\"a\": {\n"
                                 "   \"z\": -1.5e3}}}";

static void a_key_is_found_again_by_line(void **state)
{
    struct json_path a = {NULL, "a", 0}, x = {&a, "x", 0}, y = {&a, "y", 0};
    struct json_path y1 = {&y, NULL, 1}, y1k = {&y1, "k", 0}, y3 = {&y, NULL, 3},
                     y4 = {&y, NULL, 4};
    struct json_path y5 = {&y, NULL, 5}, esc = {NULL, "escaped", 0}, b = {NULL, "b", 0};
    struct json_path ba = {&b, "a", 0}, baz = {&ba, "z", 0}, none = {NULL, "none", 0};
    struct slice text = SLICE_LIT(place_text);
    const struct {
        const struct json_path *path;
        uint32_t line;
    } cases[] = {{NULL, 2}, {&a, 2},  {&x, 2},   {&y, 3}, {&y1, 3}, {&y1k, 3}, {&y3, 4},
                 {&y4, 5},  {&y5, 3}, {&esc, 6}, {&b, 7}, {&ba, 8}, {&baz, 9}, {&none, 2}};
    char name[64];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(json_locate(text, cases[i].path), cases[i].line);
    for (size_t len = 0; len < text.len; len++) {
        char *copy = malloc(MAX(len, 1));

        memcpy(copy, text.base, len);
        (void)json_locate(slice(copy, len), &baz); /* never reads behind the text */
        free(copy);
    }
    assert_string_equal(json_path_text(&y1k, name, sizeof(name)), "a.y[1].k");
    assert_string_equal(json_path_text(&y1k, name, 5), "a.y[");
    none.key = "GET /x\n";
    assert_string_equal(json_path_text(&none, name, sizeof(name)), "[\"GET /x\\x0a\"]");
}

static const struct {
    struct slice in;
    const char *out;
} strings[] = {
    {SLICE_LIT(""), "\"\""},
    {SLICE_LIT("plain"), "\"plain\""},
    {SLICE_LIT("\"\\/"), "\"\\\"\\\\/\""},
    {SLICE_LIT("a\n\r\t\b\f\x1b\x7f\0z"), "\"a\\n\\r\\t\\b\\f\\u001b\\u007f\\u0000z\""},
    {SLICE_LIT("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"),
     "\"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\""},
    {SLICE_LIT("\xc2\x9b"), "\"\\u009b\""},
    {SLICE_LIT("\xff-\xc0\xaf-\xed\xa0\x80"),
     "\"\xef\xbf\xbd-\xef\xbf\xbd\xef\xbf\xbd-\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    {SLICE_LIT("cut \xe2\x82"), "\"cut \xef\xbf\xbd\xef\xbf\xbd\""},
};

static void no_string_breaks_the_output(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
        struct buf b = BUF_INIT(1000);
        struct jsonw w = JSONW_INIT(&b);

        jsonw_str(&w, strings[i].in);
        assert_int_equal(jsonw_end(&w), 0);
        assert_string_equal(buf_cstr(&b), strings[i].out);
        buf_deinit(&b);
    }
}

static void every_byte_pair_comes_out_as_json(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 65536; i++) {
        char bytes[3] = {(char)(i >> 8), (char)i, 'z'};
        struct buf b = BUF_INIT(100);
        struct jsonw w = JSONW_INIT(&b);
        json_t *value;

        jsonw_str(&w, slice(bytes, sizeof(bytes)));
        value = json_loadb(b.data, buf_len(&b), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_non_null(value);
        json_decref(value);
        buf_deinit(&b);
    }
}

static void commas_stand_where_they_must(void **state)
{
    struct buf b = BUF_INIT(200), small = BUF_INIT(4);
    struct jsonw w = JSONW_INIT(&b), s = JSONW_INIT(&small);

    (void)state;
    jsonw_object_begin(&w);
    jsonw_key(&w, "a");
    jsonw_array_begin(&w);
    jsonw_u64(&w, 0);
    jsonw_u64(&w, UINT64_MAX);
    jsonw_object_begin(&w);
    jsonw_object_end(&w);
    jsonw_array_begin(&w);
    jsonw_array_end(&w);
    jsonw_array_end(&w);
    jsonw_key(&w, "b");
    jsonw_bool(&w, true);
    jsonw_key(&w, "c");
    jsonw_null(&w);
    jsonw_object_end(&w);
    assert_int_equal(jsonw_end(&w), 0);
    assert_string_equal(buf_cstr(&b),
                        "{\"a\":[0,18446744073709551615,{},[]],\"b\":true,\"c\":null}");
    jsonw_str(&s, SLICE_LIT("too long"));
    assert_int_equal(jsonw_end(&s), -ENOBUFS);
    buf_deinit(&b);
    buf_deinit(&small);
}

/* Every value that JSON has, and what may be cut in two. */
static const char long_text[] = " {\"errorType\": \"Caf\xc3\xa9\", \"errorMessage\": \"a\\\\b "
                                "\\u00e9 \\ud83d\\ude00 \xf0\x9f\x98\x80 \\n\\\"\","
                                "\r\n\t\"stackTrace\": [\"x\", \"\", {\"deep\": [[], {}, [1]]} , "
                                "-1.5e+10, 0, true, null ], \"n\": 12 } ";

static void assert_json(const struct buf *b)
{
    struct error err = ERROR_NULL;
    json_t *value = NULL;

    if (json_text_load(buf_slice(b), "cut", &value, &err) < 0)
        fail_msg("%s: %.*s", err.text, SLICE_ARG(buf_slice(b)));
    json_decref(value);
}

static void what_is_cut_anywhere_is_still_json(void **state)
{
    size_t longest = 0;

    (void)state;
    for (size_t len = 2; len < sizeof(long_text); len++) {
        for (size_t max = 3; max < sizeof(long_text); max++) {
            char *bytes = malloc(len); /* so that the sanitizer sees a read behind them */
            struct buf b = BUF_INIT(1000);

            memcpy(bytes, long_text, len);
            assert_int_equal(json_cut(slice(bytes, len), max, &b), 0);
            assert_true(buf_len(&b) <= max);
            assert_json(&b);
            if (len == sizeof(long_text) - 1) { /* more room, never less text */
                assert_true(buf_len(&b) + 24 >= max || max > longest);
                longest = MAX(longest, buf_len(&b));
            }
            buf_deinit(&b);
            free(bytes);
        }
    }
    assert_int_equal(longest, sizeof(long_text) - 2); /* all but the blank at the end */
}

static void a_long_string_keeps_its_beginning(void **state)
{
    struct buf b = BUF_INIT(100);

    (void)state;
    assert_int_equal(json_cut(SLICE_LIT("{\"m\": \"0123456789\", \"s\": []}"), 14, &b), 0);
    assert_true(slice_eq(buf_slice(&b), SLICE_LIT("{\"m\": \"012345\"}")) ||
                slice_eq(buf_slice(&b), SLICE_LIT("{\"m\": \"01234\"}")));
    assert_int_equal(buf_len(&b), 14);
    buf_deinit(&b);
}

static void what_is_no_json_is_not_made_json(void **state)
{
    static const char *const texts[] = {
        "",
        "  ",
        "hello",
        "{]",
        "[}",
        "[1 2]",
        "{\"a\" 1}",
        "{1: 2}",
        "[01]",
        "[1.]",
        "[1e]",
        "[-]",
        "[tru]",
        "{\"a\":}",
        "[1,]",
        "{\"a\": 1,}",
        "{} {}",
        "[] x",
        "[\"\x01..............\"]",
        "[\"\\x..............\"]",
        "[\"\xff..........................\"]",
        "[\"\\ud800...........................\"]",
        "[\"\\udc00\\ud800....................\"]",
        "[\"\\u12g4...........................\"]",
        "['a']",
    };
    char deep[200];
    struct buf b = BUF_INIT(1000);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        if (json_cut(slice_str(texts[i]), 100, &b) != -EBADMSG)
            fail_msg("%s", texts[i]);
    }
    memset(deep, '[', sizeof(deep));
    assert_int_equal(json_cut(slice(deep, sizeof(deep)), 1000, &b), -EBADMSG);
    assert_int_equal(json_cut(SLICE_LIT("{}"), 1, &b), -EBADMSG);
    assert_int_equal(buf_len(&b), 0);
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_says_where_and_what_to_do),
        cmocka_unit_test(depth_has_a_ceiling),
        cmocka_unit_test(a_file_has_a_ceiling),
        cmocka_unit_test(a_key_is_found_again_by_line),
        cmocka_unit_test(no_string_breaks_the_output),
        cmocka_unit_test(every_byte_pair_comes_out_as_json),
        cmocka_unit_test(commas_stand_where_they_must),
        cmocka_unit_test(what_is_cut_anywhere_is_still_json),
        cmocka_unit_test(a_long_string_keeps_its_beginning),
        cmocka_unit_test(what_is_no_json_is_not_made_json),
    };

    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
