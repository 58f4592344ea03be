#include "gateway/admin.h"

#include "base/parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#define TOKEN_PREFIX       SLICE_LIT("mf_")
#define SESSIONS_TRIED_MAX 8 /* cookies of ours in one request */

/* ---- hosts ---- */

static bool is_port(struct slice text)
{
    uint64_t port;

    return parse_u64(text, UINT16_MAX, &port) == 0;
}

/* A name of letters, digits, '-' and '.', or an address of IPv4. */
static bool read_plain_host(struct slice text, struct admin_host *ret)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";

    unsigned char ip[4];

    if (text.len == 0 || text.len >= sizeof(ret->name))
        return false;
    memcpy(ret->name, text.base, text.len);
    ret->name[text.len] = '\0';
    if (strspn(ret->name, letters) != text.len)
        return false;
    ret->kind = ADMIN_HOST_NAME;
    if (inet_pton(AF_INET, ret->name, ip) == 1) {
        ret->kind = ADMIN_HOST_IP4;
        memcpy(ret->ip, ip, sizeof(ip));
    }
    return true;
}

/* Without its brackets; what is IPv4 in it is taken for that. */
static bool read_ip6(struct slice text, struct admin_host *ret)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    char name[INET6_ADDRSTRLEN];

    if (text.len >= sizeof(name))
        return false;
    memcpy(name, text.base, text.len);
    name[text.len] = '\0';
    if (inet_pton(AF_INET6, name, ret->ip) != 1)
        return false;
    ret->kind = ADMIN_HOST_IP6;
    if (memcmp(ret->ip, mapped, sizeof(mapped)) == 0) {
        ret->kind = ADMIN_HOST_IP4;
        memmove(ret->ip, ret->ip + sizeof(mapped), 4);
    }
    return true;
}

/* A host with or without a port, as it stands in a header. The port does not matter: it may be
 * another's who forwards to ours. */
static bool read_host(struct slice text, struct admin_host *ret)
{
    struct slice rest = text, host;

    if (text.len > 0 && text.base[0] == '[') {
        host = slice_cut(&rest, ']');
        if (rest.base == NULL ||
            (rest.len > 0 && (rest.base[0] != ':' || !is_port(slice(rest.base + 1, rest.len - 1)))))
            return false;
        return read_ip6(slice(host.base + 1, host.len - 1), ret);
    }
    host = slice_cut(&rest, ':');
    return (rest.base == NULL || is_port(rest)) && read_plain_host(host, ret);
}

static bool is_same_host(const struct admin_host *a, const struct admin_host *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case ADMIN_HOST_NAME:
        return slice_eq_nocase(slice_str(a->name), slice_str(b->name));
    case ADMIN_HOST_IP4:
        return memcmp(a->ip, b->ip, 4) == 0;
    case ADMIN_HOST_IP6:
        return memcmp(a->ip, b->ip, 16) == 0;
    }
    return false;
}

static bool is_our_host(const struct admin *a, struct slice text, const char *reached)
{
    struct admin_host host, here;

    if (!read_host(text, &host))
        return false;
    for (uint32_t i = 0; i < a->n_hosts; i++) {
        if (is_same_host(&host, &a->hosts[i]))
            return true;
    }
    return reached && read_host(slice_str(reached), &here) && is_same_host(&host, &here);
}

/* ---- tokens and sessions ---- */

/* Looks at all of them, so that the time says nothing. */
static bool holds(const struct admin *a, struct slice secret)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned found = 0;

    if (secret.len == 0 || secret.len > ADMIN_SECRET_MAX ||
        EVP_Digest(secret.base, secret.len, hash, NULL, EVP_sha256(), NULL) != 1)
        return false;
    for (uint32_t i = 0; i < a->n_hashes; i++)
        found |= CRYPTO_memcmp(hash, a->hashes + (size_t)i * ADMIN_HASH_LEN, ADMIN_HASH_LEN) == 0;
    return found != 0;
}

/* Finds the one header of that name. Returns how many there are. */
static unsigned find_only(const struct http_head *head, struct slice name, struct slice *ret)
{
    unsigned n = 0;

    for (uint32_t i = 0; i < head->n_headers; i++) {
        if (slice_eq_nocase(head->headers[i].name, name)) {
            *ret = head->headers[i].value;
            n++;
        }
    }
    return n;
}

