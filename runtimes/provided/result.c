#include "result.h"

#include "rapi.h"

#include "json/text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

#define PRELUDE_MAX     (64 * 1024)
#define PRELUDE_ZEROES  8
#define STACK_BYTES_MAX (64 * 1024)
#define HEADERS_MAX     HTTP_HEADERS_MAX
#define MARSHAL_ERROR   "Runtime.MarshalError"

/* Headers, with the strings that were made for them. */
struct header_list {
    struct http_header headers[HEADERS_MAX];
    size_t n;
    char *owned[HEADERS_MAX];
    size_t n_owned;
    bool has_type;
    const char *wrong; /* why it is none; static */
};

static void list_deinit(struct header_list *l)
{
    for (size_t i = 0; i < l->n_owned; i++)
        free(l->owned[i]);
}

static int fail_marshal(struct worker *w, const char *what)
{
    char message[256];

    (void)snprintf(message, sizeof(message), "Unable to marshal response: %s", what);
    return worker_fail_text(w, MARSHAL_ERROR, message, "");
}

/* ---- values ---- */

/* As Python's str() has it, but for booleans. A new string, or NULL. */
static char *text_of(const json_t *value)
{
    char number[64];

    if (json_is_string(value))
        return slice_dup(slice(json_string_value(value), json_string_length(value)));
    if (json_is_boolean(value))
        return slice_dup(slice_str(json_is_true(value) ? "true" : "false"));
    if (json_is_null(value))
        return slice_dup(slice_str("None"));
    if (json_is_integer(value)) {
        (void)snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
        return slice_dup(slice_str(number));
    }
    return json_dumps(value, JSON_ENCODE_ANY);
}

/* A list's items with ',' between them. */
static char *joined(const json_t *list)
{
    struct buf b = BUF_INIT(256UL * 1024);
    const json_t *item;
    char *text = NULL;
    size_t i;
    int r = 0;

    json_array_foreach((json_t *)(uintptr_t)list, i, item)
    {
        _cleanup_free_ char *one = text_of(item);

        if (i > 0 && r == 0)
            r = buf_append(&b, ",", 1);
        if (r == 0)
            r = one ? buf_append_str(&b, one) : -ENOMEM;
    }
    if (r == 0)
        text = slice_dup(buf_slice(&b));
    buf_deinit(&b);
    return text;
}

static void list_add(struct header_list *l, const char *name, char *value_take)
{
    if (l->n == HEADERS_MAX || !value_take) {
        l->wrong = value_take ? "too many headers" : "no memory";
        free(value_take);
        return;
    }
    l->owned[l->n_owned++] = value_take;
    l->headers[l->n++] = (struct http_header){slice_str(name), slice_str(value_take)};
    if (slice_eq_nocase(slice_str(name), SLICE_LIT("content-type")))
        l->has_type = true;
}

/* Payload format 1.0: these replace what `headers` said of the same name. */
static void add_multi_headers(struct header_list *l, const json_t *headers)
{
    const json_t *values, *value;
    const char *name;
    size_t k;

    json_object_foreach((json_t *)(uintptr_t)headers, name, values)
    {
        size_t n = 0;

        for (size_t i = 0; i < l->n; i++) {
            if (!slice_eq_nocase(l->headers[i].name, slice_str(name)))
                l->headers[n++] = l->headers[i];
        }
        l->n = n;
        if (!json_is_array(values))
            l->wrong = "multiValueHeaders must be lists";
        json_array_foreach((json_t *)(uintptr_t)values, k, value) list_add(l, name, text_of(value));
    }
}

static void list_fill(struct header_list *l, const json_t *object)
{
    const json_t *headers = json_object_get(object, "headers"), *value;
    const json_t *cookies = json_object_get(object, "cookies");
    const char *name;
    size_t i;

    if (headers && !json_is_null(headers) && !json_is_object(headers))
        l->wrong = "headers must be an object";
    json_object_foreach((json_t *)(uintptr_t)headers, name, value)
        list_add(l, name, json_is_array(value) ? joined(value) : text_of(value));
    add_multi_headers(l, json_object_get(object, "multiValueHeaders"));
    if (cookies && !json_is_null(cookies) && !json_is_array(cookies))
        l->wrong = "cookies must be a list";
    json_array_foreach((json_t *)(uintptr_t)cookies, i, value)
        list_add(l, "Set-Cookie", text_of(value));
}

/* A number, or a string of one. Returns 0 if it is no status. */
static unsigned status_of(const json_t *value)
{
    double number = json_number_value(value);

    if (json_is_string(value)) {
        char *end;

        number = strtod(json_string_value(value), &end);
        if (*end != '\0' || end == json_string_value(value))
            return 0;
    }
    return number >= 200 && number < 600 ? (unsigned)number : 0;
}

/* ---- a whole result ---- */

static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = c != '\0' ? strchr(digits, c) : NULL;

    return found ? (int)(found - digits) : -1;
}

