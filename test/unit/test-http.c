/* Every row of the tables is read whole, cut in two at every place, and byte by byte, and must tell
 * the same each time. The bytes are handed over in blocks of their exact size, so that a sanitizer
 * sees a byte read too far. */

#include "http/http.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct row {
    const char *name; /* what it protects */
    struct slice input;
    const char *expected;      /* see tell_head() */
    struct http_limits limits; /* a member that is 0: as in the default */
    bool head_request;
};

#define BYTES(s)      SLICE_LIT(s)
#define GET(rest)     BYTES("GET / HTTP/1.1\r\nHost: h\r\n" rest)
#define POST(rest)    BYTES("POST / HTTP/1.1\r\nHost: h\r\n" rest)
#define CHUNKED(rest) POST("Transfer-Encoding: chunked\r\n\r\n" rest)
#define OK_CHUNKED    "POST / 1.1 h=h keep chunked {Host=h}{Transfer-Encoding=chunked}"
#define ANSWER(rest)  BYTES("HTTP/1.1 200 OK\r\n" rest)

static void add(struct buf *b, struct slice s)
{
    assert_int_equal(buf_append_slice(b, s), 0);
}

static void tell_head(struct buf *out, enum http_kind kind, const struct http_head *h)
{
    static const char *const framings[] = {
        [HTTP_BODY_NONE] = "none",
        [HTTP_BODY_LENGTH] = "length",
        [HTTP_BODY_CHUNKED] = "chunked",
        [HTTP_BODY_CLOSE] = "close",
    };

    if (kind == HTTP_REQUEST)
        (void)buf_printf(out, "%.*s %.*s 1.%u h=%.*s", SLICE_ARG(h->method), SLICE_ARG(h->target),
                         h->version_minor, SLICE_ARG(h->host));
    else
        (void)buf_printf(out, "%u '%.*s' 1.%u", h->status, SLICE_ARG(h->reason), h->version_minor);
    (void)buf_printf(out, "%s%s%s %s", h->keep_alive ? " keep" : " once",
                     h->upgrade ? " upgrade" : "", h->expect_continue ? " expect" : "",
                     framings[h->framing]);
    if (h->has_content_length)
        (void)buf_printf(out, "=%llu", (unsigned long long)h->content_length);
    for (uint32_t i = 0; i < h->n_headers; i++)
        (void)buf_printf(out, "%s{%.*s=%.*s}", i == 0 ? " " : "", SLICE_ARG(h->headers[i].name),
                         SLICE_ARG(h->headers[i].value));
}

struct reading {
    struct http_parser parser;
    struct buf pending;
    struct buf out;
    bool in_body;
};

static void close_body(struct reading *r)
{
    if (r->in_body)
        add(&r->out, BYTES("\""));
    r->in_body = false;
}

/* Takes one event into the transcript. Returns false when there is nothing more to tell. */
static bool tell(struct reading *r, enum http_event event, const struct http_head *head,
                 struct slice data)
{
    if (event == HTTP_EVENT_MORE)
        return false;
    if (event != HTTP_EVENT_DATA)
        close_body(r);
    switch (event) {
    case HTTP_EVENT_HEAD:
        tell_head(&r->out, r->parser.kind, head);
        break;
    case HTTP_EVENT_DATA:
        assert_int_not_equal(data.len, 0);
        if (!r->in_body)
            add(&r->out, BYTES(" \""));
        r->in_body = true;
        add(&r->out, data);
        break;
    case HTTP_EVENT_END:
        add(&r->out, BYTES(" end; "));
        http_parser_next(&r->parser);
        break;
    case HTTP_EVENT_ERROR:
        (void)buf_printf(&r->out, " !%u", r->parser.error_status);
        assert_non_null(r->parser.error_text);
        return false;
    case HTTP_EVENT_MORE:
        break;
    }
    return true;
}

/* Hands the pending bytes over until there is nothing more to tell. */
static void drain(struct reading *r)
{
    bool more = true;

    while (more && r->parser.state != HTTP_STATE_ERROR) {
        struct slice s = buf_slice(&r->pending), data = SLICE_NULL;
        char *exact = malloc(s.len > 0 ? s.len : 1);
        static struct http_head head;
        size_t used = SIZE_MAX;
        enum http_event event;

        assert_non_null(exact);
        if (s.len > 0)
            memcpy(exact, s.base, s.len);
        event = http_parse(&r->parser, slice(exact, s.len), &used, &head, &data);
        assert_true(used <= s.len);
        more = tell(r, event, &head, data);
        free(exact);
        buf_consume(&r->pending, used);
    }
}

/* Reads the input in pieces: first `first` bytes, then `step` at a time. The transcript is
 * malloced. */
static char *transcript(const struct row *row, enum http_kind kind, size_t first, size_t step)
{
    struct reading r = {.pending = BUF_INIT(SIZE_MAX / 2), .out = BUF_INIT(SIZE_MAX / 2)};
    struct http_limits limits = HTTP_LIMITS_DEFAULT;
    size_t at = 0, n = first;
    char *text;

    limits.line_max = row->limits.line_max ?: limits.line_max;
    limits.head_max = row->limits.head_max ?: limits.head_max;
    limits.n_headers_max = row->limits.n_headers_max ?: limits.n_headers_max;
    limits.body_max = row->limits.body_max ?: limits.body_max;
    http_parser_init(&r.parser, kind, &limits);
    r.parser.head_request = row->head_request;
    drain(&r); /* a call without a byte changes nothing */
    while (at < row->input.len) {
        n = MIN(n, row->input.len - at);
        add(&r.pending, slice(row->input.base + at, n));
        at += n;
        n = step;
        drain(&r);
    }
    if (r.parser.state != HTTP_STATE_ERROR) {
        enum http_event event = http_parse_eof(&r.parser, buf_len(&r.pending) > 0);

        if (event != HTTP_EVENT_MORE)
            close_body(&r);
        if (event == HTTP_EVENT_ERROR)
            add(&r.out, BYTES(" eof"));
        (void)tell(&r, event, NULL, SLICE_NULL);
    }
    text = slice_dup(buf_slice(&r.out));
    assert_non_null(text);
    buf_deinit(&r.pending);
    buf_deinit(&r.out);
    return text;
}

static void expect_transcript(const struct row *row, enum http_kind kind, size_t first, size_t step)
{
    _cleanup_free_ char *got = transcript(row, kind, first, step);

    if (strcmp(got, row->expected) != 0)
        fail_msg("%s (first piece %zu, then %zu):\n got      %s\n expected %s", row->name, first,
                 step, got, row->expected);
}

static void run_row(const struct row *row, enum http_kind kind)
{
    expect_transcript(row, kind, row->input.len, 1);
    for (size_t first = 1; first < row->input.len; first++)
        expect_transcript(row, kind, first, row->input.len);
    expect_transcript(row, kind, 1, 1);
}

