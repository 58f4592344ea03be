#pragma once

/* HTTP/1.1 without I/O: bytes in, events out; and back. One strict reading of every input
 * (RFC 9110, RFC 9112): what could be read in two ways is refused. Used for the client's requests,
 * for the worker's responses, and inside the worker for the canonical request; it knows neither
 * sockets nor clocks.
 *
 * Context: no allocation, no locks; safe after fork. */

#include "base/buf.h"
#include "base/slice.h"

#include <sys/types.h>

#define HTTP_HEADERS_MAX 128 /* hard ceiling; http_limits may lower it */

enum http_kind {
    HTTP_REQUEST,
    HTTP_RESPONSE,
};

enum http_framing {
    HTTP_BODY_NONE,
    HTTP_BODY_LENGTH, /* content_length bytes, more than 0 */
    HTTP_BODY_CHUNKED,
    HTTP_BODY_CLOSE, /* responses only: until the peer closes */
};

struct http_limits {
    size_t line_max;        /* request or status line, bytes without CRLF: above, 414 */
    size_t head_max;        /* the whole head with its last CRLF, bytes: above, 431; also bounds a
                             * trailer section */
    uint32_t n_headers_max; /* above, 431; at most HTTP_HEADERS_MAX; also bounds the trailers */
    uint64_t body_max;      /* bytes of decoded body: above, 413 */
};

#define HTTP_LIMITS_DEFAULT                                                                        \
    ((struct http_limits){                                                                         \
        .line_max = 8192, .head_max = 32768, .n_headers_max = 100, .body_max = UINT64_MAX})

struct http_header {
    struct slice name;  /* as sent; compare with slice_eq_nocase() */
    struct slice value; /* without the blanks around it */
};

/* A parsed head. All slices point into the bytes given to http_parse(), or to static text. */
struct http_head {
    /* requests */
    struct slice method;
    struct slice target;  /* as sent, in origin-form or "*"; absolute-form is cut to that */
    struct slice path;    /* the part of target before '?', not decoded */
    struct slice query;   /* behind '?', not decoded; empty if there is none */
    struct slice host;    /* name or address, and port if sent; empty in HTTP/1.0 without Host */
    bool expect_continue; /* a body is announced that waits for a 100; never set without a body */
    /* responses */
    unsigned status;
    struct slice reason;
    /* both */
    unsigned version_minor; /* 0 or 1 */
    bool keep_alive;        /* what version and Connection say; false with HTTP_BODY_CLOSE */
    bool upgrade;           /* HTTP/1.1 and Connection: upgrade with an Upgrade header */
    enum http_framing framing;
    uint64_t content_length; /* as declared, also where no body follows (answers to HEAD, 304) */
    bool has_content_length;
    uint32_t n_headers;
    struct http_header headers[HTTP_HEADERS_MAX];
};

/* Finds the first header of that name (case-insensitive). Returns its value, or false. */
bool http_head_find(const struct http_head *head, const char *name, struct slice *ret_value);

enum http_event {
    HTTP_EVENT_MORE,  /* nothing to tell before more bytes come */
    HTTP_EVENT_HEAD,  /* *ret_head is complete */
    HTTP_EVENT_DATA,  /* *ret_data is a piece of the decoded body, never empty */
    HTTP_EVENT_END,   /* the message is complete; bytes behind it belong to the next one */
    HTTP_EVENT_ERROR, /* see error_status and error_text; the parser stays in this state */
};

enum http_parser_state {
    HTTP_STATE_HEAD,
    HTTP_STATE_BODY_LENGTH,
    HTTP_STATE_BODY_CLOSE,
    HTTP_STATE_CHUNK_SIZE,
    HTTP_STATE_CHUNK_DATA,
    HTTP_STATE_CHUNK_END,
    HTTP_STATE_TRAILER,
    HTTP_STATE_END,  /* END not told yet */
    HTTP_STATE_DONE, /* END told; http_parser_next() starts over */
    HTTP_STATE_ERROR,
};

struct http_parser {
    enum http_kind kind;
    struct http_limits limits;
    enum http_parser_state state;
    bool head_request; /* set by the caller: the responses answer a HEAD and have no body */
    /* Set by the caller, or NULL: is told each trailer. Slices are valid during the call only. */
    void (*on_trailer)(void *ctx, const struct http_header *trailer);
    void *trailer_ctx;
    bool in_headers;        /* the first line of this head is read */
    size_t line_start;      /* where the line begins that is being read */
    size_t scanned;         /* bytes of the head or line already looked at */
    uint32_t n_headers;     /* lines of headers or trailers so far */
    size_t trailer_bytes;   /* trailers so far, already used */
    uint64_t body_left;     /* of the body, or of this chunk */
    uint64_t body_bytes;    /* decoded so far */
    unsigned error_status;  /* what a gateway answers: 400, 413, 414, 417, 431, 501, 505; a response
                             * that is refused always says 502 */
    const char *error_text; /* static; a phrase for people */
};

