#include "base/slice.h"

static unsigned char lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
}

bool slice_eq_nocase(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower((unsigned char)a.base[i]) != lower((unsigned char)b.base[i]))
            return false;
    }
    return true;
}

char *slice_dup(struct slice s)
{
    char *copy = malloc(s.len + 1);

    if (!copy)
        return NULL;
    if (s.len > 0)
        memcpy(copy, s.base, s.len);
    copy[s.len] = '\0';
    return copy;
}

struct slice slice_cut(struct slice *s, char c)
{
    const char *found = s->len > 0 ? memchr(s->base, c, s->len) : NULL;
    struct slice first = *s;

    if (!found) {
        *s = SLICE_NULL;
        return first;
    }
    first.len = (size_t)(found - s->base);
    *s = slice(found + 1, s->len - first.len - 1);
    return first;
}

struct slice slice_trim(struct slice s)
{
    while (s.len > 0 && (*s.base == ' ' || *s.base == '\t'))
        s = slice(s.base + 1, s.len - 1);
    while (s.len > 0 && (s.base[s.len - 1] == ' ' || s.base[s.len - 1] == '\t'))
        s.len--;
    return s;
}
