/* A request to the admin listener, from anybody: who knows neither token nor session is never let
 * in to more than what is open; and what a function gets of a cookie has no session in it. */

#include "fuzz.h"
#include "gateway/admin.h"

#include <openssl/evp.h>

#define TOKEN   "mf_token"
#define SESSION "a-session"

static bool contains(struct slice s, const char *text)
{
    return s.base && s.len > 0 && memmem(s.base, s.len, text, strlen(text));
}

static void check_cookies(const struct http_head *head)
{
    for (uint32_t i = 0; i < head->n_headers; i++) {
        struct buf b = BUF_INIT(1024 * 1024);

        if (admin_is_in_cookie(&head->headers[i])) {
            FUZZ_CHECK(admin_write_cookie(&b, &head->headers[i]) == 0);
            FUZZ_CHECK(buf_len(&b) <=
                       head->headers[i].name.len + 4 + 2 * head->headers[i].value.len);
        }
        buf_deinit(&b);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_head head;
    struct slice request = slice(data, size), ignored;
    unsigned char hashes[2 * ADMIN_HASH_LEN];
    enum admin_verdict v;
    struct http_parser p;
    struct admin a;
    size_t used;

    http_parser_init(&p, HTTP_REQUEST, &HTTP_LIMITS_DEFAULT);
    if (http_parse(&p, request, &used, &head, &ignored) != HTTP_EVENT_HEAD)
        return 0;
    FUZZ_CHECK(admin_init(&a, "127.0.0.1:8081", "admin.example.org") == 0);
    FUZZ_CHECK(EVP_Digest(TOKEN, strlen(TOKEN), hashes, NULL, EVP_sha256(), NULL) == 1);
    FUZZ_CHECK(EVP_Digest(SESSION, strlen(SESSION), hashes + ADMIN_HASH_LEN, NULL, EVP_sha256(),
                          NULL) == 1);
    FUZZ_CHECK(admin_take_hashes(&a, 2, slice(hashes, sizeof(hashes))) == 0);
    v = admin_judge(&a, &head, NULL);
    FUZZ_CHECK(v != ADMIN_TOKEN || contains(request, TOKEN));
    FUZZ_CHECK(v != ADMIN_SESSION || contains(request, SESSION));
    FUZZ_CHECK(v != ADMIN_OPEN ||
               (head.path.base[0] == '/' && !slice_starts(head.path, SLICE_LIT("/api/")) &&
                !contains(head.path, "%")));
    FUZZ_CHECK(v != ADMIN_OPEN || slice_eq(head.method, SLICE_LIT("GET")) ||
               slice_eq(head.method, SLICE_LIT("HEAD")));
    check_cookies(&head);
    admin_deinit(&a);
    return 0;
}
