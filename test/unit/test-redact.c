/* Values do not stay in texts, in none of the forms that are promised, nor at the cuts of a text.
 */

#include "base/redact.h"
#include "base/utf8.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define VALUE "s3cr3t/Va+lue=\"q\"\\n\xc3\xa9\xf0\x9f\x98\x80"

static void expect(const struct redact *r, const char *text, unsigned cut, const char *expected)
{
    struct buf b = BUF_INIT(1 << 20);
    int x = redact_text(r, slice_str(text), cut, &b);

    assert_int_equal(x, strcmp(text, expected) != 0);
    if (x > 0)
        assert_string_equal(buf_cstr(&b), expected);
    else
        assert_int_equal(buf_len(&b), 0);
    buf_deinit(&b);
}

static struct redact *redact_make(const char *name, const char *value)
{
    struct redact *r = redact_new();

    assert_non_null(r);
    assert_int_equal(redact_add(r, slice_str(name), slice_str(value)), 0);
    return r;
}

static void values_are_replaced_wherever_they_stand(void **state)
{
    struct redact *r = redact_make("PW", "hunter22");

    (void)state;
    expect(r, "", 0, "");
    expect(r, "h", 0, "h");
    expect(r, "nothing here", 0, "nothing here");
    expect(r, "hunter2", 0, "hunter2");
    expect(r, "hunter22", 0, "[secret PW]");
    expect(r, "a hunter22, hunter22hunter22!", 0, "a [secret PW], [secret PW][secret PW]!");
    expect(r, "hunthunter22", 0, "hunt[secret PW]");
    (void)redact_free(r);
}

static void the_longest_value_goes_first_and_short_ones_are_left(void **state)
{
    struct redact *r = redact_make("SHORT", "abcdef");

    (void)state;
    assert_int_equal(redact_add(r, SLICE_LIT("LONG"), SLICE_LIT("abcdefghij")), 0);
    assert_int_equal(redact_add(r, SLICE_LIT("TINY"), SLICE_LIT("abcde")), 0);
    assert_int_equal(redact_add(r, SLICE_LIT("EMPTY"), SLICE_NULL), 0);
    assert_int_equal(redact_add(r, SLICE_LIT("AGAIN"), SLICE_LIT("abcdef")), 0);
    expect(r, "abcdefghij abcdef abcde", 0, "[secret LONG] [secret SHORT] abcde");
    expect(r, "abcdefghiX", 0, "[secret SHORT]ghiX");
    (void)redact_free(r);
}

static void encoded_values_are_found(void **state)
{
    static const char *const forms[] = {
        VALUE,
        "s3cr3t/Va+lue=\\\"q\\\"\\\\n\xc3\xa9\xf0\x9f\x98\x80",
        "s3cr3t/Va+lue=\\\"q\\\"\\\\n\\u00e9\\ud83d\\ude00",
        "s3cr3t%2FVa%2Blue%3D%22q%22%5Cn%C3%A9%F0%9F%98%80",
    };
    struct redact *r = redact_make("V", VALUE);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        char text[256];

        (void)snprintf(text, sizeof(text), "x%sy", forms[i]);
        expect(r, text, 0, "x[secret V]y");
    }
    (void)redact_free(r);
}

/* RFC 4648, for the comparison: bit by bit is what is tested. */
static void base64(const char *bytes, char *dst, const char *alphabet)
{
    size_t len = strlen(bytes);

    for (size_t i = 0; i < len; i += 3) {
        unsigned char b[3] = {(unsigned char)bytes[i],
                              i + 1 < len ? (unsigned char)bytes[i + 1] : 0,
                              i + 2 < len ? (unsigned char)bytes[i + 2] : 0};

        *dst++ = alphabet[b[0] >> 2];
        *dst++ = alphabet[(b[0] & 3) << 4 | b[1] >> 4];
        *dst++ = i + 1 < len ? alphabet[(b[1] & 15) << 2 | b[2] >> 6] : '=';
        *dst++ = i + 2 < len ? alphabet[b[2] & 63] : '=';
    }
    *dst = '\0';
}

