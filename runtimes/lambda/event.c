#include "event.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "json/writer.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#define NAME_MAX_BYTES 512 /* longer header names are left out */
#define TEXT_BYTES_MAX (2UL * 1024 * 1024)

struct writing {
    struct jsonw w;
    struct buf text; /* scratch */
    int r;
};

/* Remembers the first failure. */
static void note(struct writing *e, int r)
{
    if (e->r == 0 && r < 0)
        e->r = r;
}

/* Bytes as Latin-1, which headers are in, become UTF-8; behind what is in the scratch buffer. */
static void add_latin1(struct writing *e, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.base[i];
        char two[2] = {(char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))};

        note(e, c < 0x80 ? buf_append(&e->text, &s.base[i], 1) : buf_append(&e->text, two, 2));
    }
}

static void put_latin1(struct writing *e, struct slice s)
{
    buf_clear(&e->text);
    add_latin1(e, s);
    jsonw_str(&e->w, buf_slice(&e->text));
}

static void put_str(struct writing *e, const char *key, const char *value)
{
    jsonw_key(&e->w, key);
    jsonw_str(&e->w, slice_str(value));
}

static void put(struct writing *e, const char *key, struct slice value)
{
    jsonw_key(&e->w, key);
    put_latin1(e, value);
}

static void put_null(struct writing *e, const char *key)
{
    jsonw_key(&e->w, key);
    jsonw_null(&e->w);
}

static struct slice header_or(const struct http_head *head, const char *name,
                              struct slice otherwise)
{
    struct slice value;

    return http_head_find(head, name, &value) ? value : otherwise;
}

/* ---- headers ---- */

static bool is_cookie(struct slice name)
{
    return slice_eq_nocase(name, SLICE_LIT("cookie"));
}

static bool is_left_out(struct slice name)
{
    static const struct slice ours = {"mayfly-", 7};

    return name.len > NAME_MAX_BYTES || is_cookie(name) ||
           slice_eq_nocase(name, SLICE_LIT("transfer-encoding")) ||
           (name.len > ours.len && slice_eq_nocase(slice(name.base, ours.len), ours));
}

static bool came_before(const struct http_head *head, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++) {
        if (slice_eq_nocase(head->headers[i].name, head->headers[index].name))
            return true;
    }
    return false;
}

static void put_header(struct writing *e, const struct http_head *head, uint32_t first)
{
    struct slice name = head->headers[first].name;
    char key[NAME_MAX_BYTES + 1];

    for (size_t i = 0; i < name.len; i++)
        key[i] =
            name.base[i] >= 'A' && name.base[i] <= 'Z' ? (char)(name.base[i] | 0x20) : name.base[i];
    key[name.len] = '\0';
    buf_clear(&e->text);
    for (uint32_t i = first; i < head->n_headers; i++) {
        if (!slice_eq_nocase(head->headers[i].name, name))
            continue;
        if (i > first)
            note(e, buf_append(&e->text, ",", 1));
        add_latin1(e, head->headers[i].value);
    }
    jsonw_key(&e->w, key);
    jsonw_str(&e->w, buf_slice(&e->text));
}

static void put_headers(struct writing *e, const struct http_head *head)
{
    jsonw_key(&e->w, "headers");
    jsonw_object_begin(&e->w);
    for (uint32_t i = 0; i < head->n_headers; i++) {
        if (!is_left_out(head->headers[i].name) && !came_before(head, i))
            put_header(e, head, i);
    }
    jsonw_object_end(&e->w);
}

static void put_cookies(struct writing *e, const struct http_head *head)
{
    struct slice value;

    if (!http_head_find(head, "Cookie", &value))
        return;
    jsonw_key(&e->w, "cookies");
    jsonw_array_begin(&e->w);
    for (uint32_t i = 0; i < head->n_headers; i++) {
        value = head->headers[i].value;
        while (is_cookie(head->headers[i].name) && value.len > 0) {
            struct slice one = slice_trim(slice_cut(&value, ';'));

            if (one.len > 0)
                put_latin1(e, one);
        }
    }
    jsonw_array_end(&e->w);
}

/* ---- the query ---- */

