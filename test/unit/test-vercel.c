/* The pure parts of vercel.json: patterns, destinations, globs, .env files; and a file's answers.
 */

#include "control/envfile.h"
#include "control/pattern.h"
#include "control/vercel.h"

#include "answer.h"
#include "types.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void translates(const char *source, const char *regex)
{
    _cleanup_(buf_deinit) struct buf b = BUF_INIT(65536);
    struct error err = ERROR_NULL;
    struct pattern_keys keys;
    int r = pattern_translate(source, &b, &keys, &err);

    if (!regex) {
        assert_int_equal(r, -EINVAL);
        assert_true(err.text[0]);
        return;
    }
    assert_int_equal(r, 0);
    assert_string_equal(buf_cstr(&b), regex);
    assert_int_equal(pattern_check(buf_cstr(&b), &err), 0);
}

static void sources_become_patterns(void **state)
{
    translates("/", "^\\/$");
    translates("/a.b", "^\\/a\\.b$");
    translates("/:id", "^(?:\\/([^\\/]+?))$");
    translates("/x/:id?", "^\\/x(?:\\/([^\\/]+?))?$");
    translates("/:path*", "^(?:\\/((?:[^\\/]+?)(?:\\/(?:[^\\/]+?))*))?$");
    translates("/:path+", "^(?:\\/((?:[^\\/]+?)(?:\\/(?:[^\\/]+?))*))$");
    translates("/p/:n(\\d{1,})", "^\\/p(?:\\/(\\d{1,}))$");
    translates("/(.*)", "^(?:\\/(.*))$");
    translates("/a-:b", "^\\/a-([^\\/]+?)$");
    translates("/a{-:b}?/c", "^\\/a(?:-([^\\/]+?))?\\/c$");
    translates("/a\\:b", "^\\/a\\:b$");
    translates("/:a.:b", "^(?:\\/([^\\/]+?))(?:\\.([^\\/]+?))$");
    translates("/caf\xc3\xa9 x", "^\\/caf%C3%A9%20x$");
    translates("/:a((?!api/).*)", "^(?:\\/((?!api/).*))$");
    for (const char *const *p =
             (const char *const[]){"/a(", "/a)b(", "/*", "/a+", "/:", "/{a", "/a}", "/(?:a)",
                                   "/((a))", "/()", "/a\\", "/{:a:b}", NULL};
         *p; p++)
        translates(*p, NULL);
}

static void leads_to(const char *source, const char *destination, bool query, const char *wanted)
{
    _cleanup_(buf_deinit) struct buf regex = BUF_INIT(65536), b = BUF_INIT(65536);
    struct pattern_keys keys;

    assert_int_equal(pattern_translate(source, &regex, &keys, NULL), 0);
    pattern_keys_add_condition(&keys, "team", NULL, false);
    assert_int_equal(pattern_destination(destination, &keys, query, &b), 0);
    assert_string_equal(buf_cstr(&b), wanted);
}

static void destinations_become_templates(void **state)
{
    leads_to("/:a/:b", "/x/:b/:a", false, "/x/${2}/${1}");
    leads_to("/:a", "/x", true, "/x?a=${1}&team=${team}");
    leads_to("/:a", "/x?a=1", true, "/x?a=1&team=${team}");
    leads_to("/:a", "/x/:a", true, "/x/${1}");
    leads_to("/:a", "/x/:abc", true, "/x/:abc?a=${1}&team=${team}");
    leads_to("/:a*", "/x/:a*", true, "/x/${1}");
    leads_to("/:a", "https://e.com:8080/:a", false, "https://e.com:8080/${1}");
    leads_to("/:a", "/$1/:a", false, "/$$1/${1}");
    leads_to("/:a", "/:team/:a", false, "/${team}/${1}");
}

