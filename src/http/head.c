/* Lines and what they are made of.
 *
 * A line is first searched for its end, eight bytes at a time, and only then taken apart: the
 * search refuses every byte that may stand in no line at all (NUL, bare CR or LF, other control
 * bytes), and remembers how far it came. What is told of an input is thus a function of its bytes
 * in their order, and never of the pieces in which they arrived. */

#include "http/internal.h"

#define EACH_BYTE(c) (0x0101010101010101ULL * (c))

/* Whether one of the eight bytes is below 0x20 or is 0x7f. There may be an alarm for HTAB, which
 * the caller lets pass, but never a miss. */
static bool has_control_byte(const char *s)
{
    uint64_t w, del;

    memcpy(&w, s, sizeof(w));
    del = w ^ EACH_BYTE(0x7f);
    return ((((w - EACH_BYTE(0x20)) & ~w) | ((del - EACH_BYTE(1)) & ~del)) & EACH_BYTE(0x80)) != 0;
}

/* Returns the first byte that cannot stand within a line, or end. */
static const char *skip_text(const char *s, const char *end)
{
    for (;;) {
        const char *stop;

        while (end - s >= 8 && !has_control_byte(s))
            s += 8;
        stop = end - s >= 8 ? s + 8 : end;
        while (s < stop && http_byte_is(*s, HTTP_BYTE_VALUE))
            s++;
        if (s < stop || s == end)
            return s;
    }
}

enum http_line http_scan_line(struct http_parser *p, struct slice bytes, size_t line_max,
                              struct slice *ret_line)
{
    size_t start = p->line_start, stop = bytes.len, at;

    assert(start <= p->scanned && p->scanned <= bytes.len);
    if (p->scanned == bytes.len)
        return HTTP_LINE_MORE;
    if (stop - start > line_max)
        stop = start + line_max + 1; /* the byte that must be the CR, and no further */
    at = (size_t)(skip_text(bytes.base + p->scanned, bytes.base + stop) - bytes.base);
    p->scanned = at;
    if (at - start > line_max)
        return HTTP_LINE_LONG;
    if (at == bytes.len)
        return HTTP_LINE_MORE;
    if (bytes.base[at] != '\r') {
        http_fail(p, 400,
                  bytes.base[at] == '\n'   ? "a line ends in LF without CR"
                  : bytes.base[at] == '\0' ? "a NUL byte in a line"
                                           : "a control byte in a line");
        return HTTP_LINE_ERROR;
    }
    if (at + 1 == bytes.len)
        return HTTP_LINE_MORE;
    if (bytes.base[at + 1] != '\n') {
        http_fail(p, 400, "CR without LF");
        return HTTP_LINE_ERROR;
    }
    *ret_line = slice(bytes.base + start, at - start);
    p->line_start = p->scanned = at + 2;
    return HTTP_LINE_FOUND;
}

static bool parse_field(struct http_parser *p, struct slice line, struct http_header *ret_header)
{
    size_t n = 0;

    while (n < line.len && http_byte_is(line.base[n], HTTP_BYTE_TOKEN))
        n++;
    if (n == line.len)
        return http_fail(p, 400, "a header without a colon");
    if (line.base[n] != ':')
        return http_fail(p, 400,
                         line.base[n] == ' ' || line.base[n] == '\t'
                             ? "a blank in a header's name or before its colon"
                             : "an invalid byte in a header's name");
    if (n == 0)
        return http_fail(p, 400, "a header without a name");
    ret_header->name = slice(line.base, n);
    ret_header->value = http_trim(slice(line.base + n + 1, line.len - n - 1));
    return true;
}

enum http_line http_read_field(struct http_parser *p, struct slice bytes,
                               struct http_header *ret_header)
{
    uint32_t n_max = MIN(p->limits.n_headers_max, HTTP_HEADERS_MAX);
    struct slice line;
    enum http_line found;
    char first;

    if (p->line_start == bytes.len)
        return HTTP_LINE_MORE;
    first = bytes.base[p->line_start];
    if (first == ' ' || first == '\t') {
        http_fail(p, 400,
                  p->n_headers == 0 ? "a blank before the first header"
                                    : "a header folded over two lines");
        return HTTP_LINE_ERROR;
    }
    if (first != '\r' && p->n_headers >= n_max) {
        http_fail(p, 431, "too many headers");
        return HTTP_LINE_ERROR;
    }
    found = http_scan_line(p, bytes, SIZE_MAX, &line);
    if (found != HTTP_LINE_FOUND)
        return found;
    if (line.len == 0)
        return HTTP_LINE_EMPTY;
    if (!parse_field(p, line, ret_header))
        return HTTP_LINE_ERROR;
    p->n_headers++;
    return HTTP_LINE_FOUND;
}

static bool parse_version(struct http_parser *p, struct slice s, struct http_head *head)
{
    if (s.len != 8 || memcmp(s.base, "HTTP/", 5) != 0 || s.base[5] < '0' || s.base[5] > '9' ||
        s.base[6] != '.' || s.base[7] < '0' || s.base[7] > '9')
        return http_fail(p, 400, "a malformed HTTP version");
    if (s.base[5] != '1' || s.base[7] > '1')
        return http_fail(p, 505, "an HTTP version other than 1.0 and 1.1");
    head->version_minor = (unsigned)(s.base[7] - '0');
    return true;
}

/* Cuts an absolute-form to origin-form; head->host becomes its authority. "http://h?q" is refused:
 * it means "/?q", which does not stand there. An empty path means "/", or "*" for OPTIONS (RFC 9112
 * 3.2.4). */
