/* glibc looks names up in threads of its own and cannot be told to stop: what it still works at
 * when we are done with it stays allocated for it. */

#include "control/resolve.h"

#include "base/clock.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define POLL_MS 20 /* how often we look whether an answer has come */

struct entry {
    struct entry *next;
    char *name;
    bool wanted;
    bool asking;
    bool known;     /* there has been an answer, if only an error */
    uint64_t at_ns; /* when the last look-up ended, or began */
    int error;      /* of the last look-up: EAI_..., or 0 */
    struct egress_rule *addresses;
    size_t n_addresses;
    struct gaicb request;
    struct addrinfo hints;
};

struct resolver {
    struct entry *entries;
    size_t n_entries;
    uint64_t begun_ns;
    uint64_t fresh_ns;
};

/* Those that glibc still works at. */
static struct entry *abandoned;

struct resolver *resolver_new(void)
{
    return calloc(1, sizeof(struct resolver));
}

static void entry_free(struct entry *e)
{
    if (e->asking && gai_error(&e->request) == EAI_INPROGRESS) {
        e->next = abandoned;
        abandoned = e;
        return;
    }
    if (e->asking && e->request.ar_result)
        freeaddrinfo(e->request.ar_result);
    free(e->addresses);
    free(e->name);
    free(e);
}

struct resolver *resolver_free(struct resolver *r)
{
    while (r && r->entries) {
        struct entry *e = r->entries;

        r->entries = e->next;
        entry_free(e);
    }
    free(r);
    return NULL;
}

static struct entry *entry_find(const struct resolver *r, struct slice name)
{
    for (struct entry *e = r->entries; e; e = e->next) {
        if (slice_eq_nocase(slice_str(e->name), name))
            return e;
    }
    return NULL;
}

/* ---- asking ---- */

