#pragma once

/* What goes on now: the last seconds' requests, counted in memory as their records come, and what
 * the gateway tells of its processes for as long as somebody looks. */

#include "base/clock.h"
#include "control/machine.h"
#include "model/histogram.h"
#include "model/record.h"
#include "json/text.h"
#include "json/writer.h"

#define LIVE_WINDOW_S      10
#define LIVE_HALF_S        (LIVE_WINDOW_S / 2)
#define LIVE_FUNCTIONS_MAX 1024 /* that are counted each for itself; all are in the sum */

struct snapshot;

struct live_slot {
    uint64_t second;
    uint64_t count, errors, cold, cpu_us, own_bytes;
};

struct live_window {
    char name[65]; /* empty: the sum */
    uint64_t last_s;
    struct live_slot slots[LIVE_WINDOW_S + 1]; /* of the second modulo their number */
    uint64_t half;                             /* the period that young is of */
    struct histogram young, old;               /* durations of this period and of the one before */
};

struct live {
    struct live_window all;
    struct live_window **windows; /* by name */
    uint32_t n_windows;
    uint64_t swept_s;
    json_t *gateway; /* what it has told last, or NULL */
    uint64_t told_ns;
    struct machine machine;
    uint64_t machine_ns;
};

void live_deinit(struct live *l);

void live_record(struct live *l, const struct record *r, uint64_t now_ns);

/* Takes what the gateway tells. Returns 0 or -EINVAL. */
int live_take(struct live *l, struct slice json, uint64_t now_ns);
void live_forget_gateway(struct live *l); /* it is gone, and its processes may be */
bool live_is_fresh(const struct live *l, uint64_t now_ns);

/* The data of an event, an object. s (or NULL) says which functions there are, if no gateway does.
 */
void live_write(struct live *l, const struct snapshot *s, struct jsonw *w);
void live_write_workers(struct live *l, struct jsonw *w);
