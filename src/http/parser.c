/*   HEAD --length--> BODY_LENGTH -----------------------------------> END --told--> DONE
 *    | \---close---> BODY_CLOSE --eof---------------------------------------------/
 *    | \---chunked-> CHUNK_SIZE --> CHUNK_DATA --> CHUNK_END --> CHUNK_SIZE
 *    |                   \--0--> TRAILER ----------------------------/
 *     \---none----------------------------------------------------- /
 *
 * Every state but DONE may go to ERROR, which is left by http_parser_next() only, as is DONE.
 *
 * A head that arrives in one piece is read once. One that arrives in pieces is read line by line as
 * it comes, so that it is refused at the first bad line, and once more when it is complete, because
 * nothing of it is kept in between: twice in all, however many pieces there are. */

#include "http/internal.h"

#define CHUNK_DIGITS_MAX 16

bool http_fail(struct http_parser *p, unsigned status, const char *text)
{
    p->state = HTTP_STATE_ERROR;
    p->error_status = p->kind == HTTP_RESPONSE ? 502 : status;
    p->error_text = text;
    return false;
}

void http_parser_init(struct http_parser *p, enum http_kind kind, const struct http_limits *limits)
{
    *p = (struct http_parser){.kind = kind, .limits = *limits, .state = HTTP_STATE_HEAD};
}

void http_parser_next(struct http_parser *p)
{
    *p = (struct http_parser){.kind = p->kind,
                              .limits = p->limits,
                              .state = HTTP_STATE_HEAD,
                              .head_request = p->head_request,
                              .on_trailer = p->on_trailer,
                              .trailer_ctx = p->trailer_ctx};
}

static void start_line(struct http_parser *p)
{
    p->line_start = p->scanned = 0;
}

/* The first n bytes at most. */
static struct slice window(struct slice bytes, size_t n)
{
    return slice(bytes.base, MIN(bytes.len, n));
}

static enum http_event step_head(struct http_parser *p, struct slice bytes, size_t *ret_used,
                                 struct http_head *ret_head)
{
    struct slice visible = window(bytes, p->limits.head_max);
    bool resumed = p->line_start > 0;
    enum http_line found;

    found = http_read_head(p, visible, ret_head);
    if (found == HTTP_LINE_EMPTY && resumed) {
        start_line(p);
        p->in_headers = false;
        p->n_headers = 0;
        found = http_read_head(p, visible, ret_head);
        assert(found == HTTP_LINE_EMPTY);
    }
    if (found == HTTP_LINE_MORE) {
        if (visible.len < p->limits.head_max)
            return HTTP_EVENT_MORE;
        http_fail(p, 431, "the head is too big");
        return HTTP_EVENT_ERROR;
    }
    if (found != HTTP_LINE_EMPTY || !http_judge_head(p, ret_head))
        return HTTP_EVENT_ERROR;
    *ret_used = p->line_start;
    start_line(p);
    return HTTP_EVENT_HEAD;
}

/* Hands out up to n_max bytes of the body. */
static enum http_event take_data(struct http_parser *p, struct slice bytes, uint64_t n_max,
                                 size_t *ret_used, struct slice *ret_data)
{
    size_t n = n_max < bytes.len ? (size_t)n_max : bytes.len;

    p->body_bytes += n;
    *ret_used = n;
    *ret_data = slice(bytes.base, n);
    return HTTP_EVENT_DATA;
}

static enum http_event step_close(struct http_parser *p, struct slice bytes, size_t *ret_used,
                                  struct slice *ret_data)
{
    if (bytes.len == 0)
        return HTTP_EVENT_MORE;
    if (p->body_bytes >= p->limits.body_max) {
        http_fail(p, 413, "the body is too big");
        return HTTP_EVENT_ERROR;
    }
    return take_data(p, bytes, p->limits.body_max - p->body_bytes, ret_used, ret_data);
}

/* A body of known length, or a chunk of one. */
static enum http_event step_counted(struct http_parser *p, struct slice bytes, size_t *ret_used,
                                    struct slice *ret_data)
{
    if (bytes.len == 0)
        return HTTP_EVENT_MORE;
    (void)take_data(p, bytes, p->body_left, ret_used, ret_data); /* it is always DATA */
    p->body_left -= *ret_used;
    if (p->body_left == 0)
        p->state = p->state == HTTP_STATE_CHUNK_DATA ? HTTP_STATE_CHUNK_END : HTTP_STATE_END;
    return HTTP_EVENT_DATA;
}

