/* Packed histograms, as a damaged database may hold them: whatever is taken is in bounds, and packs
 * to itself; whatever is refused has changed nothing. */

#include "fuzz.h"
#include "model/histogram.h"

static void check_same(const struct histogram *h, struct slice bytes)
{
    struct buf packed = BUF_INIT(HISTOGRAM_BYTES_MAX);

    FUZZ_CHECK(histogram_encode(h, &packed) == 0);
    FUZZ_CHECK(slice_eq(buf_slice(&packed), bytes));
    buf_deinit(&packed);
}

/* Quantiles rise, and lie in buckets that are in use. */
static void check_quantiles(const struct histogram *h)
{
    uint64_t before = 0;

    for (unsigned permille = 0; permille <= 1000; permille += 50) {
        uint64_t v = histogram_quantile(h, permille);

        FUZZ_CHECK(v >= before && v < histogram_high(HISTOGRAM_BUCKETS - 1));
        before = v;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct histogram h;
    static const struct histogram none;
    struct slice bytes = slice(data, size);

    memset(&h, 0, sizeof(h));
    if (histogram_decode(bytes, &h) < 0) {
        FUZZ_CHECK(memcmp(&h, &none, sizeof(h)) == 0);
        return 0;
    }
    check_same(&h, bytes);
    check_quantiles(&h);
    /* Once more on top: nothing wraps around. */
    FUZZ_CHECK(histogram_decode(bytes, &h) == 0);
    check_quantiles(&h);
    return 0;
}
