#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"
#include "base/log.h"
#include "base/pack.h"
#include "base/parse.h"
#include "base/slots.h"
#include "base/utf8.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void buf_never_holds_more_than_its_ceiling(void **state)
{
    struct buf b = BUF_INIT(10);

    assert_int_equal(buf_append(&b, "0123456789", 10), 0);
    assert_int_equal(buf_append(&b, "x", 1), -ENOBUFS);
    buf_consume(&b, 4);
    assert_int_equal(buf_append(&b, "abcd", 4), 0);
    assert_true(slice_eq(buf_slice(&b), SLICE_LIT("456789abcd")));
    assert_int_equal(buf_room(&b), 0);
    buf_deinit(&b);
}

static void buf_keeps_its_bytes_while_it_grows_and_is_consumed(void **state)
{
    struct buf b = BUF_INIT(1 << 20);
    unsigned in = 0, out = 0;

    for (int round = 0; round < 1000; round++) {
        for (int i = 0; i < round % 37; i++) {
            uint8_t v = (uint8_t)in++;

            assert_int_equal(buf_append(&b, &v, 1), 0);
        }
        for (int i = 0; i < round % 31 && buf_len(&b) > 0; i++) {
            assert_int_equal((uint8_t)buf_slice(&b).base[0], (uint8_t)out++);
            buf_consume(&b, 1);
        }
    }
    assert_int_equal(buf_len(&b), in - out);
    buf_deinit(&b);
}

static void buf_printf_writes_all_or_nothing(void **state)
{
    struct buf b = BUF_INIT(8);

    assert_int_equal(buf_printf(&b, "%d", 1234567), 0);
    assert_int_equal(buf_printf(&b, "%d", 99), -ENOBUFS);
    assert_true(slice_eq(buf_slice(&b), SLICE_LIT("1234567")));
    buf_deinit(&b);
}

static void slots_find_nothing_by_a_stale_or_made_up_number(void **state)
{
    struct slots s;
    uint64_t first, second;
    int a, b;

    slots_init(&s, 100);
    assert_int_equal(slots_add(&s, &a, &first), 0);
    assert_ptr_equal(slots_get(&s, first), &a);
    slots_remove(&s, first);
    assert_null(slots_get(&s, first));
    assert_int_equal(slots_add(&s, &b, &second), 0);
    assert_int_not_equal(first, second);
    assert_null(slots_get(&s, first));
    assert_ptr_equal(slots_get(&s, second), &b);
    assert_null(slots_get(&s, 0));
    assert_null(slots_get(&s, UINT64_MAX));
    slots_deinit(&s);
}

