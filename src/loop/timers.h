#pragma once

/* Inside src/loop only: timers as a binary heap, the next one at the top. */

#include "loop/loop.h"

struct timers {
    struct loop_timer **heap;
    uint32_t n;
    uint32_t cap;
};

int timers_put(struct timers *q, struct loop_timer *t);   /* 0 or -ENOMEM; t->at_ns is set */
void timers_move(struct timers *q, struct loop_timer *t); /* after at_ns has changed */
void timers_remove(struct timers *q, struct loop_timer *t);
