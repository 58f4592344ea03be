/* Lines are judged as they come, so that plain text can be passed on as soon as it is known to be
 * that. The head is collected when it is complete, in a second pass over its bytes. */

#include "cgi.h"

#include "base/log.h"
#include "base/parse.h"

#include <stdio.h>

#define LINE_QUOTED_MAX 80

static const struct slice plain_type = {"text/plain; charset=utf-8", 25};

enum line_kind {
    LINE_HEADER,
    LINE_STATUS, /* "HTTP/1.1 200 OK" */
    LINE_EMPTY,
    LINE_OTHER,
};

void cgi_parser_init(struct cgi_parser *p)
{
    *p = (struct cgi_parser){.line_start = 0};
}

/* "404" or "404 Not Found". Returns 0 if it is neither or out of range. */
static unsigned read_status(struct slice s)
{
    uint64_t status;

    if (s.len < 3 || (s.len > 3 && s.base[3] != ' '))
        return 0;
    if (parse_u64(slice(s.base, 3), 599, &status) < 0 || status < 200)
        return 0;
    return (unsigned)status;
}

/* What stands behind "HTTP/1.1 " at the beginning of the line, or nothing. */
static struct slice behind_version(struct slice line)
{
    if (!slice_starts(line, SLICE_LIT("HTTP/1.0 ")) && !slice_starts(line, SLICE_LIT("HTTP/1.1 ")))
        return SLICE_NULL;
    return slice(line.base + strlen("HTTP/1.1 "), line.len - strlen("HTTP/1.1 "));
}

/* The line ends before its LF; *ret_header is set for LINE_HEADER. */
static enum line_kind judge(struct slice line, struct http_header *ret_header)
{
    const char *colon;

    if (line.len > 0 && line.base[line.len - 1] == '\r')
        line.len--;
    if (line.len == 0)
        return LINE_EMPTY;
    if (read_status(behind_version(line)) != 0)
        return LINE_STATUS;
    colon = memchr(line.base, ':', line.len);
    if (!colon)
        return LINE_OTHER;
    ret_header->name = slice(line.base, (size_t)(colon - line.base));
    ret_header->value = slice_trim(slice(colon + 1, line.len - ret_header->name.len - 1));
    return http_is_token(ret_header->name) && http_is_value(ret_header->value) ? LINE_HEADER
                                                                               : LINE_OTHER;
}

/* Whether a line of which this is the beginning may become a header or a status line. */
static bool may_become_header(struct slice begun)
{
    const struct slice status = SLICE_LIT("HTTP/1.");
    const char *colon;

    if (begun.len == 0 || (begun.len == 1 && begun.base[0] == '\r'))
        return true;
    if (slice_starts(begun, status) || slice_starts(status, begun))
        return true;
    colon = memchr(begun.base, ':', begun.len);
    return http_is_token(slice(begun.base, colon ? (size_t)(colon - begun.base) : begun.len));
}

static bool makes_reply(struct slice name)
{
    return slice_eq_nocase(name, SLICE_LIT("content-type")) ||
           slice_eq_nocase(name, SLICE_LIT("location")) ||
           slice_eq_nocase(name, SLICE_LIT("status"));
}

/* ---- outcomes ---- */

static enum cgi_event fail(struct cgi_parser *p, const char *what, struct slice line)
{
    char quoted[LINE_QUOTED_MAX * 4 + 1];

    line.len = MIN(line.len, (size_t)LINE_QUOTED_MAX);
    (void)snprintf(p->error_text, sizeof(p->error_text), "%s (line %u of its output: \"%s\")", what,
                   p->n_lines, log_quote(line, quoted, sizeof(quoted)));
    return CGI_EVENT_ERROR;
}

static enum cgi_event plain(struct cgi_head *ret, size_t *ret_used)
{
    *ret = (struct cgi_head){.status = 200, .content_length = -1, .is_plain = true, .n_headers = 1};
    ret->headers[0] = (struct http_header){SLICE_LIT("Content-Type"), plain_type};
    *ret_used = 0;
    return CGI_EVENT_HEAD;
}

/* ---- a complete head ---- */

struct seen {
    bool status, length, type, location;
};

/* Marks a header that may be there once. Returns false if it was there before. */
static bool once(bool *seen)
{
    bool before = *seen;

    *seen = true;
    return !before;
}

