/* Answers: heads, JSON, failures, compression. */

#include "control/api-internal.h"
#include "model/failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <zlib.h>

#define GZIP_BYTES_MIN 1024
#define GZIP_LEVEL     3 /* 6 takes three times as long, for a tenth less of JSON */
#define GZIP_WINDOW    (MAX_WBITS + 16)

/* ---- heads ---- */

static int date_write(struct buf *b)
{
    char date[CLOCK_HTTP_SIZE];

    return http_write_header_str(b, "Date", clock_http(clock_wall_us(), date));
}

/* What holds for all that is answered: nothing of it is for a page of somebody else's, nor to be
 * guessed at, nor to be kept. */
static int common_write(struct buf *b, const char *type)
{
    int r = date_write(b);

    if (r == 0)
        r = http_write_header_str(b, "Content-Type", type);
    if (r == 0)
        r = http_write_header_str(b, "X-Content-Type-Options", "nosniff");
    return r == 0 ? http_write_header_str(b, "Connection", "close") : r;
}

static bool header_is_in(const struct buf *extra, const char *name)
{
    return memmem(extra->data ? extra->data + extra->start : "", buf_len(extra), name,
                  strlen(name)) != NULL;
}

int answer_head(struct api_call *call, unsigned status, const char *type, const struct slice *body)
{
    struct buf *b = &call->connection->out;
    size_t mark = buf_len(b);
    int r = http_write_status_line(b, status, slice_str(http_reason(status)));

    if (r == 0)
        r = common_write(b, type);
    if (r == 0 && !header_is_in(&call->extra, "Cache-Control:"))
        r = http_write_header_str(b, "Cache-Control", "no-store");
    if (r == 0)
        r = buf_append_slice(b, buf_slice(&call->extra));
    if (r == 0 && body && status != 204 && status != 304)
        r = http_write_header_u64(b, "Content-Length", body->len);
    if (r == 0)
        r = http_write_head_end(b);
    if (r < 0)
        b->end = b->start + mark;
    return r;
}

/* ---- compression ---- */

/* "gzip" stands among what the client takes, and not with a weight of 0. */
static bool takes_gzip(const struct http_head *head)
{
    struct slice all;

    if (!http_head_find(head, "accept-encoding", &all))
        return false;
    while (all.len > 0) {
        struct slice weight = slice_trim(slice_cut(&all, ','));
        struct slice name = slice_trim(slice_cut(&weight, ';'));

        weight = slice_trim(weight);
        if (slice_eq_nocase(name, SLICE_LIT("gzip")))
            return !(slice_eq(weight, SLICE_LIT("q=0")) || slice_eq(weight, SLICE_LIT("q=0.0")) ||
                     slice_eq(weight, SLICE_LIT("q=0.00")) ||
                     slice_eq(weight, SLICE_LIT("q=0.000")));
    }
    return false;
}

/* Adds the body to b. Returns 0, or -errno: then it goes as it is. */
static int gzip(struct slice body, struct buf *b)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)body.base, .avail_in = (uInt)body.len};
    uLong bound;
    int r;

    if (deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return -ENOMEM;
    bound = deflateBound(&z, (uLong)body.len);
    r = buf_reserve(b, bound);
    if (r == 0) {
        z.next_out = (Bytef *)buf_tail(b);
        z.avail_out = (uInt)bound;
        r = deflate(&z, Z_FINISH) == Z_STREAM_END ? 0 : -EIO;
        if (r == 0)
            buf_commit(b, z.total_out);
    }
    (void)deflateEnd(&z);
    return r;
}

/* ---- answers ---- */

static void answer_put(struct api_call *call, unsigned status, const char *type, struct slice body)
{
    struct api_connection *c = call->connection;
    int r = answer_head(call, status, type, &body);

    if (r == 0 && !c->head_only && status != 304)
        r = buf_append_slice(&c->out, body);
    call->answered = true;
    if (r < 0) {
        buf_clear(&c->out);
        connection_refuse(c, 503, "the answer is too large; ask for less of it (limit=)");
        return;
    }
    connection_answer(c);
}

void api_answer(struct api_call *call, unsigned status, const char *type, struct slice body)
{
    struct buf packed = BUF_INIT(API_ANSWER_MAX);

    assert(!call->answered);
    if (body.len >= GZIP_BYTES_MIN && !header_is_in(&call->extra, "Content-Encoding:")) {
        int r = buf_append_str(&call->extra, "Vary: Accept-Encoding\r\n");

        if (r == 0 && takes_gzip(call->head) && gzip(body, &packed) == 0 &&
            buf_append_str(&call->extra, "Content-Encoding: gzip\r\n") == 0)
            body = buf_slice(&packed);
    }
    answer_put(call, status, type, body);
    buf_deinit(&packed);
}

struct jsonw *api_json(struct api_call *call)
{
    buf_clear(&call->json);
    call->writer = JSONW_INIT(&call->json);
    return &call->writer;
}

void api_json_end(struct api_call *call, unsigned status)
{
    int r = jsonw_end(&call->writer);

    if (r == 0)
        r = buf_append(&call->json, "\n", 1);
    if (r < 0)
        api_fail(call, 503, "the answer is too large; ask for less of it (limit=)");
    else
        api_answer(call, status, "application/json", buf_slice(&call->json));
}

static int failure_write(struct buf *b, unsigned status, const char *message)
{
    struct jsonw w = JSONW_INIT(b);
    int r;

    jsonw_object_begin(&w);
    jsonw_key(&w, "errorType");
    jsonw_str(&w, slice_str(failure_type_of_status(status)));
    jsonw_key(&w, "errorMessage");
    jsonw_str(&w, slice_str(message));
    jsonw_object_end(&w);
    r = jsonw_end(&w);
    return r == 0 ? buf_append(b, "\n", 1) : r;
}

void api_fail(struct api_call *call, unsigned status, const char *format, ...)
{
    char message[1024];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    buf_clear(&call->json);
    if (failure_write(&call->json, status, message) < 0)
        buf_clear(&call->json);
    api_answer(call, status, "application/json", buf_slice(&call->json));
}

/* ---- without a call ---- */

static void connection_put(struct api_connection *c, unsigned status, struct slice body)
{
    int r = http_write_status_line(&c->out, status, slice_str(http_reason(status)));

    if (r == 0)
        r = common_write(&c->out, "application/json");
    if (r == 0)
        r = http_write_header_str(&c->out, "Cache-Control", "no-store");
    if (r == 0 && status == 503)
        r = http_write_header_str(&c->out, "Retry-After", "1");
    if (r == 0)
        r = http_write_header_u64(&c->out, "Content-Length", body.len);
    if (r == 0)
        r = http_write_head_end(&c->out);
    if (r == 0 && !c->head_only)
        r = buf_append_slice(&c->out, body);
    if (r < 0)
        api_close(c);
    else
        connection_answer(c);
}

void connection_refuse(struct api_connection *c, unsigned status, const char *message)
{
    struct buf b = BUF_INIT(4096);

    if (failure_write(&b, status, message) < 0)
        buf_clear(&b);
    connection_put(c, status, buf_slice(&b));
    buf_deinit(&b);
}

void api_answer_later(struct api_connection *c, unsigned status, struct slice json)
{
    connection_put(c, status, json);
}