/* limits.body_max may be changed between HEAD and the first piece of a chunked body, when the
 * function is known; a Content-Length has been judged by then. */
void http_parser_init(struct http_parser *p, enum http_kind kind, const struct http_limits *limits);

/* Starts over for the next message on the same connection. What the caller has set
 * stays, so that the answer behind a 1xx is read like it. */
void http_parser_next(struct http_parser *p);

/* Reads on. `bytes` are all bytes received and not yet used, in one piece: while a head or a line
 * of the chunked framing is incomplete the same bytes are passed again with more behind them, and
 * only the new ones are looked at. So the caller's buffer must hold head_max bytes, and 4 KB.
 *
 * *ret_used of the bytes are done with, and the caller drops them (but ret_head and ret_data point
 * into them, so after looking at those). At most one event a call: call again until
 * HTTP_EVENT_MORE, which may have used bytes as well. *ret_head is scratch before HTTP_EVENT_HEAD
 * and left alone behind it, *ret_data is set by HTTP_EVENT_DATA. What is told does not depend on
 * how the bytes were cut, but for the size of the pieces of a body.
 *
 * A 1xx response other than 101 gives HEAD and END like any other message. After the HEAD of a 101
 * comes END: what follows is not HTTP. A request that asks for an upgrade is framed like any other.
 * Trailers are judged like headers, told to on_trailer, and dropped. */
enum http_event http_parse(struct http_parser *p, struct slice bytes, size_t *ret_used,
                           struct http_head *ret_head, struct slice *ret_data);

/* Tells that the peer has closed. Returns HTTP_EVENT_END if that ends a body of framing
 * HTTP_BODY_CLOSE, HTTP_EVENT_MORE if no message was begun, else HTTP_EVENT_ERROR. `pending` says
 * that bytes of an incomplete head are waiting. */
enum http_event http_parse_eof(struct http_parser *p, bool pending);

/* ---- writing ---- all return 0, -EINVAL for a byte that must not be there, -ENOBUFS, -ENOMEM. */

int http_write_request_line(struct buf *b, struct slice method, struct slice target);
int http_write_status_line(struct buf *b, unsigned status,
                           struct slice reason); /* reason may be empty */
int http_write_header(struct buf *b, struct slice name, struct slice value);
int http_write_header_str(struct buf *b, const char *name, const char *value);
int http_write_header_u64(struct buf *b, const char *name, uint64_t value);
int http_write_head_end(struct buf *b);

/* "1f\r\n"; the data and then http_write_chunk_end() follow. n is not 0. */
int http_write_chunk_start(struct buf *b, uint64_t n);
int http_write_chunk_end(struct buf *b);
int http_write_last_chunk(struct buf *b); /* without trailers */

/* ---- facts ---- */

/* "Not Found" for 404; "Unknown" where there is none. */
const char *http_reason(unsigned status);

/* A token as RFC 9110 5.6.2 defines it: method and header names. */
bool http_is_token(struct slice s);

/* Bytes that may stand in a header's value: HTAB, 0x20-0x7e and 0x80-0xff. */
bool http_is_value(struct slice s);

/* Headers that belong to one connection and are never passed on: Connection and what it lists is
 * the caller's affair; this knows Connection, Keep-Alive, Proxy-Connection, Proxy-Authenticate,
 * Proxy-Authorization, TE, Trailer, Transfer-Encoding, Upgrade. */
bool http_is_hop_header(struct slice name);

/* Whether Connection lists `name` as an option (case-insensitive), in any of its headers. */
bool http_connection_lists(const struct http_head *head, struct slice name);

/* ---- target ---- */

/* Decodes %HH of one path segment or query part into dst (at most dst_size bytes, not terminated).
 * plus_is_blank: '+' means a blank, as in forms. Returns the length, -EINVAL for a bad %HH or a
 * NUL, or -ENOBUFS. */
ssize_t http_percent_decode(struct slice s, bool plus_is_blank, char *dst, size_t dst_size);

/* Adds s with everything but unreserved characters as %HH. */
int http_percent_encode(struct buf *b, struct slice s);

/* Whether a request path may be routed: begins with '/', has no bad %HH, NUL, backslash, control
 * byte, and no segment "." or ".." (plain or encoded), so that it names one thing only. */
bool http_path_is_routable(struct slice path);
