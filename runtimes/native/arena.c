#include "native.h"

#include <stdio.h>

#define BLOCK_BYTES 8192

struct arena_block {
    struct arena_block *next;
    max_align_t bytes[];
};

void arena_init(struct arena *a)
{
    a->blocks = NULL;
    a->next = a->first;
    a->left = sizeof(a->first);
}

void arena_clear(struct arena *a)
{
    while (a->blocks) {
        struct arena_block *next = a->blocks->next;

        free(a->blocks);
        a->blocks = next;
    }
    arena_init(a);
}

static void *take(struct arena *a, size_t size)
{
    char *p = a->next;

    a->next += size;
    a->left -= size;
    return p;
}

void *arena_alloc(struct arena *a, size_t n, size_t size)
{
    struct arena_block *block;
    size_t bytes;

    if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX - BLOCK_BYTES)
        abort();
    bytes = (bytes + sizeof(void *) - 1) & ~(sizeof(void *) - 1);
    if (bytes <= a->left)
        return take(a, bytes);
    block = malloc(sizeof(*block) + MAX(bytes, (size_t)BLOCK_BYTES));
    if (!block) {
        fputs("mayfly: out of memory\n", stderr);
        abort();
    }
    block->next = a->blocks;
    a->blocks = block;
    if (bytes > BLOCK_BYTES / 2)
        return block->bytes; /* a block of its own; what is left of the last one stays in use */
    a->next = (char *)block->bytes;
    a->left = BLOCK_BYTES;
    return take(a, bytes);
}

char *arena_copy(struct arena *a, struct slice s)
{
    char *copy = arena_alloc(a, s.len + 1, 1);

    if (s.len > 0)
        memcpy(copy, s.base, s.len);
    copy[s.len] = '\0';
    return copy;
}
