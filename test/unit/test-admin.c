/* Who may use the admin listener: each row is a request and what becomes of it. */

#include "gateway/admin.h"

#include <errno.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define HOST         "Host: 127.0.0.1:8081\r\n"
#define BEARER       "Authorization: Bearer mf_good\r\n"
#define COOKIE       "Cookie: mayfly_session=session\r\n"
#define ORIGIN       "Origin: http://127.0.0.1:8081\r\n"
#define FEW_COOKIES  "mayfly_session=1; mayfly_session=2; mayfly_session=3; mayfly_session=4; "
#define MANY_COOKIES "Cookie: " FEW_COOKIES FEW_COOKIES
#define GET(p)       "GET " p " HTTP/1.1\r\n"
#define POST(p)      "POST " p " HTTP/1.1\r\n"
#define API          "/api/v1/functions"

static const char *const verdict_names[_ADMIN_VERDICT_MAX] = {
    [ADMIN_OPEN] = "open",
    [ADMIN_TOKEN] = "token",
    [ADMIN_SESSION] = "session",
    [ADMIN_E_HOST] = "421 host",
    [ADMIN_E_NO_SECRET] = "401 none",
    [ADMIN_E_BAD_SECRET] = "401 bad",
    [ADMIN_E_QUERY] = "401 query",
    [ADMIN_E_ORIGIN] = "403 origin",
    [ADMIN_E_NOT_TOLD] = "503 not told",
};

static void tell(struct admin *a)
{
    static const char *const secrets[] = {"mf_other", "mf_good", "session"};
    unsigned char hashes[ARRAY_SIZE(secrets) * ADMIN_HASH_LEN];

    for (size_t i = 0; i < ARRAY_SIZE(secrets); i++)
        assert_int_equal(EVP_Digest(secrets[i], strlen(secrets[i]), hashes + i * ADMIN_HASH_LEN,
                                    NULL, EVP_sha256(), NULL),
                         1);
    assert_int_equal(admin_take_hashes(a, ARRAY_SIZE(secrets), slice(hashes, sizeof(hashes))), 0);
}

static const char *judge(const struct admin *a, const char *request, const char *reached)
{
    static struct http_head head;
    struct http_parser p;
    char text[4096];
    struct slice data;
    size_t used;

    (void)snprintf(text, sizeof(text), "%s\r\n", request);
    http_parser_init(&p, HTTP_REQUEST, &HTTP_LIMITS_DEFAULT);
    if (http_parse(&p, slice_str(text), &used, &head, &data) != HTTP_EVENT_HEAD)
        return "400";
    return verdict_names[admin_judge(a, &head, reached)];
}

struct row {
    const char *request, *expected;
};

static void expect_all(const struct admin *a, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(judge(a, rows[i].request, NULL), rows[i].expected) != 0)
            fail_msg("%s\n-> %s, not %s", rows[i].request, judge(a, rows[i].request, NULL),
                     rows[i].expected);
    }
}

/* With the tokens told. */
static void expect_at(const char *address, const char *hosts, const struct row *rows, size_t n)
{
    struct admin a;

    assert_int_equal(admin_init(&a, address, hosts), 0);
    tell(&a);
    expect_all(&a, rows, n);
    admin_deinit(&a);
}

