#pragma once

/* What a program wrote to its stdout, read as the reply of a CGI program (RFC 3875 section 6), or
 * as plain text. No I/O: bytes in, a head out.
 *
 * The rule: output that begins with header lines ("Name: value", LF or CRLF) up to an empty line,
 * one of them Content-Type, Location or Status, is a CGI reply, and what follows is its body. All
 * other output is a body of type text/plain in full, from its first byte. A first line
 * "HTTP/1.1 404 Not Found" is taken for a Status, too. Once one of the three has been seen, a line
 * that is no header is an error: the author meant headers.
 *
 * Context: no allocation. */

#include "http/http.h"

#define CGI_HEAD_MAX    32768 /* bytes of a reply's headers */
#define CGI_HEADERS_MAX 100
#define CGI_ERROR_MAX   256

enum cgi_event {
    CGI_EVENT_MORE,  /* cannot tell before more bytes come */
    CGI_EVENT_HEAD,  /* *ret_head is complete */
    CGI_EVENT_ERROR, /* see error_text */
};

struct cgi_head {
    unsigned status;        /* 200 to 599 */
    int64_t content_length; /* as the program announced it, or -1 */
    bool is_plain;          /* not a CGI reply: all of the output is the body */
    uint32_t n_headers;
    struct http_header headers[CGI_HEADERS_MAX + 1]; /* without Status and Content-Length */
};

struct cgi_parser {
    size_t line_start; /* of the line being read */
    size_t scanned;
    uint32_t n_lines;
    bool is_reply; /* Content-Type, Location or Status was seen */
    char error_text[CGI_ERROR_MAX];
};

void cgi_parser_init(struct cgi_parser *p);

/* Reads on. `bytes` is all of the output so far, in one piece; `eof` says that it ends there. After
 * HEAD, *ret_used bytes are done with and the rest is the body; the slices of *ret_head point into
 * `bytes` or to static text. Not to be called again after HEAD or ERROR. */
enum cgi_event cgi_parse(struct cgi_parser *p, struct slice bytes, bool eof,
                         struct cgi_head *ret_head, size_t *ret_used);
