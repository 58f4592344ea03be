/* The meta-variables of CGI/1.1, made of a request. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "environment.h"

static char *no_environment[] = {NULL};

static void parse(const char *request, struct http_head *head)
{
    struct http_parser p;
    struct slice data;
    size_t used;

    http_parser_init(&p, HTTP_REQUEST, &HTTP_LIMITS_DEFAULT);
    assert_int_equal(http_parse(&p, slice_str(request), &used, head, &data), HTTP_EVENT_HEAD);
}

static const char *find(const struct environment *e, const char *name)
{
    const char *found = NULL;

    for (char **i = e->list; *i; i++) {
        if (strncmp(*i, name, strlen(name)) == 0 && (*i)[strlen(name)] == '=') {
            assert_null(found); /* each only once */
            found = *i + strlen(name) + 1;
        }
    }
    return found;
}

/* NULL expects that there is none. */
static void expect(const char *request, const char *name, const char *value)
{
    static struct http_head head;
    struct environment e;
    const char *found;

    parse(request, &head);
    assert_int_equal(environment_init(&e, &head, no_environment), 0);
    found = find(&e, name);
    if (value && found)
        assert_string_equal(found, value);
    else
        assert_true(found == value);
    environment_deinit(&e);
}

#define GET(headers)  "GET /a%20b/c?x=%31&y HTTP/1.1\r\nHost: h\r\n" headers "\r\n"
#define HOST(host)    "GET / HTTP/1.1\r\nHost: " host "\r\n\r\n"
#define POST(headers) "POST / HTTP/1.1\r\nHost: h\r\n" headers "\r\n"

static void test_meta_variables(void **state)
{
    static const char *const rows[][3] = {
        {GET(""), "GATEWAY_INTERFACE", "CGI/1.1"},
        {GET(""), "SERVER_PROTOCOL", "HTTP/1.1"},
        {GET(""), "SERVER_SOFTWARE", "mayfly"},
        {GET(""), "REQUEST_METHOD", "GET"},
        {GET(""), "REQUEST_URI", "/a%20b/c?x=%31&y"},
        {GET(""), "SCRIPT_NAME", ""},
        {GET(""), "PATH_INFO", "/a b/c"},
        {GET(""), "QUERY_STRING", "x=%31&y"},
        {HOST("h"), "QUERY_STRING", ""},
        {HOST("example.org"), "SERVER_NAME", "example.org"},
        {HOST("example.org"), "SERVER_PORT", "80"},
        {HOST("example.org:8080"), "SERVER_NAME", "example.org"},
        {HOST("example.org:8080"), "SERVER_PORT", "8080"},
        {HOST("[::1]"), "SERVER_NAME", "[::1]"},
        {HOST("[::1]"), "SERVER_PORT", "80"},
        {HOST("[::1]:8080"), "SERVER_NAME", "[::1]"},
        {HOST("[::1]:8080"), "SERVER_PORT", "8080"},
        {GET("Mayfly-Client-Ip: 10.1.2.3\r\n"), "REMOTE_ADDR", "10.1.2.3"},
        {GET(""), "REMOTE_ADDR", "127.0.0.1"},
        {GET(""), "CONTENT_LENGTH", NULL},
        {GET(""), "CONTENT_TYPE", NULL},
        {POST("Content-Length: 5\r\nContent-Type: a/b\r\n"), "CONTENT_LENGTH", "5"},
        {POST("Content-Length: 5\r\nContent-Type: a/b\r\n"), "CONTENT_TYPE", "a/b"},
        {POST("Content-Length: 0\r\n"), "CONTENT_LENGTH", "0"},
        {POST("Transfer-Encoding: chunked\r\n"), "CONTENT_LENGTH", NULL},
        {GET(""), "PATH", "/usr/local/bin:/usr/bin:/bin"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        expect(rows[i][0], rows[i][1], rows[i][2]);
}

static void test_headers(void **state)
{
    static const char *const rows[][3] = {
        {GET("X-Some-Thing: 1\r\n"), "HTTP_X_SOME_THING", "1"},
        {GET("x: 1\r\nX: 2\r\n"), "HTTP_X", "1, 2"},
        {GET("Cookie: a=1\r\nCookie: b=2\r\n"), "HTTP_COOKIE", "a=1; b=2"},
        {GET("Authorization: Bearer t\r\n"), "HTTP_AUTHORIZATION", "Bearer t"},
        {POST("Content-Type: a/b\r\nContent-Length: 1\r\n"), "HTTP_CONTENT_TYPE", NULL},
        {POST("Content-Type: a/b\r\nContent-Length: 1\r\n"), "HTTP_CONTENT_LENGTH", NULL},
        {GET("Mayfly-Request-Id: 7\r\n"), "MAYFLY_REQUEST_ID", "7"},
        {GET("Mayfly-Request-Id: 7\r\n"), "HTTP_MAYFLY_REQUEST_ID", NULL},
        {GET("traceparent: 00-1\r\n"), "HTTP_TRACEPARENT", "00-1"},
        {GET("traceparent: 00-1\r\n"), "TRACEPARENT", "00-1"},
        {GET("tracestate: a=1\r\n"), "TRACESTATE", "a=1"},
        {GET(""), "TRACEPARENT", NULL},
        {GET("Mayfly: 1\r\n"), "HTTP_MAYFLY", "1"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        expect(rows[i][0], rows[i][1], rows[i][2]);
}

/* A client must not be able to choose a program's proxy. */
static void test_proxy_header_is_dropped(void **state)
{
    expect(GET("Proxy: http://evil\r\n"), "HTTP_PROXY", NULL);
    expect(GET("pROXY: http://evil\r\n"), "HTTP_PROXY", NULL);
}

/* "X_Y" would become the same variable as "X-Y", which somebody in front may vouch for. */
static void test_ambiguous_names_are_dropped(void **state)
{
    expect(GET("X_Y: forged\r\n"), "HTTP_X_Y", NULL);
    expect(GET("X_Y: forged\r\nX-Y: true\r\n"), "HTTP_X_Y", "true");
    expect(GET("Mayfly_Client_Ip: 6.6.6.6\r\n"), "MAYFLY_CLIENT_IP", NULL);
    expect(GET("X.Y: 1\r\n"), "HTTP_X.Y", NULL);
}

static void test_inherited_environment(void **state)
{
    static char *inherited[] = {"GREETING=hi",  "PATH=/opt/bin", "REQUEST_METHOD=OLD",
                                "REQUEST=kept", "EMPTY=",        NULL};
    static struct http_head head;
    struct environment e;

    parse(GET(""), &head);
    assert_int_equal(environment_init(&e, &head, inherited), 0);
    assert_string_equal(find(&e, "GREETING"), "hi");
    assert_string_equal(find(&e, "PATH"), "/opt/bin");
    assert_string_equal(find(&e, "REQUEST_METHOD"), "GET");
    assert_string_equal(find(&e, "REQUEST"), "kept");
    assert_string_equal(find(&e, "EMPTY"), "");
    environment_deinit(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_meta_variables),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_proxy_header_is_dropped),
        cmocka_unit_test(test_ambiguous_names_are_dropped),
        cmocka_unit_test(test_inherited_environment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