struct pair {
    char *name; /* decoded; a bad %HH is left as it stands */
    char *value;
    bool told;
};

static char *decode(struct slice s)
{
    char *text = malloc(s.len + 1);
    ssize_t n = text ? http_percent_decode(s, true, text, s.len) : -1;

    if (text && n < 0)
        n = (char *)mempcpy(text, s.len > 0 ? s.base : "", s.len) - text;
    if (text)
        text[n] = '\0';
    return text;
}

static void put_parameter(struct writing *e, struct pair *pairs, size_t n, size_t first)
{
    buf_clear(&e->text);
    for (size_t i = first; i < n; i++) {
        if (strcmp(pairs[i].name, pairs[first].name) != 0)
            continue;
        if (i > first)
            note(e, buf_append(&e->text, ",", 1));
        note(e, buf_append_str(&e->text, pairs[i].value));
        pairs[i].told = true;
    }
    jsonw_key(&e->w, pairs[first].name);
    jsonw_str(&e->w, buf_slice(&e->text));
}

static void put_query(struct writing *e, struct slice query)
{
    struct pair *pairs;
    size_t n = 0, max = 1;

    if (query.len == 0)
        return;
    for (size_t i = 0; i < query.len; i++)
        max += query.base[i] == '&';
    pairs = calloc(max, sizeof(*pairs));
    note(e, pairs ? 0 : -ENOMEM);
    while (pairs && query.len > 0) {
        struct slice value = slice_cut(&query, '&'), name = slice_cut(&value, '=');

        if (name.len == 0 && value.len == 0)
            continue;
        pairs[n] = (struct pair){.name = decode(name), .value = decode(value)};
        note(e, pairs[n].name && pairs[n].value ? 0 : -ENOMEM);
        n++;
    }
    jsonw_key(&e->w, "queryStringParameters");
    jsonw_object_begin(&e->w);
    for (size_t i = 0; i < n && e->r == 0; i++) {
        if (!pairs[i].told)
            put_parameter(e, pairs, n, i);
    }
    jsonw_object_end(&e->w);
    for (size_t i = 0; i < n; i++) {
        free(pairs[i].name);
        free(pairs[i].value);
    }
    free(pairs);
}

/* ---- the body ---- */

static bool ends_in(struct slice s, const char *end)
{
    size_t n = strlen(end);

    return s.len >= n && slice_eq_nocase(slice(s.base + s.len - n, n), slice(end, n));
}

static bool is_text(struct slice content_type)
{
    struct slice kind = slice_trim(slice_cut(&content_type, ';'));

    return kind.len == 0 ||
           (kind.len >= 5 && slice_eq_nocase(slice(kind.base, 5), SLICE_LIT("text/"))) ||
           ends_in(kind, "json") || ends_in(kind, "xml") || ends_in(kind, "javascript");
}

static bool is_utf8(struct slice s)
{
    size_t n;

    for (size_t at = 0; at < s.len; at += n) {
        n = utf8_len((const unsigned char *)s.base + at, s.len - at);
        if (n == 0)
            return false;
    }
    return true;
}

static int add_base64(struct buf *b, struct slice s)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    int r = buf_reserve(b, (s.len + 2) / 3 * 4);
    char *to;

    if (r < 0)
        return r;
    to = buf_tail(b);
    for (size_t at = 0; at < s.len; at += 3) {
        size_t left = s.len - at;
        uint32_t three = (uint32_t)(unsigned char)s.base[at] << 16;

        if (left > 1)
            three |= (uint32_t)(unsigned char)s.base[at + 1] << 8;
        if (left > 2)
            three |= (unsigned char)s.base[at + 2];
        *to++ = digits[three >> 18];
        *to++ = digits[three >> 12 & 63];
        *to++ = left > 1 ? digits[three >> 6 & 63] : '=';
        *to++ = left > 2 ? digits[three & 63] : '=';
    }
    buf_commit(b, (s.len + 2) / 3 * 4);
    return 0;
}

