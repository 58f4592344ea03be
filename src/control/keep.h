#pragma once

/* Records and log lines on their way into the store.
 *
 * They come in batches; what has come is made to stay a moment later (KEEP_DELAY_NS), many batches
 * at once, and only then is the gateway told that it may forget them. So a control that is killed
 * loses nothing: its successor is given again what was not told, and leaves out what is there
 * already.
 *
 * Trouble with the store stops nothing. Without one (a newer mayfly's, a damaged disk), or while it
 * takes nothing (full, read-only), all else goes on; what could not be kept is counted, said in the
 * log once, and stored as a loss as soon as that is possible again. */

#include "loop/loop.h"
#include "store/store.h"

#define KEEP_DELAY_NS (200 * NS_PER_MS)
#define KEEP_ROWS_MAX 4096 /* that wait, at most */

enum keep_status {
    KEEP_OK,
    KEEP_DEGRADED, /* it can be read, but nothing is kept */
    KEEP_FAILED,   /* there is none */
    _KEEP_STATUS_MAX,
};

struct keep_lost {
    uint64_t records, log_lines, recordings;
};

struct keep {
    struct loop *loop;
    char *path;
    struct store *store; /* NULL: none could be opened */
    enum keep_status status;
    char detail[ERROR_TEXT_MAX]; /* of the trouble; or of what was healed last */
    uint64_t retry_ns, retry_delay_ns;
    bool suspect; /* it was damaged: the next opening reads all of it */

    uint64_t boot, batch;       /* the last batch that came; of this link's gateway */
    uint64_t taken;             /* the last that the gateway was told of */
    struct keep_lost pending;   /* rows not committed yet */
    struct keep_lost lost;      /* what could not be kept, and is not stored as a loss yet */
    struct keep_lost lost_ever; /* since the start, for /metrics and people */
    struct loop_timer commit, retain;
    struct retention retention;
    struct store_retained forgotten; /* since the last time that all was within its limits */

    /* Set by the owner. */
    void (*on_taken)(struct keep *k, uint64_t batch);
    void (*on_status)(struct keep *k);
};

/* Opens the store in this folder, or goes on without. loop may be NULL: then keep_commit() is the
 * caller's to call. */
void keep_init(struct keep *k, struct loop *loop, const char *dir,
               void (*on_taken)(struct keep *k, uint64_t batch), void (*on_status)(struct keep *k));
void keep_deinit(struct keep *k); /* commits first */

/* A gateway is there: its batches are numbered anew. */
void keep_link(struct keep *k);

/* Begins a batch. Returns false if it has been dealt with before, by us or by who was here before
 * us: the caller leaves out all of it, and still calls keep_batch_end(). */
bool keep_batch_begin(struct keep *k, uint64_t boot, uint64_t batch);
void keep_record(struct keep *k, const struct record *r);
/* Returns the number of the line, 0 if it is not kept. */
uint64_t keep_log(struct keep *k, const struct log_line *l);
void keep_capture(struct keep *k, const struct store_capture *c);
void keep_gateway_lost(struct keep *k, const char *what, uint64_t n);
/* Known to be missing elsewhere: of what is exported, say. */
void keep_loss(struct keep *k, const char *what, uint64_t n, const char *why);
void keep_batch_end(struct keep *k);

void keep_commit(struct keep *k);

/* For reading, with what is not committed yet; NULL: there is none. What a reader
 * gets from it is told by keep_read_failed(), if it is a failure. */
static inline struct store *keep_store(const struct keep *k)
{
    return k->store;
}
void keep_read_failed(struct keep *k, int r);

const char *keep_status_name(enum keep_status status); /* "ok" */

/* Replaces the limits. */
void keep_set_retention(struct keep *k, struct retention *r_consume);
