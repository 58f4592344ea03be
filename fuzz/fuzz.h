#pragma once

/* What every target shares. A target is a file fuzz-<name>.c with LLVMFuzzerTestOneInput(), a
 * folder corpus/<name>/ and a row in meson.build. It must do the same for the same bytes, keep no
 * state between two inputs, and abort on a broken property. */

#include "base/slice.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(property)                                                                       \
    do {                                                                                           \
        if (!(property)) {                                                                         \
            (void)fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #property);           \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Choices that a target makes (where to cut, which limit) come from the bytes, but take none of
 * them away: so the corpus is made of plain messages that people can read. FNV-1a, then xorshift.
 */
static inline uint64_t fuzz_seed(struct slice bytes)
{
    uint64_t h = 0xcbf29ce484222325ULL;

    for (size_t i = 0; i < bytes.len; i++)
        h = (h ^ (uint8_t)bytes.base[i]) * 0x100000001b3ULL;
    return h | 1;
}

static inline uint64_t fuzz_next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}
