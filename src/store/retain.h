#pragma once

/* What is kept how long. store/store.h includes this. */

#include "base/slice.h"
#include "model/function.h"

struct store;

struct retention_rule {
    uint64_t age_us;     /* records and log lines older than that go; 0: no limit, as below */
    uint64_t records;    /* so many records, the newest */
    uint64_t log_age_us; /* log lines, if before their records */
    uint64_t log_lines;  /* so many of them */
};

struct retention_override {
    struct slice function;
    struct retention_rule rule; /* holds together with the rule for all, whichever is stricter */
};

struct retention {
    struct retention_rule all;  /* of all functions together */
    struct retention_rule each; /* of a function that has no override */
    const struct retention_override *overrides;
    size_t n_overrides;
    uint64_t bytes;      /* the file's bytes in use; the oldest records and lines go */
    uint64_t minutes_us; /* rollups per minute, */
    uint64_t hours_us;   /* per hour, */
    uint64_t days_us;    /* and per day; 0: for ever */
    uint64_t capture_age_us;
    uint64_t capture_bytes; /* all of them together */
    uint32_t settle_s; /* after the wall clock has jumped by an hour or more nothing goes by age for
                          so long */
};

#define RETENTION_DAY_US 86400000000ull

/* 30 days, a million records, 2 million log lines, 1 GiB; minutes for 7 days, hours for 90, days
 * for ever; captures 7 days and 256 MiB. */
#define RETENTION_DEFAULT                                                                          \
    ((struct retention){                                                                           \
        .all = {30 * RETENTION_DAY_US, 1000000, 0, 2000000},                                       \
        .bytes = 1024 * MIB,                                                                       \
        .minutes_us = 7 * RETENTION_DAY_US,                                                        \
        .hours_us = 90 * RETENTION_DAY_US,                                                         \
        .capture_age_us = 7 * RETENTION_DAY_US,                                                    \
        .capture_bytes = 256 * MIB,                                                                \
        .settle_s = 3600,                                                                          \
    })

struct store_retained {
    uint64_t records, log_lines, captures, rollups, sessions; /* deleted */
    bool clock_waits; /* nothing goes by age at present: the clock has jumped (settle_s) */
};

/* Deletes what is beyond the limits, oldest first, for about budget_ms, and gives bytes back to the
 * disk. Log lines and captures go with their records. Commits, also what was added before. Adds to
 * *ret what was deleted, also on failure. Returns 0, 1 if there is more to do, or as store/store.h
 * says. */
int store_retain(struct store *s, const struct retention *r, uint64_t now_us, unsigned budget_ms,
                 struct store_retained *ret);