static void ask(struct entry *e, uint64_t now_ns)
{
    struct gaicb *list[] = {&e->request};
    int error;

    e->hints = (struct addrinfo){.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    e->request = (struct gaicb){.ar_name = e->name, .ar_request = &e->hints};
    e->at_ns = now_ns;
    error = getaddrinfo_a(GAI_NOWAIT, list, 1, NULL);
    e->asking = error == 0;
    if (error != 0) {
        e->error = error;
        e->known = true;
    }
}

static int rule_cmp(const void *a, const void *b)
{
    const struct egress_rule *x = a, *y = b;

    return x->v6 != y->v6 ? x->v6 - y->v6 : memcmp(x->address, y->address, sizeof(x->address));
}

static bool rule_from(const struct sockaddr *address, struct egress_rule *ret)
{
    *ret = (struct egress_rule){.prefix = 32};
    if (address->sa_family == AF_INET) {
        memcpy(ret->address, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
        return true;
    }
    if (address->sa_family != AF_INET6)
        return false;
    memcpy(ret->address, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
    ret->v6 = true;
    ret->prefix = 128;
    return true;
}

/* Sorted and each once, because resolvers like to change the order. Returns whether they differ
 * from those that were there. Without memory they stay as they are. */
static bool addresses_take(struct entry *e, const struct addrinfo *found)
{
    struct egress_rule *list = calloc(RESOLVE_ADDRESSES_MAX, sizeof(*list));
    size_t n = 0, kept = 0;
    bool same;

    if (!list)
        return false;
    for (; found && n < RESOLVE_ADDRESSES_MAX; found = found->ai_next)
        n += found->ai_addr && rule_from(found->ai_addr, &list[n]);
    qsort(list, n, sizeof(*list), rule_cmp);
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || rule_cmp(&list[kept - 1], &list[i]) != 0)
            list[kept++] = list[i];
    }
    same = kept == e->n_addresses;
    for (size_t i = 0; i < kept && same; i++)
        same = rule_cmp(&list[i], &e->addresses[i]) == 0;
    free(e->addresses);
    e->addresses = list;
    e->n_addresses = kept;
    return !same;
}

/* Takes an answer if there is one. Returns whether it makes a difference. */
static bool answer_take(struct entry *e, uint64_t now_ns)
{
    int error = e->asking ? gai_error(&e->request) : EAI_INPROGRESS;
    bool first = !e->known, changed = false;

    if (error == EAI_INPROGRESS)
        return false;
    e->asking = false;
    e->known = true;
    e->error = error;
    e->at_ns = now_ns;
    if (error == 0)
        changed = addresses_take(e, e->request.ar_result);
    if (e->request.ar_result)
        freeaddrinfo(e->request.ar_result);
    e->request.ar_result = NULL;
    return changed || first;
}

/* ---- a load ---- */

void resolver_begin(struct resolver *r, uint64_t fresh_ms)
{
    struct entry **next = &r->entries;

    r->begun_ns = clock_now_ns();
    r->fresh_ns = fresh_ms * NS_PER_MS;
    while (*next) {
        struct entry *e = *next;

        if (e->wanted) {
            e->wanted = false;
            next = &e->next;
            continue;
        }
        *next = e->next;
        entry_free(e);
        r->n_entries--;
    }
}

int resolver_want(struct resolver *r, struct slice name)
{
    struct entry *e = entry_find(r, name);

    if (!e) {
        if (r->n_entries >= RESOLVE_NAMES_MAX)
            return -E2BIG;
        e = calloc(1, sizeof(*e));
        if (e)
            e->name = slice_dup(name);
        if (!e || !e->name) {
            free(e);
            return -ENOMEM;
        }
        e->next = r->entries;
        r->entries = e;
        r->n_entries++;
    }
    e->wanted = true;
    if (!e->asking && (!e->known || (e->error != 0 && e->n_addresses == 0) ||
                       r->begun_ns - e->at_ns >= r->fresh_ns))
        ask(e, r->begun_ns);
    return 0;
}

/* One of those that are waited for, or NULL. */
static struct entry *entry_asking(struct resolver *r)
{
    for (struct entry *e = r->entries; e; e = e->next) {
        (void)answer_take(e, clock_now_ns());
        if (e->wanted && e->asking)
            return e;
    }
    return NULL;
}

int resolver_wait(struct resolver *r, int (*idle)(void *ctx), void *ctx)
{
    uint64_t end_ns = clock_now_ns() + RESOLVE_WAIT_MS * NS_PER_MS;
    struct entry *e;

    while ((e = entry_asking(r)) && clock_now_ns() < end_ns) {
        const struct gaicb *const list[] = {&e->request};
        const struct timespec pause = {.tv_nsec = POLL_MS * NS_PER_MS};
        int result = idle ? idle(ctx) : 0;

        if (result < 0)
            return result;
        (void)gai_suspend(list, 1, &pause);
    }
    return 0;
}

size_t resolver_get(const struct resolver *r, struct slice name, const struct egress_rule **ret,
                    struct error *err)
{
    const struct entry *e = entry_find(r, name);

    assert(e);
    if (e->n_addresses == 0) {
        const char *why = !e->known       ? "no answer within 5 s"
                          : e->error == 0 ? "it has no address"
                                          : gai_strerror(e->error);

        (void)error_set(err, -ENOENT, "%s", why);
        return 0;
    }
    *ret = e->addresses;
    return e->n_addresses;
}

/* ---- between loads ---- */

uint64_t resolver_due_ns(const struct resolver *r, uint64_t now_ns)
{
    uint64_t due_ns = UINT64_MAX;

    for (const struct entry *e = r->entries; e; e = e->next) {
        uint64_t at_ns = e->asking ? now_ns + POLL_MS * 10 * NS_PER_MS
                                   : e->at_ns + RESOLVE_PERIOD_MS * NS_PER_MS;

        due_ns = MIN(due_ns, e->wanted ? at_ns : UINT64_MAX);
    }
    return due_ns;
}

bool resolver_tick(struct resolver *r, uint64_t now_ns)
{
    bool changed = false;

    for (struct entry *e = r->entries; e; e = e->next) {
        if (!e->wanted)
            continue;
        changed = answer_take(e, now_ns) || changed;
        if (!e->asking && now_ns >= e->at_ns + RESOLVE_PERIOD_MS * NS_PER_MS)
            ask(e, now_ns);
    }
    return changed;
}