static void globs(void **state)
{
    assert_true(glob_fits("api/*.py", "api/a.py"));
    assert_false(glob_fits("api/*.py", "api/b/a.py"));
    assert_true(glob_fits("api/**/*.py", "api/b/c/a.py"));
    assert_true(glob_fits("api/**/*.py", "api/a.py"));
    assert_true(glob_fits("api/**", "api/b/a.js"));
    assert_true(glob_fits("api/[id].py", "api/[id].py"));
    assert_true(glob_fits("api/{a,b}.{js,py}", "api/b.py"));
    assert_false(glob_fits("api/{a,b}.py", "api/c.py"));
    assert_true(glob_fits("api/?.py", "api/a.py"));
    assert_false(glob_fits("api/?.py", "api/.py"));
    assert_false(
        glob_fits("**/*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac"));
}

static void variables(void **state)
{
    static const char text[] = "\xef\xbb\xbf# comment\nA = 1 \nexport B='x $A'\nC=\"$A\\n${A}y\"\n"
                               "D=a#b #c\r\nE=\nF=\"two\nlines\" # c\nG=$NO${NO:-z}\nA=2\nH=\\$A\n";
    struct env_list list = {.n = 0};
    struct error err = ERROR_NULL;

    assert_int_equal(env_list_add(&list, SLICE_LIT("E"), SLICE_LIT("before")), 0);
    assert_int_equal(envfile_read(SLICE_LIT(text), ".env", &list, &err), 0);
    for (const char *const *p =
             (const char *const[]){"A", "2", "B", "x $A", "C", "1\n1y", "D", "a#b", "E", "before",
                                   "F", "two\nlines", "G", "z", "H", "$A", NULL};
         *p; p += 2)
        assert_string_equal(env_list_find(&list, slice_str(p[0])), p[1]);
    env_list_deinit(&list);
    for (const char *const *p =
             (const char *const[]){"A", "=1", "A='x", "MAYFLY_X=1", "1A=2", NULL};
         *p; p++) {
        err = ERROR_NULL;
        assert_int_equal(envfile_read(slice_str(*p), ".env", &list, &err), -EINVAL);
        assert_memory_equal(err.text, ".env:1: ", 8);
        env_list_deinit(&list);
    }
}

static void dates(void **state)
{
    assert_int_equal(date_parse(SLICE_LIT("Sun, 06 Nov 1994 08:49:37 GMT")), 784111777);
    assert_int_equal(date_parse(SLICE_LIT("Sunday, 06-Nov-94 08:49:37 GMT")), -1);
    assert_int_equal(date_parse(SLICE_LIT("Sun, 06 Nov 1994 08:49:37 CET")), -1);
    assert_int_equal(date_parse(SLICE_LIT("Sun, 06 Noc 1994 08:49:37 GMT")), -1);
    assert_int_equal(date_parse(SLICE_NULL), -1);
}

static void ranges(void **state)
{
    uint64_t from = 0, length = 0;

    assert_int_equal(range_parse(SLICE_LIT("bytes=0-18446744073709551615"), 10, &from, &length),
                     RANGE_ONE);
    assert_int_equal(length, 10);
    assert_int_equal(range_parse(SLICE_LIT("bytes=0-18446744073709551616"), 10, &from, &length),
                     RANGE_NONE);
    assert_int_equal(range_parse(SLICE_LIT("bytes=0-"), 0, &from, &length), RANGE_WRONG);
    assert_int_equal(range_parse(SLICE_LIT("bytes=-"), 10, &from, &length), RANGE_NONE);
    assert_int_equal(range_parse(SLICE_LIT("bytes"), 10, &from, &length), RANGE_NONE);
    assert_string_equal(type_of_file("a.b/c.HTML"), "text/html; charset=utf-8");
    assert_string_equal(type_of_file("a.html/c"), "application/octet-stream");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sources_become_patterns),
        cmocka_unit_test(destinations_become_templates),
        cmocka_unit_test(globs),
        cmocka_unit_test(variables),
        cmocka_unit_test(dates),
        cmocka_unit_test(ranges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
