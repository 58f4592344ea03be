#include "cli/when.h"

#include "base/clock.h"
#include "base/parse.h"

#include <errno.h>
#include <time.h>

#define DURATION_MAX_US (100ULL * 366 * 86400 * US_PER_S)

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ---- durations ---- */

/* "1.25" in units of unit_us at the front of s, which is cut off. */
static int take_amount(struct slice *s, struct slice *ret_whole, struct slice *ret_part)
{
    size_t n = 0, dot;

    while (n < s->len && is_digit(s->base[n]))
        n++;
    *ret_whole = slice(s->base, n);
    *ret_part = SLICE_NULL;
    dot = n;
    if (n < s->len && s->base[n] == '.') {
        n++;
        while (n < s->len && is_digit(s->base[n]))
            n++;
        *ret_part = slice(s->base + dot + 1, n - dot - 1);
        if (ret_part->len == 0)
            return -EINVAL;
    }
    *s = slice(s->base + n, s->len - n);
    return ret_whole->len > 0 ? 0 : -EINVAL;
}

/* What the digits behind a point are worth; below a microsecond they say nothing. */
static uint64_t part_us(struct slice digits, uint64_t unit_us)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < digits.len && unit_us > 0; i++) {
        uint64_t digit = (uint64_t)(digits.base[i] - '0');

        sum += digit * unit_us / 10;
        unit_us /= 10;
    }
    return sum;
}

static uint64_t take_unit(struct slice *s)
{
    static const struct {
        struct slice suffix;
        uint64_t us;
    } units[] = {
        {SLICE_LIT("us"), 1},
        {SLICE_LIT("ms"), 1000},
        {SLICE_LIT("s"), US_PER_S},
        {SLICE_LIT("m"), 60 * US_PER_S},
        {SLICE_LIT("h"), 3600 * US_PER_S},
        {SLICE_LIT("d"), 86400 * US_PER_S},
        {SLICE_LIT("w"), 7 * 86400 * US_PER_S},
    };

    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (slice_starts(*s, units[i].suffix)) {
            *s = slice(s->base + units[i].suffix.len, s->len - units[i].suffix.len);
            return units[i].us;
        }
    }
    return 0;
}

int when_duration_us(struct slice s, uint64_t *ret)
{
    uint64_t sum = 0, last_unit = UINT64_MAX;

    do {
        struct slice whole, part;
        uint64_t value, unit_us;
        int r;

        if (take_amount(&s, &whole, &part) < 0)
            return -EINVAL;
        unit_us = take_unit(&s);
        if (unit_us == 0 && (s.len > 0 || last_unit != UINT64_MAX))
            return -EINVAL;
        unit_us = unit_us ? unit_us : US_PER_S;
        if (unit_us >= last_unit) /* "5m2h" is a slip */
            return -EINVAL;
        last_unit = unit_us;
        r = parse_u64(whole, DURATION_MAX_US / unit_us, &value);
        if (r < 0)
            return r;
        sum += value * unit_us + part_us(part, unit_us);
        if (sum > DURATION_MAX_US)
            return -ERANGE;
    } while (s.len > 0);
    *ret = sum;
    return 0;
}

/* ---- moments ---- */

/* n digits, and then `behind` if that is not 0. */
static bool take_number(struct slice *s, size_t n, char behind, int max, int *ret)
{
    uint64_t value;
    size_t len = n + (behind ? 1 : 0);

    if (s->len < len || parse_u64(slice(s->base, n), (uint64_t)max, &value) < 0 ||
        (behind && s->base[n] != behind))
        return false;
    *s = slice(s->base + len, s->len - len);
    *ret = (int)value;
    return true;
}

static bool take_date(struct slice *s, struct tm *tm)
{
    struct slice rest = *s;

    if (!take_number(&rest, 4, '-', 2200, &tm->tm_year) ||
        !take_number(&rest, 2, '-', 12, &tm->tm_mon) ||
        !take_number(&rest, 2, 0, 31, &tm->tm_mday) || tm->tm_mon < 1 || tm->tm_mday < 1 ||
        tm->tm_year < 1970)
        return false;
    tm->tm_year -= 1900;
    tm->tm_mon -= 1;
    *s = rest;
    return true;
}

