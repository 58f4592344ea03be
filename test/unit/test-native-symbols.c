/* Names and lines for addresses, looked up in this test's own file; and what is damaged does no
 * harm. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "lines.h"
#include "native.h"

static __attribute__((noinline)) const void *here(void)
{
    return __builtin_return_address(0);
}

static __attribute__((noinline)) const void *caller(int *ret_line)
{
    const void *address = here();

    *ret_line = __LINE__ - 2;
    return address;
}

static void test_function_and_line_of_an_address(void **state)
{
    struct symbol symbol;
    int line;
    const void *address = (const char *)caller(&line) - 1;

    symbol_find(address, &symbol);
    assert_string_equal(symbol.name, "caller");
    assert_string_equal(symbol.library, "");
    assert_string_equal(symbol.file, "test-native-symbols.c");
    assert_int_equal(symbol.line, line);
    assert_int_equal(symbol.start, (uintptr_t)caller);
    assert_int_equal(symbol.offset, (uintptr_t)address - (uintptr_t)caller);
}

static void test_address_of_a_library(void **state)
{
    struct symbol symbol;

    symbol_find((const char *)(uintptr_t)_run_test + 1, &symbol);
    assert_non_null(strstr(symbol.library, "libcmocka"));
}

static void test_addresses_that_are_no_code(void **state)
{
    static const uintptr_t rows[] = {0, 1, 4096, UINTPTR_MAX};
    struct symbol symbol;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        symbol_find((const void *)rows[i], &symbol);
        assert_string_equal(symbol.name, "");
        assert_string_equal(symbol.file, "");
        assert_int_equal(symbol.start, 0);
    }
}

/* ---- line tables ---- */

/* Version 3, as old compilers write it: one file, two rows at 0x1000 (line 1) and 0x1004 (line 3),
 * the end at 0x1010. */
static const char old_table[] = "\x38\0\0\0"
                                "\x03\0"
                                "\x1c\0\0\0"
                                "\x01\x01\xfb\x0e\x0d"
                                "\0\1\1\1\1\0\0\0\1\0\0\1"
                                "\0"          /* no directories */
                                "a.c\0\0\0\0" /* file 1 */
                                "\0"          /* no more files */
                                "\xff\xff"    /* padding that the head's length covers */
                                "\0\x09\x02\0\x10\0\0\0\0\0\0" /* address 0x1000 */
                                "\x01"                         /* row */
                                "\x03\x02\x02\x04\x01"         /* line + 2, address + 4, row */
                                "\x02\x0c\0\x01\x01";          /* address + 12, end */

static bool find_old(uint64_t address, struct line *ret)
{
    struct line_tables tables = {.lines = slice(old_table, sizeof(old_table) - 1)};

    return line_find(&tables, address, ret);
}

static void test_old_table(void **state)
{
    struct line line;

    assert_false(find_old(0xfff, &line));
    assert_true(find_old(0x1000, &line));
    assert_int_equal(line.number, 1);
    assert_true(slice_eq(line.file, SLICE_LIT("a.c")));
    assert_true(find_old(0x1003, &line));
    assert_int_equal(line.number, 1);
    assert_true(find_old(0x1004, &line));
    assert_int_equal(line.number, 3);
    assert_true(find_old(0x100f, &line));
    assert_false(find_old(0x1010, &line));
}

/* Damaged bytes in every place give some answer, in time and within bounds (under the sanitizers).
 */
static void test_damaged_tables_do_no_harm(void **state)
{
    char bytes[sizeof(old_table) - 1];
    struct line line;

    for (size_t at = 0; at < sizeof(bytes); at++) {
        for (int value = 0; value < 256; value += 5) {
            char *exact = malloc(sizeof(bytes) - at); /* the sanitizer guards its end */
            struct line_tables tables = {.lines = slice(bytes, sizeof(bytes))};

            memcpy(bytes, old_table, sizeof(bytes));
            bytes[at] = (char)value;
            (void)line_find(&tables, 0x1004, &line);
            assert_non_null(exact);
            memcpy(exact, old_table + at, sizeof(bytes) - at);
            tables.lines = slice(exact, sizeof(bytes) - at);
            tables.line_strings = tables.strings = tables.lines;
            (void)line_find(&tables, 0x1004, &line);
            free(exact);
        }
    }
}

static void test_cut_off_tables_do_no_harm(void **state)
{
    for (size_t len = 0; len < sizeof(old_table) - 1; len++) {
        char *exact = malloc(len + 1);
        struct line_tables tables = {.lines = slice(exact, len)};
        struct line line;

        assert_non_null(exact);
        memcpy(exact, old_table, len);
        assert_false(line_find(&tables, 0x1004, &line));
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_function_and_line_of_an_address),
        cmocka_unit_test(test_address_of_a_library),
        cmocka_unit_test(test_addresses_that_are_no_code),
        cmocka_unit_test(test_old_table),
        cmocka_unit_test(test_damaged_tables_do_no_harm),
        cmocka_unit_test(test_cut_off_tables_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