/* "Bearer mf_..." */
static bool read_bearer(struct slice value, struct slice *ret)
{
    struct slice rest = value, scheme = slice_cut(&rest, ' ');

    rest = slice_trim(rest);
    *ret = rest;
    return slice_eq_nocase(scheme, SLICE_LIT("Bearer")) && slice_starts(rest, TOKEN_PREFIX);
}

static bool is_our_cookie(struct slice pair, struct slice *ret_value)
{
    struct slice value = pair, name = slice_trim(slice_cut(&value, '='));

    *ret_value = slice_trim(value);
    return slice_eq(name, SLICE_LIT(ADMIN_COOKIE));
}

/* Whether one of our cookies is a session that holds. There may be others beside it: whoever serves
 * at another port of this host can set them, and must not be able to lock anybody out. Returns how
 * many there are. */
static unsigned find_session(const struct admin *a, const struct http_head *head, bool *ret_holds)
{
    unsigned n = 0;

    *ret_holds = false;
    for (uint32_t i = 0; i < head->n_headers; i++) {
        struct slice rest = head->headers[i].value, value;

        if (!slice_eq_nocase(head->headers[i].name, SLICE_LIT("cookie")))
            continue;
        while (rest.len > 0) {
            if (is_our_cookie(slice_cut(&rest, ';'), &value) && n++ < SESSIONS_TRIED_MAX)
                *ret_holds = holds(a, value) || *ret_holds;
        }
    }
    return n;
}

/* ---- requests ---- */

static bool is_get(const struct http_head *head)
{
    return slice_eq(head->method, SLICE_LIT("GET")) || slice_eq(head->method, SLICE_LIT("HEAD"));
}

/* Nothing that anybody could read as another path: no codes, no empty or dotted parts. */
static bool is_plain_path(struct slice path)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~/";

    if (path.len == 0 || path.base[0] != '/' || !http_path_is_routable(path))
        return false;
    for (size_t i = 0; i < path.len; i++) {
        if (!memchr(letters, path.base[i], sizeof(letters) - 1) ||
            (i > 0 && path.base[i] == '/' && path.base[i - 1] == '/'))
            return false;
    }
    return true;
}

static bool is_below(struct slice path, struct slice folder)
{
    return slice_starts(path, folder) && (path.len == folder.len || path.base[folder.len] == '/');
}

/* The dashboard's files are for everybody, as is to be seen whether we live. */
static bool is_open(const struct http_head *head)
{
    return is_get(head) && is_plain_path(head->path) && !is_below(head->path, SLICE_LIT("/api")) &&
           !is_below(head->path, SLICE_LIT("/metrics"));
}

static bool has_token_in_query(struct slice query)
{
    while (query.len > 0) {
        struct slice value = slice_cut(&query, '&');
        struct slice name = slice_cut(&value, '=');

        if (slice_eq_nocase(name, SLICE_LIT("token")) ||
            slice_eq_nocase(name, SLICE_LIT("access_token")))
            return true;
    }
    return false;
}

/* What a browser sends with what changes something: where the page is from. */
static bool has_own_origin(const struct http_head *head)
{
    struct slice origin, scheme_http = SLICE_LIT("http://"), scheme_https = SLICE_LIT("https://");

    if (find_only(head, SLICE_LIT("origin"), &origin) != 1)
        return false;
    if (slice_starts(origin, scheme_http))
        origin = slice(origin.base + scheme_http.len, origin.len - scheme_http.len);
    else if (slice_starts(origin, scheme_https))
        origin = slice(origin.base + scheme_https.len, origin.len - scheme_https.len);
    else
        return false;
    return slice_eq_nocase(origin, head->host);
}

static enum admin_verdict judge_token(const struct admin *a, struct slice value)
{
    struct slice token;

    if (!read_bearer(value, &token))
        return ADMIN_E_BAD_SECRET;
    if (!a->told)
        return ADMIN_E_NOT_TOLD;
    return holds(a, token) ? ADMIN_TOKEN : ADMIN_E_BAD_SECRET;
}

