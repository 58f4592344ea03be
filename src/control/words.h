#pragma once

/* Guessing what a mistyped word was meant to be. */

#include "base/slice.h"

/* The known word that is nearest to `word`, if it is near enough to be meant; else NULL. known[i]
 * is a C string at known + i * stride, so that it may be a member of a table's rows. */
const char *words_nearest(const char *word, const void *known, size_t n_known, size_t stride);