static void only_health_and_the_dashboard_s_files_are_open(void **state)
{
    static const struct row rows[] = {
        {GET("/healthz") HOST, "open"},
        {GET("/readyz") HOST, "open"},
        {GET("/version") HOST, "open"},
        {GET("/login?code=abc") HOST, "open"},
        {GET("/") HOST, "open"},
        {GET("/assets/app-1_2.js") HOST, "open"},
        {"HEAD /healthz HTTP/1.1\r\n" HOST, "open"},
        {GET("/apiary") HOST, "open"},
        {GET(API) HOST, "401 none"},
        {GET("/api") HOST, "401 none"},
        {GET("/api/") HOST, "401 none"},
        {GET("/metrics") HOST, "401 none"},
        {GET("/metrics/") HOST, "401 none"},
        {POST("/healthz") HOST, "401 none"},
        {POST("/") HOST, "401 none"},
        {POST("/login?code=abc") HOST, "401 none"},
        {"DELETE /assets/app.js HTTP/1.1\r\n" HOST, "401 none"},
        {"OPTIONS * HTTP/1.1\r\n" HOST, "401 none"},
        /* Other ways to write a path that is not open. */
        {GET("/%61pi/v1/functions") HOST, "401 none"},
        {GET("//api/v1/functions") HOST, "401 none"},
        {GET("/x/../api/v1/functions") HOST, "401 none"},
        {GET("/./api/v1/functions") HOST, "401 none"},
        {GET("/x//y") HOST, "401 none"},
        {GET("/metric%73") HOST, "401 none"},
        {GET("/api;x/v1") HOST, "401 none"},
    };

    (void)state;
    expect_at("127.0.0.1:8081", NULL, rows, ARRAY_SIZE(rows));
}

static void a_token_lets_in_and_nothing_that_looks_like_one(void **state)
{
    static const struct row rows[] = {
        {GET(API) HOST BEARER, "token"},
        {GET("/metrics") HOST BEARER, "token"},
        {POST(API) HOST BEARER, "token"}, /* a browser cannot be made to send it: no Origin */
        {POST(API) HOST BEARER "Origin: http://evil.example\r\n", "token"},
        {GET(API) HOST "authorization: bEaReR   mf_other\r\n", "token"},
        {GET(API) HOST "Authorization: Bearer mf_goof\r\n", "401 bad"},
        {GET(API) HOST "Authorization: Bearer mf_goo\r\n", "401 bad"},
        {GET(API) HOST "Authorization: Bearer mf_good1\r\n", "401 bad"},
        {GET(API) HOST "Authorization: Bearer mf_good mf_good\r\n", "401 bad"},
        {GET(API) HOST "Authorization: Bearer mf_\r\n", "401 bad"},
        {GET(API) HOST "Authorization: Bearer\r\n", "401 bad"},
        {GET(API) HOST "Authorization:\r\n", "401 bad"},
        {GET(API) HOST "Authorization: mf_good\r\n", "401 bad"},
        {GET(API) HOST "Authorization: Basic mf_good\r\n", "401 bad"},
        {GET(API) HOST "Authorization: Bearer session\r\n", "401 bad"}, /* no token */
        {GET(API) HOST BEARER BEARER, "401 bad"},
        {GET(API) HOST BEARER "Authorization: Bearer mf_bad\r\n", "401 bad"},
        {GET(API) HOST "Authorization: Bearer mf_bad\r\n" COOKIE, "401 bad"}, /* no second try */
        {GET(API "?token=mf_good") HOST, "401 query"},
        {GET(API "?x=1&access_token=mf_good") HOST, "401 query"},
        {GET(API "?token=mf_good") HOST BEARER, "401 query"}, /* so that nobody gets used to it */
        {GET(API "?tokens=1") HOST BEARER, "token"},
        {GET(API) HOST "Token: mf_good\r\n", "401 none"},
        {GET(API) HOST "Proxy-Authorization: Bearer mf_good\r\n", "401 none"},
        {GET(API) HOST "Cookie: token=mf_good\r\n", "401 none"},
    };

    (void)state;
    expect_at("127.0.0.1:8081", NULL, rows, ARRAY_SIZE(rows));
}

