#include "environment.h"

#include <errno.h>

#define ENVIRONMENT_BYTES_MAX (1024 * 1024)
#define DEFAULT_PATH          "/usr/local/bin:/usr/bin:/bin"

/* Adds NAME=value and the NUL behind it. */
static int add(struct buf *b, const char *name, struct slice value)
{
    int r = buf_append_str(b, name);

    if (r == 0)
        r = buf_append(b, "=", 1);
    if (r == 0)
        r = buf_append_slice(b, value);
    return r == 0 ? buf_append(b, "", 1) : r;
}

/* ---- headers ---- */

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
}

/* A name with other characters than these could pass for another one: X_Y and X-Y are both X_Y. */
static bool is_plain_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = upper(name.base[i]);

        if (c != '-' && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9'))
            return false;
    }
    return name.len > 0;
}

static bool is_left_out(struct slice name)
{
    /* Proxy: many a program would take HTTP_PROXY for the address of its proxy ("httpoxy"). The
     * other two have variables of their own. */
    return !is_plain_name(name) || slice_eq_nocase(name, SLICE_LIT("proxy")) ||
           slice_eq_nocase(name, SLICE_LIT("content-type")) ||
           slice_eq_nocase(name, SLICE_LIT("content-length"));
}

static bool came_before(const struct http_head *head, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (slice_eq_nocase(head->headers[i].name, head->headers[index].name))
            return true;
    }
    return false;
}

/* All headers of the name that headers[first] has, in one variable. */
static int add_header(struct buf *b, const struct http_head *head, size_t first)
{
    struct slice name = head->headers[first].name;
    const char *separator = slice_eq_nocase(name, SLICE_LIT("cookie")) ? "; " : ", ";
    bool is_ours = name.len > 7 && slice_eq_nocase(slice(name.base, 7), SLICE_LIT("mayfly-"));
    int r = is_ours ? 0 : buf_append_str(b, "HTTP_");

    for (size_t i = 0; r == 0 && i < name.len; i++) {
        char c = name.base[i] == '-' ? '_' : upper(name.base[i]);

        r = buf_append(b, &c, 1);
    }
    for (size_t i = first; r == 0 && i < head->n_headers; i++) {
        if (!slice_eq_nocase(head->headers[i].name, name))
            continue;
        r = buf_append_str(b, i == first ? "=" : separator);
        if (r == 0)
            r = buf_append_slice(b, head->headers[i].value);
    }
    return r == 0 ? buf_append(b, "", 1) : r;
}

static int add_headers(struct buf *b, const struct http_head *head)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < head->n_headers; i++) {
        if (!is_left_out(head->headers[i].name) && !came_before(head, i))
            r = add_header(b, head, i);
    }
    return r;
}

/* ---- meta-variables ---- */

/* "host", "host:port", "[::1]:port" */
static int add_server(struct buf *b, struct slice host)
{
    const char *colon = host.len > 0 ? memrchr(host.base, ':', host.len) : NULL;
    struct slice port = SLICE_LIT("80");
    int r;

    if (colon && !memchr(colon, ']', host.len - (size_t)(colon - host.base))) {
        port = slice(colon + 1, host.len - (size_t)(colon + 1 - host.base));
        host.len = (size_t)(colon - host.base);
    }
    r = add(b, "SERVER_NAME", host.len > 0 ? host : SLICE_LIT("localhost"));
    return r == 0 ? add(b, "SERVER_PORT", port.len > 0 ? port : SLICE_LIT("80")) : r;
}

static int add_path(struct buf *b, struct slice path)
{
    char *decoded = malloc(path.len + 1);
    ssize_t n;
    int r;

    if (!decoded)
        return -ENOMEM;
    n = http_percent_decode(path, false, decoded, path.len);
    r = add(b, "PATH_INFO", n < 0 ? path : slice(decoded, (size_t)n));
    free(decoded);
    return r;
}

/* Variables whose value is a header's, or a text if that is missing; without one they are left out.
 * A request that no client sent (a schedule's, say) has no address. */
