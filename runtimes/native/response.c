/* The response's half of mayfly.h. What is written is held back by the worker library; the head is
 * made at the first write. */

#include "native.h"

#include <errno.h>
#include <stdio.h>

#define ERROR_TYPE_MAX 64
#define ERROR_MAX      1024
#define PRINTF_BYTES   1024 /* what is printed in one go; more takes memory from the heap */

static char init_error_type[ERROR_TYPE_MAX];
static char init_error_text[ERROR_MAX];

const char *native_init_error_type(void)
{
    return init_error_type;
}

const char *native_init_error_text(void)
{
    return init_error_text;
}

void response_init(struct mayfly_response *p, struct worker *w, struct arena *a)
{
    *p = (struct mayfly_response){.worker = w, .arena = a, .status = 200, .length = -1};
}

/* From a negative errno to what the functions of mayfly.h return. */
static int result(int r)
{
    if (r >= 0)
        return 0;
    errno = -r;
    return -1;
}

/* ---- head ---- */

int mayfly_status(mayfly_response *p, int status)
{
    if (p->started)
        return result(-EALREADY);
    if (status < 200 || status > 599)
        return result(-EINVAL);
    p->status = (unsigned)status;
    return 0;
}

static int add_header(struct mayfly_response *p, struct slice name, struct slice value)
{
    if (p->started)
        return -EALREADY;
    if (!http_is_token(name) || !http_is_value(value))
        return -EINVAL;
    if (p->n_headers == MAYFLY_HEADERS_MAX ||
        name.len + value.len > MAYFLY_HEADER_BYTES_MAX - p->header_bytes)
        return -ENOBUFS;
    if ((p->n_headers & (p->n_headers - 1)) == 0) { /* full: 0, 1, 2, 4, ... */
        struct http_header *grown =
            arena_alloc(p->arena, MAX(2 * p->n_headers, 1u), sizeof(*p->headers));

        if (p->n_headers > 0)
            memcpy(grown, p->headers, p->n_headers * sizeof(*grown));
        p->headers = grown;
    }
    p->headers[p->n_headers++] = (struct http_header){
        .name = slice(arena_copy(p->arena, name), name.len),
        .value = slice(arena_copy(p->arena, value), value.len),
    };
    p->header_bytes += name.len + value.len;
    p->has_type = p->has_type || slice_eq_nocase(name, SLICE_LIT("content-type"));
    return 0;
}

int mayfly_add_header(mayfly_response *p, const char *name, const char *value)
{
    return result(add_header(p, slice_str(name), slice_str(value)));
}

int mayfly_set_length(mayfly_response *p, uint64_t length)
{
    if (p->started)
        return result(-EALREADY);
    if (length > INT64_MAX)
        return result(-EINVAL);
    p->length = (int64_t)length;
    return 0;
}

static int start(struct mayfly_response *p, bool has_body)
{
    int r = 0;

    if (p->started)
        return 0;
    if (has_body && !p->has_type)
        r = add_header(p, SLICE_LIT("Content-Type"), SLICE_LIT("text/plain; charset=utf-8"));
    if (r == -ENOBUFS)
        r = 0; /* the author's own headers have used up the limit */
    if (r == 0)
        r = worker_start(p->worker, p->status, p->headers, p->n_headers, p->length);
    p->started = r == 0;
    return r;
}

/* ---- body ---- */

int mayfly_write(mayfly_response *p, const void *data, size_t len)
{
    int r;

    if (len == 0)
        return 0;
    r = start(p, true);
    if (r == 0)
        r = worker_write(p->worker, data, len);
    return result(r);
}

int mayfly_puts(mayfly_response *p, const char *text)
{
    return mayfly_write(p, text, strlen(text));
}

int mayfly_vprintf(mayfly_response *p, const char *format, va_list args)
{
    char text[PRINTF_BYTES];
    _cleanup_free_ char *heap = NULL;
    va_list again;
    int n;

    va_copy(again, args);
    n = vsnprintf(text, sizeof(text), format, args);
    if (n >= (int)sizeof(text))
        n = vasprintf(&heap, format, again);
    va_end(again);
    if (n < 0) {
        heap = NULL; /* vasprintf() leaves it undefined */
        return -1;
    }
    return mayfly_write(p, heap ? heap : text, (size_t)n);
}

int mayfly_printf(mayfly_response *p, const char *format, ...)
{
    va_list args;
    int r;

    va_start(args, format);
    r = mayfly_vprintf(p, format, args);
    va_end(args);
    return r;
}

int mayfly_flush(mayfly_response *p)
{
    int r = start(p, true);

    return result(r == 0 ? worker_flush(p->worker) : r);
}

/* ---- the end ---- */

int mayfly_fail(mayfly_response *p, const char *type, const char *format, ...)
{
    char *text = p ? arena_alloc(p->arena, ERROR_MAX, 1) : init_error_text;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, ERROR_MAX, format, args); /* cut where it is too long */
    va_end(args);
    if (!p) {
        (void)snprintf(init_error_type, sizeof(init_error_type), "%s", type);
        return 1;
    }
    p->failed = true;
    p->error_type = arena_copy(p->arena, slice_str(type));
    p->error_text = text;
    return 1;
}

int response_finish(struct mayfly_response *p, int handler_result)
{
    int r;

    if (!p->failed && handler_result != 0)
        (void)mayfly_fail(p, "HandlerError", "the handler returned %d", handler_result);
    if (p->failed)
        return worker_fail_text(p->worker, p->error_type, p->error_text, "");
    r = start(p, false);
    if (r == 0)
        r = worker_finish(p->worker);
    if (r == -EMSGSIZE)
        return worker_fail_text(p->worker, "BadLength",
                                "the handler wrote less than it announced by mayfly_set_length()",
                                "");
    return r;
}
