/* Lambda's Runtime API without I/O: what is answered in which state, byte by byte. */

#include "conn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define API  "/2018-06-01/runtime/"
#define NEXT "GET " API "invocation/next HTTP/1.1\r\nHost: h\r\n\r\n"
#define OK   "{\"status\":\"OK\"}"
#define STATE                                                                                      \
    "State transition from %s to %s failed for runtime. Error: State transition is not allowed"

struct fixture {
    struct rapi api;
    struct conn conn;
    struct buf body; /* of the last request */
};

static int setup(void **state)
{
    static struct fixture f;

    rapi_init(&f.api);
    conn_init(&f.conn, -1);
    f.body = BUF_INIT(1024UL * 1024);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    conn_deinit(&f->conn);
    buf_deinit(&f->body);
    return 0;
}

/* Does with events what the worker does, but for an invocation's own. */
static enum conn_event run(struct fixture *f)
{
    struct slice data;

    for (;;) {
        enum conn_event event = conn_next(&f->conn, &f->api, &data);

        switch (event) {
        case CONN_BEGUN:
            buf_clear(&f->body);
            break;
        case CONN_DATA:
            assert_int_equal(buf_append_slice(&f->body, data), 0);
            break;
        case CONN_END:
            if (f->conn.request.call == RAPI_CALL_NEXT) {
                f->conn.parked = true;
                return CONN_END;
            }
            if (f->conn.request.call == RAPI_CALL_RESPONSE ||
                f->conn.request.call == RAPI_CALL_ERROR)
                rapi_complete(&f->api);
            conn_answer(&f->conn);
            break;
        case CONN_CUT:
        case CONN_MORE:
            return event;
        }
    }
}

static enum conn_event say(struct fixture *f, const char *text)
{
    assert_int_equal(buf_append_str(&f->conn.in, text), 0);
    return run(f);
}

static void expect(struct fixture *f, unsigned status, const char *body)
{
    char line[64];
    struct slice out = buf_slice(&f->conn.out);
    const char *end = memmem(out.base, out.len, "\r\n\r\n", 4);

    (void)snprintf(line, sizeof(line), "HTTP/1.1 %u ", status);
    assert_non_null(end);
    assert_true(slice_starts(out, slice_str(line)));
    end += 4;
    if (!slice_eq(slice(end, out.len - (size_t)(end - out.base)), slice_str(body)))
        fail_msg("got %.*s\nexpected %s", SLICE_ARG(out), body);
    buf_clear(&f->conn.out);
}

static void expect_refused(struct fixture *f, const char *from, const char *to)
{
    char message[RAPI_MESSAGE_SIZE], body[512];

    (void)snprintf(message, sizeof(message), STATE, from, to);
    (void)snprintf(body, sizeof(body),
                   "{\"errorMessage\":\"%s\",\"errorType\":\"InvalidStateTransition\"}", message);
    expect(f, 403, body);
}

static void give(struct fixture *f, const char *id)
{
    const struct rapi_event event = {
        .id = slice_str(id), .arn = SLICE_LIT("arn"), .deadline_ms = 5, .body = SLICE_LIT("{}")};

    assert_int_equal(say(f, NEXT), CONN_END);
    rapi_give(&f->api, event.id);
    conn_give(&f->conn, &event);
}

static void post(struct fixture *f, const char *path, const char *headers, const char *body)
{
    char text[1024];

    (void)snprintf(text, sizeof(text),
                   "POST " API "%s HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n%s\r\n%s", path,
                   strlen(body), headers, body);
    (void)say(f, text);
}

static void an_event_comes_with_its_headers(void **state)
{
    struct fixture *f = *state;

    give(f, "i1");
    assert_true(slice_eq(buf_slice(&f->conn.out),
                         SLICE_LIT("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                   "Content-Length: 2\r\nLambda-Runtime-Aws-Request-Id: i1\r\n"
                                   "Lambda-Runtime-Invoked-Function-Arn: arn\r\n"
                                   "Lambda-Runtime-Deadline-Ms: 5\r\n\r\n{}")));
}

static void an_answer_is_accepted_once(void **state)
{
    struct fixture *f = *state;
    static const char refused[] =
        "{\"errorMessage\":\"Invalid request ID\",\"errorType\":\"InvalidRequestID\"}";

    give(f, "i1");
    buf_clear(&f->conn.out);
    post(f, "invocation/i2/response", "", "no");
    expect(f, 400, refused);
    post(f, "invocation/i1/response", "", "yes");
    expect(f, 202, OK);
    assert_true(slice_eq(buf_slice(&f->body), SLICE_LIT("yes")));
    post(f, "invocation/i1/response", "", "again");
    expect(f, 400, refused);
    post(f, "invocation/i1/error", "", "{}");
    expect(f, 400, refused);
    give(f, "i3");
    buf_clear(&f->conn.out);
    post(f, "invocation/i1/response", "", "late");
    expect(f, 400, refused);
    post(f, "invocation/i3/error", "", "{}");
    expect(f, 202, OK);
}

static void the_order_is_kept(void **state)
{
    struct fixture *f = *state;

    post(f, "invocation/i1/response", "", "early");
    expect_refused(f, "Started", "InvocationResponse");
    post(f, "invocation/i1/error", "", "early");
    expect_refused(f, "Started", "InvocationErrorResponse");
    give(f, "i1");
    buf_clear(&f->conn.out);
    (void)say(f, NEXT);
    expect_refused(f, "Running", "Ready");
    post(f, "init/error", "", "{}");
    expect_refused(f, "Running", "InitError");
}

