#pragma once

/* What is kept of an invocation. The gateway writes it once, when the invocation is done; control
 * keeps it. */

#include "base/pack.h"
#include "model/limit-hit.h"

enum outcome {
    OUTCOME_OK,          /* the worker answered in full, with whatever status */
    OUTCOME_ERROR,       /* the function raised: Mayfly-Error: Unhandled */
    OUTCOME_TIMEOUT,     /* over its timeout or its CPU time */
    OUTCOME_CRASH,       /* the worker ended before its answer did: signal, exit, or closed fd 3 */
    OUTCOME_BAD_REPLY,   /* the answer was not HTTP, or had a header that may not be passed on */
    OUTCOME_INIT,        /* the function could not be loaded */
    OUTCOME_HANGUP,      /* the client went away */
    OUTCOME_BAD_REQUEST, /* the client broke off or broke the rules in the body */
    OUTCOME_THROTTLED,   /* 429: rate, or queue full */
    OUTCOME_UNAVAILABLE, /* 503: waited too long, no process could be had, draining */
    _OUTCOME_MAX,
};

enum trigger {
    TRIGGER_HTTP,
    TRIGGER_INVOKE,
    TRIGGER_SCHEDULE,
    TRIGGER_QUEUE,
    TRIGGER_UPLOAD,
    TRIGGER_DATABASE,
    TRIGGER_REPLAY, /* a request that was recorded is carried out again */
    _TRIGGER_MAX,
};

const char *outcome_name(enum outcome outcome); /* "ok", "bad_reply", ... */
const char *trigger_name(enum trigger trigger);

#define REQUEST_ID_LEN   36 /* a UUID, version 7 */
#define RECORD_PATH_MAX  1024
#define RECORD_ERROR_MAX 1024
#define RECORD_STACK_MAX 16384

/* RECORD_U64(name, text) and RECORD_STR(name, max, text) in the order of the bytes. */
#define RECORD_FIELDS(U64, STR)                                                                    \
    STR(request_id, 64, "id of the request")                                                       \
    STR(function, 64, "name of the function")                                                      \
    STR(version, 64, "its version")                                                                \
    STR(method, 32, "HTTP method")                                                                 \
    STR(path, RECORD_PATH_MAX, "path as sent, without the query")                                  \
    STR(trace_id, 32, "W3C trace that it belongs to")                                              \
    STR(span_id, 16, "its own span in that")                                                       \
    STR(parent_span_id, 16, "the caller's span; empty if the trace begins here")                   \
    STR(error, RECORD_ERROR_MAX, "why it failed, for people; empty if it did not")                 \
    STR(stack, RECORD_STACK_MAX, "where it was stuck or crashed, if it could tell")                \
    U64(start_us, "wall clock at arrival, microseconds since 1970")                                \
    U64(trigger, "enum trigger")                                                                   \
    U64(outcome, "enum outcome")                                                                   \
    U64(status, "HTTP status sent to the client, 0 if none was")                                   \
    U64(cold, "1 if a zygote had to be started for it")                                            \
    U64(pid, "PID of the worker as the host sees it, 0 if there was none")                         \
    U64(exit_status, "wait status of the worker")                                                  \
    U64(wait_ns, "from arrival to having a worker, without init")                                  \
    U64(init_ns, "waiting for the zygote to load")                                                 \
    U64(run_ns, "from handing over to the end of the answer")                                      \
    U64(total_ns, "from arrival to the last byte taken from the worker")                           \
    U64(user_us, "CPU time in user mode, of the worker and what it waited for")                    \
    U64(system_us, "CPU time in the kernel")                                                       \
    U64(memory_peak_bytes, "peak resident memory")                                                 \
    U64(memory_own_bytes, "pages that the worker had for itself, from its page faults")            \
    U64(memory_limit_bytes, "the function's `memory`")                                             \
    U64(minor_faults, "page faults without I/O")                                                   \
    U64(major_faults, "page faults with I/O")                                                      \
    U64(voluntary_switches, "context switches by waiting")                                         \
    U64(involuntary_switches, "context switches by force")                                         \
    U64(bytes_in, "request body")                                                                  \
    U64(bytes_out, "response body")                                                                \
    U64(log_lines, "lines on stdout and stderr")                                                   \
    U64(log_dropped, "bytes of them that were not kept")                                           \
    U64(limit, "enum limit_hit: the limit that was hit, shown by its key in mayfly.json")          \
    U64(limit_used, "how much of it was used: bytes, milliseconds, or a count")                    \
    U64(limit_max, "how much there was")

struct record {
#define RECORD_U64(name, text)      uint64_t name;
#define RECORD_STR(name, max, text) struct slice name;
    RECORD_FIELDS(RECORD_U64, RECORD_STR)
#undef RECORD_U64
#undef RECORD_STR
};

/* Strings are cut at their ceilings. Returns 0, -ENOBUFS or -ENOMEM. */
int record_encode(const struct record *r, struct buf *b);

/* Reads one record; its strings borrow the bytes. Errors show in unpack_end(), or as an outcome or
 * trigger out of range, which is set to the last one. */
void record_decode(struct unpack *u, struct record *ret);

/* What of a recorded request is missing. */
enum recording_cut {
    RECORDING_CUT_HEAD = 1, /* of these two all is needed to carry it out again */
    RECORDING_CUT_BODY = 2,
    RECORDING_CUT_ANSWER = 4,
};

/* A line that a function wrote, or that mayfly says on its behalf. */
enum log_stream {
    LOG_STDOUT,
    LOG_STDERR,
    LOG_SYSTEM, /* mayfly's own word: a zygote that failed to load, say */
    _LOG_STREAM_MAX,
};

const char *log_stream_name(enum log_stream stream);

struct log_line {
    uint64_t time_us; /* wall clock */
    enum log_stream stream;
    struct slice request_id; /* empty while the function loads */
    struct slice function;
    struct slice version;
    struct slice text; /* without the line end; any bytes */
    bool goes_on;      /* the line has begun with the text before, of the same output */
    bool is_cut;       /* and does not end with this one, or nobody knows */
    struct slice trace_id, span_id; /* of the request; empty without one */
};

#define LOG_LINE_BYTES_MAX 16384

int log_line_encode(const struct log_line *l, struct buf *b);
void log_line_decode(struct unpack *u, struct log_line *ret);
