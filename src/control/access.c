#include "control/access.h"

#include "control/control.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/random.h>

#define REFRESH_NS (3600 * NS_PER_S) /* sessions end by themselves */

int access_hash(struct slice secret, uint8_t ret[static ACCESS_HASH_SIZE])
{
    unsigned len = ACCESS_HASH_SIZE;

    return EVP_Digest(secret.base, secret.len, ret, &len, EVP_sha256(), NULL) == 1 ? 0 : -EIO;
}

int access_secret(const char *prefix, char ret[static ACCESS_SECRET_SIZE],
                  uint8_t ret_hash[static ACCESS_HASH_SIZE])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t bytes[ACCESS_SECRET_BYTES];
    size_t n = strlen(prefix);
    uint32_t bits = 0;
    int n_bits = 0;

    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
        return -EIO;
    memcpy(ret, prefix, n);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bits = bits << 8 | bytes[i];
        for (n_bits += 8; n_bits >= 6; n_bits -= 6)
            ret[n++] = digits[bits >> (n_bits - 6) & 63];
    }
    if (n_bits > 0)
        ret[n++] = digits[bits << (6 - n_bits) & 63];
    ret[n] = '\0';
    explicit_bzero(bytes, sizeof(bytes));
    return access_hash(slice_str(ret), ret_hash);
}

/* ---- what is remembered ---- */

void access_entry_add(struct access_entry *entries, size_t n, const uint8_t hash[ACCESS_HASH_SIZE],
                      uint64_t expires_us)
{
    struct access_entry *first = &entries[0];

    for (size_t i = 1; i < n; i++) {
        if (entries[i].expires_us < first->expires_us)
            first = &entries[i];
    }
    memcpy(first->hash, hash, ACCESS_HASH_SIZE);
    first->expires_us = expires_us;
}

bool access_entry_take(struct access_entry *entries, size_t n, const uint8_t hash[ACCESS_HASH_SIZE],
                       uint64_t now_us)
{
    bool found = false;

    for (size_t i = 0; i < n; i++) {
        if (CRYPTO_memcmp(entries[i].hash, hash, ACCESS_HASH_SIZE) != 0)
            continue;
        found = found || entries[i].expires_us > now_us;
        entries[i] = (struct access_entry){.expires_us = 0};
    }
    return found;
}

int access_login_url(struct control *c, char ret[static ACCESS_URL_MAX])
{
    char code[ACCESS_SECRET_SIZE];
    uint8_t hash[ACCESS_HASH_SIZE];
    int r;

    if (!c->options.admin_url)
        return -ENOENT;
    r = access_secret("", code, hash);
    if (r < 0)
        return r;
    access_entry_add(c->access.logins, ACCESS_LOGINS_MAX, hash,
                     clock_wall_us() + ACCESS_LOGIN_S * US_PER_S);
    (void)snprintf(ret, ACCESS_URL_MAX, "%s/login?code=%s", c->options.admin_url, code);
    return 0;
}

/* ---- telling ---- */

bool access_read(const struct http_head *head, uint8_t ret[static ACCESS_HASH_SIZE])
{
    static const struct slice bearer = SLICE_LIT("bearer "), name = SLICE_LIT("mayfly_session=");
    struct slice value;

    if (http_head_find(head, "authorization", &value))
        return value.len > bearer.len && slice_eq_nocase(slice(value.base, bearer.len), bearer) &&
               access_hash(slice_trim(slice(value.base + bearer.len, value.len - bearer.len)),
                           ret) == 0;
    if (!http_head_find(head, "cookie", &value))
        return false;
    while (value.len > 0) {
        struct slice one = slice_trim(slice_cut(&value, ';'));

        if (slice_starts(one, name))
            return access_hash(slice(one.base + name.len, one.len - name.len), ret) == 0;
    }
    return false;
}

void access_note_use(struct control *c, const uint8_t hash[static ACCESS_HASH_SIZE])
{
    int r =
        keep_store(&c->keep) ? store_token_used(keep_store(&c->keep), hash, clock_wall_us()) : 0;

    if (r < 0 && r != -ENOENT)
        keep_read_failed(&c->keep, r); /* it was let in all the same */
}

/* Streams go on for hours: those end whose token or session does not hold any more. */
static void streams_end(struct control *c, uint8_t (*hashes)[ACCESS_HASH_SIZE], size_t n)
{
    struct list *i, *tmp;

    list_for_each_safe (i, tmp, &c->api.connections) {
        struct api_connection *one = list_entry(i, struct api_connection, link);
        bool holds = one->local || one->state != API_STREAMING;

        for (size_t k = 0; k < n && !holds; k++)
            holds = memcmp(one->hash, hashes[k], ACCESS_HASH_SIZE) == 0;
        if (!holds)
            api_close(one);
    }
}

static void on_refresh(struct loop_timer *t)
{
    access_tell(container_of(t, struct control, access.refresh));
}

void access_tell(struct control *c)
{
    static uint8_t hashes[ACCESS_HASHES_MAX][ACCESS_HASH_SIZE];
    struct wire_message m = {.type = WIRE_ADMISSION};
    uint64_t now_us = clock_wall_us();
    size_t n = 0;

    if (keep_store(&c->keep)) {
        int r = store_hashes(keep_store(&c->keep), now_us, hashes,
                             ACCESS_HASHES_MAX - ACCESS_SESSIONS_MAX, &n);

        if (r < 0)
            n = 0;
        keep_read_failed(&c->keep, r);
    }
    for (size_t i = 0; i < ACCESS_SESSIONS_MAX; i++) {
        if (c->access.sessions[i].expires_us > now_us)
            memcpy(hashes[n++], c->access.sessions[i].hash, ACCESS_HASH_SIZE);
    }
    m.admission =
        (struct wire_admission){.n = (uint32_t)n, .hashes = slice(hashes, n * ACCESS_HASH_SIZE)};
    channels_send_gateway(c, &m);
    if (!c->loop)
        return;
    streams_end(c, hashes, n);
    (void)loop_timer_after(c->loop, &c->access.refresh, REFRESH_NS, on_refresh);
}