static void base64_of_a_longer_text_is_found_at_any_place(void **state)
{
    static const char *const alphabets[] = {
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
    };
    static const char value[] = "pass\xff\xfe\xfdword?>~";
    struct redact *r = redact_make("P", value);

    (void)state;
    for (size_t before = 0; before < 12; before++) {
        for (size_t i = 0; i < ARRAY_SIZE(alphabets); i++) {
            char text[64] = "", encoded[128];
            struct buf b = BUF_INIT(4096);

            memset(text, 'u', before);
            (void)strcat(text, value);
            (void)strcat(text, "tail");
            base64(text, encoded, alphabets[i]);
            assert_int_equal(redact_text(r, slice_str(encoded), 0, &b), 1);
            assert_non_null(strstr(buf_cstr(&b), "[secret P]"));
            /* But for what of it shares a character with a neighbour. */
            assert_true(buf_len(&b) <= strlen(encoded) - (sizeof(value) - 1) * 8 / 6 + 1 + 10);
            buf_deinit(&b);
        }
    }
    (void)redact_free(r);
}

static void each_line_of_a_value_is_found_by_itself(void **state)
{
    struct redact *r =
        redact_make("KEY", "-----BEGIN KEY-----\r\n  MIIEvQIBADANBgkqhk\n}\nMIIAAAA\n");

    (void)state;
    expect(r, "-----BEGIN KEY-----", 0, "[secret KEY]");
    expect(r, "> MIIEvQIBADANBgkqhk <", 0, "> [secret KEY] <");
    expect(r, "}", 0, "}");
    expect(r, "MIIAAAA", 0, "MIIAAAA");
    expect(r, "-----BEGIN KEY-----\\r\\n  MIIEvQIBADANBgkqhk\\n}\\nMIIAAAA\\n.", 0,
           "[secret KEY].");
    (void)redact_free(r);
}

static void parts_at_a_cut_are_found(void **state)
{
    static const char value[] = "0123456789abcdef";
    struct redact *r = redact_make("N", value);

    (void)state;
    for (size_t at = 1; at < sizeof(value) - 1; at++) {
        char first[64], second[64], left[64], right[64];
        bool head = at >= REDACT_PART_MIN, tail = sizeof(value) - 1 - at >= REDACT_PART_MIN;

        (void)snprintf(first, sizeof(first), "some %.*s", (int)at, value);
        (void)snprintf(second, sizeof(second), "%s more", value + at);
        (void)snprintf(left, sizeof(left), "some %s", head ? "[secret N]" : first + 5);
        (void)snprintf(right, sizeof(right), "%s", tail ? "[secret N] more" : second);
        expect(r, first, REDACT_CUT_END, left);
        expect(r, second, REDACT_CUT_START, right);
        expect(r, first, 0, first);
        expect(r, second, 0, second);
    }
    expect(r, "456789ab", REDACT_CUT_START | REDACT_CUT_END, "[secret N]");
    expect(r, "cdef and 0123", REDACT_CUT_START | REDACT_CUT_END, "[secret N] and [secret N]");
    (void)redact_free(r);
}

static void a_prefix_that_is_a_value_does_not_hide_a_longer_one_at_a_cut(void **state)
{
    struct redact *r = redact_make("A", "abcdef");

    (void)state;
    assert_int_equal(redact_add(r, SLICE_LIT("B"), SLICE_LIT("abcdefghijkl")), 0);
    expect(r, "abcdefghij", REDACT_CUT_END, "[secret B]");
    (void)redact_free(r);
}

static void there_is_a_ceiling_and_no_room_is_told(void **state)
{
    struct redact *r = redact_new();
    struct buf b = BUF_INIT(8);
    char value[32];

    (void)state;
    for (unsigned i = 0; i < REDACT_VALUES_MAX; i++) {
        (void)snprintf(value, sizeof(value), "value-%08u", i);
        assert_int_equal(redact_add(r, SLICE_LIT("N"), slice_str(value)), 0);
    }
    assert_int_equal(redact_add(r, SLICE_LIT("N"), SLICE_LIT("one too many")), -ENOBUFS);
    assert_int_equal(redact_add(r, SLICE_LIT("N"), SLICE_LIT("value-00000007")), 0);
    assert_int_equal(redact_text(r, SLICE_LIT("value-00004095"), 0, &b), -ENOBUFS);
    buf_deinit(&b);
    (void)redact_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_replaced_wherever_they_stand),
        cmocka_unit_test(the_longest_value_goes_first_and_short_ones_are_left),
        cmocka_unit_test(encoded_values_are_found),
        cmocka_unit_test(base64_of_a_longer_text_is_found_at_any_place),
        cmocka_unit_test(each_line_of_a_value_is_found_by_itself),
        cmocka_unit_test(parts_at_a_cut_are_found),
        cmocka_unit_test(a_prefix_that_is_a_value_does_not_hide_a_longer_one_at_a_cut),
        cmocka_unit_test(there_is_a_ceiling_and_no_room_is_told),
    };

    return cmocka_run_group_tests_name("redact", tests, NULL, NULL);
}
