/* The dashboard's files over HTTP: paths, encodings, caching, and the folder that may stand in. */

#include "control/dashboard.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char answer[8UL * 1024 * 1024];

/* The whole answer as a string; what is behind its head may hold NULs. */
static const char *ask_all(struct dashboard_query q)
{
    struct buf b = BUF_INIT(sizeof(answer) - 1);

    assert_int_equal(dashboard_answer(&q, &b), 0);
    memcpy(answer, buf_slice(&b).base, buf_len(&b));
    answer[buf_len(&b)] = '\0';
    buf_deinit(&b);
    return answer;
}

static const char *ask(const char *path)
{
    return ask_all((struct dashboard_query){.path = slice_str(path)});
}

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

static const char *asset(const char *suffix)
{
    for (size_t i = 0; i < dashboard_files_n; i++) {
        const char *at = strstr(dashboard_files[i].path, suffix);

        if (at && !at[strlen(suffix)])
            return dashboard_files[i].path;
    }
    fail_msg("no asset ends in %s", suffix);
    return NULL;
}

static void test_each_page_of_the_dashboard_is_the_one_file(void **state)
{
    static const char *const pages[] = {"/", "/requests", "/requests/0190-a.b",
                                        "/functions/api%2Fhello.v2/logs", "/usage"};

    for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
        const char *text = ask(pages[i]);

        assert_true(has(text, "HTTP/1.1 200 OK\r\n"));
        assert_true(has(text, "Content-Type: text/html; charset=utf-8\r\n"));
        assert_true(has(text, "Cache-Control: no-cache\r\n"));
        assert_true(has(text, "<!doctype html>"));
        assert_true(has(text, asset(".css")));
    }
}

static void test_what_is_no_page_is_not_found(void **state)
{
    static const char *const paths[] = {
        "",           "*",        "x",          "/favicon.ico",
        "/.env",      "/assets/", "/assets/no", "/assets/../index.html",
        "/robots.txt"};

    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        assert_true(has(ask(paths[i]), "HTTP/1.1 404 Not Found\r\n"));
}

static void test_assets_may_be_kept_for_good(void **state)
{
    const char *text = ask(asset(".js"));

    assert_true(has(text, "Content-Type: text/javascript; charset=utf-8\r\n"));
    assert_true(has(text, "Cache-Control: public, max-age=31536000, immutable\r\n"));
}

static void test_every_answer_forbids_what_a_page_does_not_need(void **state)
{
    const char *paths[] = {"/", asset(".js"), "/assets/no"};

    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        const char *text = ask(paths[i]);

        assert_true(has(text, "Content-Security-Policy: default-src 'none'; script-src 'self'; "));
        assert_true(has(text, "frame-ancestors 'none'"));
        assert_false(has(text, "unsafe"));
        assert_true(has(text, "X-Content-Type-Options: nosniff\r\n"));
        assert_true(has(text, "Referrer-Policy: no-referrer\r\n"));
        assert_true(has(text, "Connection: close\r\n"));
    }
}

static void test_gzip_goes_to_whom_it_is_welcome(void **state)
{
    static const struct {
        const char *accepts;
        bool zipped;
    } cases[] = {{"", false},
                 {"gzip", true},
                 {"br, GZIP;q=0.5", true},
                 {"gzip;q=0", false},
                 {"gzip;q=0.0, br", false},
                 {"deflate, br", false},
                 {"gzippy, x", false}};

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *text = ask_all((struct dashboard_query){
            .path = SLICE_LIT("/"), .accept_encoding = slice_str(cases[i].accepts)});

        assert_int_equal(has(text, "Content-Encoding: gzip\r\n"), cases[i].zipped);
        assert_true(has(text, "Vary: Accept-Encoding\r\n"));
    }
}

static void test_what_the_browser_has_is_not_sent_again(void **state)
{
    const char *etag = NULL, *text;
    char list[200];

    for (size_t i = 0; i < dashboard_files_n; i++) {
        if (strcmp(dashboard_files[i].path, "/index.html") == 0)
            etag = dashboard_files[i].etag;
    }
    assert_non_null(etag);
    (void)snprintf(list, sizeof(list), "\"other\", W/%s", etag);
    text =
        ask_all((struct dashboard_query){.path = SLICE_LIT("/"), .if_none_match = slice_str(list)});
    assert_true(has(text, "HTTP/1.1 304 Not Modified\r\n"));
    assert_true(has(text, "Content-Length: 0\r\n"));
    text = ask_all(
        (struct dashboard_query){.path = SLICE_LIT("/"), .if_none_match = SLICE_LIT("\"other\"")});
    assert_true(has(text, "HTTP/1.1 200 OK\r\n"));
}

static void test_head_has_the_head_only(void **state)
{
    const char *text = ask_all((struct dashboard_query){.path = SLICE_LIT("/"), .is_head = true});

    assert_true(has(text, "HTTP/1.1 200 OK\r\n"));
    assert_false(has(text, "<!doctype"));
}

static void put(const char *dir, const char *name, const char *text)
{
    char path[4096];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void test_a_folder_may_stand_in_and_nothing_beside_it(void **state)
{
    char dir[] = "/tmp/dashboard.XXXXXX", path[4096];
    static const char *const outside[] = {"/assets/../secret", "/assets/%2e%2e/secret",
                                          "/assets/a/b", "/assets/.hidden", "/assets/link"};

    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/assets", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    put(dir, "index.html", "from the folder");
    put(dir, "secret", "secret");
    put(dir, "assets/.hidden", "secret");
    put(dir, "assets/main.js", "1;");
    (void)snprintf(path, sizeof(path), "%s/assets/link", dir);
    assert_int_equal(symlink("../secret", path), 0);

    assert_true(has(ask_all((struct dashboard_query){.path = SLICE_LIT("/usage"), .dir = dir}),
                    "from the folder"));
    assert_true(
        has(ask_all((struct dashboard_query){.path = SLICE_LIT("/assets/main.js"), .dir = dir}),
            "text/javascript"));
    for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
        const char *text =
            ask_all((struct dashboard_query){.path = slice_str(outside[i]), .dir = dir});

        assert_true(has(text, "404 Not Found"));
    }
    static const char *const made[] = {"assets/link", "assets/main.js", "assets/.hidden",
                                       "assets",      "index.html",     "secret"};
    for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, made[i]);
        assert_int_equal(remove(path), 0);
    }
    assert_int_equal(rmdir(dir), 0);
}

static void test_an_answer_that_does_not_fit_leaves_nothing(void **state)
{
    struct dashboard_query q = {.path = SLICE_LIT("/")};
    struct buf b = BUF_INIT(900);

    assert_int_equal(buf_append_str(&b, "before"), 0);
    assert_true(dashboard_answer(&q, &b) < 0);
    assert_int_equal(buf_len(&b), 6);
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_page_of_the_dashboard_is_the_one_file),
        cmocka_unit_test(test_what_is_no_page_is_not_found),
        cmocka_unit_test(test_assets_may_be_kept_for_good),
        cmocka_unit_test(test_every_answer_forbids_what_a_page_does_not_need),
        cmocka_unit_test(test_gzip_goes_to_whom_it_is_welcome),
        cmocka_unit_test(test_what_the_browser_has_is_not_sent_again),
        cmocka_unit_test(test_head_has_the_head_only),
        cmocka_unit_test(test_a_folder_may_stand_in_and_nothing_beside_it),
        cmocka_unit_test(test_an_answer_that_does_not_fit_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
