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
