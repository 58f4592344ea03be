#pragma once

/* Who may use the admin listener: the one place where that is decided. No I/O.
 *
 *   Host    the listener's own address, localhost, 127.0.0.1, [::1], or a name that was given: else
 *           a page of another site could reach it by a name that it has made point here.
 *   open    GET of /healthz, /readyz, /version, and of the dashboard's files (plain paths that are
 *           not below /api or /metrics) need nothing.
 *   token   "Authorization: Bearer mf_..." (once, never in the address)
 *   session the cookie mayfly_session; what changes something needs an Origin that is this Host.
 *
 * Tokens and sessions are compared by their SHA-256, in constant time, with those that control has
 * told hold now. */

#include "http/http.h"

#define ADMIN_HASHES_MAX 1024
#define ADMIN_HASH_LEN   32
#define ADMIN_SECRET_MAX 256 /* bytes of a token or a session */
#define ADMIN_HOSTS_MAX  16
#define ADMIN_COOKIE     "mayfly_session"

struct admin_host {
    enum {
        ADMIN_HOST_NAME, /* compared without case */
        ADMIN_HOST_IP4,
        ADMIN_HOST_IP6,
    } kind;
    union {
        char name[254];
        unsigned char ip[16];
    };
};

struct admin {
    struct admin_host hosts[ADMIN_HOSTS_MAX + 4];
    uint32_t n_hosts;
    bool everywhere; /* it listens on all addresses: each of them is its own */
    bool told;       /* which tokens hold */
    uint32_t n_hashes;
    unsigned char *hashes; /* of ADMIN_HASH_LEN each; owned */
};

enum admin_verdict {
    ADMIN_OPEN, /* anybody may */
    ADMIN_TOKEN,
    ADMIN_SESSION,
    ADMIN_E_HOST,       /* 421 */
    ADMIN_E_NO_SECRET,  /* 401: neither token nor session */
    ADMIN_E_BAD_SECRET, /* 401: one that does not hold, or more than one */
    ADMIN_E_QUERY,      /* 401: a token in the address, which is written to logs */
    ADMIN_E_ORIGIN,     /* 403 */
    ADMIN_E_NOT_TOLD,   /* 503: which tokens hold is not known yet */
    _ADMIN_VERDICT_MAX,
};

/* address: "127.0.0.1:8081" or "[::1]:8081", as it is bound, or NULL; hosts: names with commas
 * between, or NULL. Returns 0, or -EINVAL. */
int admin_init(struct admin *a, const char *address, const char *hosts);
void admin_deinit(struct admin *a);

/* Control's word: n hashes, one behind the other, in place of all before. Returns 0, -EBADMSG, or
 * -ENOMEM. */
int admin_take_hashes(struct admin *a, uint32_t n, struct slice hashes);

/* Whether a header of a request to a function holds our cookie: browsers send it to every port of
 * the host, and functions may not have it. */
bool admin_is_in_cookie(const struct http_header *h);

/* Whether a header of a function's answer would set it. */
bool admin_is_set_cookie(const struct http_header *h);

/* Writes a header of a request without it, if anything is left. Returns 0 or -errno. */
int admin_write_cookie(struct buf *b, const struct http_header *h);

/* reached: "ADDR:PORT" that the client has connected to, if it listens everywhere; else NULL. */
enum admin_verdict admin_judge(const struct admin *a, const struct http_head *head,
                               const char *reached);
