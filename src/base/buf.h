#pragma once

/* A growing run of bytes with a ceiling it is born with: written at the end, consumed at the
 * front. A zeroed buf with a max is valid; it allocates on first use.
 *
 * Context: not async-signal-safe (allocates). */

#include "base/def.h"
#include "base/slice.h"

struct buf {
    char *data;
    size_t start; /* first byte not yet consumed */
    size_t end;   /* behind the last byte */
    size_t cap;
    size_t max; /* ceiling on the bytes held at once */
};

#define BUF_INIT(max_bytes) ((struct buf){.max = (max_bytes)})

static inline void buf_init(struct buf *b, size_t max)
{
    *b = BUF_INIT(max);
}

/* Frees the memory; the buf may be used again. */
void buf_deinit(struct buf *b);

static inline size_t buf_len(const struct buf *b)
{
    return b->end - b->start;
}

/* The bytes not yet consumed; valid until the next call that takes a non-const buf. */
static inline struct slice buf_slice(const struct buf *b)
{
    return slice(b->data ? b->data + b->start : NULL, buf_len(b));
}

/* How many bytes fit below the ceiling. */
static inline size_t buf_room(const struct buf *b)
{
    return b->max - buf_len(b);
}

/* Makes room for n more bytes. Returns 0, -ENOBUFS over the ceiling, or -ENOMEM. */
int buf_reserve(struct buf *b, size_t n);

/* After buf_reserve(): where up to n bytes may be written, then made part by buf_commit(). */
static inline char *buf_tail(struct buf *b)
{
    return b->data + b->end;
}

static inline void buf_commit(struct buf *b, size_t n)
{
    assert(n <= b->cap - b->end);
    b->end += n;
}

/* Forgets n bytes at the front. */
void buf_consume(struct buf *b, size_t n);

/* Forgets all bytes and keeps the memory. */
static inline void buf_clear(struct buf *b)
{
    b->start = b->end = 0;
}

/* These add at the end. Return 0, -ENOBUFS or -ENOMEM; on failure nothing was added. */
int buf_append(struct buf *b, const void *data, size_t len);
int buf_append_slice(struct buf *b, struct slice s);
int buf_append_str(struct buf *b, const char *s);
int buf_printf(struct buf *b, const char *format, ...) _printf_(2, 3);

/* Adds a NUL behind the end without counting it. Returns the text, or NULL without room. */
const char *buf_cstr(struct buf *b);
