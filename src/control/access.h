#pragma once

/* Who is let in by the admin listener: tokens and the dashboard's sessions. The gateway compares;
 * it is told the hashes. */

#include "base/def.h"
#include "base/slice.h"
#include "http/http.h"
#include "loop/loop.h"

#define ACCESS_SECRET_BYTES 32
#define ACCESS_SECRET_SIZE  48 /* as text, base64url, with "mf_" and NUL */
#define ACCESS_HASH_SIZE    32
#define ACCESS_LOGINS_MAX   32 /* codes that were made and not used yet */
#define ACCESS_SESSIONS_MAX 32 /* kept in memory, while there is no store for them */
#define ACCESS_LOGIN_S      300
#define ACCESS_SESSION_S    2592000
#define ACCESS_HASHES_MAX   1024

struct control;

struct access_entry {
    uint8_t hash[ACCESS_HASH_SIZE];
    uint64_t expires_us; /* 0: free */
};

struct access {
    struct access_entry logins[ACCESS_LOGINS_MAX];
    struct access_entry sessions[ACCESS_SESSIONS_MAX];
    struct loop_timer refresh;
};

/* 256 random bits as text, behind `prefix`, and their hash. Returns 0 or -errno. */
int access_secret(const char *prefix, char ret[static ACCESS_SECRET_SIZE],
                  uint8_t ret_hash[static ACCESS_HASH_SIZE]);
int access_hash(struct slice secret, uint8_t ret[static ACCESS_HASH_SIZE]);

/* Remembers it until then; the one that ends first makes room. */
void access_entry_add(struct access_entry *entries, size_t n, const uint8_t hash[ACCESS_HASH_SIZE],
                      uint64_t expires_us);
/* Whether it is there and holds: it is taken out. */
bool access_entry_take(struct access_entry *entries, size_t n, const uint8_t hash[ACCESS_HASH_SIZE],
                       uint64_t now_us);

/* An address of the dashboard that lets in once, for ACCESS_LOGIN_S. Returns 0, -ENOENT without an
 * admin listener, or -errno. */
#define ACCESS_URL_MAX 1024
int access_login_url(struct control *c, char ret[static ACCESS_URL_MAX]);

/* The hash of the token, or else the session, that a request came with. */
bool access_read(const struct http_head *head, uint8_t ret[static ACCESS_HASH_SIZE]);

/* Notes that a token was used; what is none is let pass. */
void access_note_use(struct control *c, const uint8_t hash[static ACCESS_HASH_SIZE]);

/* Tells the gateway who may come in now, and ends the streams of who may not. */
void access_tell(struct control *c);
