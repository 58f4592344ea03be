#include "cli/sse.h"

#include "base/parse.h"

#include <errno.h>

void sse_init(struct sse *s)
{
    *s = (struct sse){.line = BUF_INIT(SSE_EVENT_MAX),
                      .name = BUF_INIT(SSE_NAME_MAX),
                      .data = BUF_INIT(SSE_EVENT_MAX),
                      .id = BUF_INIT(SSE_ID_MAX)};
}

void sse_deinit(struct sse *s)
{
    buf_deinit(&s->line);
    buf_deinit(&s->name);
    buf_deinit(&s->data);
    buf_deinit(&s->id);
}

static int too_large(int r)
{
    return r == -ENOBUFS ? -EMSGSIZE : r;
}

static int set(struct buf *b, struct slice value)
{
    buf_clear(b);
    return buf_append_slice(b, value);
}

static int take_data(struct sse *s, struct slice value)
{
    int r = 0;

    if (s->has_data)
        r = buf_append(&s->data, "\n", 1);
    s->has_data = true;
    return r ?: buf_append_slice(&s->data, value);
}

/* One line that is not empty. What is not known is no failure, says the standard. */
static int take_field(struct sse *s, struct slice line)
{
    struct slice value = line;
    struct slice field = slice_cut(&value, ':');

    if (value.len > 0 && value.base[0] == ' ')
        value = slice(value.base + 1, value.len - 1);
    if (slice_eq(field, SLICE_LIT("data")))
        return take_data(s, value);
    if (slice_eq(field, SLICE_LIT("event")))
        return set(&s->name, value);
    if (slice_eq(field, SLICE_LIT("id")) && !(value.len > 0 && memchr(value.base, 0, value.len)))
        return set(&s->id, value);
    if (slice_eq(field, SLICE_LIT("retry")))
        (void)parse_u64(value, 3600 * 1000, &s->retry_ms); /* else it stays as it is */
    return 0;
}

/* An empty line ends an event. */
static int take_line(struct sse *s, int (*on_event)(void *ctx, const struct sse_event *event),
                     void *ctx)
{
    struct slice line = buf_slice(&s->line);
    int r = 0;

    if (line.len > 0) {
        if (line.base[0] != ':')
            r = take_field(s, line);
    } else {
        struct sse_event event = {.name = buf_len(&s->name) > 0 ? buf_slice(&s->name)
                                                                : SLICE_LIT("message"),
                                  .data = buf_slice(&s->data),
                                  .id = buf_slice(&s->id)};

        if (s->has_data)
            r = on_event(ctx, &event);
        buf_clear(&s->name);
        buf_clear(&s->data);
        s->has_data = false;
    }
    buf_clear(&s->line);
    return r;
}

/* A mark of three bytes may come in three pieces, so it is looked at when its line is whole. */
static void drop_mark(struct sse *s)
{
    if (!s->begun && slice_starts(buf_slice(&s->line), SLICE_LIT("\xef\xbb\xbf")))
        buf_consume(&s->line, 3);
    s->begun = true;
}

int sse_push(struct sse *s, struct slice bytes,
             int (*on_event)(void *ctx, const struct sse_event *event), void *ctx)
{
    size_t at = 0;
    int r;

    while (at < bytes.len) {
        size_t n = 0;

        if (s->after_cr && bytes.base[at] == '\n')
            at++;
        s->after_cr = false;
        while (at + n < bytes.len && bytes.base[at + n] != '\n' && bytes.base[at + n] != '\r')
            n++;
        r = buf_append(&s->line, bytes.base + at, n);
        if (r < 0)
            return too_large(r);
        at += n;
        if (at == bytes.len)
            return 0;
        s->after_cr = bytes.base[at++] == '\r';
        drop_mark(s);
        r = take_line(s, on_event, ctx);
        if (r < 0)
            return too_large(r);
    }
    return 0;
}
