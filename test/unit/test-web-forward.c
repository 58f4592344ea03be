/* The request as a server behind mayfly sees it. */

#include "forward.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *in, *out;
} cases[] = {
    {"GET /a?b=c HTTP/1.1\r\nHost: shop\r\nAccept: */*\r\nMayfly-Client-Ip: 192.0.2.7\r\n\r\n",
     "GET /a?b=c HTTP/1.1\r\nHost: shop\r\nAccept: */*\r\nMayfly-Client-Ip: 192.0.2.7\r\n"
     "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: shop\r\n"
     "Connection: close\r\n\r\n"},
    /* Several lists become one; what a proxy in front has said of protocol and host stays. */
    {"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2, "
     "192.0.2.3\r\n"
     "X-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\nMayfly-Client-Ip: 192.0.2.7\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\n"
     "Mayfly-Client-Ip: 192.0.2.7\r\n"
     "X-Forwarded-For: 192.0.2.1, 192.0.2.2, 192.0.2.3, 192.0.2.7\r\nConnection: close\r\n\r\n"},
    /* Nobody is known: nothing is made up. */
    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: http\r\n"
                                          "X-Forwarded-Host: a\r\nConnection: close\r\n\r\n"},
    {"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n"
     "X-Forwarded-Host: a\r\nConnection: close\r\n\r\n"},
    /* The framing is made anew; what belongs to the connection goes. */
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0003\r\nExpect: 100-continue\r\nTE: "
     "trailers\r\n"
     "Keep-Alive: 5\r\n\r\n",
     "POST / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n"
     "Content-Length: 3\r\nConnection: close\r\n\r\n"},
    {"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
     "PUT / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n"
     "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"},
    {"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
     "Sec-WebSocket-Key: x\r\n\r\n",
     "GET /ws HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: x\r\nX-Forwarded-Proto: http\r\n"
     "X-Forwarded-Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"},
};

static struct http_head *head_of(const char *text)
{
    static struct http_head head;
    struct http_parser parser;
    struct slice data;
    size_t used;

    http_parser_init(&parser, HTTP_REQUEST, &HTTP_LIMITS_DEFAULT);
    assert_int_equal(http_parse(&parser, slice_str(text), &used, &head, &data), HTTP_EVENT_HEAD);
    return &head;
}

static void a_head_is_made_for_the_program(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buf b = BUF_INIT(65536);

        assert_int_equal(forward_head(&b, head_of(cases[i].in)), 0);
        assert_string_equal(buf_cstr(&b), cases[i].out);
        buf_deinit(&b);
    }
}

/* What is written is one request, and read as such. */
static void what_is_made_is_read_as_it_was(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buf b = BUF_INIT(65536);
        struct http_head *head = head_of(cases[i].in);
        enum http_framing framing = head->framing;
        bool upgrade = head->upgrade;

        assert_int_equal(forward_head(&b, head), 0);
        head = head_of(buf_cstr(&b));
        assert_int_equal(head->framing, framing);
        assert_int_equal(head->upgrade, upgrade);
        buf_deinit(&b);
    }
}

static void a_head_over_the_ceiling_is_refused(void **state)
{
    struct buf b = BUF_INIT(64);

    assert_int_equal(forward_head(&b, head_of(cases[0].in)), -ENOBUFS);
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_is_made_for_the_program),
        cmocka_unit_test(what_is_made_is_read_as_it_was),
        cmocka_unit_test(a_head_over_the_ceiling_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