/* Returns how many bytes the quoted-string at s has, or 0 if it is none. One with a backslash is
 * refused: whoever does not know quoted-pair would find another end. */
static size_t quoted_len(struct slice s)
{
    if (s.len == 0 || s.base[0] != '"')
        return 0;
    for (size_t i = 1; i < s.len && s.base[i] != '\\'; i++) {
        if (s.base[i] == '"')
            return i + 1;
    }
    return 0;
}

static size_t token_len(struct slice s)
{
    size_t n = 0;

    while (n < s.len && http_byte_is(s.base[n], HTTP_BYTE_TOKEN))
        n++;
    return n;
}

static struct slice behind(struct slice s, size_t n)
{
    return slice(s.base + n, s.len - n);
}

/* *( ";" token [ "=" ( token / quoted-string ) ] ), RFC 9112 7.1.1 without its "bad" blanks:
 * programs differ in where they let them pass, and nobody sends them. */
static bool chunk_ext_is_valid(struct slice ext)
{
    while (ext.len > 0) {
        size_t n;

        if (ext.base[0] != ';')
            return false;
        ext = behind(ext, 1);
        n = token_len(ext);
        if (n == 0)
            return false;
        ext = behind(ext, n);
        if (ext.len == 0 || ext.base[0] != '=')
            continue;
        ext = behind(ext, 1);
        n = token_len(ext);
        if (n == 0)
            n = quoted_len(ext);
        if (n == 0)
            return false;
        ext = behind(ext, n);
    }
    return true;
}

static bool parse_chunk_line(struct http_parser *p, struct slice line, uint64_t *ret_size)
{
    uint64_t size = 0;
    size_t n = 0;

    while (n < line.len && http_byte_is(line.base[n], HTTP_BYTE_HEX)) {
        if (n == CHUNK_DIGITS_MAX)
            return http_fail(p, 400, "a chunk's size has too many digits");
        size = size << 4 | http_hex_value(line.base[n]);
        n++;
    }
    if (n == 0)
        return http_fail(p, 400, "a chunk without a size");
    if (size > INT64_MAX)
        return http_fail(p, 400, "a chunk's size is too big");
    if (!chunk_ext_is_valid(behind(line, n)))
        return http_fail(p, 400, "a malformed chunk extension");
    *ret_size = size;
    return true;
}

static enum http_event step_chunk_size(struct http_parser *p, struct slice bytes, size_t *ret_used)
{
    struct slice line;
    uint64_t size;

    switch (http_scan_line(p, bytes, HTTP_CHUNK_LINE_MAX, &line)) {
    case HTTP_LINE_MORE:
        return HTTP_EVENT_MORE;
    case HTTP_LINE_LONG:
        http_fail(p, 400, "a chunk's first line is too long");
        return HTTP_EVENT_ERROR;
    case HTTP_LINE_EMPTY: /* told by http_read_field() only */
    case HTTP_LINE_ERROR:
        return HTTP_EVENT_ERROR;
    case HTTP_LINE_FOUND:
        break;
    }
    if (!parse_chunk_line(p, line, &size))
        return HTTP_EVENT_ERROR;
    if (size > 0 &&
        (p->body_bytes > p->limits.body_max || size > p->limits.body_max - p->body_bytes)) {
        http_fail(p, 413, "the body is too big");
        return HTTP_EVENT_ERROR;
    }
    *ret_used = p->line_start;
    start_line(p);
    p->body_left = size;
    p->state = size > 0 ? HTTP_STATE_CHUNK_DATA : HTTP_STATE_TRAILER;
    p->n_headers = 0;
    return HTTP_EVENT_MORE;
}

static enum http_event step_chunk_end(struct http_parser *p, struct slice bytes, size_t *ret_used)
{
    if ((bytes.len > 0 && bytes.base[0] != '\r') || (bytes.len > 1 && bytes.base[1] != '\n')) {
        http_fail(p, 400, "a chunk that does not end in CRLF");
        return HTTP_EVENT_ERROR;
    }
    if (bytes.len < 2)
        return HTTP_EVENT_MORE;
    *ret_used = 2;
    p->state = HTTP_STATE_CHUNK_SIZE;
    return HTTP_EVENT_MORE;
}

