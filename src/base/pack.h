#pragma once

/* Values as bytes: little-endian integers and length-prefixed strings, as messages between
 * processes and snapshots carry them.
 *
 * Reading never fails half-way: after the first value that does not fit, every further read gives
 * zero or the empty slice, and unpack_end() tells. So a decoder is straight-line code. */

#include "base/buf.h"

int pack_u8(struct buf *b, uint8_t v);
int pack_u32(struct buf *b, uint32_t v);
int pack_u64(struct buf *b, uint64_t v);
int pack_str(struct buf *b, struct slice s); /* u32 length, bytes */

struct unpack {
    const uint8_t *next;
    const uint8_t *end;
    bool bad;
};

static inline void unpack_init(struct unpack *u, struct slice bytes)
{
    u->next = (const uint8_t *)bytes.base;
    u->end = u->next + bytes.len;
    u->bad = false;
}

uint8_t unpack_u8(struct unpack *u);
uint32_t unpack_u32(struct unpack *u);
uint64_t unpack_u64(struct unpack *u);
struct slice unpack_str(struct unpack *u); /* borrowed from the bytes read */

/* A count of items of at least item_bytes_min bytes each: refuses one that the bytes left cannot
 * hold, so that it may be trusted to size an allocation. */
uint32_t unpack_count(struct unpack *u, size_t item_bytes_min);

/* Returns 0, or -EBADMSG if anything was missing or is left over. */
int unpack_end(const struct unpack *u);