static const struct row requests[] = {
    /* the request line */
    {"a plain request is read", GET("\r\n"), "GET / 1.1 h=h keep none {Host=h} end; "},
    {"HTTP/1.0 needs no Host and closes", BYTES("GET / HTTP/1.0\r\n\r\n"),
     "GET / 1.0 h= once none end; "},
    {"the query stays in the target", BYTES("GET /a?b=c?d HTTP/1.0\r\n\r\n"),
     "GET /a?b=c?d 1.0 h= once none end; "},
    {"a method may be any token", BYTES("M-SEARCH! / HTTP/1.0\r\n\r\n"),
     "M-SEARCH! / 1.0 h= once none end; "},
    {"methods are case-sensitive", BYTES("get / HTTP/1.0\r\n\r\n"), "get / 1.0 h= once none end; "},
    {"a method that is no token is refused", BYTES("G(T / HTTP/1.1\r\n"), " !400"},
    {"an empty method is refused", BYTES(" / HTTP/1.1\r\n"), " !400"},
    {"a method alone is refused", BYTES("GET\r\n"), " !400"},
    {"HTTP/0.9 is refused", BYTES("GET /\r\n"), " !400"},
    {"HTTP/0.9 with a trailing blank is refused", BYTES("GET / \r\n"), " !400"},
    {"two blanks before the target are refused", BYTES("GET  / HTTP/1.1\r\n"), " !400"},
    {"two blanks behind the target are refused", BYTES("GET /  HTTP/1.1\r\n"), " !400"},
    {"a blank behind the version is refused", BYTES("GET / HTTP/1.1 \r\n"), " !400"},
    {"a tab does not separate", BYTES("GET\t/ HTTP/1.1\r\n"), " !400"},
    {"a tab in the target is refused", BYTES("GET /a\tb HTTP/1.1\r\n"), " !400"},
    {"a blank in the target is refused", BYTES("GET /a b HTTP/1.1\r\n"), " !400"},
    {"a fragment in the target is refused", BYTES("GET /a#b HTTP/1.1\r\n"), " !400"},
    {"a non-ASCII byte in the target is refused", BYTES("GET /\xc3\xa4 HTTP/1.1\r\n"), " !400"},
    {"a control byte in the target is refused", BYTES("GET /\x01 HTTP/1.1\r\n"), " !400"},
    {"DEL in the target is refused", BYTES("GET /\x7f HTTP/1.1\r\n"), " !400"},
    {"NUL in the target is refused", BYTES("GET /\0 HTTP/1.1\r\n"), " !400"},
    {"NUL in the method is refused at once", BYTES("G\0"), " !400"},
    {"a TLS hello is refused at its first byte", BYTES("\x16\x03\x01"), " !400"},
    {"a lower-case version is refused", BYTES("GET / http/1.1\r\n"), " !400"},
    {"a version of two digits is refused", BYTES("GET / HTTP/1.10\r\n"), " !400"},
    {"a version without a point is refused", BYTES("GET / HTTP/11\r\n"), " !400"},
    {"another protocol is refused", BYTES("GET / HTCPCP/1.0\r\n"), " !400"},
    {"HTTP/1.2 is another version", BYTES("GET / HTTP/1.2\r\n"), " !505"},
    {"HTTP/2.0 is another version", BYTES("PRI * HTTP/2.0\r\n"), " !505"},
    {"HTTP/0.9 written out is another version", BYTES("GET / HTTP/0.9\r\n"), " !505"},
    {"a bare LF does not end the request line", BYTES("GET / HTTP/1.1\nHost: h\r\n\r\n"), " !400"},
    {"a bare CR does not end the request line", BYTES("GET / HTTP/1.1\rHost: h\r\n\r\n"), " !400"},
    {"CR CR LF does not end the request line", BYTES("GET / HTTP/1.1\r\r\n"), " !400"},
    {"one empty line before a request is let pass", BYTES("\r\nGET / HTTP/1.0\r\n\r\n"),
     "GET / 1.0 h= once none end; "},
    {"two empty lines before a request are refused", BYTES("\r\n\r\nGET / HTTP/1.0\r\n\r\n"),
     " !400"},
    {"a bare LF before a request is refused", BYTES("\nGET / HTTP/1.0\r\n\r\n"), " !400"},
    {"a bare CR before a request is refused", BYTES("\rGET / HTTP/1.0\r\n\r\n"), " !400"},
    {"an empty line alone begins no request", BYTES("\r\n"), ""},
    {"no bytes are no request", BYTES(""), ""},
    /* forms of the target */
    {"* is for OPTIONS", BYTES("OPTIONS * HTTP/1.0\r\n\r\n"), "OPTIONS * 1.0 h= once none end; "},
    {"* is for nothing else", BYTES("GET * HTTP/1.0\r\n"), " !400"},
    {"CONNECT is not served", BYTES("CONNECT h:443 HTTP/1.1\r\n"), " !501"},
    {"authority-form is for CONNECT alone", BYTES("GET h:80 HTTP/1.1\r\n"), " !400"},
    {"a relative path is refused", BYTES("GET a/b HTTP/1.1\r\n"), " !400"},
    {"absolute-form is cut", BYTES("GET http://h/a?b HTTP/1.1\r\nHost: h\r\n\r\n"),
     "GET /a?b 1.1 h=h keep none {Host=h} end; "},
    {"absolute-form: https and case",
     BYTES("GET HttpS://EXAMPLE.com:8/ HTTP/1.1\r\nHost: example.COM:8\r\n\r\n"),
     "GET / 1.1 h=example.COM:8 keep none {Host=example.COM:8} end; "},
    {"absolute-form gives the host in HTTP/1.0", BYTES("GET http://h/ HTTP/1.0\r\n\r\n"),
     "GET / 1.0 h=h once none end; "},
    {"absolute-form without a path means /", BYTES("GET http://h HTTP/1.0\r\n\r\n"),
     "GET / 1.0 h=h once none end; "},
    {"absolute-form of OPTIONS without a path means *", BYTES("OPTIONS http://h HTTP/1.0\r\n\r\n"),
     "OPTIONS * 1.0 h=h once none end; "},
    {"absolute-form must agree with Host", BYTES("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n"),
     " !400"},
    {"absolute-form must agree with Host's port",
     BYTES("GET http://a:1/ HTTP/1.1\r\nHost: a\r\n\r\n"), " !400"},
    {"absolute-form still needs Host", BYTES("GET http://a/ HTTP/1.1\r\n\r\n"), " !400"},
    {"absolute-form: userinfo is refused", BYTES("GET http://u@a/ HTTP/1.1\r\n"), " !400"},
    {"absolute-form: an empty host is refused", BYTES("GET http:/// HTTP/1.1\r\n"), " !400"},
    {"absolute-form: a query without a path is refused", BYTES("GET http://a?b HTTP/1.1\r\n"),
     " !400"},
    {"absolute-form: another scheme is refused", BYTES("GET ftp://a/ HTTP/1.1\r\n"), " !400"},
    /* Host */
    {"no Host in HTTP/1.1 is refused", BYTES("GET / HTTP/1.1\r\n\r\n"), " !400"},
    {"two Hosts are refused, even if equal", GET("Host: h\r\n\r\n"), " !400"},
    {"two Hosts are refused in HTTP/1.0", BYTES("GET / HTTP/1.0\r\nHost: h\r\nhost: h\r\n\r\n"),
     " !400"},
    {"Host: a port", BYTES("GET / HTTP/1.1\r\nHost: h.example:65535\r\n\r\n"),
     "GET / 1.1 h=h.example:65535 keep none {Host=h.example:65535} end; "},
    {"Host: an IPv6 address", BYTES("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"),
     "GET / 1.1 h=[::1]:80 keep none {Host=[::1]:80} end; "},
    {"Host: empty is refused", BYTES("GET / HTTP/1.1\r\nHost:\r\n\r\n"), " !400"},
    {"Host: userinfo is refused", BYTES("GET / HTTP/1.1\r\nHost: u@h\r\n\r\n"), " !400"},
    {"Host: a path is refused", BYTES("GET / HTTP/1.1\r\nHost: h/p\r\n\r\n"), " !400"},
    {"Host: a list is refused", BYTES("GET / HTTP/1.1\r\nHost: h,i\r\n\r\n"), " !400"},
    {"Host: a blank is refused", BYTES("GET / HTTP/1.1\r\nHost: h i\r\n\r\n"), " !400"},
    {"Host: an empty port is refused", BYTES("GET / HTTP/1.1\r\nHost: h:\r\n\r\n"), " !400"},
    {"Host: a port too big is refused", BYTES("GET / HTTP/1.1\r\nHost: h:65536\r\n\r\n"), " !400"},
    {"Host: a port that is no number is refused", BYTES("GET / HTTP/1.1\r\nHost: h:8o\r\n\r\n"),
     " !400"},
    {"Host: a port without a name is refused", BYTES("GET / HTTP/1.1\r\nHost: :80\r\n\r\n"),
     " !400"},
    {"Host: an open bracket is refused", BYTES("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"), " !400"},
    {"Host: text behind a bracket is refused", BYTES("GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n"),
     " !400"},
    {"Host: empty brackets are refused", BYTES("GET / HTTP/1.1\r\nHost: []\r\n\r\n"), " !400"},
    {"Host: %HH is refused", BYTES("GET / HTTP/1.1\r\nHost: h%2e\r\n\r\n"), " !400"},
    {"Host: a non-ASCII byte is refused", BYTES("GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n"),
     " !400"},
    /* header syntax */
    {"blanks around a value are dropped", GET("A: \t b c\t \r\n\r\n"),
     "GET / 1.1 h=h keep none {Host=h}{A=b c} end; "},
    {"a value may be empty", GET("A:\r\nB:  \r\n\r\n"),
     "GET / 1.1 h=h keep none {Host=h}{A=}{B=} end; "},
    {"a value may hold tab, colon and obs-text", GET("A: b:\tc\xff\x80\r\n\r\n"),
     "GET / 1.1 h=h keep none {Host=h}{A=b:\tc\xff\x80} end; "},
    {"a long value is scanned to its end", GET("A: 0123456789abcdef\t0123456789abcdef\r\n\r\n"),
     "GET / 1.1 h=h keep none {Host=h}{A=0123456789abcdef\t0123456789abcdef} end; "},
    {"a name may be any token", GET("!#$%&'*+-.^_`|~09azAZ: 1\r\n\r\n"),
     "GET / 1.1 h=h keep none {Host=h}{!#$%&'*+-.^_`|~09azAZ=1} end; "},
    {"a repeated header stays repeated", GET("A: 1\r\na: 2\r\n\r\n"),
     "GET / 1.1 h=h keep none {Host=h}{A=1}{a=2} end; "},
    {"a blank before the colon is refused", GET("A : b\r\n"), " !400"},
    {"a tab before the colon is refused", GET("A\t: b\r\n"), " !400"},
    {"a blank in a name is refused", GET("A B: c\r\n"), " !400"},
    {"an empty name is refused", GET(": b\r\n"), " !400"},
    {"a line without a colon is refused", GET("A\r\n"), " !400"},
    {"a name with a parenthesis is refused", GET("A(: b\r\n"), " !400"},
    {"a name with a non-ASCII byte is refused", GET("\xc3\xa4: b\r\n"), " !400"},
    {"a folded header is refused", GET("A: b\r\n c\r\n\r\n"), " !400"},
    {"a header folded by a tab is refused", GET("A: b\r\n\tc\r\n\r\n"), " !400"},
    {"a folded empty header is refused", GET("Transfer-Encoding:\r\n chunked\r\n\r\n"), " !400"},
    {"a blank before the first header is refused", BYTES("GET / HTTP/1.1\r\n Host: h\r\n\r\n"),
     " !400"},
    {"a tab before the first header is refused", BYTES("GET / HTTP/1.1\r\n\tHost: h\r\n\r\n"),
     " !400"},
    {"a bare LF does not end a header", GET("A: b\nC: d\r\n\r\n"), " !400"},
    {"a bare LF does not end the head", GET("A: b\r\n\n"), " !400"},
    {"two bare LFs do not end the head", BYTES("GET / HTTP/1.1\r\nHost: h\n\n"), " !400"},
    {"a bare CR does not separate headers", GET("A: b\rC: d\r\n\r\n"), " !400"},
    {"a bare CR within a value is refused", GET("A: b\r c\r\n\r\n"), " !400"},
    {"CR CR LF does not end a header", GET("A: b\r\r\n\r\n"), " !400"},
    {"CR X does not end the head", GET("A: b\r\n\rX"), " !400"},
    {"NUL in a value is refused", GET("A: b\0c\r\n"), " !400"},
    {"NUL in a name is refused", GET("A\0: b\r\n"), " !400"},
    {"a control byte in a value is refused", GET("A: b\x01\r\n"), " !400"},
    {"ESC in a long value is refused", GET("A: 0123456789abcdef\x1b[31m 0123456789\r\n"), " !400"},
    {"DEL in a value is refused", GET("A: b\x7f\r\n"), " !400"},
    {"VT is not a blank",
     GET("Transfer-Encoding:\x0b"
         "chunked\r\n"),
     " !400"},
    {"an unfinished head is an error at the end", GET("A: b\r\n"), " eof !400"},
    {"an unfinished line is an error at the end", BYTES("GE"), " eof !400"},
    /* Connection */
    {"Connection: close", GET("Connection: close\r\n\r\n"),
     "GET / 1.1 h=h once none {Host=h}{Connection=close} end; "},
    {"Connection is a list, in any case", GET("Connection: x ,\tClOsE\r\n\r\n"),
     "GET / 1.1 h=h once none {Host=h}{Connection=x ,\tClOsE} end; "},
    {"Connection in several headers", GET("Connection: x\r\nConnection: close\r\n\r\n"),
     "GET / 1.1 h=h once none {Host=h}{Connection=x}{Connection=close} end; "},
    {"Connection: a part of a token does not count", GET("Connection: closed, keep close\r\n\r\n"),
     "GET / 1.1 h=h keep none {Host=h}{Connection=closed, keep close} end; "},
    {"keep-alive keeps an HTTP/1.0 connection",
     BYTES("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"),
     "GET / 1.0 h= keep none {Connection=Keep-Alive} end; "},
    {"close beats keep-alive", BYTES("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"),
     "GET / 1.0 h= once none {Connection=keep-alive, close} end; "},
    {"an upgrade is told", GET("Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
     "GET / 1.1 h=h keep upgrade none {Host=h}{Connection=Upgrade}{Upgrade=websocket} end; "},
    {"an upgrade needs Connection", GET("Upgrade: websocket\r\n\r\n"),
     "GET / 1.1 h=h keep none {Host=h}{Upgrade=websocket} end; "},
    {"an upgrade needs Upgrade", GET("Connection: upgrade\r\n\r\n"),
     "GET / 1.1 h=h keep none {Host=h}{Connection=upgrade} end; "},
    {"HTTP/1.0 has no upgrade",
     BYTES("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),
     "GET / 1.0 h= once none {Connection=upgrade}{Upgrade=x} end; "},
    {"bytes behind an upgrade request are the next request",
     GET("Connection: upgrade\r\nUpgrade: x\r\n\r\nGET /2 HTTP/1.0\r\n\r\n"),
     "GET / 1.1 h=h keep upgrade none {Host=h}{Connection=upgrade}{Upgrade=x} end; "
     "GET /2 1.0 h= once none end; "},
    /* Expect */
    {"100-continue is told", POST("Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx"),
     "POST / 1.1 h=h keep expect length=1 {Host=h}{Expect=100-Continue}{Content-Length=1} \"x\" "
     "end; "},
    {"100-continue without a body is not told", GET("Expect: 100-continue\r\n\r\n"),
     "GET / 1.1 h=h keep none {Host=h}{Expect=100-continue} end; "},
    {"100-continue is ignored in HTTP/1.0",
     BYTES("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx"),
     "POST / 1.0 h= once length=1 {Expect=100-continue}{Content-Length=1} \"x\" end; "},
    {"another expectation is refused", POST("Expect: 200-ok\r\nContent-Length: 1\r\n\r\nx"),
     " !417"},
    {"another expectation beside 100-continue is refused",
     POST("Expect: 100-continue\r\nExpect: x\r\nContent-Length: 1\r\n\r\nx"), " !417"},
    {"a list of expectations is refused",
     POST("Expect: 100-continue, x\r\nContent-Length: 1\r\n\r\n"), " !417"},
    /* Content-Length */
    {"a body of known length is read", POST("Content-Length: 5\r\n\r\nhello"),
     "POST / 1.1 h=h keep length=5 {Host=h}{Content-Length=5} \"hello\" end; "},
    {"a length of 0 is no body", POST("Content-Length: 0\r\n\r\n"),
     "POST / 1.1 h=h keep none=0 {Host=h}{Content-Length=0} end; "},
    {"leading zeros are digits", POST("Content-Length: 0001\r\n\r\nx"),
     "POST / 1.1 h=h keep length=1 {Host=h}{Content-Length=0001} \"x\" end; "},
    {"a GET may have a body", GET("Content-Length: 1\r\n\r\nx"),
     "GET / 1.1 h=h keep length=1 {Host=h}{Content-Length=1} \"x\" end; "},
    {"a body cut short is an error at the end", POST("Content-Length: 5\r\n\r\nhell"),
     "POST / 1.1 h=h keep length=5 {Host=h}{Content-Length=5} \"hell\" eof !400"},
    {"the biggest length is 2^63-1", POST("Content-Length: 9223372036854775807\r\n\r\nx"),
     "POST / 1.1 h=h keep length=9223372036854775807 {Host=h}{Content-Length=9223372036854775807} "
     "\"x\" eof !400"},
    {"a length of 2^63 is refused", POST("Content-Length: 9223372036854775808\r\n\r\n"), " !400"},
    {"a length of 2^64+1 is refused", POST("Content-Length: 18446744073709551617\r\n\r\n"),
     " !400"},
    {"a negative length is refused", POST("Content-Length: -1\r\n\r\n"), " !400"},
    {"a length with a plus is refused", POST("Content-Length: +5\r\n\r\nhello"), " !400"},
    {"a length in hexadecimal is refused", POST("Content-Length: 0x5\r\n\r\nhello"), " !400"},
    {"a length with a blank inside is refused", POST("Content-Length: 5 6\r\n\r\nhello"), " !400"},
    {"a length with a fraction is refused", POST("Content-Length: 5.0\r\n\r\nhello"), " !400"},
    {"an empty length is refused", POST("Content-Length:\r\n\r\n"), " !400"},
    {"a list of lengths is refused, even if equal", POST("Content-Length: 5, 5\r\n\r\nhello"),
     " !400"},
    {"two lengths are refused, even if equal",
     POST("Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), " !400"},
    {"two different lengths are refused",
     POST("Content-Length: 5\r\ncontent-length: 6\r\n\r\nhello"), " !400"},
    /* Transfer-Encoding */
    {"chunked in any case", POST("Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n"),
     "POST / 1.1 h=h keep chunked {Host=h}{Transfer-Encoding=Chunked} end; "},
    {"TE and CL together are refused",
     POST("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"), " !400"},
    {"CL and TE together are refused",
     POST("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), " !400"},
    {"CL 0 and TE together are refused",
     POST("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n"), " !400"},
    {"chunked twice is refused", POST("Transfer-Encoding: chunked, chunked\r\n\r\n"), " !400"},
    {"chunked in two headers is refused",
     POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), " !400"},
    {"an unknown coding is not implemented", POST("Transfer-Encoding: xchunked\r\n\r\n"), " !501"},
    {"gzip before chunked is not implemented", POST("Transfer-Encoding: gzip, chunked\r\n\r\n"),
     " !501"},
    {"identity is not implemented", POST("Transfer-Encoding: identity\r\n\r\n"), " !501"},
    {"chunked behind another header's coding is not implemented",
     POST("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n"), " !501"},
    {"an empty TE is refused", POST("Transfer-Encoding:\r\n\r\n"), " !400"},
    {"chunked with an empty element is refused", POST("Transfer-Encoding: chunked,\r\n\r\n"),
     " !400"},
    {"chunked with a parameter is refused", POST("Transfer-Encoding: chunked;q=1\r\n\r\n"),
     " !400"},
    {"quoted chunked is refused", POST("Transfer-Encoding: \"chunked\"\r\n\r\n"), " !400"},
    {"TE in HTTP/1.0 is refused",
     BYTES("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), " !400"},
    {"TE spelt with a blank is refused", POST("Transfer-Encoding : chunked\r\n\r\n"), " !400"},
    {"TE spelt with an underscore is another header", POST("Transfer_Encoding: chunked\r\n\r\n"),
     "POST / 1.1 h=h keep none {Host=h}{Transfer_Encoding=chunked} end; "},
    /* chunks */
    {"chunks are joined", CHUNKED("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"),
     OK_CHUNKED " \"hello!\" end; "},
    {"a chunk's size is hexadecimal, in any case",
     CHUNKED("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"),
     OK_CHUNKED " \"01234567890123456789\" end; "},
    {"a size may have leading zeros, and so may 0", CHUNKED("0001\r\nx\r\n000\r\n\r\n"),
     OK_CHUNKED " \"x\" end; "},
    {"a chunk may hold CRLF", CHUNKED("4\r\n\r\n\r\n\r\n0\r\n\r\n"),
     OK_CHUNKED " \"\r\n\r\n\" end; "},
    {"extensions are dropped", CHUNKED("1;a;b=c;d=\"e;\\\"f\"\r\nx\r\n0;z\r\n\r\n"),
     OK_CHUNKED " \"x\" end; "},
    {"a size of 16 digits is read", CHUNKED("7fffffffffffffff\r\nx"), OK_CHUNKED " \"x\" eof !400"},
    {"a size of 2^63 is refused", CHUNKED("8000000000000000\r\nx"), OK_CHUNKED " !400"},
    {"a size of 17 digits is refused", CHUNKED("00000000000000001\r\nx"), OK_CHUNKED " !400"},
    {"a size that wraps around is refused", CHUNKED("10000000000000001\r\nx"), OK_CHUNKED " !400"},
    {"an empty size is refused", CHUNKED("\r\n"), OK_CHUNKED " !400"},
    {"an extension without a size is refused", CHUNKED(";a\r\n"), OK_CHUNKED " !400"},
    {"a size with 0x is refused", CHUNKED("0x1\r\nx\r\n"), OK_CHUNKED " !400"},
    {"a size with a sign is refused", CHUNKED("+1\r\nx\r\n"), OK_CHUNKED " !400"},
    {"a negative size is refused", CHUNKED("-1\r\nx\r\n"), OK_CHUNKED " !400"},
    {"a size with an underscore is refused", CHUNKED("1_0\r\nx\r\n"), OK_CHUNKED " !400"},
    {"a size that is no number is refused", CHUNKED("g\r\nx\r\n"), OK_CHUNKED " !400"},
    {"a blank before a size is refused", CHUNKED(" 1\r\nx\r\n"), OK_CHUNKED " !400"},
    {"a blank behind a size is refused", CHUNKED("1 \r\nx\r\n"), OK_CHUNKED " !400"},
    {"a blank before an extension is refused", CHUNKED("1 ;a\r\nx\r\n"), OK_CHUNKED " !400"},
    {"an empty extension is refused", CHUNKED("1;\r\nx\r\n"), OK_CHUNKED " !400"},
    {"an extension without a value behind = is refused", CHUNKED("1;a=\r\nx\r\n"),
     OK_CHUNKED " !400"},
    {"an extension whose quote stays open is refused", CHUNKED("1;a=\"b\r\nx\r\n"),
     OK_CHUNKED " !400"},
    {"an extension whose quote's end is escaped is refused", CHUNKED("1;a=\"b\\\"\r\nx\r\n"),
     OK_CHUNKED " !400"},
    {"text behind a quoted extension is refused", CHUNKED("1;a=\"b\"c\r\nx\r\n"),
     OK_CHUNKED " !400"},
    {"NUL in an extension is refused", CHUNKED("1;a\0\r\nx\r\n"), OK_CHUNKED " !400"},
    {"a bare LF in an extension is refused", CHUNKED("1;a\nb\r\nx\r\n"), OK_CHUNKED " !400"},
    {"a bare LF behind a size is refused", CHUNKED("1\nx\r\n"), OK_CHUNKED " !400"},
    {"a bare CR behind a size is refused", CHUNKED("1\rx\r\n"), OK_CHUNKED " !400"},
    {"a bare LF behind a chunk is refused", CHUNKED("1\r\nx\n0\r\n\r\n"), OK_CHUNKED " \"x\" !400"},
    {"a bare CR behind a chunk is refused", CHUNKED("1\r\nx\r0\r\n\r\n"), OK_CHUNKED " \"x\" !400"},
    {"no CRLF behind a chunk is refused", CHUNKED("1\r\nx0\r\n\r\n"), OK_CHUNKED " \"x\" !400"},
    {"a chunk longer than its size is refused", CHUNKED("1\r\nxy\r\n0\r\n\r\n"),
     OK_CHUNKED " \"x\" !400"},
    {"a bare LF at the end of chunks is refused", CHUNKED("0\r\n\n"), OK_CHUNKED " !400"},
    {"a body cut within a chunk is an error at the end", CHUNKED("2\r\nx"),
     OK_CHUNKED " \"x\" eof !400"},
    {"a body without its last chunk is an error at the end", CHUNKED("1\r\nx\r\n"),
     OK_CHUNKED " \"x\" eof !400"},
    {"a body without its last line is an error at the end", CHUNKED("0\r\n"),
     OK_CHUNKED " eof !400"},
    /* trailers */
    {"trailers are read and dropped", CHUNKED("0\r\nA: b\r\nC: d\r\n\r\n"), OK_CHUNKED " end; "},
    {"trailers frame nothing",
     CHUNKED("0\r\nContent-Length: 5\r\nHost: x\r\n\r\nGET / HTTP/1.0\r\n\r\n"),
     OK_CHUNKED " end; GET / 1.0 h= once none end; "},
    {"a trailer's name is judged", CHUNKED("0\r\nA b: c\r\n\r\n"), OK_CHUNKED " !400"},
    {"a trailer's value is judged", CHUNKED("0\r\nA: \0\r\n\r\n"), OK_CHUNKED " !400"},
    {"a folded trailer is refused", CHUNKED("0\r\nA: b\r\n c\r\n\r\n"), OK_CHUNKED " !400"},
    {"a blank before the first trailer is refused", CHUNKED("0\r\n A: b\r\n\r\n"),
     OK_CHUNKED " !400"},
    {"a bare LF does not end a trailer", CHUNKED("0\r\nA: b\n\r\n"), OK_CHUNKED " !400"},
    {"a request where a trailer should be is refused", CHUNKED("0\r\nGET / HTTP/1.1\r\n\r\n"),
     OK_CHUNKED " !400"},
    /* several messages */
    {"pipelined requests are told apart",
     BYTES("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\n"
           "Content-Length: 2\r\n\r\nabPOST /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
           "chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nGET /4 HTTP/1.0\r\n\r\n"),
     "GET /1 1.1 h=h keep none {Host=h} end; POST /2 1.1 h=h keep length=2 "
     "{Host=h}{Content-Length=2} \"ab\" end; "
     "POST /3 1.1 h=h keep chunked {Host=h}{Transfer-Encoding=chunked} \"x\" end; GET /4 1.0 h= "
     "once none end; "},
    {"an empty line between pipelined requests is let pass",
     POST("Content-Length: 1\r\n\r\nx\r\nGET / HTTP/1.0\r\n\r\n"),
     "POST / 1.1 h=h keep length=1 {Host=h}{Content-Length=1} \"x\" end; GET / 1.0 h= once none "
     "end; "},
    {"a smuggled second request is refused with its first",
     POST("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
          "5c\r\nGPOST / HTTP/1.1\r\n\r\n"),
     " !400"},
    /* limits */
    {"a request line at the limit",
     BYTES("GET /ab HTTP/1.0\r\n\r\n"),
     "GET /ab 1.0 h= once none end; ",
     {.line_max = 16}},
    {"a request line one above the limit",
     BYTES("GET /abc HTTP/1.0\r\n\r\n"),
     " !414",
     {.line_max = 16}},
    {"a request line without an end is refused at the limit",
     BYTES("GET /abcdefghijkl"),
     " !414",
     {.line_max = 16}},
    {"the limit holds behind an empty line too",
     BYTES("\r\nGET /abc HTTP/1.0\r\n\r\n"),
     " !414",
     {.line_max = 16}},
    {"a head at the limit",
     BYTES("GET / HTTP/1.0\r\nA: b\r\n\r\n"),
     "GET / 1.0 h= once none {A=b} end; ",
     {.head_max = 24}},
    {"a head one above the limit",
     BYTES("GET / HTTP/1.0\r\nA: bc\r\n\r\n"),
     " !431",
     {.head_max = 24}},
    {"a head without an end is refused at the limit",
     BYTES("GET / HTTP/1.0\r\nA: bcdef"),
     " !431",
     {.head_max = 24}},
    {"a head's limit leaves the body alone",
     BYTES("PUT / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc"),
     "PUT / 1.0 h= once length=3 {Content-Length=3} \"abc\" end; ",
     {.head_max = 37}},
    {"as many headers as allowed",
     BYTES("GET / HTTP/1.0\r\nA: 1\r\nB: 2\r\n\r\n"),
     "GET / 1.0 h= once none {A=1}{B=2} end; ",
     {.n_headers_max = 2}},
    {"one header more than allowed",
     BYTES("GET / HTTP/1.0\r\nA: 1\r\nB: 2\r\nC"),
     " !431",
     {.n_headers_max = 2}},
    {"a length at the limit",
     POST("Content-Length: 3\r\n\r\nabc"),
     "POST / 1.1 h=h keep length=3 {Host=h}{Content-Length=3} \"abc\" end; ",
     {.body_max = 3}},
    {"a length one above the limit",
     POST("Content-Length: 4\r\n\r\nabcd"),
     " !413",
     {.body_max = 3}},
    {"chunks at the limit",
     CHUNKED("2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
     OK_CHUNKED " \"abc\" end; ",
     {.body_max = 3}},
    {"chunks one above the limit",
     CHUNKED("2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"),
     OK_CHUNKED " \"ab\" !413",
     {.body_max = 3}},
    {"chunks without a limit do not wrap around", CHUNKED("1\r\na\r\n7fffffffffffffff\r\nb"),
     OK_CHUNKED " \"ab\" eof !400"},
    {"trailers at the limit",
     CHUNKED("0\r\nA: 23456789012345678901234567890123456789012345678901234567890123\r\n\r\n"),
     OK_CHUNKED " end; ",
     {.head_max = 69}},
    {"trailers one above the limit",
     CHUNKED("0\r\nA: 234567890123456789012345678901234567890123456789012345678901234\r\n\r\n"),
     OK_CHUNKED " !431",
     {.head_max = 69}},
    {"trailers of several lines one above the limit",
     CHUNKED("0\r\nA: 23456789012345678901234567\r\nA: 0123456789012345678901234567\r\n\r\n"),
     OK_CHUNKED " !431",
     {.head_max = 65}},
    {"one trailer more than allowed",
     CHUNKED("0\r\nA: 1\r\nB: 2\r\nC"),
     OK_CHUNKED " !431",
     {.n_headers_max = 2}},
};

static const struct row responses[] = {
    {"a response of known length is read", ANSWER("Content-Length: 2\r\n\r\nhi"),
     "200 'OK' 1.1 keep length=2 {Content-Length=2} \"hi\" end; "},
    {"a chunked response is read", ANSWER("Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
     "200 'OK' 1.1 keep chunked {Transfer-Encoding=chunked} \"hi\" end; "},
    {"a response without a length lasts until the peer closes", ANSWER("\r\nhi\r\n\r\n"),
     "200 'OK' 1.1 once close \"hi\r\n\r\n\" end; "},
    {"an empty response until close", ANSWER("\r\n"), "200 'OK' 1.1 once close end; "},
    {"keep-alive cannot hold where only closing ends the body",
     ANSWER("Connection: keep-alive\r\n\r\n"),
     "200 'OK' 1.1 once close {Connection=keep-alive} end; "},
    {"a response of length 0", ANSWER("Content-Length: 0\r\n\r\n"),
     "200 'OK' 1.1 keep none=0 {Content-Length=0} end; "},
    {"HTTP/1.0 closes", BYTES("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
     "200 'OK' 1.0 once none=0 {Content-Length=0} end; "},
    {"a reason may be empty", BYTES("HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n"),
     "299 '' 1.1 keep none=0 {Content-Length=0} end; "},
    {"a reason may be missing with its blank", BYTES("HTTP/1.1 299\r\nContent-Length: 0\r\n\r\n"),
     "299 '' 1.1 keep none=0 {Content-Length=0} end; "},
    {"a reason may hold blanks and obs-text",
     BYTES("HTTP/1.1 404 Gibt's\tnicht \xff\r\nContent-Length: 0\r\n\r\n"),
     "404 'Gibt's\tnicht \xff' 1.1 keep none=0 {Content-Length=0} end; "},
    {"a control byte in a reason is refused", BYTES("HTTP/1.1 200 O\x01K\r\n"), " !502"},
    {"a bare LF in a status line is refused", BYTES("HTTP/1.1 200 OK\n\r\n"), " !502"},
    {"status 099 is refused", BYTES("HTTP/1.1 099 x\r\n"), " !502"},
    {"status 100 is the first", BYTES("HTTP/1.1 100 x\r\n\r\n"), "100 'x' 1.1 keep none end; "},
    {"status 599 is the last", BYTES("HTTP/1.1 599 x\r\nContent-Length: 0\r\n\r\n"),
     "599 'x' 1.1 keep none=0 {Content-Length=0} end; "},
    {"status 600 is refused", BYTES("HTTP/1.1 600 x\r\n"), " !502"},
    {"a status of two digits is refused", BYTES("HTTP/1.1 20 OK\r\n"), " !502"},
    {"a status of four digits is refused", BYTES("HTTP/1.1 2000 OK\r\n"), " !502"},
    {"a status with a sign is refused", BYTES("HTTP/1.1 +20 OK\r\n"), " !502"},
    {"two blanks before a status are refused", BYTES("HTTP/1.1  200 OK\r\n"), " !502"},
    {"another version is refused", BYTES("HTTP/2.0 200 OK\r\n"), " !502"},
    {"no empty line before a response", BYTES("\r\nHTTP/1.1 200 OK\r\n"), " !502"},
    {"text that is no response is refused", BYTES("Traceback (most recent call last):\r\n"),
     " !502"},
    {"TE and CL together are refused",
     ANSWER("Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n"), " !502"},
    {"two lengths are refused", ANSWER("Content-Length: 2\r\nContent-Length: 2\r\n\r\n"), " !502"},
    {"an unknown coding is refused", ANSWER("Transfer-Encoding: gzip\r\n\r\n"), " !502"},
    {"TE in HTTP/1.0 is refused", BYTES("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
     " !502"},
    {"a folded header is refused", ANSWER("A: b\r\n c\r\n\r\n"), " !502"},
    {"a blank before a colon is refused", ANSWER("A : b\r\n\r\n"), " !502"},
    {"a bare CR in a value is refused", ANSWER("A: b\rc\r\n\r\n"), " !502"},
    {"a body cut short is an error at the end", ANSWER("Content-Length: 2\r\n\r\nh"),
     "200 'OK' 1.1 keep length=2 {Content-Length=2} \"h\" eof !502"},
    {"a response needs no Host, and may have two",
     ANSWER("Host: a\r\nHost: b\r\nContent-Length: 0\r\n\r\n"),
     "200 'OK' 1.1 keep none=0 {Host=a}{Host=b}{Content-Length=0} end; "},
    {"Expect means nothing in a response", ANSWER("Expect: x\r\nContent-Length: 0\r\n\r\n"),
     "200 'OK' 1.1 keep none=0 {Expect=x}{Content-Length=0} end; "},
    {"a 1xx is a message of its own",
     BYTES("HTTP/1.1 103 x\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"),
     "103 'x' 1.1 keep none {Link=a} end; 200 'OK' 1.1 keep length=1 {Content-Length=1} \"x\" "
     "end; "},
    {"a 101 ends with its head",
     BYTES("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: y\r\n\r\n"),
     "101 'x' 1.1 keep upgrade none {Connection=upgrade}{Upgrade=y} end; "},
    {"a 204 has no body", BYTES("HTTP/1.1 204 x\r\n\r\nHTTP/1.1 204 y\r\n\r\n"),
     "204 'x' 1.1 keep none end; 204 'y' 1.1 keep none end; "},
    {"a 204 that announces a body is not followed by another",
     BYTES("HTTP/1.1 204 x\r\nContent-Length: 3\r\n\r\n"),
     "204 'x' 1.1 once none=3 {Content-Length=3} end; "},
    {"a 304 has no body but may have a length",
     BYTES("HTTP/1.1 304 x\r\nContent-Length: 3\r\n\r\nHTTP/1.1 204 y\r\n\r\n"),
     "304 'x' 1.1 keep none=3 {Content-Length=3} end; 204 'y' 1.1 keep none end; "},
    {"an answer to HEAD has no body but may have a length", ANSWER("Content-Length: 3\r\n\r\n"),
     "200 'OK' 1.1 keep none=3 {Content-Length=3} end; ", .head_request = true},
    {"an answer to HEAD has no chunks", ANSWER("Transfer-Encoding: chunked\r\n\r\n"),
     "200 'OK' 1.1 keep none {Transfer-Encoding=chunked} end; ", .head_request = true},
    {"an answer to HEAD without a length ends with its head", ANSWER("\r\n"),
     "200 'OK' 1.1 keep none end; ", .head_request = true},
    {"an answer to HEAD behind a 103 has no body either",
     BYTES("HTTP/1.1 103 x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"),
     "103 'x' 1.1 keep none end; 200 'OK' 1.1 keep none=3 {Content-Length=3} end; ",
     .head_request = true},
    {"a status line above the limit", BYTES("HTTP/1.1 200 OKAY\r\n"), " !502", {.line_max = 16}},
    {"too many headers", ANSWER("A: 1\r\nB: 2\r\n\r\n"), " !502", {.n_headers_max = 1}},
    {"a head above the limit", ANSWER("A: 1\r\n\r\n"), " !502", {.head_max = 24}},
    {"a length above the limit", ANSWER("Content-Length: 4\r\n\r\n"), " !502", {.body_max = 3}},
    {"a body until close at the limit",
     ANSWER("\r\nabc"),
     "200 'OK' 1.1 once close \"abc\" end; ",
     {.body_max = 3}},
    {"a body until close one above the limit",
     ANSWER("\r\nabcd"),
     "200 'OK' 1.1 once close \"abc\" !502",
     {.body_max = 3}},
};

static void test_request_row(void **state)
{
    run_row(*state, HTTP_REQUEST);
}

static void test_response_row(void **state)
{
    run_row(*state, HTTP_RESPONSE);
}

/* ---- single properties of the parser ---- */

static enum http_event parse_once(struct http_parser *p, struct slice bytes, struct http_head *head)
{
    struct slice data;
    size_t used;

    return http_parse(p, bytes, &used, head, &data);
}

static void start(struct http_parser *p, enum http_kind kind)
{
    http_parser_init(p, kind, &HTTP_LIMITS_DEFAULT);
}

static struct slice repeated(struct buf *b, const char *before, char c, size_t n, const char *after)
{
    buf_init(b, SIZE_MAX / 2);
    add(b, slice_str(before));
    for (size_t i = 0; i < n; i++)
        add(b, slice(&c, 1));
    add(b, slice_str(after));
    return buf_slice(b);
}

static void expect_limit(const char *before, const char *after, size_t n_max, unsigned error)
{
    for (size_t n = n_max; n <= n_max + 1; n++) {
        struct http_parser p;
        static struct http_head head;
        struct buf b;
        struct slice input = repeated(&b, before, 'a', n, after), data;
        enum http_event event = HTTP_EVENT_MORE;

        start(&p, HTTP_REQUEST);
        for (size_t at = 0, have = 1; have <= input.len && event != HTTP_EVENT_ERROR; have++) {
            size_t used;

            do {
                event = http_parse(&p, slice(input.base + at, have - at), &used, &head, &data);
                at += used;
            } while (event != HTTP_EVENT_MORE && event != HTTP_EVENT_ERROR);
        }
        assert_int_equal(event, n == n_max ? HTTP_EVENT_MORE : HTTP_EVENT_ERROR);
        assert_int_equal(p.error_status, n == n_max ? 0 : error);
        assert_int_equal(p.state, n == n_max ? HTTP_STATE_DONE : HTTP_STATE_ERROR);
        buf_deinit(&b);
    }
}

static void test_default_line_limit(void **state)
{
    expect_limit("GET /", " HTTP/1.0\r\n\r\n", 8192 - strlen("GET / HTTP/1.0"), 414);
}

static void test_default_head_limit(void **state)
{
    expect_limit("GET / HTTP/1.0\r\nA:", "\r\n\r\n", 32768 - strlen("GET / HTTP/1.0rnA:rnrn"), 431);
}

static void test_chunk_line_limit(void **state)
{
    expect_limit("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0;", "\r\n\r\n",
                 4096 - 2, 400);
}

static void test_header_ceiling(void **state)
{
    struct http_limits limits = HTTP_LIMITS_DEFAULT;

    limits.n_headers_max = UINT32_MAX;
    for (uint32_t n = HTTP_HEADERS_MAX; n <= HTTP_HEADERS_MAX + 1; n++) {
        struct buf b = BUF_INIT(65536);
        static struct http_head head;
        struct http_parser p;

        add(&b, BYTES("GET / HTTP/1.0\r\n"));
        for (uint32_t i = 0; i < n; i++)
            assert_int_equal(http_write_header_u64(&b, "N", i), 0);
        add(&b, BYTES("\r\n"));
        http_parser_init(&p, HTTP_REQUEST, &limits);
        if (n == HTTP_HEADERS_MAX) {
            assert_int_equal(parse_once(&p, buf_slice(&b), &head), HTTP_EVENT_HEAD);
            assert_int_equal(head.n_headers, n);
            assert_true(slice_eq(head.headers[n - 1].value, BYTES("127")));
        } else {
            assert_int_equal(parse_once(&p, buf_slice(&b), &head), HTTP_EVENT_ERROR);
            assert_int_equal(p.error_status, 431);
        }
        buf_deinit(&b);
    }
}

/* The parser's own account: however many calls, it never goes back behind what it has searched. */
static void test_no_byte_is_searched_twice(void **state)
{
    struct buf b;
    struct slice input = repeated(&b, "GET / HTTP/1.0\r\nA: ", 'a', 30000, "");
    static struct http_head head;
    struct http_parser p;

    start(&p, HTTP_REQUEST);
    for (size_t have = 0; have <= input.len; have++) {
        assert_int_equal(parse_once(&p, slice(input.base, have), &head), HTTP_EVENT_MORE);
        assert_true(p.scanned + 1 >= have); /* a last CR is looked at again */
        assert_true(p.line_start <= strlen("GET / HTTP/1.0rn"));
    }
    buf_deinit(&b);
}

static void test_moved_bytes(void **state)
{
    /* The caller's buffer may move between two calls: nothing of the old place is kept. */
    static const struct slice input = BYTES("GET /x HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n");
    static struct http_head head;
    struct http_parser p;
    struct slice value;

    start(&p, HTTP_REQUEST);
    for (size_t have = 1; have <= input.len; have++) {
        char *bytes = malloc(have);
        enum http_event event;

        assert_non_null(bytes);
        memcpy(bytes, input.base, have);
        event = parse_once(&p, slice(bytes, have), &head);
        assert_int_equal(event, have == input.len ? HTTP_EVENT_HEAD : HTTP_EVENT_MORE);
        if (event == HTTP_EVENT_HEAD) {
            assert_true(http_head_find(&head, "a", &value));
            assert_true(value.base > bytes && value.base < bytes + have);
            assert_true(head.path.base > bytes && head.path.base < bytes + have);
        }
        free(bytes);
    }
}

static void test_path_and_query(void **state)
{
    static const struct {
        const char *target, *path, *query;
    } rows[] = {
        {"/", "/", ""},
        {"/a/b", "/a/b", ""},
        {"/a?b", "/a", "b"},
        {"/a?", "/a", ""},
        {"/a?b?c=d", "/a", "b?c=d"},
        {"/?/..", "/", "/.."},
        {"http://h/a?b", "/a", "b"},
        {"http://h", "/", ""},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        static struct http_head head;
        struct http_parser p;
        struct buf b = BUF_INIT(1000);

        assert_int_equal(buf_printf(&b, "GET %s HTTP/1.0\r\n\r\n", rows[i].target), 0);
        start(&p, HTTP_REQUEST);
        assert_int_equal(parse_once(&p, buf_slice(&b), &head), HTTP_EVENT_HEAD);
        assert_true(slice_eq(head.path, slice_str(rows[i].path)));
        assert_true(slice_eq(head.query, slice_str(rows[i].query)));
        buf_deinit(&b);
    }
}

static void test_error_stays(void **state)
{
    static struct http_head head;
    struct http_parser p;

    start(&p, HTTP_REQUEST);
    assert_int_equal(parse_once(&p, BYTES("\n"), &head), HTTP_EVENT_ERROR);
    assert_int_equal(parse_once(&p, BYTES("GET / HTTP/1.0\r\n\r\n"), &head), HTTP_EVENT_ERROR);
    assert_int_equal(http_parse_eof(&p, false), HTTP_EVENT_ERROR);
    assert_int_equal(p.error_status, 400);
}

static void test_done_waits_for_next(void **state)
{
    static const struct slice input = BYTES("GET / HTTP/1.0\r\n\r\n");
    static struct http_head head;
    struct http_parser p;

    start(&p, HTTP_REQUEST);
    assert_int_equal(parse_once(&p, input, &head), HTTP_EVENT_HEAD);
    assert_int_equal(parse_once(&p, SLICE_NULL, &head), HTTP_EVENT_END);
    assert_int_equal(parse_once(&p, input, &head), HTTP_EVENT_MORE);
    assert_int_equal(http_parse_eof(&p, true), HTTP_EVENT_MORE);
    http_parser_next(&p);
    assert_int_equal(parse_once(&p, input, &head), HTTP_EVENT_HEAD);
}

static void test_body_limit_of_the_function(void **state)
{
    static const struct slice input =
        BYTES("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n");
    static struct http_head head;
    struct slice data;
    struct http_parser p;
    size_t used;

    start(&p, HTTP_REQUEST);
    assert_int_equal(http_parse(&p, input, &used, &head, &data), HTTP_EVENT_HEAD);
    p.limits.body_max = 3;
    assert_int_equal(parse_once(&p, slice(input.base + used, input.len - used), &head),
                     HTTP_EVENT_ERROR);
    assert_int_equal(p.error_status, 413);
}

/* ---- facts ---- */

static void test_reasons(void **state)
{
    assert_string_equal(http_reason(404), "Not Found");
    assert_string_equal(http_reason(200), "OK");
    assert_string_equal(http_reason(299), "Unknown");
    assert_string_equal(http_reason(0), "Unknown");
    assert_string_equal(http_reason(600), "Unknown");
}

/* Byte by byte against the grammar, spelt out. */
static void test_byte_classes(void **state)
{
    for (int c = 0; c < 256; c++) {
        char byte = (char)c;
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool token = alnum || (c != 0 && strchr("!#$%&'*+-.^_`|~", c));

        assert_int_equal(http_is_token(slice(&byte, 1)), token);
        assert_int_equal(http_is_value(slice(&byte, 1)), c == '\t' || (c >= 0x20 && c != 0x7f));
    }
    assert_false(http_is_token(SLICE_NULL));
    assert_true(http_is_value(SLICE_NULL));
}

static void test_hop_headers(void **state)
{
    static const char *const hop[] = {"connection",
                                      "Keep-Alive",
                                      "PROXY-CONNECTION",
                                      "Proxy-Authenticate",
                                      "Proxy-Authorization",
                                      "te",
                                      "Trailer",
                                      "Transfer-Encoding",
                                      "upgrade"};
    static const char *const other[] = {
        "", "T", "TEE", "Host", "Content-Length", "Authorization", "Connectio"};

    for (size_t i = 0; i < ARRAY_SIZE(hop); i++)
        assert_true(http_is_hop_header(slice_str(hop[i])));
    for (size_t i = 0; i < ARRAY_SIZE(other); i++)
        assert_false(http_is_hop_header(slice_str(other[i])));
}

static void test_connection_lists(void **state)
{
    static struct http_head head;
    struct http_parser p;

    start(&p, HTTP_REQUEST);
    assert_int_equal(
        parse_once(&p, GET("Connection: ,a , X-B\r\nCONNECTION: c\r\nOther: d\r\n\r\n"), &head),
        HTTP_EVENT_HEAD);
    assert_true(http_connection_lists(&head, BYTES("A")));
    assert_true(http_connection_lists(&head, BYTES("x-b")));
    assert_true(http_connection_lists(&head, BYTES("c")));
    assert_false(http_connection_lists(&head, BYTES("d")));
    assert_false(http_connection_lists(&head, BYTES("X-")));
}

static void test_find_takes_the_first(void **state)
{
    static struct http_head head;
    struct http_parser p;
    struct slice value = BYTES("untouched");

    start(&p, HTTP_REQUEST);
    assert_int_equal(parse_once(&p, GET("Abc: 1\r\nabc: 2\r\n\r\n"), &head), HTTP_EVENT_HEAD);
    assert_false(http_head_find(&head, "ab", &value));
    assert_true(slice_eq(value, BYTES("untouched")));
    assert_true(http_head_find(&head, "ABC", &value));
    assert_true(slice_eq(value, BYTES("1")));
}

/* ---- writing ---- */

static void test_written_request_is_read(void **state)
{
    struct buf b = BUF_INIT(10000);
    struct row row = {.name = "written request",
                      .expected = "PUT /a?b 1.1 h=h:1 keep chunked "
                                  "{Host=h:1}{Transfer-Encoding=chunked}{N=18446744073709551615}"
                                  " \"hello, world, this is 31 bytes!\" end; "};

    assert_int_equal(http_write_request_line(&b, BYTES("PUT"), BYTES("/a?b")), 0);
    assert_int_equal(http_write_header(&b, BYTES("Host"), BYTES("h:1")), 0);
    assert_int_equal(http_write_header_str(&b, "Transfer-Encoding", "chunked"), 0);
    assert_int_equal(http_write_header_u64(&b, "N", UINT64_MAX), 0);
    assert_int_equal(http_write_head_end(&b), 0);
    assert_int_equal(http_write_chunk_start(&b, 31), 0);
    add(&b, BYTES("hello, world, this is 31 bytes!"));
    assert_int_equal(http_write_chunk_end(&b), 0);
    assert_int_equal(http_write_last_chunk(&b), 0);
    row.input = buf_slice(&b);
    run_row(&row, HTTP_REQUEST);
    buf_deinit(&b);
}

static void test_written_response_is_read(void **state)
{
    struct buf b = BUF_INIT(10000);
    struct row row = {.name = "written response",
                      .expected =
                          "299 'Fine\xff' 1.1 keep length=2 {Content-Length=2}{A=} \"hi\" end; "
                          "204 '' 1.1 keep none end; "};

    assert_int_equal(http_write_status_line(&b, 299, BYTES("Fine\xff")), 0);
    assert_int_equal(http_write_header_u64(&b, "Content-Length", 2), 0);
    assert_int_equal(http_write_header_str(&b, "A", ""), 0);
    assert_int_equal(http_write_head_end(&b), 0);
    add(&b, BYTES("hi"));
    assert_int_equal(http_write_status_line(&b, 204, SLICE_NULL), 0);
    assert_int_equal(http_write_head_end(&b), 0);
    row.input = buf_slice(&b);
    run_row(&row, HTTP_RESPONSE);
    buf_deinit(&b);
}

static void test_chunk_sizes(void **state)
{
    static const struct {
        uint64_t n;
        const char *text;
    } rows[] = {{1, "1\r\n"},
                {15, "f\r\n"},
                {16, "10\r\n"},
                {0x1f, "1f\r\n"},
                {UINT64_MAX, "ffffffffffffffff\r\n"}};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct buf b = BUF_INIT(100);

        assert_int_equal(http_write_chunk_start(&b, rows[i].n), 0);
        assert_true(slice_eq(buf_slice(&b), slice_str(rows[i].text)));
        buf_deinit(&b);
    }
}

/* Nothing that anybody passes in may end a line or begin another. */
static void test_writer_refuses_injection(void **state)
{
    static const struct slice bad_values[] = {BYTES("a\r\nB: c"), BYTES("a\nB: c"), BYTES("a\rB"),
                                              BYTES("a\0b"),      BYTES("\x01"),    BYTES("a\x7f"),
                                              BYTES("a\r\n")};
    static const struct slice bad_names[] = {BYTES(""),       BYTES("A:"),  BYTES("A B"),
                                             BYTES("A\r\nB"), BYTES("A\0"), BYTES("\xc3\xa4"),
                                             BYTES(" A"),     BYTES("A\t")};
    static const struct slice bad_targets[] = {BYTES(""),    BYTES("/a b"), BYTES("/a\r\n"),
                                               BYTES("/#a"), BYTES("a"),    BYTES("/\xff"),
                                               BYTES("/\0"), BYTES("**"),   BYTES("http://h/")};
    struct buf b = BUF_INIT(1000);

    add(&b, BYTES("before"));
    for (size_t i = 0; i < ARRAY_SIZE(bad_values); i++) {
        assert_int_equal(http_write_header(&b, BYTES("A"), bad_values[i]), -EINVAL);
        assert_int_equal(http_write_status_line(&b, 200, bad_values[i]), -EINVAL);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad_names); i++) {
        assert_int_equal(http_write_header(&b, bad_names[i], BYTES("a")), -EINVAL);
        assert_int_equal(http_write_request_line(&b, bad_names[i], BYTES("/")), -EINVAL);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad_targets); i++)
        assert_int_equal(http_write_request_line(&b, BYTES("GET"), bad_targets[i]), -EINVAL);
    assert_int_equal(http_write_header_str(&b, "A", "b\r\n"), -EINVAL);
    assert_int_equal(http_write_header_u64(&b, "A:", 1), -EINVAL);
    assert_int_equal(http_write_status_line(&b, 99, SLICE_NULL), -EINVAL);
    assert_int_equal(http_write_status_line(&b, 600, SLICE_NULL), -EINVAL);
    assert_true(slice_eq(buf_slice(&b), BYTES("before")));
    buf_deinit(&b);
}

static void test_writer_adds_all_or_nothing(void **state)
{
    struct buf b = BUF_INIT(20);

    assert_int_equal(http_write_header_str(&b, "A", "123456789012345"), 0);
    assert_int_equal(buf_len(&b), 20);
    buf_clear(&b);
    assert_int_equal(http_write_header_str(&b, "A", "1234567890123456"), -ENOBUFS);
    assert_int_equal(buf_len(&b), 0);
    buf_deinit(&b);
}

/* ---- targets ---- */

static void test_percent_decode(void **state)
{
    static const struct {
        struct slice input;
        bool plus;
        ssize_t len;
        const char *output;
    } rows[] = {
        {BYTES(""), false, 0, ""},
        {BYTES("abc"), false, 3, "abc"},
        {BYTES("a%20b"), false, 3, "a b"},
        {BYTES("%c3%A4"), false, 2, "\xc3\xa4"},
        {BYTES("a+b"), false, 3, "a+b"},
        {BYTES("a+b"), true, 3, "a b"},
        {BYTES("a%2Bb"), true, 3, "a+b"},
        {BYTES("%2541"), false, 3, "%41"},
        {BYTES("12345678"), false, 8, "12345678"},
        {BYTES("123456789"), false, -ENOBUFS, NULL},
        {BYTES("%"), false, -EINVAL, NULL},
        {BYTES("%4"), false, -EINVAL, NULL},
        {BYTES("%4g"), false, -EINVAL, NULL},
        {BYTES("%-1"), false, -EINVAL, NULL},
        {BYTES("%00"), false, -EINVAL, NULL},
        {BYTES("a\0"), false, -EINVAL, NULL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char dst[8];
        ssize_t n = http_percent_decode(rows[i].input, rows[i].plus, dst, sizeof(dst));

        assert_int_equal(n, rows[i].len);
        if (n >= 0)
            assert_memory_equal(dst, rows[i].output, (size_t)n);
    }
}

static void test_percent_encode(void **state)
{
    struct buf b = BUF_INIT(10000);
    char all[255], back[255];

    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (char)(i + 1);
    assert_int_equal(http_percent_encode(&b, slice(all, sizeof(all))), 0);
    assert_int_equal(http_percent_decode(buf_slice(&b), true, back, sizeof(back)), sizeof(all));
    assert_memory_equal(all, back, sizeof(all));
    buf_clear(&b);
    assert_int_equal(http_percent_encode(&b, BYTES("aZ9-._~ /\xff\0")), 0);
    assert_true(slice_eq(buf_slice(&b), BYTES("aZ9-._~%20%2F%FF%00")));
    buf_deinit(&b);
}

static void test_routable_paths(void **state)
{
    static const struct slice good[] = {
        BYTES("/"),      BYTES("/a"),      BYTES("/a/b/"),     BYTES("/a//b"), BYTES("/..."),
        BYTES("/.a"),    BYTES("/a."),     BYTES("/a..b/c"),   BYTES("/%20"),  BYTES("/%C3%A4"),
        BYTES("/a%2Fb"), BYTES("/%25%32"), BYTES("/%2e%2e%2e")};
    static const struct slice bad[] = {
        BYTES(""),        BYTES("a"),       BYTES("*"),      BYTES("/."),
        BYTES("/.."),     BYTES("/a/../b"), BYTES("/a/./b"), BYTES("/a/.."),
        BYTES("/%2e"),    BYTES("/%2E./a"), BYTES("/.%2e"),  BYTES("/a%2F..%2Fb"),
        BYTES("/a%2f.."), BYTES("/..%2fa"), BYTES("/a\\b"),  BYTES("/a%5cb"),
        BYTES("/%"),      BYTES("/%2"),     BYTES("/%zz"),   BYTES("/%00"),
        BYTES("/a\0b"),   BYTES("/\n"),     BYTES("/%0a"),   BYTES("/%7f"),
        BYTES("/\x7f"),
    };

    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_true(http_path_is_routable(good[i]));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(http_path_is_routable(bad[i]));
}

static const struct CMUnitTest single_tests[] = {
    cmocka_unit_test(test_default_line_limit),
    cmocka_unit_test(test_default_head_limit),
    cmocka_unit_test(test_chunk_line_limit),
    cmocka_unit_test(test_header_ceiling),
    cmocka_unit_test(test_no_byte_is_searched_twice),
    cmocka_unit_test(test_moved_bytes),
    cmocka_unit_test(test_path_and_query),
    cmocka_unit_test(test_error_stays),
    cmocka_unit_test(test_done_waits_for_next),
    cmocka_unit_test(test_body_limit_of_the_function),
    cmocka_unit_test(test_reasons),
    cmocka_unit_test(test_byte_classes),
    cmocka_unit_test(test_hop_headers),
    cmocka_unit_test(test_connection_lists),
    cmocka_unit_test(test_find_takes_the_first),
    cmocka_unit_test(test_written_request_is_read),
    cmocka_unit_test(test_written_response_is_read),
    cmocka_unit_test(test_chunk_sizes),
    cmocka_unit_test(test_writer_refuses_injection),
    cmocka_unit_test(test_writer_adds_all_or_nothing),
    cmocka_unit_test(test_percent_decode),
    cmocka_unit_test(test_percent_encode),
    cmocka_unit_test(test_routable_paths),
};

/* A row is a test, named for what it protects. */
static size_t add_rows(struct CMUnitTest *tests, const struct row *rows, size_t n_rows,
                       const char *kind, CMUnitTestFunction run)
{
    for (size_t i = 0; i < n_rows; i++) {
        char *name;

        if (asprintf(&name, "%s: %s", kind, rows[i].name) < 0)
            abort();
        tests[i] =
            (struct CMUnitTest){.name = name, .test_func = run, .initial_state = (void *)&rows[i]};
    }
    return n_rows;
}

int main(void)
{
    static struct CMUnitTest
        tests[ARRAY_SIZE(requests) + ARRAY_SIZE(responses) + ARRAY_SIZE(single_tests)];
    size_t n = 0, n_rows;
    int r;

    n += add_rows(tests, requests, ARRAY_SIZE(requests), "request", test_request_row);
    n += add_rows(tests + n, responses, ARRAY_SIZE(responses), "response", test_response_row);
    n_rows = n;
    memcpy(tests + n, single_tests, sizeof(single_tests));
    r = _cmocka_run_group_tests("http", tests, ARRAY_SIZE(tests), NULL, NULL);
    for (size_t i = 0; i < n_rows; i++)
        free((void *)tests[i].name);
    return r;
}
