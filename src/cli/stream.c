/*   WAITING --time--> ASKING --200--> LIVE
 *      ^ \_____________/ |              |
 *      |_______ any failure, or the end |______> (WAITING again)
 *
 * WAITING has no connection and a time to try; LIVE has told STREAM_E_LIVE. A refusal (a status of
 * 4xx) ends in REFUSED, which is final. */

#include "cli/stream.h"

#include "base/clock.h"
#include "cli/cli.h"

#include <errno.h>

#define WAIT_MIN_MS 200
#define WAIT_MAX_MS 3000
#define REFUSAL_MAX 65536

struct stream {
    struct client_peer peer;
    const char *target;
    int (*on_event)(void *ctx, const struct sse_event *event);
    void *ctx;
    enum { WAITING, ASKING, LIVE, REFUSED } state;
    struct client_request request;
    struct client_sink sink;
    struct client *client;
    struct sse sse;
    struct buf refusal;
    char last_id[SSE_ID_MAX + 1];
    unsigned status;
    unsigned wait_ms;
    uint64_t due_ns;   /* WAITING: when to try; else: when silence has lasted too long */
    bool is_lost_told; /* one word for each loss is enough */
    int r;             /* what on_event() or the parser returned */
};

static void heard(struct stream *s)
{
    s->due_ns = clock_now_ns() + STREAM_SILENCE_S * NS_PER_S;
}

static void on_head(void *ctx, const struct http_head *head)
{
    struct stream *s = ctx;

    heard(s);
    s->status = head->status;
}

static int on_stream_event(void *ctx, const struct sse_event *event)
{
    struct stream *s = ctx;

    if (event->id.len > 0)
        (void)snprintf(s->last_id, sizeof s->last_id, "%.*s", SLICE_ARG(event->id));
    return s->on_event(s->ctx, event);
}

static int on_data(void *ctx, struct slice data)
{
    struct stream *s = ctx;

    heard(s);
    if (s->status == 200)
        s->r = sse_push(&s->sse, data, on_stream_event, s);
    else
        s->r = buf_append(&s->refusal, data.base, MIN(data.len, buf_room(&s->refusal)));
    return s->r;
}

struct stream *stream_new(const struct client_peer *peer, const char *target,
                          int (*on_event)(void *ctx, const struct sse_event *event), void *ctx)
{
    struct stream *s = cli_check(calloc(1, sizeof *s));

    s->peer = *peer;
    s->target = target;
    s->on_event = on_event;
    s->ctx = ctx;
    s->wait_ms = WAIT_MIN_MS;
    s->refusal = BUF_INIT(REFUSAL_MAX);
    sse_init(&s->sse);
    return s;
}

struct stream *stream_free(struct stream *s)
{
    if (s) {
        (void)client_close(s->client);
        sse_deinit(&s->sse);
        buf_deinit(&s->refusal);
        free(s);
    }
    return NULL;
}

void stream_set_peer(struct stream *s, const struct client_peer *peer)
{
    s->peer = *peer;
    s->last_id[0] = '\0';
}

bool stream_resumes(const struct stream *s)
{
    return s->last_id[0] != '\0';
}

static int lose(struct stream *s)
{
    bool first = !s->is_lost_told;

    s->client = client_close(s->client);
    s->state = WAITING;
    s->due_ns = clock_now_ns() + s->wait_ms * NS_PER_MS;
    s->wait_ms = MIN(2 * s->wait_ms, (unsigned)WAIT_MAX_MS);
    s->is_lost_told = true;
    return first ? STREAM_E_LOST : STREAM_E_OK;
}

static int ask(struct stream *s, struct error *err)
{
    s->request = (struct client_request){.peer = &s->peer, .method = "GET", .target = s->target};
    if (s->last_id[0]) {
        s->request.header = "Last-Event-ID";
        s->request.value = s->last_id;
    }
    s->sink = (struct client_sink){.on_head = on_head, .on_data = on_data, .ctx = s};
    s->status = 0;
    s->r = 0;
    buf_clear(&s->refusal);
    sse_deinit(&s->sse); /* half an event may stand there */
    sse_init(&s->sse);
    if (client_open(&s->request, &s->sink, &s->client, err) != 0)
        return lose(s);
    s->state = ASKING;
    heard(s);
    return STREAM_E_OK;
}

/* What an answer that has ended, or broken off, means. */
static int ended(struct stream *s, struct error *err)
{
    if (s->status >= 400 && s->status < 500 && s->status != 408 && s->status != 429) {
        s->client = client_close(s->client);
        s->state = REFUSED;
        return STREAM_E_REFUSED;
    }
    if (s->status > 200)
        (void)error_set(err, 0, "the daemon answers %u", s->status);
    else if (err->text[0] == '\0')
        (void)error_set(err, 0, "the daemon has ended it");
    return lose(s);
}

int stream_step(struct stream *s, struct error *err)
{
    uint64_t now_ns = clock_now_ns();
    int r;

    if (s->state == REFUSED)
        return STREAM_E_REFUSED;
    if (s->state == WAITING)
        return now_ns >= s->due_ns ? ask(s, err) : STREAM_E_OK;
    if (now_ns >= s->due_ns) {
        (void)error_set(err, 0, "silent for %d s", STREAM_SILENCE_S);
        return lose(s);
    }
    r = client_step(s->client, err);
    if (s->r < 0)
        return s->r;
    if (r != CLIENT_E_MORE)
        return ended(s, err);
    if (s->state == ASKING && s->status == 200) {
        s->state = LIVE;
        s->is_lost_told = false;
        s->wait_ms = s->sse.retry_ms ? (unsigned)MIN(s->sse.retry_ms, WAIT_MAX_MS) : WAIT_MIN_MS;
        return STREAM_E_LIVE;
    }
    return STREAM_E_OK;
}

unsigned stream_status(const struct stream *s)
{
    return s->status;
}

struct slice stream_refusal(const struct stream *s)
{
    return buf_slice(&s->refusal);
}

int stream_fd(const struct stream *s)
{
    return s->client ? client_fd(s->client) : -1;
}

short stream_events(const struct stream *s)
{
    return s->client ? client_events(s->client) : 0;
}

int stream_timeout_ms(const struct stream *s)
{
    uint64_t now_ns = clock_now_ns();

    if (s->state == REFUSED)
        return -1;
    return s->due_ns <= now_ns ? 0 : (int)((s->due_ns - now_ns) / NS_PER_MS + 1);
}
