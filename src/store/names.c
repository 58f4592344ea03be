/* Functions and versions have numbers in the file; the names in use are remembered here, so that
 * adding a record looks nothing up. */

#include "store/store-internal.h"

#include <errno.h>
#include <string.h>

#define SLOTS (NAMES_CACHED_MAX * 2) /* a power of two, at most half full */

struct name {
    char *text; /* NULL: the slot is free */
    size_t len;
    uint64_t parent; /* the function of a version; 0: it is a function */
    uint64_t id;
};

struct tally {
    uint64_t function_id;
    int64_t records, log_lines;
};

struct names {
    struct name slots[SLOTS];
    size_t n;
    struct tally *tallies; /* of the open transaction */
    size_t n_tallies, tallies_max;
};

static_assert((SLOTS & (SLOTS - 1)) == 0, "a power of two");

struct names *names_new(void)
{
    return calloc(1, sizeof(struct names));
}

void names_forget(struct names *n)
{
    for (size_t i = 0; i < SLOTS && n->n > 0; i++) {
        if (n->slots[i].text) {
            free(n->slots[i].text);
            n->slots[i] = (struct name){.text = NULL};
            n->n--;
        }
    }
    n->n_tallies = 0;
}

struct names *names_free(struct names *n)
{
    if (n) {
        names_forget(n);
        free(n->tallies);
        free(n);
    }
    return NULL;
}

/* FNV-1a. */
static size_t hash_of(uint64_t parent, struct slice text)
{
    uint64_t h = 0xcbf29ce484222325ull ^ parent * 0x9e3779b97f4a7c15ull;

    for (size_t i = 0; i < text.len; i++)
        h = (h ^ (uint8_t)text.base[i]) * 0x100000001b3ull;
    return (size_t)(h ^ h >> 32);
}

/* The slot of a name: its own, or the free one where it belongs. */
static struct name *slot_of(struct names *n, uint64_t parent, struct slice text)
{
    size_t at = hash_of(parent, text);

    for (;; at++) {
        struct name *slot = &n->slots[at & (SLOTS - 1)];

        if (!slot->text || (slot->parent == parent && slice_eq(slice(slot->text, slot->len), text)))
            return slot;
    }
}

static void remember(struct names *n, uint64_t parent, struct slice text, uint64_t id)
{
    struct name *slot;
    char *copy;

    if (n->n >= NAMES_CACHED_MAX) {
        size_t n_tallies = n->n_tallies;

        names_forget(n);
        n->n_tallies = n_tallies;
    }
    copy = slice_dup(text);
    if (!copy)
        return; /* it is looked up again then */
    slot = slot_of(n, parent, text);
    *slot = (struct name){.text = copy, .len = text.len, .parent = parent, .id = id};
    n->n++;
}

static int look_up(struct store *s, enum statement id, uint64_t parent, struct slice text,
                   uint64_t *ret)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    int r = store_prepare(s, id, &q);

    if (r < 0)
        return r;
    bind_text(q, 1, text);
    bind_u64(q, 2, parent);
    r = store_step(s, q);
    if (r > 0)
        *ret = column_u64(q, 0);
    return r;
}

static int add(struct store *s, enum statement id, uint64_t parent, struct slice text,
               uint64_t *ret)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    int r = store_prepare(s, id, &q);

    if (r < 0)
        return r;
    bind_text(q, 1, text);
    bind_u64(q, 2, parent);
    r = store_run(s, q);
    if (r >= 0)
        *ret = (uint64_t)sqlite3_last_insert_rowid(s->db);
    return r;
}

static int intern(struct store *s, enum statement get, enum statement put, uint64_t parent,
                  struct slice text, uint64_t *ret)
{
    const struct name *known = slot_of(s->names, parent, text);
    int r;

    if (known->text) {
        *ret = known->id;
        return 0;
    }
    r = look_up(s, get, parent, text, ret);
    if (r == 0)
        r = add(s, put, parent, text, ret);
    if (r >= 0)
        remember(s->names, parent, text, *ret);
    return MIN(r, 0);
}

int names_intern(struct store *s, struct slice function, struct slice version,
                 uint64_t *ret_function_id, uint64_t *ret_version_id)
{
    uint64_t function_id, version_id;
    int r = intern(s, STATEMENT_FUNCTION_GET, STATEMENT_FUNCTION_ADD, 0, function, &function_id);

    r = r < 0 ? r
              : intern(s, STATEMENT_VERSION_GET, STATEMENT_VERSION_ADD, function_id, version,
                       &version_id);
    if (r < 0)
        return r;
    *ret_function_id = function_id;
    *ret_version_id = version_id;
    return 0;
}

int names_find_function(struct store *s, struct slice function, uint64_t *ret_id)
{
    int r = look_up(s, STATEMENT_FUNCTION_GET, 0, function, ret_id);

    return r < 0 ? r : r > 0 ? 0 : -ENOENT;
}

int names_find_version(struct store *s, struct slice version, uint64_t *function_id,
                       uint64_t *ret_id)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    uint64_t id, function;
    int r = store_prepare(s, STATEMENT_VERSION_FIND, &q);

    if (r < 0)
        return r;
    bind_text(q, 1, version);
    bind_u64(q, 2, *function_id);
    r = store_step(s, q);
    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    id = column_u64(q, 0);
    function = column_u64(q, 1);
    r = store_step(s, q);
    if (r == 0) {
        *ret_id = id;
        *function_id = function;
    }
    return r;
}

/* ---- what a transaction adds to each function ---- */

static struct tally *tally_of(struct names *n, uint64_t function_id)
{
    struct tally *more;

    /* From the back: what was counted last comes again most likely. */
    for (size_t i = n->n_tallies; i-- > 0;) {
        if (n->tallies[i].function_id == function_id)
            return &n->tallies[i];
    }
    if (n->n_tallies == n->tallies_max) {
        size_t max = n->tallies_max ? n->tallies_max * 2 : 16;

        more = realloc(n->tallies, max * sizeof(*more));
        if (!more)
            return NULL;
        n->tallies = more;
        n->tallies_max = max;
    }
    more = &n->tallies[n->n_tallies++];
    *more = (struct tally){.function_id = function_id};
    return more;
}

int names_count(struct store *s, uint64_t function_id, int64_t records, int64_t log_lines)
{
    struct tally *tally = tally_of(s->names, function_id);

    if (!tally)
        return store_complain(s, -ENOMEM, "out of memory");
    tally->records += records;
    tally->log_lines += log_lines;
    return 0;
}

int names_write(struct store *s)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    struct names *n = s->names;
    int r = store_prepare(s, STATEMENT_FUNCTION_COUNT, &q);

    for (size_t i = 0; r >= 0 && i < n->n_tallies; i++) {
        bind_u64(q, 1, n->tallies[i].function_id);
        (void)sqlite3_bind_int64(q, 2, n->tallies[i].records);
        (void)sqlite3_bind_int64(q, 3, n->tallies[i].log_lines);
        r = store_run(s, q);
    }
    n->n_tallies = 0;
    return r;
}
