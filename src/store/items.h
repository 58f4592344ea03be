#pragma once

/* The small things that control keeps: tokens, sessions, saved events, captured requests. Those
 * that write are stored when they return 0. store/store.h includes this, and says which errors all
 * may return. */

#include "base/slice.h"
#include "model/function.h"

struct store;

#define STORE_HASH_SIZE    32  /* SHA-256 of a token or a session's secret */
#define STORE_NAME_MAX     128 /* of a token or an event */
#define STORE_TOKENS_MAX   256
#define STORE_SESSIONS_MAX 512
#define STORE_EVENTS_MAX   100 /* per function */
#define STORE_EVENT_MAX    (1 * MIB)
#define STORE_CAPTURE_MAX  (8 * MIB) /* all its parts together */

/* ---- tokens ---- */

struct store_token {
    struct slice name;
    uint64_t created_us;
    uint64_t used_us; /* to the minute; 0: never */
};

/* Returns 0, -EINVAL for a name that is empty or too long, -EEXIST, or -EDQUOT beyond
 * STORE_TOKENS_MAX. */
int store_token_add(struct store *s, struct slice name, const uint8_t hash[static STORE_HASH_SIZE],
                    uint64_t now_us);
int store_token_remove(struct store *s, struct slice name); /* 0 or -ENOENT */
/* Notes a use; writes at most once a minute and token. -ENOENT: it is none (a session's, say). */
int store_token_used(struct store *s, const uint8_t hash[static STORE_HASH_SIZE], uint64_t now_us);
int store_tokens(struct store *s, int (*row)(void *ctx, const struct store_token *t), void *ctx);

/* ---- sessions of the dashboard ---- */

/* Beyond STORE_SESSIONS_MAX the one that ends first goes. */
int store_session_add(struct store *s, const uint8_t hash[static STORE_HASH_SIZE], uint64_t now_us,
                      uint64_t expires_us);
int store_session_remove(struct store *s,
                         const uint8_t hash[static STORE_HASH_SIZE]); /* 0 or -ENOENT */

/* The hashes of all tokens and of the sessions that hold at now_us: at most STORE_TOKENS_MAX +
 * STORE_SESSIONS_MAX. Writes at most `max`; *ret_n is how many. */
int store_hashes(struct store *s, uint64_t now_us, uint8_t (*ret)[STORE_HASH_SIZE], size_t max,
                 size_t *ret_n);

/* ---- saved events ---- */

struct store_event {
    struct slice function, name;
    struct slice content; /* as it was put: JSON of the API */
    uint64_t updated_us;
};

/* New or in the place of the old. Returns 0, -EINVAL for a name that is empty or too long, -EFBIG
 * over STORE_EVENT_MAX, -EDQUOT beyond STORE_EVENTS_MAX. */
int store_event_put(struct store *s, const struct store_event *e);
int store_event_remove(struct store *s, struct slice function,
                       struct slice name); /* 0 or -ENOENT */
/* By name; an empty name: all. Returns -ENOENT if a name was asked for and there is none. */
int store_events(struct store *s, struct slice function, struct slice name,
                 int (*row)(void *ctx, const struct store_event *e), void *ctx);

/* ---- captured requests, for replay ---- */

enum store_capture_flags {
    STORE_CAPTURE_REQUEST_CUT = 1 << 0, /* the body was longer than what is kept */
    STORE_CAPTURE_RESPONSE_CUT = 1 << 1,
    STORE_CAPTURE_REDACTED = 1 << 2, /* something was taken out */
};

struct store_capture {
    struct slice request_id, function, version;
    uint64_t time_us;
    uint64_t flags;
    struct slice request_head, request_body; /* any bytes; the store does not read them */
    struct slice response_head, response_body;
};

/* Part of the open transaction, as store_add_record() is: it stays with store_commit(). Returns 0,
 * -EINVAL for a request id that is no UUID, -EFBIG over STORE_CAPTURE_MAX; a second one takes the
 * first's place. */
int store_add_capture(struct store *s, const struct store_capture *c);
int store_capture(struct store *s, struct slice request_id,
                  int (*row)(void *ctx, const struct store_capture *c),
                  void *ctx); /* 0 or -ENOENT */
