#include "answer.h"

#include "base/parse.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- ranges ---- */

static struct slice trimmed(struct slice s)
{
    while (s.len > 0 && (s.base[0] == ' ' || s.base[0] == '\t'))
        s = slice(s.base + 1, s.len - 1);
    while (s.len > 0 && (s.base[s.len - 1] == ' ' || s.base[s.len - 1] == '\t'))
        s.len--;
    return s;
}

enum range_outcome range_parse(struct slice value, uint64_t size, uint64_t *ret_from,
                               uint64_t *ret_length)
{
    struct slice first, last, spec = trimmed(value);
    uint64_t from, to;
    const char *dash;

    if (spec.len < 6 || !slice_eq_nocase(slice(spec.base, 6), SLICE_LIT("bytes=")))
        return RANGE_NONE;
    spec = trimmed(slice(spec.base + 6, spec.len - 6));
    dash = spec.len > 0 ? memchr(spec.base, '-', spec.len) : NULL;
    if (!dash || memchr(spec.base, ',', spec.len))
        return RANGE_NONE;
    first = trimmed(slice(spec.base, (size_t)(dash - spec.base)));
    last = trimmed(slice(dash + 1, (size_t)(spec.base + spec.len - dash - 1)));
    if (first.len == 0) { /* the last n bytes */
        if (parse_u64(last, UINT64_MAX, &to) < 0)
            return RANGE_NONE;
        if (to == 0 || size == 0)
            return RANGE_WRONG;
        *ret_length = MIN(to, size);
        *ret_from = size - *ret_length;
        return RANGE_ONE;
    }
    if (parse_u64(first, UINT64_MAX, &from) < 0)
        return RANGE_NONE;
    to = UINT64_MAX;
    if (last.len > 0 && (parse_u64(last, UINT64_MAX, &to) < 0 || to < from))
        return RANGE_NONE;
    if (from >= size)
        return RANGE_WRONG;
    *ret_from = from;
    *ret_length = MIN(to, size - 1) - from + 1;
    return RANGE_ONE;
}

/* ---- conditions ---- */

int64_t date_parse(struct slice value)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm tm = {0};
    char text[32], month[4];
    const char *found;
    int n = 0;

    if (value.len != 29)
        return -1;
    memcpy(text, value.base, value.len);
    text[value.len] = '\0';
    if (sscanf(text, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n", &tm.tm_mday, month,
               &tm.tm_year, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &n) != 6 ||
        n != 29)
        return -1;
    found = strstr(months, month);
    if (!found || (found - months) % 3 != 0 || tm.tm_year < 1970 || tm.tm_mday < 1 ||
        tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60 || tm.tm_hour < 0 ||
        tm.tm_min < 0 || tm.tm_sec < 0)
        return -1;
    tm.tm_mon = (int)((found - months) / 3);
    tm.tm_year -= 1900;
    return timegm(&tm);
}

/* Whether a list of tags has this one. A weak one counts only for If-None-Match. */
static bool tags_have(struct slice list, const char *etag, bool weak)
{
    list = trimmed(list);
    if (slice_eq(list, SLICE_LIT("*")))
        return true;
    while (list.len > 0) {
        bool is_weak = list.len > 2 && list.base[0] == 'W' && list.base[1] == '/';
        const char *begin = list.base + (is_weak ? 2 : 0), *end = list.base + list.len, *quote;

        if (begin == end || *begin != '"')
            return false;
        quote = memchr(begin + 1, '"', (size_t)(end - begin - 1));
        if (!quote)
            return false;
        if ((weak || !is_weak) &&
            slice_eq(slice(begin, (size_t)(quote + 1 - begin)), slice_str(etag)))
            return true;
        list = trimmed(slice(quote + 1, (size_t)(end - quote - 1)));
        if (list.len > 0 && list.base[0] == ',')
            list = trimmed(slice(list.base + 1, list.len - 1));
        else if (list.len > 0)
            return false;
    }
    return false;
}

/* If-Range: the range is meant for this state of the file only. */
static bool range_is_meant(const struct http_head *head, const struct file_facts *f)
{
    struct slice value;

    if (!http_head_find(head, "if-range", &value))
        return true;
    value = trimmed(value);
    if (value.len > 0 && (value.base[0] == '"' || value.base[0] == 'W'))
        return slice_eq(value, slice_str(f->etag));
    return date_parse(value) == f->mtime_s;
}

/* In the order of RFC 9110 13.2.2. */
static unsigned precondition(const struct http_head *head, const struct file_facts *f)
{
    struct slice value;
    int64_t date;

    if (http_head_find(head, "if-match", &value)) {
        if (!tags_have(value, f->etag, false))
            return 412;
    } else if (http_head_find(head, "if-unmodified-since", &value)) {
        date = date_parse(value);
        if (date >= 0 && f->mtime_s > date)
            return 412;
    }
    if (http_head_find(head, "if-none-match", &value)) {
        if (tags_have(value, f->etag, true))
            return 304;
    } else if (http_head_find(head, "if-modified-since", &value)) {
        date = date_parse(value);
        if (date >= 0 && f->mtime_s <= date)
            return 304;
    }
    return 200;
}

struct file_answer file_answer(const struct http_head *head, const struct file_facts *f)
{
    struct file_answer a = {.status = precondition(head, f), .length = f->size};
    struct slice value;

    if (a.status != 200) {
        a.length = 0;
        return a;
    }
    if (!slice_eq(head->method, SLICE_LIT("GET")) || !http_head_find(head, "range", &value) ||
        !range_is_meant(head, f))
        return a;
    switch (range_parse(value, f->size, &a.from, &a.length)) {
    case RANGE_NONE:
        break;
    case RANGE_ONE:
        a.status = 206;
        break;
    case RANGE_WRONG:
        a.status = 416;
        a.length = 0;
        break;
    }
    return a;
}
