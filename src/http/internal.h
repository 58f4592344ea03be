#pragma once

/* What the files of this module share: the classes of bytes, and the steps of reading a head. */

#include "http/http.h"

#define HTTP_CHUNK_LINE_MAX 4096 /* size and extensions, bytes without CRLF */

enum {
    HTTP_BYTE_VALUE = 1 << 0,      /* RFC 9110 5.5: HTAB, blank, visible, obs-text */
    HTTP_BYTE_TOKEN = 1 << 1,      /* RFC 9110 5.6.2 */
    HTTP_BYTE_TARGET = 1 << 2,     /* visible ASCII but '#' */
    HTTP_BYTE_UNRESERVED = 1 << 3, /* RFC 3986 2.3 */
    HTTP_BYTE_HEX = 1 << 4,
};

extern const uint8_t http_byte_classes[256];

static inline bool http_byte_is(char c, unsigned class)
{
    return (http_byte_classes[(unsigned char)c] & class) != 0;
}

/* Whether all bytes are of that class; true for none. */
bool http_bytes_are(struct slice s, unsigned class);

/* The value of a hexadecimal digit, which c is. */
unsigned http_hex_value(char c);

/* Without the blanks and tabs at both ends. */
struct slice http_trim(struct slice s);

/* Takes the next element of a comma-separated list from *rest, trimmed; it may be empty. Returns
 * false at the end. A list of n commas has n + 1 elements. Begin with *more = true. */
bool http_list_next(struct slice *rest, bool *more, struct slice *ret_element);

/* "name", "1.2.3.4", "[::1]", each with ":port" or not, and nothing else. */
bool http_host_is_valid(struct slice host);

/* Bytes that may stand in the target of a request line. */
bool http_is_target(struct slice s);

/* Puts the parser into its last state. Always returns false, to end a function with. */
bool http_fail(struct http_parser *p, unsigned status, const char *text);

/* ---- lines (head.c) ---- */

enum http_line {
    HTTP_LINE_MORE,  /* no end in sight */
    HTTP_LINE_FOUND, /* *ret_* is set; p->line_start is behind the line */
    HTTP_LINE_EMPTY,
    HTTP_LINE_LONG, /* over line_max; it is the caller who knows what that means */
    HTTP_LINE_ERROR,
};

/* Looks for the end of the line at p->line_start, going on from p->scanned. */
enum http_line http_scan_line(struct http_parser *p, struct slice bytes, size_t line_max,
                              struct slice *ret_line);

/* Reads the next line of a head's headers, or of trailers. */
enum http_line http_read_field(struct http_parser *p, struct slice bytes,
                               struct http_header *ret_header);

/* Reads on in a head until the empty line. Returns MORE, EMPTY when complete, or ERROR. The headers
 * of this call's lines are in head; all of them only if it began at the first line. */
enum http_line http_read_head(struct http_parser *p, struct slice bytes, struct http_head *head);

/* ---- meaning (framing.c) ---- */

/* Derives from a head's headers where its body ends, and all else in struct http_head; sets the
 * parser's next state. Returns false after http_fail(). */
bool http_judge_head(struct http_parser *p, struct http_head *head);
