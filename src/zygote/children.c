#include "zygote/zygote-internal.h"

#include <errno.h>

_Static_assert((CHILDREN_SIZE & (CHILDREN_SIZE - 1)) == 0, "must be a power of two");

static uint32_t place_of(pid_t pid)
{
    return ((uint32_t)pid * 2654435761u) & (CHILDREN_SIZE - 1);
}

static uint32_t next_place(uint32_t i)
{
    return (i + 1) & (CHILDREN_SIZE - 1);
}

uint32_t children_next_slot(const struct children *c)
{
    for (uint32_t i = 0; i < ARRAY_SIZE(c->slots); i++) {
        if (c->slots[i] != UINT64_MAX)
            return i * 64 + (uint32_t)__builtin_ctzll(~c->slots[i]);
    }
    return CHILDREN_MAX - 1;
}

int children_add(struct children *c, pid_t pid, uint64_t worker, uint32_t slot)
{
    uint32_t i = place_of(pid);

    if (c->n >= CHILDREN_MAX)
        return -ENOBUFS;
    c->slots[slot / 64] |= 1ULL << (slot % 64);
    while (c->table[i].pid != 0)
        i = next_place(i);
    c->table[i] = (struct child){.pid = pid, .slot = slot, .worker = worker};
    c->n++;
    return 0;
}

static int64_t find(const struct children *c, pid_t pid)
{
    for (uint32_t i = place_of(pid); c->table[i].pid != 0; i = next_place(i)) {
        if (c->table[i].pid == pid)
            return i;
    }
    return -1;
}

const struct child *children_get(const struct children *c, pid_t pid)
{
    int64_t found = find(c, pid);

    return found < 0 ? NULL : &c->table[found];
}

bool children_has(const struct children *c, pid_t pid)
{
    return find(c, pid) >= 0;
}

bool children_remove(struct children *c, pid_t pid, uint64_t *ret_worker)
{
    int64_t found = find(c, pid);
    uint32_t hole, i, slot;

    if (found < 0)
        return false;
    slot = c->table[found].slot;
    c->slots[slot / 64] &= ~(1ULL << (slot % 64));
    *ret_worker = c->table[found].worker;
    c->n--;
    /* Closes the gap: whoever follows in the same run and could stand in the hole moves there. */
    hole = (uint32_t)found;
    for (i = next_place(hole); c->table[i].pid != 0; i = next_place(i)) {
        uint32_t home = place_of(c->table[i].pid);

        if (((i - home) & (CHILDREN_SIZE - 1)) >= ((i - hole) & (CHILDREN_SIZE - 1))) {
            c->table[hole] = c->table[i];
            hole = i;
        }
    }
    c->table[hole].pid = 0;
    return true;
}
