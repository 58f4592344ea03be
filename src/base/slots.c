#include "base/slots.h"

#include <errno.h>

struct slot {
    void *object; /* NULL when free */
    uint32_t generation;
    uint32_t next_free; /* index + 1 */
};

void slots_init(struct slots *s, uint32_t max)
{
    *s = (struct slots){.max = max};
}

void slots_deinit(struct slots *s)
{
    free(s->slots);
    *s = (struct slots){.max = s->max};
}

static int slots_grow(struct slots *s)
{
    uint32_t n = MIN(MAX(s->n_slots * 2, 16), s->max);
    struct slot *slots;

    if (n <= s->n_slots)
        return -ENOBUFS;
    slots = realloc(s->slots, n * sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    s->slots = slots;
    for (uint32_t i = n; i > s->n_slots; i--) {
        slots[i - 1] = (struct slot){.next_free = s->free_head};
        s->free_head = i;
    }
    s->n_slots = n;
    return 0;
}

int slots_add(struct slots *s, void *object, uint64_t *ret_id)
{
    struct slot *slot;
    uint32_t index;
    int r;

    assert(object);
    if (s->free_head == 0) {
        r = slots_grow(s);
        if (r < 0)
            return r;
    }
    index = s->free_head - 1;
    slot = &s->slots[index];
    s->free_head = slot->next_free;
    slot->object = object;
    slot->generation++;
    if (slot->generation == 0)
        slot->generation = 1;
    s->n_used++;
    *ret_id = (uint64_t)slot->generation << 32 | index;
    return 0;
}

static struct slot *slots_find(const struct slots *s, uint64_t id)
{
    uint32_t index = (uint32_t)id;

    if (index >= s->n_slots || !s->slots[index].object ||
        s->slots[index].generation != (uint32_t)(id >> 32))
        return NULL;
    return &s->slots[index];
}

void *slots_get(const struct slots *s, uint64_t id)
{
    struct slot *slot = slots_find(s, id);

    return slot ? slot->object : NULL;
}

void slots_remove(struct slots *s, uint64_t id)
{
    struct slot *slot = slots_find(s, id);

    if (!slot)
        return;
    slot->object = NULL;
    slot->next_free = s->free_head;
    s->free_head = (uint32_t)id + 1;
    s->n_used--;
}
