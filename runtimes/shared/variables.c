#include "variables.h"

#include "base/buf.h"

#include <errno.h>

#define NAME_MAX_BYTES   512 /* longer header names are left out */
#define VALUES_BYTES_MAX (1024UL * 1024)

static int add_path(const struct http_head *head, bool decode, variable_add *add, void *ctx)
{
    struct slice path = head->path;
    char *decoded;
    ssize_t n;
    int r;

    if (!decode || path.len == 0)
        return add(ctx, SLICE_LIT("PATH_INFO"), path);
    decoded = malloc(path.len);
    if (!decoded)
        return -ENOMEM;
    n = http_percent_decode(path, false, decoded, path.len);
    r = add(ctx, SLICE_LIT("PATH_INFO"), n < 0 ? path : slice(decoded, (size_t)n));
    free(decoded);
    return r;
}

static int add_host(const struct http_head *head, variable_add *add, void *ctx)
{
    struct slice host = head->host, port = SLICE_LIT("80");
    const char *colon = host.len > 0 ? memrchr(host.base, ':', host.len) : NULL;
    int r;

    if (colon && memchr(colon, ']', host.len - (size_t)(colon - host.base)) == NULL) {
        port = slice(colon + 1, host.len - (size_t)(colon - host.base) - 1);
        host.len = (size_t)(colon - host.base);
        if (port.len == 0)
            port = SLICE_LIT("80");
    }
    if (host.len == 0)
        host = SLICE_LIT("localhost");
    r = add(ctx, SLICE_LIT("SERVER_NAME"), host);
    return r < 0 ? r : add(ctx, SLICE_LIT("SERVER_PORT"), port);
}

static bool is_left_out(struct slice name)
{
    return name.len > NAME_MAX_BYTES || memchr(name.base, '_', name.len) ||
           slice_eq_nocase(name, SLICE_LIT("transfer-encoding")) ||
           slice_eq_nocase(name, SLICE_LIT("proxy"));
}

/* The name as a variable has it, in dst. */
static struct slice name_of(struct slice header, char dst[static NAME_MAX_BYTES + 5])
{
    memcpy(dst, "HTTP_", 5);
    for (size_t k = 0; k < header.len; k++) {
        char c = header.base[k];

        dst[5 + k] = c == '-' ? '_' : c >= 'a' && c <= 'z' ? (char)(c - 0x20) : c;
    }
    if (slice_eq_nocase(header, SLICE_LIT("content-type")) ||
        slice_eq_nocase(header, SLICE_LIT("content-length")))
        return slice(dst + 5, header.len);
    return slice(dst, header.len + 5);
}

/* Returns 1 if the header came before, so that it is told already. */
static int add_header(const struct http_head *head, uint32_t i, variable_add *add, void *ctx)
{
    const struct http_header *h = &head->headers[i];
    const char *separator = slice_eq_nocase(h->name, SLICE_LIT("cookie")) ? "; " : ", ";
    struct buf joined = BUF_INIT(VALUES_BYTES_MAX);
    char name[NAME_MAX_BYTES + 5];
    int r = 0;

    for (uint32_t k = 0; k < i; k++) {
        if (slice_eq_nocase(head->headers[k].name, h->name))
            return 1;
    }
    for (uint32_t k = i + 1; k < head->n_headers && r == 0; k++) {
        if (!slice_eq_nocase(head->headers[k].name, h->name))
            continue;
        if (buf_len(&joined) == 0)
            r = buf_append_slice(&joined, h->value);
        r = r < 0 ? r : buf_append_str(&joined, separator);
        r = r < 0 ? r : buf_append_slice(&joined, head->headers[k].value);
    }
    if (r == 0)
        r = add(ctx, name_of(h->name, name), buf_len(&joined) > 0 ? buf_slice(&joined) : h->value);
    buf_deinit(&joined);
    return r == -ENOBUFS ? -ENOMEM : r;
}

int variables_each(const struct http_head *head, bool decode_path, variable_add *add, void *ctx)
{
    struct slice client = SLICE_LIT("127.0.0.1");
    int r;

    (void)http_head_find(head, "Mayfly-Client-Ip", &client);
    r = add(ctx, SLICE_LIT("REQUEST_METHOD"), head->method);
    r = r < 0 ? r : add(ctx, SLICE_LIT("REQUEST_URI"), head->target);
    r = r < 0 ? r : add(ctx, SLICE_LIT("SCRIPT_NAME"), SLICE_LIT(""));
    r = r < 0 ? r : add_path(head, decode_path, add, ctx);
    r = r < 0 ? r : add(ctx, SLICE_LIT("QUERY_STRING"), head->query);
    r = r < 0 ? r : add_host(head, add, ctx);
    r = r < 0 ? r : add(ctx, SLICE_LIT("SERVER_PROTOCOL"), SLICE_LIT("HTTP/1.1"));
    r = r < 0 ? r : add(ctx, SLICE_LIT("SERVER_SOFTWARE"), SLICE_LIT("mayfly"));
    r = r < 0 ? r : add(ctx, SLICE_LIT("REMOTE_ADDR"), client);
    for (uint32_t i = 0; i < head->n_headers && r >= 0; i++) {
        if (!is_left_out(head->headers[i].name))
            r = add_header(head, i, add, ctx);
    }
    return r < 0 ? r : 0;
}
