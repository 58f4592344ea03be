#include "gateway/recorder.h"
#include "gateway/client.h"
#include "gateway/invocation.h"
#include "gateway/links.h"
#include "gateway/pool.h"
#include "gateway/request.h"

#include "os/fd.h"

#include <stdio.h>
#include <string.h>

/* Together with two bodies of the largest `recording` these fit a message. */
#define HEAD_MAX        24576
#define ANSWER_HEAD_MAX 16384

static const char client_ip[] = "mayfly-client-ip:";

struct recording {
    struct buf head, body, answer_head, answer_body;
    uint32_t cut; /* enum recording_cut */
    unsigned status;
};

static void append(struct recording *r, struct buf *b, struct slice data, uint32_t cut)
{
    size_t n = MIN(data.len, buf_room(b));

    if (buf_append(b, data.base, n) < 0 || n < data.len)
        r->cut |= cut;
}

/* The framing is made anew with each request, and what mayfly says of it as well. */
static bool is_made_anew(struct slice line)
{
    static const char *const names[] = {"mayfly-",     "content-length:", "transfer-encoding:",
                                        "connection:", "upgrade:",        "traceparent:"};

    if (slice_eq_nocase(slice(line.base, MIN(line.len, strlen(client_ip))), slice_str(client_ip)))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (slice_eq_nocase(slice(line.base, MIN(line.len, strlen(names[i]))), slice_str(names[i])))
            return true;
    }
    return false;
}

static void keep_head(struct recording *r, struct slice head)
{
    while (head.len > 0) {
        const char *end = memchr(head.base, '\n', head.len);
        size_t n = end ? (size_t)(end - head.base) + 1 : head.len;

        if (!is_made_anew(slice(head.base, n)))
            append(r, &r->head, slice(head.base, n), RECORDING_CUT_HEAD);
        head = slice(head.base + n, head.len - n);
    }
}

struct recording *recorder_begin(const struct invocation *inv)
{
    size_t max = inv->pool->function->limits.recording_bytes;
    struct recording *r = max > 0 ? calloc(1, sizeof(*r)) : NULL;

    if (!r)
        return NULL;
    buf_init(&r->head, HEAD_MAX);
    buf_init(&r->body, max);
    buf_init(&r->answer_head, ANSWER_HEAD_MAX);
    buf_init(&r->answer_body, max);
    keep_head(r, buf_slice(&inv->head));
    return r;
}

void recorder_body(struct recording *r, struct slice data)
{
    if (r)
        append(r, &r->body, data, RECORDING_CUT_BODY);
}

void recorder_answer_head(struct recording *r, const struct http_head *head)
{
    if (!r)
        return;
    r->status = head->status;
    for (uint32_t i = 0; i < head->n_headers; i++) {
        struct slice name = head->headers[i].name, value = head->headers[i].value;
        bool fits = name.len + value.len + strlen(": \r\n") <= buf_room(&r->answer_head);

        if (!fits || http_write_header(&r->answer_head, name, value) < 0)
            r->cut |= RECORDING_CUT_ANSWER;
    }
}

void recorder_answer_body(struct recording *r, struct slice data)
{
    if (r && r->status != 101)
        append(r, &r->answer_body, data, RECORDING_CUT_ANSWER);
}

static void send_recording(const struct recording *r, struct invocation *inv)
{
    struct gateway *g = inv->gateway;
    struct wire_message m = {.type = WIRE_RECORDING};

    if (!wire_is_open(&g->control) || wire_has_queued(&g->control)) {
        g->journal.lost_recordings++;
        return;
    }
    m.recording = (struct wire_recording){
        .lost = g->journal.lost_recordings,
        .request_id = slice_str(inv->id),
        .function = slice_str(inv->pool->function->name),
        .version = slice_str(inv->pool->function->version),
        .trigger = inv->trigger,
        .cut = r->cut,
        .head = buf_slice(&r->head),
        .body = buf_slice(&r->body),
        .status = inv->status,
        .answer_head = buf_slice(&r->answer_head),
        .answer_body = buf_slice(&r->answer_body),
    };
    g->journal.lost_recordings = 0;
    links_send_control(g, &m);
}

struct recording *recorder_end(struct recording *r, struct invocation *inv)
{
    if (!r)
        return NULL;
    send_recording(r, inv);
    buf_deinit(&r->head);
    buf_deinit(&r->body);
    buf_deinit(&r->answer_head);
    buf_deinit(&r->answer_body);
    free(r);
    return NULL;
}

/* ---- replay ---- */

struct replay *replay_free(struct replay *r)
{
    if (r)
        free(r->function);
    free(r);
    return NULL;
}

void replay_on_message(struct gateway *g, struct wire_message *m)
{
    struct replay *r = calloc(1, sizeof(*r));

    if (r) {
        r->function = slice_dup(m->replay.function);
        r->trigger =
            m->replay.trigger < _TRIGGER_MAX ? (enum trigger)m->replay.trigger : TRIGGER_HTTP;
    }
    if (!r || !r->function || fd_set_nonblock(m->fds[0], true) < 0)
        r = replay_free(r);
    else
        client_new_replay(g, take_fd(&m->fds[0]), r); /* else the message closes it */
}

void replay_answer(struct client *c, const struct http_head *head)
{
    struct snapshot *s = c->gateway->served ? c->gateway->served->snapshot : NULL;
    struct function *f = s ? snapshot_find(s, slice_str(c->replay->function)) : NULL;

    struct slice ip;

    if (!f) {
        client_answer_error(c, 404, NULL, "there is no function of this name any more", SLICE_NULL);
        return;
    }
    if (http_head_find(head, "mayfly-client-ip", &ip))
        (void)snprintf(c->ip, sizeof(c->ip), "%.*s", SLICE_ARG(ip));
    request_invoke(c, head, f, NULL, NULL, c->replay->trigger);
}