int result_base64(struct slice text, struct buf *b)
{
    uint32_t bits = 0;
    unsigned n_bits = 0, n_digits = 0;
    int r = buf_reserve(b, text.len / 4 * 3 + 3);

    for (size_t i = 0; i < text.len && r == 0 && text.base[i] != '='; i++) {
        int digit = base64_digit(text.base[i]);

        if (digit < 0)
            continue;
        n_digits++;
        bits = bits << 6 | (uint32_t)digit;
        n_bits += 6;
        if (n_bits >= 8) {
            char byte = (char)(bits >> (n_bits - 8));

            n_bits -= 8;
            r = buf_append(b, &byte, 1);
        }
    }
    return r < 0 ? r : n_digits % 4 == 1 ? -EINVAL : 0;
}

/* Adds the body's bytes. Returns 0, -EINVAL if it is no base64, or -errno. */
static int body_of(const json_t *object, struct buf *b)
{
    const json_t *body = json_object_get(object, "body");
    _cleanup_free_ char *text = NULL;
    struct slice bytes;

    if (!body || json_is_null(body))
        return 0;
    if (!json_is_string(body)) {
        text = json_dumps(body, JSON_ENCODE_ANY);
        return text ? buf_append_str(b, text) : -ENOMEM;
    }
    bytes = slice(json_string_value(body), json_string_length(body));
    if (json_is_true(json_object_get(object, "isBase64Encoded")))
        return result_base64(bytes, b);
    return buf_append_slice(b, bytes);
}

static int answer_object(struct worker *w, const json_t *object)
{
    struct header_list list = {.n = 0};
    struct buf body = BUF_INIT(SIZE_MAX);
    unsigned status = status_of(json_object_get(object, "statusCode"));
    int r = body_of(object, &body);

    list_fill(&list, object);
    if (!list.has_type && buf_len(&body) > 0)
        list_add(&list, "Content-Type", strdup("application/json"));
    if (status == 0)
        list.wrong = "statusCode must be a number from 200 to 599";
    else if (r == -EINVAL)
        list.wrong = "the body is no base64";
    if (list.wrong)
        r = fail_marshal(w, list.wrong);
    else if (r == 0)
        r = worker_answer(w, status, list.headers, list.n, buf_slice(&body));
    if (r == -EINVAL)
        r = fail_marshal(w, "a header has a name or value that HTTP does not allow");
    list_deinit(&list);
    buf_deinit(&body);
    return r;
}

/* The object, if it is one with a statusCode. */
static json_t *object_with_status(struct slice body)
{
    size_t at = 0;
    json_t *value;

    while (at < body.len && memchr(" \t\r\n", body.base[at], 4))
        at++;
    if (at == body.len || body.base[at] != '{')
        return NULL;
    value = json_loadb(body.base, body.len, JSON_ALLOW_NUL, NULL);
    if (!value || json_object_get(value, "statusCode"))
        return value;
    json_decref(value);
    return NULL;
}

int result_answer(struct worker *w, bool is_http, struct slice body)
{
    static const struct http_header type = {SLICE_LIT("Content-Type"),
                                            SLICE_LIT("application/json")};
    json_t *object = is_http ? object_with_status(body) : NULL;
    int r;

    if (!object)
        return worker_answer(w, 200, &type, 1, body);
    r = answer_object(w, object);
    json_decref(object);
    return r;
}

/* ---- in pieces ---- */

void result_stream_begin(struct result_stream *s, struct worker *w, const char *content_type)
{
    *s = (struct result_stream){.w = w, .prelude = BUF_INIT(PRELUDE_MAX + PRELUDE_ZEROES)};
    (void)snprintf(s->content_type, sizeof(s->content_type), "%s", content_type);
    s->in_prelude = rapi_has_prelude(content_type);
}

static int stream_fail(struct result_stream *s, const char *what)
{
    s->failed = true;
    return fail_marshal(s->w, what);
}

static int stream_start_plain(struct result_stream *s)
{
    const char *type = s->content_type[0] ? s->content_type : "application/octet-stream";
    const struct http_header header = {SLICE_LIT("Content-Type"), slice_str(type)};
    int r = worker_start(s->w, 200, &header, 1, -1);

    return r == -EINVAL ? stream_fail(s, "its content type is none") : r;
}

static int stream_start(struct result_stream *s, const json_t *prelude)
{
    struct header_list list = {.n = 0};
    const json_t *code = json_object_get(prelude, "statusCode");
    unsigned status = code ? status_of(code) : 200;
    int r;

    list_fill(&list, prelude);
    if (!list.has_type)
        list_add(&list, "Content-Type", strdup("application/octet-stream"));
    if (status == 0)
        list.wrong = "statusCode must be a number from 200 to 599";
    if (list.wrong) {
        r = stream_fail(s, list.wrong);
    } else {
        r = worker_start(s->w, status, list.headers, list.n, -1);
        if (r == -EINVAL)
            r = stream_fail(s, "a header has a name or value that HTTP does not allow");
    }
    list_deinit(&list);
    return r;
}

