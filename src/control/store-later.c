/* What the store does not have yet is as in an empty one. Goes with the store's next part. */

#include "store/store.h"
#include <errno.h>
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#define W __attribute__((weak))
W int store_open_healing(const char *path, unsigned flags, struct store **ret, struct error *err)
{
    return store_open(path, flags, ret, err);
}
W int store_hashes(struct store *s, uint64_t now_us, uint8_t (*ret)[STORE_HASH_SIZE], size_t max,
                   size_t *ret_n)
{
    *ret_n = 0;
    return 0;
}
W int store_token_remove(struct store *s, struct slice name)
{
    return -ENOENT;
}
W int store_session_add(struct store *s, const uint8_t hash[static STORE_HASH_SIZE],
                        uint64_t now_us, uint64_t expires_us)
{
    return -ENOENT;
}
W int store_session_remove(struct store *s, const uint8_t hash[static STORE_HASH_SIZE])
{
    return 0;
}
W int store_tokens(struct store *s, int (*row)(void *ctx, const struct store_token *t), void *ctx)
{
    return 0;
}
W int store_token_add(struct store *s, struct slice name,
                      const uint8_t hash[static STORE_HASH_SIZE], uint64_t now_us)
{
    return 0;
}
W int store_event_remove(struct store *s, struct slice function, struct slice name)
{
    return 0;
}
W int store_events(struct store *s, struct slice function, struct slice name,
                   int (*row)(void *ctx, const struct store_event *e), void *ctx)
{
    return 0;
}
W int store_event_put(struct store *s, const struct store_event *e)
{
    return 0;
}
W int store_versions(struct store *s, struct slice function,
                     int (*row)(void *ctx, const struct store_version *v), void *ctx)
{
    return 0;
}
W int store_info(struct store *s, struct store_info *ret)
{
    return 0;
}
W int store_series(struct store *s, struct slice function, uint64_t since_us, uint64_t until_us,
                   uint32_t step_s, int (*row)(void *ctx, const struct rollup *r), void *ctx)
{
    return 0;
}
W int store_usage(struct store *s, enum store_usage_by by, struct slice function, uint64_t since_us,
                  uint64_t until_us, int (*row)(void *ctx, const struct store_usage *u), void *ctx,
                  uint64_t *ret_since_us, uint64_t *ret_until_us)
{
    return 0;
}
W int store_retain(struct store *s, const struct retention *r, uint64_t now_us, unsigned budget_ms,
                   struct store_retained *ret)
{
    return 0;
}
W int store_add_capture(struct store *s, const struct store_capture *c)
{
    return 0;
}
W int store_capture(struct store *s, struct slice request_id,
                    int (*row)(void *ctx, const struct store_capture *c), void *ctx)
{
    return -ENOENT;
}
