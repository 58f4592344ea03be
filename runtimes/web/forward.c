#include "forward.h"

/* What is made anew, or is the gateway's affair. */
static bool is_left_out(struct slice name)
{
    static const char *const names[] = {"content-length", "expect", "x-forwarded-for"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (slice_eq_nocase(name, slice_str(names[i])))
            return true;
    }
    return http_is_hop_header(name);
}

/* Every hop adds the address that it was called from, behind those that it was told. */
static int write_forwarded_for(struct buf *b, const struct http_head *head)
{
    struct slice address = SLICE_NULL, given;
    bool first = true;
    int r;

    if (!http_head_find(head, "mayfly-client-ip", &address) &&
        !http_head_find(head, "x-forwarded-for", &given))
        return 0;
    r = buf_append_str(b, "X-Forwarded-For: ");
    for (uint32_t i = 0; r == 0 && i < head->n_headers; i++) {
        if (!slice_eq_nocase(head->headers[i].name, SLICE_LIT("x-forwarded-for")))
            continue;
        if (!first)
            r = buf_append_str(b, ", ");
        r = r < 0 ? r : buf_append_slice(b, head->headers[i].value);
        first = false;
    }
    if (r == 0 && address.len > 0 && !first)
        r = buf_append_str(b, ", ");
    r = r < 0 ? r : buf_append_slice(b, address);
    return r < 0 ? r : buf_append_str(b, "\r\n");
}

static int write_if_missing(struct buf *b, const struct http_head *head, const char *name,
                            struct slice value)
{
    struct slice given;

    if (value.len == 0 || http_head_find(head, name, &given))
        return 0;
    return http_write_header(b, slice_str(name), value);
}

static int write_framing(struct buf *b, const struct http_head *head)
{
    if (head->framing == HTTP_BODY_CHUNKED)
        return http_write_header_str(b, "Transfer-Encoding", "chunked");
    if (head->has_content_length)
        return http_write_header_u64(b, "Content-Length", head->content_length);
    return 0;
}

int forward_head(struct buf *b, const struct http_head *head)
{
    struct slice protocol;
    int r = http_write_request_line(b, head->method, head->target);

    for (uint32_t i = 0; r == 0 && i < head->n_headers; i++) {
        if (!is_left_out(head->headers[i].name))
            r = http_write_header(b, head->headers[i].name, head->headers[i].value);
    }
    r = r < 0 ? r : write_forwarded_for(b, head);
    r = r < 0 ? r : write_if_missing(b, head, "X-Forwarded-Proto", SLICE_LIT("http"));
    r = r < 0 ? r : write_if_missing(b, head, "X-Forwarded-Host", head->host);
    r = r < 0 ? r : write_framing(b, head);
    if (r == 0 && head->upgrade && http_head_find(head, "upgrade", &protocol)) {
        r = http_write_header_str(b, "Connection", "Upgrade");
        r = r < 0 ? r : http_write_header(b, SLICE_LIT("Upgrade"), protocol);
    } else if (r == 0) {
        r = http_write_header_str(b, "Connection", "close");
    }
    return r < 0 ? r : http_write_head_end(b);
}
