#include "control/words.h"

#define WORD_MAX 64

/* How many letters must be changed, added, left out or exchanged with a neighbour. */
static unsigned distance(const char *a, size_t n, const char *b, size_t m)
{
    unsigned rows[3][WORD_MAX + 1];
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];

    for (size_t k = 0; k <= m; k++)
        last[k] = (unsigned)k;
    for (size_t i = 1; i <= n; i++) {
        unsigned *oldest = before;

        row[0] = (unsigned)i;
        for (size_t k = 1; k <= m; k++) {
            unsigned best = last[k - 1] + (a[i - 1] != b[k - 1]);

            best = MIN(best, MIN(last[k], row[k - 1]) + 1);
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
                best = MIN(best, before[k - 2] + 1);
            row[k] = best;
        }
        before = last;
        last = row;
        row = oldest;
    }
    return last[m];
}

const char *words_nearest(const char *word, const void *known, size_t n_known, size_t stride)
{
    size_t n = strlen(word);
    unsigned best = (unsigned)MAX(n / 3, 1) + 1;
    const char *nearest = NULL;

    for (size_t i = 0; i < n_known && n <= WORD_MAX; i++) {
        const char *candidate = *(const char *const *)((const char *)known + i * stride);
        size_t m = strlen(candidate);
        unsigned d;

        if (m > WORD_MAX)
            continue;
        d = distance(word, n, candidate, m);
        if (d < best) {
            best = d;
            nearest = candidate;
        }
    }
    return nearest;
}