static enum http_event step_trailer(struct http_parser *p, struct slice bytes, size_t *ret_used)
{
    size_t room = p->limits.head_max - p->trailer_bytes;
    struct slice visible = window(bytes, room);
    struct http_header trailer;
    enum http_line found;

    while ((found = http_read_field(p, visible, &trailer)) == HTTP_LINE_FOUND) {
        if (p->on_trailer)
            p->on_trailer(p->trailer_ctx, &trailer);
    }
    if (found == HTTP_LINE_MORE && visible.len == room) {
        http_fail(p, 431, "the trailers are too big");
        found = HTTP_LINE_ERROR;
    }
    if (found == HTTP_LINE_ERROR)
        return HTTP_EVENT_ERROR;
    /* Lines that were read are used; of the one begun, what was searched is known already. */
    *ret_used = p->line_start;
    p->trailer_bytes += p->line_start;
    p->scanned -= p->line_start;
    p->line_start = 0;
    if (found == HTTP_LINE_EMPTY)
        p->state = HTTP_STATE_END;
    return HTTP_EVENT_MORE;
}

static enum http_event step(struct http_parser *p, struct slice bytes, size_t *ret_used,
                            struct http_head *ret_head, struct slice *ret_data)
{
    switch (p->state) {
    case HTTP_STATE_HEAD:
        return step_head(p, bytes, ret_used, ret_head);
    case HTTP_STATE_BODY_LENGTH:
    case HTTP_STATE_CHUNK_DATA:
        return step_counted(p, bytes, ret_used, ret_data);
    case HTTP_STATE_BODY_CLOSE:
        return step_close(p, bytes, ret_used, ret_data);
    case HTTP_STATE_CHUNK_SIZE:
        return step_chunk_size(p, bytes, ret_used);
    case HTTP_STATE_CHUNK_END:
        return step_chunk_end(p, bytes, ret_used);
    case HTTP_STATE_TRAILER:
        return step_trailer(p, bytes, ret_used);
    case HTTP_STATE_END:
        p->state = HTTP_STATE_DONE;
        return HTTP_EVENT_END;
    case HTTP_STATE_DONE:
        return HTTP_EVENT_MORE;
    case HTTP_STATE_ERROR:
        return HTTP_EVENT_ERROR;
    }
    abort(); /* the switch names every state */
}

enum http_event http_parse(struct http_parser *p, struct slice bytes, size_t *ret_used,
                           struct http_head *ret_head, struct slice *ret_data)
{
    size_t used = 0;

    /* A step that changes the state without an event has more to do. */
    for (;;) {
        enum http_parser_state before = p->state;
        struct slice rest = used > 0 ? behind(bytes, used) : bytes;
        size_t n = 0;
        enum http_event event = step(p, rest, &n, ret_head, ret_data);

        used += n;
        if (event != HTTP_EVENT_MORE || p->state == before) {
            *ret_used = used;
            return event;
        }
    }
}

enum http_event http_parse_eof(struct http_parser *p, bool pending)
{
    /* The one empty line before a request does not begin one. */
    bool nothing_begun = !pending || (p->line_start == 2 && p->scanned == 2);

    switch (p->state) {
    case HTTP_STATE_HEAD:
        if (nothing_begun)
            return HTTP_EVENT_MORE;
        break;
    case HTTP_STATE_DONE:
        return HTTP_EVENT_MORE;
    case HTTP_STATE_BODY_CLOSE:
    case HTTP_STATE_END:
        p->state = HTTP_STATE_DONE;
        return HTTP_EVENT_END;
    case HTTP_STATE_ERROR:
        return HTTP_EVENT_ERROR;
    case HTTP_STATE_BODY_LENGTH:
    case HTTP_STATE_CHUNK_SIZE:
    case HTTP_STATE_CHUNK_DATA:
    case HTTP_STATE_CHUNK_END:
    case HTTP_STATE_TRAILER:
        break;
    }
    http_fail(p, 400, "the connection was closed in the middle of a message");
    return HTTP_EVENT_ERROR;
}
