#include "loop/timers.h"

#include <errno.h>

static void place(struct timers *q, uint32_t i, struct loop_timer *t)
{
    q->heap[i] = t;
    t->index = i;
}

static void sift_up(struct timers *q, uint32_t i)
{
    struct loop_timer *t = q->heap[i];

    while (i > 0 && q->heap[(i - 1) / 2]->at_ns > t->at_ns) {
        place(q, i, q->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(q, i, t);
}

static void sift_down(struct timers *q, uint32_t i)
{
    struct loop_timer *t = q->heap[i];

    for (;;) {
        uint32_t child = i * 2 + 1;

        if (child >= q->n)
            break;
        if (child + 1 < q->n && q->heap[child + 1]->at_ns < q->heap[child]->at_ns)
            child++;
        if (q->heap[child]->at_ns >= t->at_ns)
            break;
        place(q, i, q->heap[child]);
        i = child;
    }
    place(q, i, t);
}

int timers_put(struct timers *q, struct loop_timer *t)
{
    if (q->n == q->cap) {
        uint32_t cap = MAX(q->cap * 2, 64);
        struct loop_timer **heap = realloc(q->heap, cap * sizeof(*heap));

        if (!heap)
            return -ENOMEM;
        q->heap = heap;
        q->cap = cap;
    }
    place(q, q->n++, t);
    sift_up(q, t->index);
    return 0;
}

void timers_move(struct timers *q, struct loop_timer *t)
{
    sift_up(q, t->index);
    sift_down(q, t->index);
}

void timers_remove(struct timers *q, struct loop_timer *t)
{
    struct loop_timer *last = q->heap[--q->n];

    assert(q->heap[t->index] == t || last == t);
    if (last == t)
        return;
    place(q, t->index, last);
    timers_move(q, last);
}