static void nothing_follows_an_error_of_init(void **state)
{
    struct fixture *f = *state;

    post(f, "init/error", "Lambda-Runtime-Function-Error-Type: Runtime.NoSuch\r\n", "{\"a\":1}");
    expect(f, 202, OK);
    assert_string_equal(f->conn.request.error_type, "Runtime.NoSuch");
    (void)say(f, NEXT);
    expect_refused(f, "InitError", "Ready");
}

static void a_wrong_mode_is_an_answer(void **state)
{
    struct fixture *f = *state;

    give(f, "i1");
    buf_clear(&f->conn.out);
    post(f, "invocation/i1/response", "Lambda-Runtime-Function-Response-Mode: fast\r\n", "x");
    assert_true(f->conn.request.bad_mode);
    expect(f, 400,
           "{\"errorMessage\":\"Invalid function response mode\","
           "\"errorType\":\"InvalidFunctionResponseMode\"}");
}

static void what_has_a_prelude_streams_without_a_mode(void **state)
{
    struct fixture *f = *state;

    give(f, "i1");
    buf_clear(&f->conn.out);
    post(f, "invocation/i1/response",
         "Content-Type: application/vnd.awslambda.http-integration-response\r\n", "{}");
    assert_true(f->conn.request.streaming);
    expect(f, 202, OK);
}

static void trailers_tell_of_an_error(void **state)
{
    struct fixture *f = *state;

    give(f, "i1");
    buf_clear(&f->conn.out);
    (void)say(f, "POST " API "invocation/i1/response HTTP/1.1\r\nHost: h\r\n"
                 "Lambda-Runtime-Function-Response-Mode: streaming\r\n"
                 "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
                 "Lambda-Runtime-Function-Error-Type: Function.X\r\n"
                 "Lambda-Runtime-Function-Error-Body: e30=\r\n\r\n");
    expect(f, 202, OK);
    assert_true(f->conn.request.streaming);
    assert_string_equal(f->conn.trailer_type, "Function.X");
    assert_true(slice_eq(buf_slice(&f->conn.trailer_body), SLICE_LIT("e30=")));
}

static void a_body_cut_short_may_be_sent_again(void **state)
{
    struct fixture *f = *state;

    give(f, "i1");
    buf_clear(&f->conn.out);
    (void)say(f, "POST " API "invocation/i1/response HTTP/1.1\r\nHost: h\r\n"
                 "Content-Length: 5\r\n\r\nab");
    assert_int_equal(conn_eof(&f->conn), CONN_CUT);
    expect(f, 400,
           "{\"errorMessage\":\"HTTP request detected as truncated\","
           "\"errorType\":\"TruncatedHTTPRequest\"}");
    assert_true(f->conn.closing);
    rapi_cut(&f->api, true);
    assert_int_equal(f->api.state, RAPI_RUNNING);
}

static void other_paths_and_methods(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *request;
        unsigned status;
        const char *body;
    } rows[] = {
        {"GET /2018-06-01/ping", 200, "pong"},
        {"GET /", 404, "404 page not found\n"},
        {"GET /2018-06-01/runtime/restore/next", 404, "404 page not found\n"},
        {"POST /2020-01-01/extension/register", 404, "404 page not found\n"},
        {"POST " API "invocation/i1/other", 404, "404 page not found\n"},
        {"POST " API "invocation/next", 405, ""},
        {"DELETE " API "invocation/next", 405, ""},
        {"GET " API "invocation/i1/response", 405, ""},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char text[256];

        (void)snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: h\r\n\r\n", rows[i].request);
        (void)say(f, text);
        expect(f, rows[i].status, rows[i].body);
    }
}

static void what_is_no_http_ends_the_connection(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(say(f, "hello\r\n\r\n"), CONN_MORE);
    assert_true(f->conn.closing);
    assert_true(slice_starts(buf_slice(&f->conn.out), SLICE_LIT("HTTP/1.1 400 ")));
}

static void who_expects_is_told_to_go_on(void **state)
{
    struct fixture *f = *state;

    give(f, "i1");
    buf_clear(&f->conn.out);
    (void)say(f, "POST " API "invocation/i1/response HTTP/1.1\r\nHost: h\r\n"
                 "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_true(slice_eq(buf_slice(&f->conn.out), SLICE_LIT("HTTP/1.1 100 Continue\r\n\r\n")));
}

static void error_types_have_their_form(void **state)
{
    static const char *const rows[][2] = {
        {"Runtime.ImportModuleError", "Runtime.ImportModuleError"},
        {"Function.Broken", "Function.Broken"},
        {"Function.broken", "Function.Unknown"},
        {"Function.A", "Function.Unknown"},
        {"Runtime.A1", "Runtime.Unknown"},
        {"unhandled", "Runtime.Unknown"},
        {"", "Runtime.Unknown"},
    };
    char type[RAPI_TYPE_SIZE];

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        rapi_error_type(slice_str(rows[i][0]), type);
        assert_string_equal(type, rows[i][1]);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(an_event_comes_with_its_headers),
        TEST(an_answer_is_accepted_once),
        TEST(the_order_is_kept),
        TEST(nothing_follows_an_error_of_init),
        TEST(a_wrong_mode_is_an_answer),
        TEST(what_has_a_prelude_streams_without_a_mode),
        TEST(trailers_tell_of_an_error),
        TEST(a_body_cut_short_may_be_sent_again),
        TEST(other_paths_and_methods),
        TEST(what_is_no_http_ends_the_connection),
        TEST(who_expects_is_told_to_go_on),
        TEST(error_types_have_their_form),
    };

    return cmocka_run_group_tests_name("provided-rapi", tests, NULL, NULL);
}