/* "13:05", "13:05:10" or "13:05:10.25" */
static bool take_clock(struct slice *s, struct tm *tm, uint64_t *ret_us)
{
    struct slice rest = *s, whole, part;

    *ret_us = 0;
    tm->tm_sec = 0;
    if (!take_number(&rest, 2, ':', 23, &tm->tm_hour) || !take_number(&rest, 2, 0, 59, &tm->tm_min))
        return false;
    if (rest.len > 0 && rest.base[0] == ':') {
        rest = slice(rest.base + 1, rest.len - 1);
        if (take_amount(&rest, &whole, &part) < 0 || whole.len != 2)
            return false;
        tm->tm_sec = (whole.base[0] - '0') * 10 + whole.base[1] - '0';
        *ret_us = part_us(part, US_PER_S);
    }
    *s = rest;
    return tm->tm_sec <= 59;
}

/* "Z", "+02:00" or nothing, which is local time. Returns the moment, or a negative number. */
static int64_t finish(struct slice s, struct tm *tm)
{
    int hours, minutes, sign;
    time_t t;

    tm->tm_isdst = -1;
    if (s.len == 0)
        return (int64_t)mktime(tm);
    t = timegm(tm);
    if (slice_eq(s, SLICE_LIT("Z")))
        return (int64_t)t;
    sign = s.base[0] == '+' ? 1 : -1;
    if (s.base[0] != '+' && s.base[0] != '-')
        return -1;
    s = slice(s.base + 1, s.len - 1);
    if (!take_number(&s, 2, ':', 14, &hours) || !take_number(&s, 2, 0, 59, &minutes) || s.len > 0)
        return -1;
    return (int64_t)t - sign * (hours * 3600 + minutes * 60);
}

static bool local_day(uint64_t now_us, struct tm *ret)
{
    time_t now = (time_t)(now_us / US_PER_S);

    if (!localtime_r(&now, ret))
        return false;
    ret->tm_hour = ret->tm_min = ret->tm_sec = 0;
    return true;
}

static int parse_moment(struct slice s, uint64_t now_us, uint64_t *ret)
{
    struct tm tm;
    uint64_t us = 0;
    int64_t t;
    int month;

    if (!local_day(now_us, &tm))
        return -EINVAL;
    if (slice_eq(s, SLICE_LIT("yesterday"))) {
        tm.tm_mday--;
        s = SLICE_NULL;
    } else if (slice_eq(s, SLICE_LIT("today"))) {
        s = SLICE_NULL;
    } else if (take_date(&s, &tm)) {
        if (s.len > 0 && (s.base[0] == 'T' || s.base[0] == ' ')) {
            s = slice(s.base + 1, s.len - 1);
            if (!take_clock(&s, &tm, &us))
                return -EINVAL;
        }
        month = tm.tm_mon;
        t = finish(s, &tm);
        if (t < 0 || tm.tm_mon != month) /* February 30 */
            return -EINVAL;
        *ret = (uint64_t)t * US_PER_S + us;
        return 0;
    } else if (!take_clock(&s, &tm, &us)) {
        return -EINVAL;
    }
    t = finish(s, &tm);
    if (t < 0)
        return -EINVAL;
    *ret = (uint64_t)t * US_PER_S + us;
    return 0;
}

int when_parse(struct slice s, uint64_t now_us, uint64_t *ret)
{
    uint64_t duration_us;

    if (slice_eq(s, SLICE_LIT("now"))) {
        *ret = now_us;
        return 0;
    }
    if (when_duration_us(s, &duration_us) == 0) {
        *ret = now_us > duration_us ? now_us - duration_us : 0;
        return 0;
    }
    return parse_moment(s, now_us, ret);
}