static bool cut_absolute(struct http_parser *p, struct http_head *head)
{
    static const struct slice schemes[] = {SLICE_LIT("http://"), SLICE_LIT("https://")};
    struct slice t = head->target;
    size_t n;

    for (size_t i = 0;; i++) {
        if (i == ARRAY_SIZE(schemes))
            return http_fail(p, 400, "a target that is neither a path nor a http(s) URL");
        n = schemes[i].len;
        if (t.len >= n && slice_eq_nocase(slice(t.base, n), schemes[i]))
            break;
    }
    t = slice(t.base + n, t.len - n);
    n = 0;
    while (n < t.len && t.base[n] != '/' && t.base[n] != '?')
        n++;
    head->host = slice(t.base, n);
    if (!http_host_is_valid(head->host))
        return http_fail(p, 400, "an invalid host in the target");
    if (n < t.len && t.base[n] == '?')
        return http_fail(p, 400, "a URL with a query but without a path");
    if (n < t.len)
        head->target = slice(t.base + n, t.len - n);
    else if (slice_eq(head->method, SLICE_LIT("OPTIONS")))
        head->target = SLICE_LIT("*");
    else
        head->target = SLICE_LIT("/");
    return true;
}

static bool parse_target(struct http_parser *p, struct http_head *head)
{
    const char *mark;
    struct slice t;

    if (!http_is_target(head->target))
        return http_fail(p, 400, "an invalid byte in the target, or no target");
    if (slice_eq(head->method, SLICE_LIT("CONNECT")))
        return http_fail(p, 501, "CONNECT is not served");
    if (slice_eq(head->target, SLICE_LIT("*"))) {
        if (!slice_eq(head->method, SLICE_LIT("OPTIONS")))
            return http_fail(p, 400, "the target * belongs to OPTIONS alone");
    } else if (head->target.base[0] != '/' && !cut_absolute(p, head)) {
        return false;
    }
    t = head->target;
    mark = memchr(t.base, '?', t.len);
    if (mark) {
        head->path = slice(t.base, (size_t)(mark - t.base));
        head->query = slice(mark + 1, t.len - head->path.len - 1);
    } else {
        head->path = t;
        head->query = SLICE_NULL;
    }
    return true;
}

static bool parse_request_line(struct http_parser *p, struct slice line, struct http_head *head)
{
    const char *blank = memchr(line.base, ' ', line.len);
    struct slice rest;

    head->method = slice(line.base, blank ? (size_t)(blank - line.base) : line.len);
    if (!http_is_token(head->method))
        return http_fail(p, 400, "a method that is not a token");
    if (!blank)
        return http_fail(p, 400, "a request line without a target");
    rest = slice(blank + 1, line.len - head->method.len - 1);
    blank = rest.len > 0 ? memchr(rest.base, ' ', rest.len) : NULL;
    if (!blank)
        return http_fail(p, 400, "a request line without a version");
    head->target = slice(rest.base, (size_t)(blank - rest.base));
    if (!parse_version(p, slice(blank + 1, rest.len - head->target.len - 1), head))
        return false;
    return parse_target(p, head);
}

/* The blank behind the status may be missing if the reason is: servers do that, and it can be read
 * in one way only. */
static bool parse_status_line(struct http_parser *p, struct slice line, struct http_head *head)
{
    const char *s = line.base;

    if (line.len < 12)
        return http_fail(p, 400, "a short status line");
    if (!parse_version(p, slice(s, 8), head))
        return false;
    if (s[8] != ' ' || s[9] < '1' || s[9] > '5' || s[10] < '0' || s[10] > '9' || s[11] < '0' ||
        s[11] > '9' || (line.len > 12 && s[12] != ' '))
        return http_fail(p, 400, "a malformed status, or one that is not within 100 to 599");
    head->status =
        (unsigned)(s[9] - '0') * 100 + (unsigned)(s[10] - '0') * 10 + (unsigned)(s[11] - '0');
    head->reason = line.len > 13 ? slice(s + 13, line.len - 13) : SLICE_NULL;
    return true;
}

/* Reads the request or status line; before the former one empty line is let pass (RFC 9112 2.2). */
static enum http_line read_first_line(struct http_parser *p, struct slice bytes,
                                      struct http_head *head)
{
    enum http_line found;
    struct slice line;
    bool ok;

    found = http_scan_line(p, bytes, p->limits.line_max, &line);
    if (found == HTTP_LINE_FOUND && line.len == 0 && p->kind == HTTP_REQUEST && p->line_start == 2)
        found = http_scan_line(p, bytes, p->limits.line_max, &line);
    if (found == HTTP_LINE_LONG) {
        http_fail(p, 414, "the first line is too long");
        return HTTP_LINE_ERROR;
    }
    if (found != HTTP_LINE_FOUND)
        return found;
    if (line.len == 0) {
        http_fail(p, 400, "an empty line where a message should begin");
        return HTTP_LINE_ERROR;
    }
    ok = p->kind == HTTP_REQUEST ? parse_request_line(p, line, head)
                                 : parse_status_line(p, line, head);
    return ok ? HTTP_LINE_FOUND : HTTP_LINE_ERROR;
}

enum http_line http_read_head(struct http_parser *p, struct slice bytes, struct http_head *head)
{
    enum http_line found;

    if (!p->in_headers) {
        memset(head, 0, offsetof(struct http_head, headers));
        found = read_first_line(p, bytes, head);
        if (found != HTTP_LINE_FOUND)
            return found;
        p->in_headers = true;
    }
    do {
        /* The ceiling is checked before a line is read, so the index stays inside. */
        found = http_read_field(p, bytes, &head->headers[MIN(p->n_headers, HTTP_HEADERS_MAX - 1)]);
    } while (found == HTTP_LINE_FOUND);
    head->n_headers = p->n_headers;
    return found;
}