/* Returns how many bytes of data belong to the prelude, with its end; data.len if there is none
 * yet. Sets *ret_found. */
static size_t prelude_take(struct result_stream *s, struct slice data, bool *ret_found)
{
    static const char zeroes[PRELUDE_ZEROES];
    struct slice before = buf_slice(&s->prelude), now;
    size_t take = MIN(data.len, buf_room(&s->prelude));
    const char *end;

    *ret_found = false;
    if (buf_append(&s->prelude, data.base, take) < 0)
        return 0;
    now = buf_slice(&s->prelude);
    end = memmem(now.base, now.len, zeroes, PRELUDE_ZEROES);
    if (!end)
        return take;
    *ret_found = true;
    take = (size_t)(end - now.base) + PRELUDE_ZEROES - before.len;
    s->prelude.end = s->prelude.start + (size_t)(end - now.base);
    return take;
}

static int stream_prelude(struct result_stream *s, struct slice *data)
{
    bool found;
    size_t used = prelude_take(s, *data, &found);
    struct slice text = buf_slice(&s->prelude);
    json_t *prelude;
    int r;

    if (!found && used < data->len)
        return stream_fail(s, "no end of the prelude within 65536 bytes");
    *data = slice(data->base + used, data->len - used);
    if (!found)
        return 0;
    s->in_prelude = false;
    prelude = json_loadb(text.base, text.len, JSON_ALLOW_NUL, NULL);
    if (!json_is_object(prelude))
        r = stream_fail(s, "the prelude is no JSON object");
    else
        r = stream_start(s, prelude);
    json_decref(prelude);
    return r;
}

int result_stream_data(struct result_stream *s, struct slice data)
{
    int r = 0;

    if (s->in_prelude && !s->failed)
        r = stream_prelude(s, &data);
    if (r < 0 || s->failed || s->in_prelude)
        return r;
    if (!worker_is_started(s->w))
        r = stream_start_plain(s);
    if (r == 0 && data.len > 0 && !s->failed)
        r = worker_write(s->w, data.base, data.len);
    return r == 0 && !s->failed ? worker_flush(s->w) : r;
}

int result_stream_end(struct result_stream *s)
{
    int r = 0;

    if (s->failed)
        return 0;
    if (s->in_prelude)
        return stream_fail(s, "the prelude has no end");
    if (!worker_is_started(s->w))
        r = stream_start_plain(s);
    return r == 0 && !s->failed ? worker_finish(s->w) : r;
}

void result_stream_deinit(struct result_stream *s)
{
    buf_deinit(&s->prelude);
}

/* ---- errors ---- */

/* Go tells {"path", "line", "label"}. */
static int add_frame(struct buf *b, const json_t *frame)
{
    const char *label = json_string_value(json_object_get(frame, "label"));
    const char *path = json_string_value(json_object_get(frame, "path"));

    if (json_is_string(frame)) {
        struct slice s = slice(json_string_value(frame), json_string_length(frame));

        while (s.len > 0 && s.base[s.len - 1] == '\n')
            s.len--;
        return buf_append_slice(b, s);
    }
    return buf_printf(b, "%s (%s:%lld)", label ? label : "?", path ? path : "?",
                      (long long)json_integer_value(json_object_get(frame, "line")));
}

static void stack_of(const json_t *error, struct buf *b)
{
    const json_t *frames = json_object_get(error, "stackTrace"), *frame;
    size_t i;

    if (!json_is_array(frames))
        frames = json_object_get(error, "trace");
    json_array_foreach((json_t *)(uintptr_t)frames, i, frame)
    {
        if ((i > 0 && buf_append(b, "\n", 1) < 0) || add_frame(b, frame) < 0)
            return; /* the rest does not fit */
    }
}

int result_error(struct worker *w, const char *type, struct slice json)
{
    json_t *error = json_loadb(json.base ? json.base : "", json.len, JSON_ALLOW_NUL, NULL);
    const char *own_type = json_string_value(json_object_get(error, "errorType"));
    const char *message = json_string_value(json_object_get(error, "errorMessage"));
    struct buf stack = BUF_INIT(STACK_BYTES_MAX);
    _cleanup_free_ char *text = NULL;
    int r;

    if (!message)
        message = text =
            slice_dup(json.len > STACK_BYTES_MAX ? slice(json.base, STACK_BYTES_MAX) : json);
    stack_of(error, &stack);
    r = worker_fail_text(w,
                         own_type && *own_type ? own_type
                         : *type               ? type
                                               : "Runtime.Unknown",
                         message ? message : "", buf_len(&stack) > 0 ? buf_cstr(&stack) : "");
    buf_deinit(&stack);
    json_decref(error);
    return r;
}
