/* What a head means: above all, where its body ends. Two headers that could be read in two ways, by
 * us and by whoever stands before or behind us, are refused and never mended (RFC 9112 6.3, 11.2).
 */

#include "http/internal.h"

#include "base/parse.h"

/* The headers that frame a message, gathered in one walk. */
struct frame {
    uint32_t n_hosts;
    uint32_t n_lengths;
    uint32_t n_encodings;
    struct slice host;
    struct slice length;
    bool encoding_malformed; /* not a list of tokens */
    bool encoding_unknown;   /* an element that is not chunked */
    uint32_t n_chunked;
    bool close;
    bool keep_alive;
    bool wants_upgrade;
    bool has_upgrade;
    bool has_expect;
    bool has_bad_expect;
};

static void note_connection(struct frame *f, struct slice value)
{
    struct slice option;
    bool more = true;

    while (http_list_next(&value, &more, &option)) {
        if (slice_eq_nocase(option, SLICE_LIT("close")))
            f->close = true;
        else if (slice_eq_nocase(option, SLICE_LIT("keep-alive")))
            f->keep_alive = true;
        else if (slice_eq_nocase(option, SLICE_LIT("upgrade")))
            f->wants_upgrade = true;
    }
}

static void note_encoding(struct frame *f, struct slice value)
{
    struct slice coding;
    bool more = true;

    f->n_encodings++;
    while (http_list_next(&value, &more, &coding)) {
        if (!http_is_token(coding))
            f->encoding_malformed = true;
        else if (slice_eq_nocase(coding, SLICE_LIT("chunked")))
            f->n_chunked++;
        else
            f->encoding_unknown = true;
    }
}

static void note_header(struct frame *f, const struct http_header *h)
{
    /* By length first: most headers are none of these, and are passed over at once. */
    switch (h->name.len) {
    case 4:
        if (slice_eq_nocase(h->name, SLICE_LIT("Host"))) {
            f->n_hosts++;
            f->host = h->value;
        }
        break;
    case 6:
        if (slice_eq_nocase(h->name, SLICE_LIT("Expect"))) {
            f->has_expect = true;
            if (!slice_eq_nocase(h->value, SLICE_LIT("100-continue")))
                f->has_bad_expect = true;
        }
        break;
    case 7:
        if (slice_eq_nocase(h->name, SLICE_LIT("Upgrade")))
            f->has_upgrade = true;
        break;
    case 10:
        if (slice_eq_nocase(h->name, SLICE_LIT("Connection")))
            note_connection(f, h->value);
        break;
    case 14:
        if (slice_eq_nocase(h->name, SLICE_LIT("Content-Length"))) {
            f->n_lengths++;
            f->length = h->value;
        }
        break;
    case 17:
        if (slice_eq_nocase(h->name, SLICE_LIT("Transfer-Encoding")))
            note_encoding(f, h->value);
        break;
    default:
        break;
    }
}

/* Sets framing from Transfer-Encoding and Content-Length alone. */
static bool judge_framing(struct http_parser *p, const struct frame *f, struct http_head *head)
{
    if (f->n_encodings > 0) {
        if (head->version_minor == 0)
            return http_fail(p, 400, "Transfer-Encoding in HTTP/1.0");
        if (f->n_lengths > 0)
            return http_fail(p, 400, "Transfer-Encoding and Content-Length together");
        if (f->encoding_malformed)
            return http_fail(p, 400, "a malformed Transfer-Encoding");
        if (f->encoding_unknown)
            return http_fail(p, 501, "a transfer coding other than chunked");
        if (f->n_chunked != 1)
            return http_fail(p, 400, "Transfer-Encoding chunked more than once");
        head->framing = HTTP_BODY_CHUNKED;
        return true;
    }
    if (f->n_lengths == 0) {
        head->framing = p->kind == HTTP_RESPONSE ? HTTP_BODY_CLOSE : HTTP_BODY_NONE;
        return true;
    }
    if (f->n_lengths > 1)
        return http_fail(p, 400, "more than one Content-Length");
    if (parse_u64(f->length, INT64_MAX, &head->content_length) < 0)
        return http_fail(p, 400, "a malformed or too big Content-Length");
    head->has_content_length = true;
    head->framing = head->content_length > 0 ? HTTP_BODY_LENGTH : HTTP_BODY_NONE;
    return true;
}

static bool judge_request(struct http_parser *p, const struct frame *f, struct http_head *head)
{
    if (f->n_hosts > 1)
        return http_fail(p, 400, "more than one Host");
    if (f->n_hosts == 0 && head->version_minor > 0)
        return http_fail(p, 400, "no Host");
    if (f->n_hosts == 1) {
        if (!http_host_is_valid(f->host))
            return http_fail(p, 400, "an invalid Host");
        if (head->host.len > 0 && !slice_eq_nocase(head->host, f->host))
            return http_fail(p, 400, "a target with another host than Host");
        head->host = f->host;
    }
    /* RFC 9110 10.1.1 has HTTP/1.0 ignore it. */
    if (f->has_expect && head->version_minor > 0) {
        if (f->has_bad_expect)
            return http_fail(p, 417, "an expectation other than 100-continue");
        head->expect_continue = head->framing != HTTP_BODY_NONE;
    }
    return true;
}

/* RFC 9112 6.3: these have no body whatever their headers say. */
static void judge_response(const struct http_parser *p, struct http_head *head)
{
    bool bodyless = head->status < 200 || head->status == 204;
    bool declared = head->framing == HTTP_BODY_CHUNKED || head->framing == HTTP_BODY_LENGTH;

    if (bodyless && declared)
        head->keep_alive = false; /* it may well send one */
    if (bodyless || head->status == 304 || p->head_request)
        head->framing = HTTP_BODY_NONE;
    if (head->framing == HTTP_BODY_CLOSE)
        head->keep_alive = false;
}

bool http_judge_head(struct http_parser *p, struct http_head *head)
{
    struct frame f = {0};

    for (uint32_t i = 0; i < head->n_headers; i++)
        note_header(&f, &head->headers[i]);
    head->keep_alive = !f.close && (head->version_minor > 0 || f.keep_alive);
    head->upgrade = f.wants_upgrade && f.has_upgrade && head->version_minor > 0;
    if (!judge_framing(p, &f, head))
        return false;
    if (p->kind == HTTP_RESPONSE)
        judge_response(p, head);
    else if (!judge_request(p, &f, head))
        return false;
    switch (head->framing) {
    case HTTP_BODY_NONE:
        p->state = HTTP_STATE_END;
        break;
    case HTTP_BODY_LENGTH:
        if (head->content_length > p->limits.body_max)
            return http_fail(p, 413, "the body is too big");
        p->body_left = head->content_length;
        p->state = HTTP_STATE_BODY_LENGTH;
        break;
    case HTTP_BODY_CHUNKED:
        p->state = HTTP_STATE_CHUNK_SIZE;
        break;
    case HTTP_BODY_CLOSE:
        p->state = HTTP_STATE_BODY_CLOSE;
        break;
    }
    return true;
}
