#pragma once

/* What somebody charges for what ran: a price file, and bills by it. */

#include "base/error.h"
#include "base/slice.h"

#define PRICE_FILE_MAX (64 * 1024)

struct price {
    char currency[16]; /* "EUR"; empty if the file names none */
    double per_request;
    double per_gb_second;  /* of memory times run time */
    double per_cpu_second; /* user and system */
};

/* What was used. */
struct price_use {
    uint64_t requests;
    uint64_t gb_us;
    uint64_t cpu_us;
};

/* In billionths of the currency, each rounded by itself: so the rows of a table add up to its
 * total. */
struct price_sum {
    int64_t requests, memory, cpu, total;
};

/* Reads {"currency": "EUR", "per_request": 2e-7, "per_gb_second": 1.7e-5, "per_cpu_second": 0}.
 * Prices that are missing are 0, but one must be there. `name` is what errors call the text.
 * Returns 0, or -EINVAL with *err: "prices.json:3: what is wrong; the mend". */
int price_parse(struct slice text, const char *name, struct price *ret, struct error *err);

/* The same for a file. Returns also -ENOENT and the like. */
int price_load(const char *path, struct price *ret, struct error *err);

/* What that costs; as far as 64 bits reach. */
struct price_sum price_of(const struct price *price, const struct price_use *use);
void price_add(struct price_sum *sum, const struct price_sum *more);