static void put_body(struct writing *e, const struct http_head *head, struct slice body)
{
    bool text = is_text(header_or(head, "Content-Type", SLICE_NULL)) && is_utf8(body);

    if (body.len > 0) {
        jsonw_key(&e->w, "body");
        if (text) {
            jsonw_str(&e->w, body);
        } else {
            struct buf encoded = BUF_INIT(SIZE_MAX);

            note(e, add_base64(&encoded, body));
            jsonw_str(&e->w, buf_slice(&encoded));
            buf_deinit(&encoded);
        }
    }
    jsonw_key(&e->w, "isBase64Encoded");
    jsonw_bool(&e->w, body.len > 0 && !text);
}

/* ---- all ---- */

static void put_context(struct writing *e, const struct http_head *head, uint64_t wall_us)
{
    time_t seconds = (time_t)(wall_us / US_PER_S);
    struct slice prefix = head->host;
    char text[64] = "";
    struct tm tm;

    for (size_t i = 0; i < prefix.len; i++) {
        if (prefix.base[i] == '.' || prefix.base[i] == ':')
            prefix.len = i;
    }
    if (gmtime_r(&seconds, &tm))
        (void)strftime(text, sizeof(text), "%d/%b/%Y:%H:%M:%S +0000", &tm);
    jsonw_key(&e->w, "requestContext");
    jsonw_object_begin(&e->w);
    put_str(e, "accountId", "anonymous"); /* that of AuthType NONE */
    put_str(e, "apiId", "mayfly");
    put_null(e, "authentication");
    put_null(e, "authorizer");
    put(e, "domainName", head->host);
    put(e, "domainPrefix", prefix);
    jsonw_key(&e->w, "http");
    jsonw_object_begin(&e->w);
    put(e, "method", head->method);
    put(e, "path", head->path);
    put_str(e, "protocol", "HTTP/1.1");
    put(e, "sourceIp", header_or(head, "Mayfly-Client-Ip", SLICE_LIT("127.0.0.1")));
    put(e, "userAgent", header_or(head, "User-Agent", SLICE_NULL));
    jsonw_object_end(&e->w);
    put(e, "requestId", header_or(head, "Mayfly-Request-Id", SLICE_NULL));
    put_str(e, "routeKey", "$default");
    put_str(e, "stage", "$default");
    put_str(e, "time", text);
    jsonw_key(&e->w, "timeEpoch");
    jsonw_u64(&e->w, wall_us / 1000);
    jsonw_object_end(&e->w);
}

int lambda_event_write(struct buf *b, const struct http_head *head, struct slice body,
                       uint64_t wall_us)
{
    struct writing e = {.w = JSONW_INIT(b), .text = BUF_INIT(TEXT_BYTES_MAX)};
    int r;

    jsonw_object_begin(&e.w);
    put_str(&e, "version", "2.0");
    put_str(&e, "routeKey", "$default");
    put(&e, "rawPath", head->path);
    put(&e, "rawQueryString", head->query);
    put_cookies(&e, head);
    put_headers(&e, head);
    put_query(&e, head->query);
    put_context(&e, head, wall_us);
    put_null(&e, "pathParameters");
    put_body(&e, head, body);
    put_null(&e, "stageVariables");
    jsonw_object_end(&e.w);
    r = jsonw_end(&e.w);
    buf_deinit(&e.text);
    return e.r < 0 ? e.r : r;
}

/* "00-<32 hex>-<16 hex>-<2 hex>" */
void lambda_trace(struct slice traceparent, char dst[static LAMBDA_TRACE_SIZE])
{
    const char *t = traceparent.base;

    dst[0] = '\0';
    if (traceparent.len < 55 || t[2] != '-' || t[35] != '-' || t[52] != '-')
        return;
    for (size_t i = 0; i < 55; i++) {
        bool hex = (t[i] >= '0' && t[i] <= '9') || (t[i] >= 'a' && t[i] <= 'f');

        if (!hex && i != 2 && i != 35 && i != 52)
            return;
    }
    (void)snprintf(dst, LAMBDA_TRACE_SIZE, "Root=1-%.8s-%.24s;Parent=%.16s;Sampled=%d", t + 3,
                   t + 11, t + 36, strchr("13579bdf", t[54]) != NULL);
}