/* Returns what is wrong with the header, or NULL. */
static const char *take_header(struct cgi_head *head, struct seen *seen, struct http_header h)
{
    uint64_t length;

    if (slice_eq_nocase(h.name, SLICE_LIT("status"))) {
        head->status = read_status(h.value);
        if (head->status == 0)
            return "it wrote a Status that is no number from 200 to 599";
        return once(&seen->status) ? NULL : "it wrote two Status headers";
    }
    if (slice_eq_nocase(h.name, SLICE_LIT("content-length"))) {
        if (parse_u64(h.value, INT64_MAX, &length) < 0)
            return "it wrote a Content-Length that is no number";
        head->content_length = (int64_t)length;
        return once(&seen->length) ? NULL : "it wrote two Content-Length headers";
    }
    if (slice_eq_nocase(h.name, SLICE_LIT("content-type")) && !once(&seen->type))
        return "it wrote two Content-Type headers";
    if (slice_eq_nocase(h.name, SLICE_LIT("location")) && !once(&seen->location))
        return "it wrote two Location headers";
    if (head->n_headers == CGI_HEADERS_MAX)
        return "it wrote more headers than mayfly takes";
    head->headers[head->n_headers++] = h;
    return NULL;
}

/* Of the lines before `end`, all of which are headers. */
static enum cgi_event collect(struct cgi_parser *p, struct slice bytes, size_t end,
                              struct cgi_head *head)
{
    struct seen seen = {0};

    *head = (struct cgi_head){.status = 200, .content_length = -1};
    p->n_lines = 0;
    for (size_t start = 0; start < end; p->n_lines++) {
        const char *lf = memchr(bytes.base + start, '\n', end - start);
        struct slice line = slice(bytes.base + start, (size_t)(lf - bytes.base) - start);
        const char *wrong = NULL;
        struct http_header header;

        if (judge(line, &header) == LINE_HEADER) {
            wrong = take_header(head, &seen, header);
        } else {
            head->status = read_status(behind_version(line));
            seen.status = true;
        }
        if (wrong) {
            p->n_lines++;
            return fail(p, wrong, line);
        }
        start += line.len + 1;
    }
    if (seen.location && !seen.status)
        head->status = 302;
    if (!seen.type && !seen.location)
        head->headers[head->n_headers++] =
            (struct http_header){SLICE_LIT("Content-Type"), plain_type};
    return CGI_EVENT_HEAD;
}

/* ---- reading on ---- */

/* What can be said without the end of this line. */
static enum cgi_event on_begun_line(struct cgi_parser *p, struct slice begun, bool eof,
                                    struct cgi_head *ret_head, size_t *ret_used)
{
    bool too_long = p->line_start + begun.len >= CGI_HEAD_MAX;

    if (!p->is_reply)
        return eof || too_long || !may_become_header(begun) ? plain(ret_head, ret_used)
                                                            : CGI_EVENT_MORE;
    if (!eof && !too_long)
        return CGI_EVENT_MORE;
    p->n_lines++;
    return fail(p,
                too_long ? "its headers are too long"
                         : "its output ends before the empty line behind the headers",
                begun);
}

enum cgi_event cgi_parse(struct cgi_parser *p, struct slice bytes, bool eof,
                         struct cgi_head *ret_head, size_t *ret_used)
{
    for (;;) {
        const char *lf = bytes.len > p->scanned
                             ? memchr(bytes.base + p->scanned, '\n', bytes.len - p->scanned)
                             : NULL;
        struct slice line = slice(bytes.base ? bytes.base + p->line_start : NULL,
                                  (lf ? (size_t)(lf - bytes.base) : bytes.len) - p->line_start);
        struct http_header header;

        p->scanned = bytes.len;
        if (!lf || p->line_start + line.len >= CGI_HEAD_MAX)
            return on_begun_line(p, line, eof, ret_head, ret_used);
        p->n_lines++;
        switch (judge(line, &header)) {
        case LINE_EMPTY:
            if (!p->is_reply)
                return plain(ret_head, ret_used);
            *ret_used = p->line_start + line.len + 1;
            return collect(p, bytes, p->line_start, ret_head);
        case LINE_OTHER:
            if (!p->is_reply)
                return plain(ret_head, ret_used);
            return fail(p, "it wrote a line among its headers that is not \"Name: value\"", line);
        case LINE_STATUS:
            if (p->n_lines > 1)
                return p->is_reply ? fail(p, "it wrote a status line among its headers", line)
                                   : plain(ret_head, ret_used);
            p->is_reply = true;
            break;
        case LINE_HEADER:
            p->is_reply = p->is_reply || makes_reply(header.name);
            break;
        }
        p->line_start += line.len + 1;
        p->scanned = p->line_start;
    }
}