static int add_from_headers(struct buf *b, const struct http_head *head)
{
    static const struct {
        const char *variable, *header, *otherwise;
    } rows[] = {
        {"CONTENT_TYPE", "Content-Type", NULL},
        {"REMOTE_ADDR", "Mayfly-Client-Ip", "127.0.0.1"},
        {"TRACEPARENT", "traceparent", NULL}, /* where tools for tracing look in a program */
        {"TRACESTATE", "tracestate", NULL},
    };
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(rows); i++) {
        struct slice value;

        if (http_head_find(head, rows[i].header, &value))
            r = add(b, rows[i].variable, value);
        else if (rows[i].otherwise)
            r = add(b, rows[i].variable, slice_str(rows[i].otherwise));
    }
    return r;
}

static int add_request(struct buf *b, const struct http_head *head)
{
    int r = add(b, "GATEWAY_INTERFACE", SLICE_LIT("CGI/1.1"));

    if (r == 0)
        r = add(b, "SERVER_SOFTWARE", SLICE_LIT("mayfly"));
    if (r == 0)
        r = add(b, "SERVER_PROTOCOL",
                head->version_minor == 0 ? SLICE_LIT("HTTP/1.0") : SLICE_LIT("HTTP/1.1"));
    if (r == 0)
        r = add_server(b, head->host);
    if (r == 0)
        r = add(b, "REQUEST_METHOD", head->method);
    if (r == 0)
        r = add(b, "REQUEST_URI", head->target);
    if (r == 0)
        r = add(b, "SCRIPT_NAME", SLICE_NULL); /* the route's pattern is not known here */
    if (r == 0)
        r = add_path(b, head->path);
    if (r == 0)
        r = add(b, "QUERY_STRING", head->query);
    if (r < 0 || !head->has_content_length)
        return r; /* of a chunked body nobody knows the length: it ends where stdin ends */
    r = buf_printf(b, "CONTENT_LENGTH=%llu", (unsigned long long)head->content_length);
    return r == 0 ? buf_append(b, "", 1) : r;
}

/* ---- the list ---- */

static bool is_replaced(struct slice ours, const char *inherited)
{
    size_t name_len = strcspn(inherited, "=") + 1;

    for (const char *p = ours.base; p < ours.base + ours.len; p += strlen(p) + 1) {
        if (strncmp(p, inherited, name_len) == 0)
            return true;
    }
    return false;
}

static bool has_path(char *const *inherited)
{
    for (; *inherited; inherited++) {
        if (strncmp(*inherited, "PATH=", 5) == 0)
            return true;
    }
    return false;
}

static int make_list(struct environment *e, struct slice ours, char *const *inherited)
{
    size_t n = 1;

    for (char *const *i = inherited; *i; i++)
        n++;
    for (size_t i = 0; i < ours.len; i++)
        n += ours.base[i] == '\0';
    e->list = calloc(n, sizeof(*e->list));
    if (!e->list)
        return -ENOMEM;
    n = 0;
    for (char *const *i = inherited; *i; i++) {
        if (!is_replaced(ours, *i))
            e->list[n++] = *i;
    }
    for (char *p = e->bytes; p < e->bytes + ours.len; p += strlen(p) + 1)
        e->list[n++] = p;
    return 0;
}

int environment_init(struct environment *e, const struct http_head *head, char *const *inherited)
{
    struct buf b = BUF_INIT(ENVIRONMENT_BYTES_MAX);
    int r = has_path(inherited) ? 0 : add(&b, "PATH", SLICE_LIT(DEFAULT_PATH));

    *e = (struct environment){.list = NULL};
    if (r == 0)
        r = add_request(&b, head);
    if (r == 0)
        r = add_from_headers(&b, head);
    if (r == 0)
        r = add_headers(&b, head);
    if (r < 0) {
        buf_deinit(&b);
        return r;
    }
    e->bytes = b.data; /* nothing was consumed: it starts there */
    return make_list(e, buf_slice(&b), inherited);
}

void environment_deinit(struct environment *e)
{
    free(e->list);
    free(e->bytes);
    *e = (struct environment){.list = NULL};
}
