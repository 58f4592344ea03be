#include "base/parse.h"

#include <errno.h>

int parse_u64(struct slice s, uint64_t max, uint64_t *ret)
{
    uint64_t v = 0;

    if (s.len == 0)
        return -EINVAL;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned)(unsigned char)s.base[i] - '0';

        if (digit > 9)
            return -EINVAL;
        if (v > (max - digit) / 10 || digit > max)
            return -ERANGE;
        v = v * 10 + digit;
    }
    *ret = v;
    return 0;
}

struct unit {
    struct slice suffix;
    uint64_t factor;
};

/* The first suffix that fits wins, so the empty one comes last. */
static int parse_with_unit(struct slice s, const struct unit *units, size_t n_units, uint64_t *ret)
{
    for (size_t i = 0; i < n_units; i++) {
        const struct unit *u = &units[i];
        uint64_t v;
        int r;

        if (s.len < u->suffix.len ||
            !slice_eq(slice(s.base + s.len - u->suffix.len, u->suffix.len), u->suffix))
            continue;
        r = parse_u64(slice(s.base, s.len - u->suffix.len), UINT64_MAX / u->factor, &v);
        if (r < 0)
            return r;
        *ret = v * u->factor;
        return 0;
    }
    return -EINVAL;
}

int parse_bytes(struct slice s, uint64_t *ret)
{
    static const struct unit units[] = {
        {SLICE_LIT("K"), 1ULL << 10},
        {SLICE_LIT("M"), 1ULL << 20},
        {SLICE_LIT("G"), 1ULL << 30},
        {SLICE_LIT(""), 1},
    };

    return parse_with_unit(s, units, ARRAY_SIZE(units), ret);
}

int parse_duration_ms(struct slice s, uint64_t *ret)
{
    static const struct unit units[] = {
        {SLICE_LIT("ms"), 1},          {SLICE_LIT("s"), 1000},         {SLICE_LIT("m"), 60 * 1000},
        {SLICE_LIT("h"), 3600 * 1000}, {SLICE_LIT("d"), 86400 * 1000}, {SLICE_LIT(""), 1000},
    };

    return parse_with_unit(s, units, ARRAY_SIZE(units), ret);
}
