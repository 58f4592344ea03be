#pragma once

/* Names to addresses, without waiting long: the look-ups run beside us (glibc's getaddrinfo_a), and
 * what one has answered is kept, so that a reload does not ask again at once.
 *
 *   IDLE --asked--> ASKING --answer, error--> IDLE
 *
 * Context: control; one thread. A look-up that does not come back is left to glibc. */

#include "base/error.h"
#include "model/egress.h"

#define RESOLVE_NAMES_MAX     1024
#define RESOLVE_ADDRESSES_MAX 64    /* of one name */
#define RESOLVE_WAIT_MS       5000  /* longest wait of a load, for all names together */
#define RESOLVE_FRESH_MS      10000 /* an answer that is younger is not asked for again */
#define RESOLVE_PERIOD_MS     60000 /* how often names are looked up while nothing else happens */

struct resolver;

struct resolver *resolver_new(void); /* NULL without memory */
struct resolver *resolver_free(struct resolver *r);

/* Starts a load: names that are not wanted until the next one are forgotten. Answers that are older
 * than fresh_ms are asked for again. */
void resolver_begin(struct resolver *r, uint64_t fresh_ms);

/* Notes that a name is wanted, and begins to ask if there is no fresh answer. Returns 0, -E2BIG or
 * -ENOMEM. */
int resolver_want(struct resolver *r, struct slice name);

/* Waits for the answers, at most RESOLVE_WAIT_MS for all together, calling idle (may be NULL) in
 * between; a negative result of it ends the wait and is returned. Else 0. */
int resolver_wait(struct resolver *r, int (*idle)(void *ctx), void *ctx);

/* The addresses of a wanted name, sorted, with port 0; valid until the next call that takes a
 * non-const resolver. A name whose last look-up failed keeps the addresses from before. Returns how
 * many; or 0 with *err. */
size_t resolver_get(const struct resolver *r, struct slice name, const struct egress_rule **ret,
                    struct error *err);

/* When resolver_tick() has something to do; UINT64_MAX for never. */
uint64_t resolver_due_ns(const struct resolver *r, uint64_t now_ns);

/* Takes answers, and asks again for what is old. Returns whether addresses have changed, so that it
 * is time for a load. */
bool resolver_tick(struct resolver *r, uint64_t now_ns);
