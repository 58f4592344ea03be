#include "zygote/zygote-internal.h"

#include <errno.h>

_Static_assert((CHILDREN_SIZE & (CHILDREN_SIZE - 1)) == 0, "must be a power of two");

static uint32_t slot_of(pid_t pid)
{
    return ((uint32_t)pid * 2654435761u) & (CHILDREN_SIZE - 1);
}

static uint32_t next_slot(uint32_t i)
{
    return (i + 1) & (CHILDREN_SIZE - 1);
}

int children_add(struct children *c, pid_t pid, uint64_t worker)
{
    uint32_t i = slot_of(pid);

    if (c->n >= CHILDREN_SIZE / 2)
        return -ENOBUFS;
    while (c->table[i].pid != 0)
        i = next_slot(i);
    c->table[i] = (struct child){.pid = pid, .worker = worker};
    c->n++;
    return 0;
}

static int64_t find(const struct children *c, pid_t pid)
{
    for (uint32_t i = slot_of(pid); c->table[i].pid != 0; i = next_slot(i)) {
        if (c->table[i].pid == pid)
            return i;
    }
    return -1;
}

bool children_has(const struct children *c, pid_t pid)
{
    return find(c, pid) >= 0;
}

bool children_remove(struct children *c, pid_t pid, uint64_t *ret_worker)
{
    int64_t found = find(c, pid);
    uint32_t hole, i;

    if (found < 0)
        return false;
    *ret_worker = c->table[found].worker;
    c->n--;
    /* Closes the gap: whoever follows in the same run and could stand in the hole moves there. */
    hole = (uint32_t)found;
    for (i = next_slot(hole); c->table[i].pid != 0; i = next_slot(i)) {
        uint32_t home = slot_of(c->table[i].pid);

        if (((i - home) & (CHILDREN_SIZE - 1)) >= ((i - hole) & (CHILDREN_SIZE - 1))) {
            c->table[hole] = c->table[i];
            hole = i;
        }
    }
    c->table[hole].pid = 0;
    return true;
}