static void a_session_changes_things_from_its_own_pages_only(void **state)
{
    static const struct row rows[] = {
        {GET(API) HOST COOKIE, "session"},
        {GET(API) HOST "Cookie: a=b; mayfly_session=session; c=d\r\n", "session"},
        {GET(API) HOST "Cookie: mayfly_session=wrong\r\n", "401 bad"},
        {GET(API) HOST "Cookie: mayfly_session=\r\n", "401 bad"},
        {GET(API) HOST "Cookie: mayfly_session\r\n", "401 bad"},
        /* Somebody at another port has set cookies of our name: he locks nobody out. */
        {GET(API) HOST "Cookie: mayfly_session=session; mayfly_session=x\r\n", "session"},
        {GET(API) HOST "Cookie: mayfly_session=x; mayfly_session=session\r\n", "session"},
        {GET(API) HOST "Cookie: mayfly_session=x\r\n" COOKIE, "session"},
        {GET(API) HOST "Cookie: mayfly_session=x; mayfly_session=y\r\n", "401 bad"},
        {GET(API) HOST MANY_COOKIES "mayfly_session=session\r\n", "401 bad"}, /* too many tries */
        {GET(API) HOST "Cookie: Mayfly_Session=session\r\n", "401 none"},
        {GET(API) HOST "Cookie: xmayfly_session=session\r\n", "401 none"},
        {POST(API) HOST COOKIE ORIGIN, "session"},
        {POST(API) HOST COOKIE "Origin: https://127.0.0.1:8081\r\n", "session"},
        {POST(API) HOST COOKIE, "403 origin"},
        {POST(API) HOST COOKIE "Origin: null\r\n", "403 origin"},
        {POST(API) HOST COOKIE "Origin: http://evil.example\r\n", "403 origin"},
        {POST(API) HOST COOKIE "Origin: http://127.0.0.1:3000\r\n", "403 origin"},
        {POST(API) HOST COOKIE "Origin: http://127.0.0.1\r\n", "403 origin"},
        {POST(API) HOST COOKIE "Origin: http://127.0.0.1:8081.evil.example\r\n", "403 origin"},
        {POST(API) HOST COOKIE "Origin: http://localhost:8081\r\n", "403 origin"},
        {POST(API) HOST COOKIE "Origin: ftp://127.0.0.1:8081\r\n", "403 origin"},
        {POST(API) HOST COOKIE "Origin: 127.0.0.1:8081\r\n", "403 origin"},
        {POST(API) HOST COOKIE ORIGIN ORIGIN, "403 origin"},
        {POST(API) HOST COOKIE "Referer: http://127.0.0.1:8081/\r\n", "403 origin"},
        {"DELETE " API " HTTP/1.1\r\n" HOST COOKIE, "403 origin"},
        {"PUT " API " HTTP/1.1\r\n" HOST COOKIE, "403 origin"},
        {"OPTIONS " API " HTTP/1.1\r\n" HOST COOKIE, "403 origin"},
        {"get " API " HTTP/1.1\r\n" HOST COOKIE, "403 origin"},
    };

    (void)state;
    expect_at("127.0.0.1:8081", NULL, rows, ARRAY_SIZE(rows));
}

