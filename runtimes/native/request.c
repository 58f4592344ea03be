/* The request's half of mayfly.h: a view of the worker's, with strings that end in NUL. */

#include "native.h"

#include "base/clock.h"
#include "base/parse.h"

#include <errno.h>

#define BODY_BYTES_MIN 4096

void request_init(struct mayfly_request *q, struct worker *w, struct arena *a)
{
    *q = (struct mayfly_request){.worker = w, .head = worker_head(w), .arena = a};
}

void request_deinit(struct mayfly_request *q)
{
    free(q->body);
    q->body = NULL;
}

/* A copy that is made once. */
static const char *text_once(struct mayfly_request *q, const char **kept, struct slice s)
{
    if (!*kept)
        *kept = arena_copy(q->arena, s);
    return *kept;
}

/* Percent-decoded, or as it is if it is not properly encoded. */
static const char *decoded(struct mayfly_request *q, struct slice s, bool plus_is_blank)
{
    char *text = arena_copy(q->arena, s);
    ssize_t n = http_percent_decode(s, plus_is_blank, text, s.len);

    if (n >= 0)
        text[n] = '\0';
    else
        text = arena_copy(q->arena, s); /* the attempt has written into the first one */
    return text;
}

const char *mayfly_method(mayfly_request *q)
{
    return text_once(q, &q->method, q->head->method);
}

const char *mayfly_target(mayfly_request *q)
{
    return text_once(q, &q->target, q->head->target);
}

const char *mayfly_path(mayfly_request *q)
{
    if (!q->path)
        q->path = decoded(q, q->head->path, false);
    return q->path;
}

const char *mayfly_query(mayfly_request *q)
{
    return text_once(q, &q->query, q->head->query);
}

/* ---- parameters ---- */

static void read_params(struct mayfly_request *q)
{
    struct slice rest = q->head->query;
    size_t n = 1;

    q->params_known = true;
    for (size_t i = 0; i < rest.len; i++)
        n += rest.base[i] == '&';
    q->params = rest.len > 0 ? arena_alloc(q->arena, n, sizeof(*q->params)) : NULL;
    while (rest.len > 0) {
        struct slice value = slice_cut(&rest, '&'), name;

        if (value.len == 0)
            continue; /* "a=1&&b=2" has two */
        name = slice_cut(&value, '=');
        q->params[q->n_params++] = (struct native_param){
            .name = decoded(q, name, true),
            .value = decoded(q, value, true),
        };
    }
}

size_t mayfly_param_count(mayfly_request *q)
{
    if (!q->params_known)
        read_params(q);
    return q->n_params;
}

int mayfly_param_at(mayfly_request *q, size_t index, const char **ret_name, const char **ret_value)
{
    if (index >= mayfly_param_count(q)) {
        errno = ERANGE;
        return -1;
    }
    if (ret_name)
        *ret_name = q->params[index].name;
    if (ret_value)
        *ret_value = q->params[index].value;
    return 0;
}

const char *mayfly_param(mayfly_request *q, const char *name)
{
    size_t n = mayfly_param_count(q);

    for (size_t i = 0; i < n; i++) {
        if (strcmp(q->params[i].name, name) == 0)
            return q->params[i].value;
    }
    return NULL;
}

/* ---- headers ---- */

static struct native_param *header_texts(struct mayfly_request *q, size_t index)
{
    if (!q->headers) {
        q->headers = arena_alloc(q->arena, q->head->n_headers, sizeof(*q->headers));
        memset(q->headers, 0, q->head->n_headers * sizeof(*q->headers));
    }
    return &q->headers[index];
}

size_t mayfly_header_count(mayfly_request *q)
{
    return q->head->n_headers;
}

int mayfly_header_at(mayfly_request *q, size_t index, const char **ret_name, const char **ret_value)
{
    const struct http_header *header;
    struct native_param *texts;

    if (index >= q->head->n_headers) {
        errno = ERANGE;
        return -1;
    }
    header = &q->head->headers[index];
    texts = header_texts(q, index);
    if (ret_name)
        *ret_name = text_once(q, &texts->name, header->name);
    if (ret_value)
        *ret_value = text_once(q, &texts->value, header->value);
    return 0;
}

const char *mayfly_header(mayfly_request *q, const char *name)
{
    struct slice wanted = slice_str(name);

    for (size_t i = 0; i < q->head->n_headers; i++) {
        if (slice_eq_nocase(q->head->headers[i].name, wanted))
            return text_once(q, &header_texts(q, i)->value, q->head->headers[i].value);
    }
    return NULL;
}

static const char *header_or_empty(mayfly_request *q, const char *name)
{
    const char *value = mayfly_header(q, name);

    return value ? value : "";
}

const char *mayfly_request_id(mayfly_request *q)
{
    return header_or_empty(q, "Mayfly-Request-Id");
}

const char *mayfly_function_name(mayfly_request *q)
{
    return header_or_empty(q, "Mayfly-Function");
}

const char *mayfly_function_version(mayfly_request *q)
{
    return header_or_empty(q, "Mayfly-Version");
}

const char *mayfly_trigger(mayfly_request *q)
{
    return header_or_empty(q, "Mayfly-Trigger");
}

int64_t mayfly_remaining_ms(mayfly_request *q)
{
    uint64_t deadline_ms, now_ms = clock_wall_us() / 1000;
    struct slice text;

    if (!http_head_find(q->head, "Mayfly-Deadline-Ms", &text) ||
        parse_u64(text, INT64_MAX, &deadline_ms) < 0)
        return -1;
    return deadline_ms > now_ms ? (int64_t)(deadline_ms - now_ms) : 0;
}

/* ---- body ---- */

ssize_t mayfly_read(mayfly_request *q, void *dst, size_t size)
{
    ssize_t n = worker_read(q->worker, dst, size);

    if (n >= 0)
        return n;
    errno = (int)-n;
    return -1;
}

/* Returns 0 or -errno. */
static int read_body(struct mayfly_request *q)
{
    uint64_t announced = q->head->has_content_length ? q->head->content_length : 0;
    size_t cap = MAX((size_t)MIN(announced, (uint64_t)MAYFLY_BODY_MAX), (size_t)BODY_BYTES_MIN);
    size_t len = 0;
    char *data;

    if (announced > MAYFLY_BODY_MAX)
        return -EMSGSIZE;
    cap++; /* for the NUL, and to see the end without growing */
    data = malloc(cap);
    while (data) {
        char *grown;
        ssize_t n = worker_read(q->worker, data + len, cap - len);

        if (n <= 0) {
            q->body = data; /* freed by request_deinit() in any case */
            q->body_len = len;
            data[len] = '\0';
            return (int)n;
        }
        len += (size_t)n;
        if (len < cap)
            continue;
        grown =
            len > MAYFLY_BODY_MAX ? NULL : realloc(data, cap = MIN(2 * cap, MAYFLY_BODY_MAX + 1));
        if (!grown)
            free(data);
        if (len > MAYFLY_BODY_MAX)
            return -EMSGSIZE;
        data = grown;
    }
    return -ENOMEM;
}

const char *mayfly_body(mayfly_request *q, size_t *ret_len)
{
    if (!q->body && q->body_error == 0)
        q->body_error = -read_body(q);
    if (q->body_error != 0) {
        errno = q->body_error;
        return NULL;
    }
    if (ret_len)
        *ret_len = q->body_len;
    return q->body;
}