static enum admin_verdict judge_session(const struct admin *a, const struct http_head *head)
{
    bool session_holds;

    if (find_session(a, head, &session_holds) == 0)
        return ADMIN_E_NO_SECRET;
    if (!a->told)
        return ADMIN_E_NOT_TOLD;
    if (!session_holds)
        return ADMIN_E_BAD_SECRET;
    return is_get(head) || has_own_origin(head) ? ADMIN_SESSION : ADMIN_E_ORIGIN;
}

enum admin_verdict admin_judge(const struct admin *a, const struct http_head *head,
                               const char *reached)
{
    struct slice value = SLICE_NULL;
    unsigned n;

    if (!is_our_host(a, head->host, reached))
        return ADMIN_E_HOST;
    if (is_open(head))
        return ADMIN_OPEN;
    if (has_token_in_query(head->query))
        return ADMIN_E_QUERY;
    n = find_only(head, SLICE_LIT("authorization"), &value);
    if (n > 0)
        return n == 1 ? judge_token(a, value) : ADMIN_E_BAD_SECRET;
    return judge_session(a, head);
}

/* ---- what functions may not see ---- */

bool admin_is_in_cookie(const struct http_header *h)
{
    return slice_eq_nocase(h->name, SLICE_LIT("cookie")) &&
           memmem(h->value.base, h->value.len, ADMIN_COOKIE, strlen(ADMIN_COOKIE));
}

int admin_write_cookie(struct buf *b, const struct http_header *h)
{
    struct slice rest = h->value;
    bool any = false;
    int r = 0;

    while (r == 0 && rest.len > 0) {
        struct slice pair = slice_trim(slice_cut(&rest, ';')), value;

        if (pair.len == 0 || is_our_cookie(pair, &value))
            continue;
        r = any ? buf_append_str(b, "; ") : buf_printf(b, "%.*s: ", SLICE_ARG(h->name));
        any = true;
        if (r == 0)
            r = buf_append_slice(b, pair);
    }
    return r == 0 && any ? buf_append_str(b, "\r\n") : r;
}

bool admin_is_set_cookie(const struct http_header *h)
{
    struct slice rest = h->value, value;

    return slice_eq_nocase(h->name, SLICE_LIT("set-cookie")) &&
           is_our_cookie(slice_cut(&rest, ';'), &value);
}

/* ---- life ---- */

static int add_host(struct admin *a, struct slice text)
{
    if (a->n_hosts == ARRAY_SIZE(a->hosts) || !read_host(text, &a->hosts[a->n_hosts]))
        return -EINVAL;
    a->n_hosts++;
    return 0;
}

static bool is_zero(const struct admin_host *h)
{
    static const unsigned char zeros[16];

    return memcmp(h->ip, zeros, h->kind == ADMIN_HOST_IP4 ? 4 : 16) == 0;
}

int admin_init(struct admin *a, const char *address, const char *hosts)
{
    static const char *const own[] = {"localhost", "127.0.0.1", "[::1]"};
    struct slice rest = slice_str(hosts);
    int r = 0;

    *a = (struct admin){.told = false};
    if (address)
        r = add_host(a, slice_str(address));
    a->everywhere = r == 0 && address && is_zero(&a->hosts[0]);
    if (a->everywhere)
        a->n_hosts = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(own); i++)
        r = add_host(a, slice_str(own[i]));
    while (r == 0 && rest.len > 0)
        r = add_host(a, slice_cut(&rest, ','));
    /* It reads its configuration when it is used first: not later, when files are out of reach. */
    (void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    return r;
}

void admin_deinit(struct admin *a)
{
    free(a->hashes);
    *a = (struct admin){.told = false};
}

int admin_take_hashes(struct admin *a, uint32_t n, struct slice hashes)
{
    unsigned char *copy;

    if (n > ADMIN_HASHES_MAX || hashes.len != (size_t)n * ADMIN_HASH_LEN)
        return -EBADMSG;
    copy = malloc(MAX(hashes.len, 1));
    if (!copy)
        return -ENOMEM;
    if (n > 0)
        memcpy(copy, hashes.base, hashes.len);
    free(a->hashes);
    a->hashes = copy;
    a->n_hashes = n;
    a->told = true;
    return 0;
}