static void a_name_that_somebody_made_point_here_is_refused(void **state)
{
    static const struct row rows[] = {
        {GET("/") "Host: 127.0.0.1:8081\r\n", "open"},
        {GET("/") "Host: 127.0.0.1\r\n", "open"},
        {GET("/") "Host: 127.0.0.1:9999\r\n", "open"}, /* forwarded from another port */
        {GET("/") "Host: localhost:8081\r\n", "open"},
        {GET("/") "Host: LocalHost\r\n", "open"},
        {GET("/") "Host: [::1]:8081\r\n", "open"},
        {GET("/") "Host: [0:0:0:0:0:0:0:1]\r\n", "open"},
        {GET("/") "Host: [::ffff:127.0.0.1]\r\n", "open"},
        {GET("/") "Host: 192.0.2.7:8081\r\n", "open"},
        {GET("/") "Host: admin.example.org\r\n", "open"},
        {GET("/") "Host: ADMIN.example.org:443\r\n", "open"},
        {GET("/") "Host: [2001:db8::5]:443\r\n", "open"},
        {GET("/") "Host: evil.example\r\n", "421 host"},
        {GET("/") "Host: evil.example:8081\r\n", "421 host"},
        {GET("/") "Host: localhost.evil.example\r\n", "421 host"},
        {GET("/") "Host: evil.admin.example.org\r\n", "421 host"},
        {GET("/") "Host: 127.0.0.1.evil.example\r\n", "421 host"},
        {GET("/") "Host: 127.0.0.2\r\n", "421 host"},
        {GET("/") "Host: 192.0.2.8\r\n", "421 host"},
        {GET("/") "Host: [::2]\r\n", "421 host"},
        {GET(API) "Host: evil.example\r\n" BEARER, "421 host"},
        {GET(API) "Host: evil.example\r\n" COOKIE, "421 host"},
        {"GET / HTTP/1.0\r\n", "421 host"},
        {GET("/") "Host:\r\n", "400"},
        {GET("/") HOST "Host: evil.example\r\n", "400"},
        {GET("/") "Host: 127.0.0.1:x\r\n", "400"},
    };

    (void)state;
    expect_at("192.0.2.7:8081", "admin.example.org,[2001:db8::5]", rows, ARRAY_SIZE(rows));
}

static void on_all_addresses_the_one_that_was_reached_is_its_own(void **state)
{
    static const char *const everywhere[] = {"0.0.0.0:8081", "[::]:8081"};
    struct admin a;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(everywhere); i++) {
        assert_int_equal(admin_init(&a, everywhere[i], NULL), 0);
        assert_true(a.everywhere);
        assert_string_equal(judge(&a, GET("/") "Host: 192.0.2.7\r\n", "192.0.2.7:8081"), "open");
        assert_string_equal(judge(&a, GET("/") "Host: 192.0.2.7\r\n", "[::ffff:192.0.2.7]:8081"),
                            "open");
        assert_string_equal(judge(&a, GET("/") "Host: 192.0.2.7\r\n", "192.0.2.8:8081"),
                            "421 host");
        assert_string_equal(judge(&a, GET("/") "Host: 0.0.0.0\r\n", "192.0.2.7:8081"), "421 host");
        assert_string_equal(judge(&a, GET("/") "Host: evil.example\r\n", "192.0.2.7:8081"),
                            "421 host");
        admin_deinit(&a);
    }
    assert_int_equal(admin_init(&a, "[::1]:8081", NULL), 0);
    assert_false(a.everywhere);
    admin_deinit(&a);
}

static void before_control_has_spoken_nobody_is_let_in(void **state)
{
    static const struct row before[] = {
        {GET("/healthz") HOST, "open"},
        {GET(API) HOST, "401 none"},
        {GET(API) HOST BEARER, "503 not told"},
        {GET(API) HOST COOKIE, "503 not told"},
        {GET(API) HOST "Authorization: Bearer bad\r\n", "401 bad"},
    };
    static const struct row none[] = {{GET(API) HOST BEARER, "401 bad"},
                                      {GET(API) HOST COOKIE, "401 bad"}};
    char many[(ADMIN_HASHES_MAX + 1) * ADMIN_HASH_LEN] = "";
    struct admin a;

    (void)state;
    assert_int_equal(admin_init(&a, "127.0.0.1:8081", NULL), 0);
    expect_all(&a, before, ARRAY_SIZE(before));
    assert_int_equal(admin_take_hashes(&a, 2, slice(many, 63)), -EBADMSG);
    assert_int_equal(admin_take_hashes(&a, ADMIN_HASHES_MAX + 1, slice(many, sizeof(many))),
                     -EBADMSG);
    expect_all(&a, before, ARRAY_SIZE(before));
    assert_int_equal(admin_take_hashes(&a, 0, SLICE_NULL), 0); /* there are none */
    expect_all(&a, none, ARRAY_SIZE(none));
    tell(&a);
    assert_string_equal(judge(&a, GET(API) HOST BEARER, NULL), "token");
    assert_int_equal(admin_take_hashes(&a, 0, SLICE_NULL), 0); /* the last was taken back */
    expect_all(&a, none, ARRAY_SIZE(none));
    admin_deinit(&a);
}