static void slots_refuse_more_than_their_ceiling(void **state)
{
    struct slots s;
    uint64_t id;
    int x;

    slots_init(&s, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(slots_add(&s, &x, &id), 0);
    assert_int_equal(slots_add(&s, &x, &id), -ENOBUFS);
    slots_remove(&s, id);
    assert_int_equal(slots_add(&s, &x, &id), 0);
    slots_deinit(&s);
}

static void unpack_tells_of_missing_and_left_over_bytes(void **state)
{
    struct buf b = BUF_INIT(1024);
    struct unpack u;

    assert_int_equal(pack_u8(&b, 7), 0);
    assert_int_equal(pack_u32(&b, 0x01020304), 0);
    assert_int_equal(pack_u64(&b, UINT64_MAX), 0);
    assert_int_equal(pack_str(&b, SLICE_LIT("text")), 0);
    for (size_t cut = 0; cut <= buf_len(&b); cut++) {
        bool whole = cut == buf_len(&b);

        unpack_init(&u, slice(buf_slice(&b).base, cut));
        (void)unpack_u8(&u);
        (void)unpack_u32(&u);
        (void)unpack_u64(&u);
        assert_true(!whole || slice_eq(unpack_str(&u), SLICE_LIT("text")));
        if (!whole)
            (void)unpack_str(&u);
        assert_int_equal(unpack_end(&u), whole ? 0 : -EBADMSG);
    }
    unpack_init(&u, buf_slice(&b));
    assert_int_equal(unpack_u8(&u), 7);
    assert_int_equal(unpack_u32(&u), 0x01020304);
    assert_int_equal(unpack_end(&u), -EBADMSG);
    buf_deinit(&b);
}

static void unpack_count_is_bounded_by_the_bytes_left(void **state)
{
    struct buf b = BUF_INIT(64);
    struct unpack u;

    assert_int_equal(pack_u32(&b, 1000000), 0);
    unpack_init(&u, buf_slice(&b));
    assert_int_equal(unpack_count(&u, 1), 0);
    assert_int_equal(unpack_end(&u), -EBADMSG);
    buf_deinit(&b);
}

static void numbers_are_read_whole_or_not_at_all(void **state)
{
    static const struct {
        const char *text;
        int r;
        uint64_t value;
    } rows[] = {
        {"0", 0, 0},          {"42", 0, 42},      {"18446744073709551615", 0, UINT64_MAX},
        {"", -EINVAL, 0},     {"+1", -EINVAL, 0}, {"1 ", -EINVAL, 0},
        {"0x10", -EINVAL, 0}, {"-1", -EINVAL, 0}, {"18446744073709551616", -ERANGE, 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t v = 0;

        assert_int_equal(parse_u64(slice_str(rows[i].text), UINT64_MAX, &v), rows[i].r);
        assert_int_equal(v, rows[i].value);
    }
}

static void sizes_and_durations_have_units(void **state)
{
    uint64_t v;

    assert_int_equal(parse_bytes(slice_str("64M"), &v), 0);
    assert_int_equal(v, 64 << 20);
    assert_int_equal(parse_bytes(slice_str("17179869184G"), &v), -ERANGE);
    assert_int_equal(parse_bytes(slice_str("M"), &v), -EINVAL);
    assert_int_equal(parse_duration_ms(slice_str("250ms"), &v), 0);
    assert_int_equal(v, 250);
    assert_int_equal(parse_duration_ms(slice_str("2m"), &v), 0);
    assert_int_equal(v, 120000);
    assert_int_equal(parse_duration_ms(slice_str("3"), &v), 0);
    assert_int_equal(v, 3000);
}

static void foreign_bytes_cannot_reach_a_terminal(void **state)
{
    char out[64];

    assert_string_equal(log_quote(SLICE_LIT("a\033[2Jb\n"), out, sizeof(out)), "a\\x1b[2Jb\\x0a");
    assert_string_equal(log_quote(SLICE_LIT("\xc3\xa4\xff"), out, sizeof(out)), "\xc3\xa4\\xff");
    assert_string_equal(log_quote(SLICE_LIT("\xe2\x80\xae"), out, sizeof(out)), "\\xe2\\x80\\xae");
    log_quote(SLICE_LIT("0123456789"), out, 8);
    assert_true(strlen(out) < 8);
}

static void json_strings_are_valid_whatever_the_bytes(void **state)
{
    struct buf b = BUF_INIT(256);

    assert_int_equal(utf8_write_json(&b, SLICE_LIT("a\"\\\n\x01\xff\xc3\xa4")), 0);
    assert_string_equal(buf_cstr(&b), "\"a\\\"\\\\\\n\\u0001\xef\xbf\xbd\xc3\xa4\"");
    buf_deinit(&b);
}

static void utf8_refuses_overlong_and_surrogates(void **state)
{
    static const char *const bad[] = {"\xc0\x80",         "\xe0\x80\x80", "\xed\xa0\x80",
                                      "\xf4\x90\x80\x80", "\x80",         "\xc3"};

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(utf8_len((const unsigned char *)bad[i], strlen(bad[i])), 0);
    assert_int_equal(utf8_len((const unsigned char *)"\xf0\x9f\xa6\x9f", 4), 4);
}

static void times_are_written_as_the_standards_want_them(void **state)
{
    char iso[CLOCK_ISO_SIZE], http[CLOCK_HTTP_SIZE];

    assert_string_equal(clock_iso(784111777123456ULL, iso), "1994-11-06T08:49:37.123456Z");
    assert_string_equal(clock_http(784111777123456ULL, http), "Sun, 06 Nov 1994 08:49:37 GMT");
}

static void an_error_names_its_place_and_keeps_its_cause(void **state)
{
    struct error err = ERROR_NULL;

    assert_int_equal(error_set_errno(&err, -ENOENT, "open %s", "x"), -ENOENT);
    assert_string_equal(err.text, "open x: No such file or directory");
    assert_int_equal(error_wrap(&err, -ENOENT, "load %d", 1), -ENOENT);
    assert_string_equal(err.text, "load 1: open x: No such file or directory");
    assert_int_equal(error_set(NULL, -EIO, "nobody listens"), -EIO);
}

static void a_list_node_may_be_removed_twice(void **state)
{
    struct list head, a, b;

    list_init(&head);
    list_init(&a);
    list_init(&b);
    list_add_last(&head, &a);
    list_add_first(&head, &b);
    assert_ptr_equal(list_first(&head), &b);
    list_remove(&b);
    list_remove(&b);
    assert_ptr_equal(list_first(&head), &a);
    list_remove(&a);
    assert_true(list_is_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buf_never_holds_more_than_its_ceiling),
        cmocka_unit_test(buf_keeps_its_bytes_while_it_grows_and_is_consumed),
        cmocka_unit_test(buf_printf_writes_all_or_nothing),
        cmocka_unit_test(slots_find_nothing_by_a_stale_or_made_up_number),
        cmocka_unit_test(slots_refuse_more_than_their_ceiling),
        cmocka_unit_test(unpack_tells_of_missing_and_left_over_bytes),
        cmocka_unit_test(unpack_count_is_bounded_by_the_bytes_left),
        cmocka_unit_test(numbers_are_read_whole_or_not_at_all),
        cmocka_unit_test(sizes_and_durations_have_units),
        cmocka_unit_test(foreign_bytes_cannot_reach_a_terminal),
        cmocka_unit_test(json_strings_are_valid_whatever_the_bytes),
        cmocka_unit_test(utf8_refuses_overlong_and_surrogates),
        cmocka_unit_test(times_are_written_as_the_standards_want_them),
        cmocka_unit_test(an_error_names_its_place_and_keeps_its_cause),
        cmocka_unit_test(a_list_node_may_be_removed_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
