#pragma once

/* UTF-8 as foreign bytes. Context: async-signal-safe. */

#include "base/buf.h"

/* The length of the valid sequence at p (1 to 4), or 0 if there is none within `left` bytes. */
size_t utf8_len(const unsigned char *p, size_t left);

/* Whether all of s is UTF-8. */
bool utf8_is_valid(struct slice s);

/* Whether the valid sequence of n bytes at p could mislead a reader of a terminal: control
 * characters, line separators and marks that turn the writing direction. */
bool utf8_is_control(const unsigned char *p, size_t n);

/* Adds s as a JSON string with its quotes. Bytes that are no UTF-8 become U+FFFD; control
 * characters, which a terminal would obey, are escaped. Returns 0, -ENOBUFS or -ENOMEM. */
int utf8_write_json(struct buf *b, struct slice s);
