/* A stream of server-sent events: however it is cut the same is told, and no event holds what the
 * format keeps for itself. */

#include "cli/sse.h"
#include "fuzz.h"

struct reading {
    uint64_t hash; /* of all events */
    size_t n;
    int r;
};

static void mix(struct reading *r, struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        r->hash = (r->hash ^ (uint8_t)s.base[i]) * 0x100000001b3ULL;
    r->hash = (r->hash ^ 0x1ff) * 0x100000001b3ULL; /* where it ends */
}

static int on_event(void *ctx, const struct sse_event *event)
{
    struct reading *r = ctx;

    FUZZ_CHECK(event->name.len > 0 && event->name.len <= SSE_NAME_MAX);
    FUZZ_CHECK(event->id.len <= SSE_ID_MAX && event->data.len <= SSE_EVENT_MAX);
    FUZZ_CHECK(event->data.len == 0 || !memchr(event->data.base, '\r', event->data.len));
    FUZZ_CHECK(!memchr(event->name.base, '\n', event->name.len));
    FUZZ_CHECK(event->id.len == 0 || !memchr(event->id.base, '\n', event->id.len));
    FUZZ_CHECK(event->id.len == 0 || !memchr(event->id.base, '\0', event->id.len));
    mix(r, event->name);
    mix(r, event->data);
    mix(r, event->id);
    r->n++;
    return 0;
}

/* In one piece, or in pieces of changing sizes up to `piece_max`. */
static struct reading read_all(struct slice stream, size_t piece_max)
{
    struct reading reading = {.hash = 0xcbf29ce484222325ULL};
    uint64_t seed = fuzz_seed(stream);
    struct sse sse;

    sse_init(&sse);
    while (stream.len > 0 && reading.r == 0) {
        size_t n = piece_max ? 1 + (size_t)(fuzz_next(&seed) % piece_max) : stream.len;

        n = MIN(n, stream.len);
        reading.r = sse_push(&sse, slice(stream.base, n), on_event, &reading);
        stream = slice(stream.base + n, stream.len - n);
    }
    sse_deinit(&sse);
    return reading;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {1, 3, 40};
    struct reading whole = read_all(slice(data, size), 0);

    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
        struct reading cut = read_all(slice(data, size), pieces[i]);

        FUZZ_CHECK(cut.r == whole.r && cut.n == whole.n && cut.hash == whole.hash);
    }
    return 0;
}