static void functions_do_not_see_the_session(void **state)
{
    static const struct {
        const char *value, *left;
    } rows[] = {
        {"mayfly_session=secret", ""},
        {"a=1; mayfly_session=secret", "Cookie: a=1\r\n"},
        {"mayfly_session=secret; a=1", "Cookie: a=1\r\n"},
        {"a=1;mayfly_session=secret;b=2", "Cookie: a=1; b=2\r\n"},
        {"a=1; mayfly_session = secret; b=2", "Cookie: a=1; b=2\r\n"},
        {"mayfly_session=x; mayfly_session=secret", ""},
        {"a=mayfly_session; ;", "Cookie: a=mayfly_session\r\n"},
        {"mayfly_session_of_mine=1", "Cookie: mayfly_session_of_mine=1\r\n"},
    };
    struct http_header other = {SLICE_LIT("Cookie"), SLICE_LIT("a=1; b=2")};
    struct http_header header = {SLICE_LIT("X-Cookie"), SLICE_LIT("mayfly_session=secret")};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct http_header h = {SLICE_LIT("Cookie"), slice_str(rows[i].value)};
        struct buf b = BUF_INIT(1000);

        assert_true(admin_is_in_cookie(&h));
        assert_int_equal(admin_write_cookie(&b, &h), 0);
        assert_string_equal(buf_cstr(&b), rows[i].left);
        buf_deinit(&b);
    }
    assert_false(admin_is_in_cookie(&other));
    assert_false(admin_is_in_cookie(&header));
}

static void functions_do_not_set_the_session(void **state)
{
    static const struct {
        const char *name, *value;
        bool ours;
    } rows[] = {
        {"Set-Cookie", "mayfly_session=x", true},
        {"set-cookie", "mayfly_session=x; Path=/api", true},
        {"Set-Cookie", " mayfly_session = x", true},
        {"Set-Cookie", "mayfly_session", true},
        {"Set-Cookie", "a=mayfly_session=x", false},
        {"Set-Cookie", "a=1; mayfly_session=x", false},
        {"Set-Cookie", "mayfly_session2=x", false},
        {"X-Set-Cookie", "mayfly_session=x", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct http_header h = {slice_str(rows[i].name), slice_str(rows[i].value)};

        assert_int_equal(admin_is_set_cookie(&h), rows[i].ours);
    }
}

static void what_is_no_address_is_refused_at_the_start(void **state)
{
    static const char *const bad[] = {"[]:8081", "::1:8081", "[::1",
                                      "[x]:1",   "a b:1",    "127.0.0.1:"};
    struct admin a;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        int r = admin_init(&a, bad[i], NULL);

        assert_int_equal(r, -EINVAL);
        admin_deinit(&a);
    }
    assert_int_equal(admin_init(&a, "127.0.0.1:8081", "good,bad/name"), -EINVAL);
    admin_deinit(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_health_and_the_dashboard_s_files_are_open),
        cmocka_unit_test(a_token_lets_in_and_nothing_that_looks_like_one),
        cmocka_unit_test(a_session_changes_things_from_its_own_pages_only),
        cmocka_unit_test(a_name_that_somebody_made_point_here_is_refused),
        cmocka_unit_test(on_all_addresses_the_one_that_was_reached_is_its_own),
        cmocka_unit_test(before_control_has_spoken_nobody_is_let_in),
        cmocka_unit_test(functions_do_not_see_the_session),
        cmocka_unit_test(functions_do_not_set_the_session),
        cmocka_unit_test(what_is_no_address_is_refused_at_the_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
