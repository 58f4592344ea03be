#include "model/record.h"

#include <errno.h>

#define LOG_ID_MAX 64 /* of request_id, function and version, as in RECORD_FIELDS */

static const char *const outcome_names[_OUTCOME_MAX] = {
    [OUTCOME_OK] = "ok",
    [OUTCOME_ERROR] = "error",
    [OUTCOME_TIMEOUT] = "timeout",
    [OUTCOME_CRASH] = "crash",
    [OUTCOME_BAD_REPLY] = "bad_reply",
    [OUTCOME_INIT] = "init",
    [OUTCOME_HANGUP] = "hangup",
    [OUTCOME_BAD_REQUEST] = "bad_request",
    [OUTCOME_THROTTLED] = "throttled",
    [OUTCOME_UNAVAILABLE] = "unavailable",
};

static const char *const trigger_names[_TRIGGER_MAX] = {
    [TRIGGER_HTTP] = "http",     [TRIGGER_INVOKE] = "invoke", [TRIGGER_SCHEDULE] = "schedule",
    [TRIGGER_QUEUE] = "queue",   [TRIGGER_UPLOAD] = "upload", [TRIGGER_DATABASE] = "database",
    [TRIGGER_REPLAY] = "replay",
};

static const char *const log_stream_names[_LOG_STREAM_MAX] = {
    [LOG_STDOUT] = "stdout",
    [LOG_STDERR] = "stderr",
    [LOG_SYSTEM] = "system",
};

const char *outcome_name(enum outcome outcome)
{
    assert((unsigned)outcome < _OUTCOME_MAX);
    return outcome_names[outcome];
}

const char *trigger_name(enum trigger trigger)
{
    assert((unsigned)trigger < _TRIGGER_MAX);
    return trigger_names[trigger];
}

const char *log_stream_name(enum log_stream stream)
{
    assert((unsigned)stream < _LOG_STREAM_MAX);
    return log_stream_names[stream];
}

static int pack_str_cut(struct buf *b, struct slice s, size_t max)
{
    return pack_str(b, slice(s.base, MIN(s.len, max)));
}

static struct slice unpack_str_max(struct unpack *u, size_t max)
{
    struct slice s = unpack_str(u);

    if (s.len > max) {
        u->bad = true;
        return SLICE_NULL;
    }
    return s;
}

/* Takes back what a failed encoder has added, so that a batch stays whole. */
static int buf_cut(struct buf *b, size_t len, int r)
{
    if (r < 0)
        b->end = b->start + len;
    return r;
}

int record_encode(const struct record *r, struct buf *b)
{
    size_t len = buf_len(b);
    int x = 0;

#define RECORD_U64(name, text)      x = x < 0 ? x : pack_u64(b, r->name);
#define RECORD_STR(name, max, text) x = x < 0 ? x : pack_str_cut(b, r->name, max);
    RECORD_FIELDS(RECORD_U64, RECORD_STR)
#undef RECORD_U64
#undef RECORD_STR
    return buf_cut(b, len, x);
}

void record_decode(struct unpack *u, struct record *ret)
{
#define RECORD_U64(name, text)      ret->name = unpack_u64(u);
#define RECORD_STR(name, max, text) ret->name = unpack_str_max(u, max);
    RECORD_FIELDS(RECORD_U64, RECORD_STR)
#undef RECORD_U64
#undef RECORD_STR
    ret->outcome = MIN(ret->outcome, (uint64_t)_OUTCOME_MAX - 1);
    ret->trigger = MIN(ret->trigger, (uint64_t)_TRIGGER_MAX - 1);
    ret->limit = ret->limit < _LIMIT_HIT_MAX ? ret->limit : LIMIT_HIT_NONE;
}

int log_line_encode(const struct log_line *l, struct buf *b)
{
    size_t len = buf_len(b);
    int r = pack_u64(b, l->time_us);

    assert((unsigned)l->stream < _LOG_STREAM_MAX);
    r = r < 0 ? r : pack_u8(b, (uint8_t)l->stream);
    r = r < 0 ? r : pack_str_cut(b, l->request_id, LOG_ID_MAX);
    r = r < 0 ? r : pack_str_cut(b, l->trace_id, LOG_ID_MAX);
    r = r < 0 ? r : pack_str_cut(b, l->span_id, LOG_ID_MAX);
    r = r < 0 ? r : pack_str_cut(b, l->function, LOG_ID_MAX);
    r = r < 0 ? r : pack_str_cut(b, l->version, LOG_ID_MAX);
    r = r < 0 ? r : pack_str_cut(b, l->text, LOG_LINE_BYTES_MAX);
    r = r < 0 ? r : pack_u8(b, (uint8_t)(l->goes_on | l->is_cut << 1));
    return buf_cut(b, len, r);
}

void log_line_decode(struct unpack *u, struct log_line *ret)
{
    uint8_t stream, cuts;

    ret->time_us = unpack_u64(u);
    stream = unpack_u8(u);
    if (stream >= _LOG_STREAM_MAX) {
        u->bad = true;
        stream = LOG_SYSTEM;
    }
    ret->stream = (enum log_stream)stream;
    ret->request_id = unpack_str_max(u, LOG_ID_MAX);
    ret->trace_id = unpack_str_max(u, LOG_ID_MAX);
    ret->span_id = unpack_str_max(u, LOG_ID_MAX);
    ret->function = unpack_str_max(u, LOG_ID_MAX);
    ret->version = unpack_str_max(u, LOG_ID_MAX);
    ret->text = unpack_str_max(u, LOG_LINE_BYTES_MAX);
    cuts = unpack_u8(u);
    u->bad = u->bad || cuts > 3;
    ret->goes_on = cuts & 1;
    ret->is_cut = cuts & 2;
}
