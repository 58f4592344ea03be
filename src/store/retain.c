/* Forgetting. Each limit is a list of victims, oldest first, of which a piece is deleted and
 * committed at a time: a full disk stops a piece, not what was done before it. By number "oldest"
 * means what came first, so that records whose clock was wrong go in their turn. */

#include "store/store-internal.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>

#define PIECE        200u             /* rows of a transaction */
#define PIECE_WEIGHT 2000u            /* rows that go with them included */
#define FUTURE_US    RETENTION_DAY_US /* more than that ahead of the clock is a mistake */
#define JUMP_US      3600000000ull
#define SLACK_PAGES  64u /* that stay free in the file, besides a tenth of it */

struct retain {
    struct store *s;
    const struct retention *r;
    uint64_t now_us;
    uint64_t deadline_ns;
    struct store_retained *ret;
    bool by_age; /* the clock can be believed */
    bool more;
};

enum kind {
    RECORDS,
    LINES,
    CAPTURES,
};

/* What is to be deleted: the statement says which rows, and in what order. */
struct victims {
    enum statement id;
    enum kind kind;
    uint64_t function_id;
    uint64_t cut_us;
    uint64_t n; /* so many, at most */
};

struct victim {
    uint64_t number, function_id;
    uint8_t request_id[REQUEST_ID_SIZE];
};

/* ---- a piece ---- */

/* Fills the list with the first of them, as many as are light enough to go in one transaction. */
static int choose(struct retain *x, const struct victims *v, uint32_t max,
                  struct victim list[static PIECE], size_t *ret_n)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    uint8_t cut[REQUEST_ID_SIZE];
    uint64_t weight = 0;
    size_t n = 0;
    int r = store_prepare(x->s, v->id, &q);

    if (r < 0)
        return r;
    request_id_at(v->cut_us, cut);
    if (v->kind == RECORDS)
        bind_blob(q, 1, slice(cut, sizeof(cut)));
    else
        bind_u64(q, 1, v->cut_us);
    bind_u64(q, 2, max);
    bind_u64(q, 3, v->function_id);
    while (n < max && weight < PIECE_WEIGHT && (r = store_step(x->s, q)) > 0) {
        struct slice id = column_bytes(q, 2);

        list[n].number = column_u64(q, 0);
        list[n].function_id = column_u64(q, 1);
        if (id.len == REQUEST_ID_SIZE)
            memcpy(list[n].request_id, id.base, REQUEST_ID_SIZE);
        else
            memset(list[n].request_id, 0, REQUEST_ID_SIZE);
        weight += 1 + column_u64(q, 3);
        n++;
    }
    if (r >= 0)
        *ret_n = n;
    return MIN(r, 0);
}

static int remove_number(struct retain *x, enum statement id, uint64_t number)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    int r = store_prepare(x->s, id, &q);

    if (r < 0)
        return r;
    bind_u64(q, 1, number);
    return store_run(x->s, q);
}

/* Lines and captures go with their record. */
static int remove_with(struct retain *x, const struct victim *v, struct store_retained *n)
{
    _cleanup_reset_ sqlite3_stmt *lines = NULL;
    _cleanup_reset_ sqlite3_stmt *captures = NULL;
    int r = store_prepare(x->s, STATEMENT_RETAIN_LINES_OF_REQUEST, &lines);

    r = r < 0 ? r : store_prepare(x->s, STATEMENT_RETAIN_CAPTURES_OF_REQUEST, &captures);
    if (r < 0)
        return r;
    bind_blob(lines, 1, slice(v->request_id, REQUEST_ID_SIZE));
    bind_blob(captures, 1, slice(v->request_id, REQUEST_ID_SIZE));
    while ((r = store_step(x->s, lines)) > 0) {
        r = names_count(x->s, column_u64(lines, 0), 0, -1);
        if (r < 0)
            return r;
        n->log_lines++;
    }
    r = r < 0 ? r : store_run(x->s, captures);
    if (r >= 0)
        n->captures += (uint64_t)sqlite3_changes(x->s->db);
    return r;
}

static int remove_one(struct retain *x, enum kind kind, const struct victim *v,
                      struct store_retained *n)
{
    int r;

    switch (kind) {
    case LINES:
        n->log_lines++;
        r = remove_number(x, STATEMENT_RETAIN_LINE, v->number);
        return r < 0 ? r : names_count(x->s, v->function_id, 0, -1);
    case CAPTURES:
        n->captures++;
        return remove_number(x, STATEMENT_RETAIN_CAPTURE, v->number);
    case RECORDS:
        break;
    }
    n->records++;
    r = remove_number(x, STATEMENT_RETAIN_RECORD, v->number);
    r = r < 0 ? r : names_count(x->s, v->function_id, -1, 0);
    return r < 0 ? r : remove_with(x, v, n);
}

/* Returns how many of the victims are gone, or -errno. */
static int try_piece(struct retain *x, const struct victims *v, uint32_t max)
{
    struct victim list[PIECE];
    struct store_retained n = {0};
    size_t count;
    int r = choose(x, v, max, list, &count);

    if (r < 0 || count == 0)
        return r;
    r = store_begin(x->s);
    for (size_t i = 0; r >= 0 && i < count; i++)
        r = remove_one(x, v->kind, &list[i], &n);
    r = store_finish(x->s, r);
    if (r < 0)
        return r;
    x->ret->records += n.records;
    x->ret->log_lines += n.log_lines;
    x->ret->captures += n.captures;
    return (int)count;
}

/* The same on a full disk as well. */
static int piece(struct retain *x, const struct victims *v, uint32_t max)
{
    int r = try_piece(x, v, max);

    if (r == -ENOSPC && x->s->failed == 0 && reserve_give_up(x->s) >= 0)
        r = try_piece(x, v, max);
    return r;
}

static bool time_is_up(struct retain *x)
{
    if (clock_now_ns() < x->deadline_ns)
        return false;
    x->more = true;
    return true;
}

/* Deletes all victims, or those that the budget allows for. */
static int drain(struct retain *x, struct victims v)
{
    while (v.n > 0 && !time_is_up(x)) {
        int r = piece(x, &v, (uint32_t)MIN(v.n, (uint64_t)PIECE));

        if (r <= 0)
            return r;
        v.n -= (uint64_t)r;
    }
    return 0;
}

/* ---- rules ---- */

static int rule_age(struct retain *x, const struct retention_rule *rule, uint64_t function_id)
{
    struct victims records = {
        .id = function_id > 0 ? STATEMENT_RETAIN_RECORDS_OF_OLD : STATEMENT_RETAIN_RECORDS_OLD,
        .function_id = function_id,
        .cut_us = x->now_us - MIN(x->now_us, rule->age_us),
        .n = UINT64_MAX,
    };
    struct victims lines = {
        .id = function_id > 0 ? STATEMENT_RETAIN_LINES_OF_OLD : STATEMENT_RETAIN_LINES_OLD,
        .kind = LINES,
        .function_id = function_id,
        .n = UINT64_MAX,
    };
    uint64_t line_age_us = rule->log_age_us > 0 ? rule->log_age_us : rule->age_us;
    int r = 0;

    if (!x->by_age)
        return 0;
    if (rule->age_us > 0 && line_age_us > rule->age_us)
        line_age_us = rule->age_us;
    lines.cut_us = x->now_us - MIN(x->now_us, line_age_us);
    if (rule->age_us > 0)
        r = drain(x, records);
    if (r >= 0 && line_age_us > 0)
        r = drain(x, lines);
    return r;
}

/* Of one function nothing says what came first; so what is from the future goes before what is old.
 */
static int rule_excess(struct retain *x, uint64_t function_id, bool lines, uint64_t have,
                       uint64_t limit)
{
    struct victims v = {.kind = lines ? LINES : RECORDS, .function_id = function_id};
    int r;

    if (limit == 0 || have <= limit)
        return 0;
    v.n = have - limit;
    if (function_id > 0) {
        struct store_retained before = *x->ret;

        v.id = lines ? STATEMENT_RETAIN_LINES_OF_FUTURE : STATEMENT_RETAIN_RECORDS_OF_FUTURE;
        v.cut_us = x->now_us + FUTURE_US;
        r = drain(x, v);
        if (r < 0)
            return r;
        v.n -= lines ? x->ret->log_lines - before.log_lines : x->ret->records - before.records;
    }
    if (lines)
        v.id = function_id > 0 ? STATEMENT_RETAIN_LINES_OF_FIRST : STATEMENT_RETAIN_LINES_FIRST;
    else
        v.id = function_id > 0 ? STATEMENT_RETAIN_RECORDS_OF_FIRST : STATEMENT_RETAIN_RECORDS_FIRST;
    return drain(x, v);
}

static int rule(struct retain *x, const struct retention_rule *rule, uint64_t function_id,
                uint64_t records, uint64_t lines)
{
    struct store_retained before = *x->ret;
    int r = rule_age(x, rule, function_id);

    records -= MIN(records, x->ret->records - before.records);
    r = r < 0 ? r : rule_excess(x, function_id, false, records, rule->records);
    lines -= MIN(lines, x->ret->log_lines - before.log_lines);
    return r < 0 ? r : rule_excess(x, function_id, true, lines, rule->log_lines);
}

static int rule_for_all(struct retain *x)
{
    uint64_t records = 0, lines = 0;
    int r;

    {
        _cleanup_reset_ sqlite3_stmt *q = NULL;

        r = store_prepare(x->s, STATEMENT_RETAIN_TOTALS, &q);
        r = r < 0 ? r : store_step(x->s, q);
        if (r < 0)
            return r;
        records = column_u64(q, 0);
        lines = column_u64(q, 1);
    }
    return rule(x, &x->r->all, 0, records, lines);
}

static const struct retention_rule *rule_of(const struct retention *r, struct slice function)
{
    for (size_t i = 0; i < r->n_overrides; i++) {
        if (slice_eq(r->overrides[i].function, function))
            return &r->overrides[i].rule;
    }
    return &r->each;
}

/* Goes from one function to the next by its number: none is read while rows are deleted. */
static int rule_for_next(struct retain *x, uint64_t *id)
{
    const struct retention_rule *own;
    uint64_t records, lines;
    int r;

    {
        _cleanup_reset_ sqlite3_stmt *q = NULL;

        r = store_prepare(x->s, STATEMENT_RETAIN_FUNCTION, &q);
        if (r < 0)
            return r;
        bind_u64(q, 1, *id);
        r = store_step(x->s, q);
        if (r <= 0)
            return r;
        *id = column_u64(q, 0);
        own = rule_of(x->r, column_bytes(q, 1));
        records = column_u64(q, 2);
        lines = column_u64(q, 3);
    }
    r = rule(x, own, *id, records, lines);
    return r < 0 ? r : 1;
}

static int rule_for_each(struct retain *x)
{
    const struct retention_rule *each = &x->r->each;
    uint64_t id = 0;
    int r = 1;

    if (x->r->n_overrides == 0 && !each->age_us && !each->records && !each->log_age_us &&
        !each->log_lines)
        return 0;
    while (r > 0 && !time_is_up(x))
        r = rule_for_next(x, &id);
    return MIN(r, 0);
}

/* ---- bytes ---- */

struct pages {
    uint64_t all, free, size;
};

static int count_pages(struct store *s, struct pages *ret)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    int r = store_prepare(s, STATEMENT_RETAIN_PAGES, &q);

    r = r < 0 ? r : store_step(s, q);
    if (r > 0)
        *ret = (struct pages){column_u64(q, 0), column_u64(q, 1), column_u64(q, 2)};
    return MIN(r, 0);
}

/* The oldest record of all goes, and the lines before it, which are of no record that is there. */
static int rule_bytes(struct retain *x)
{
    while (x->r->bytes > 0 && !time_is_up(x)) {
        struct victims records = {.id = STATEMENT_RETAIN_RECORDS_FIRST};
        struct victims lines = {.id = STATEMENT_RETAIN_LINES_BEFORE, .kind = LINES};
        struct pages pages = {0};
        int n, m, r = count_pages(x->s, &pages);

        if (r < 0 || (pages.all - pages.free) * pages.size <= x->r->bytes)
            return r;
        n = piece(x, &records, PIECE);
        if (n < 0)
            return n;
        m = piece(x, &lines, PIECE);
        if (m < 0)
            return m;
        if (n + m == 0)
            return 0; /* what is left has other limits */
    }
    return 0;
}

static int give_back(struct retain *x)
{
    while (!time_is_up(x)) {
        struct pages pages = {0};
        int r = count_pages(x->s, &pages);

        if (r < 0 || pages.free <= pages.all / 10 + SLACK_PAGES)
            return r;
        r = store_begin(x->s);
        if (r < 0)
            return r;
        r = store_finish(x->s, store_exec(x->s, "PRAGMA incremental_vacuum(64)"));
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- rollups ---- */

static int oldest_rollup(struct store *s, uint32_t resolution_s, uint64_t *ret_s)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    int r = store_prepare(s, STATEMENT_RETAIN_ROLLUP_OLDEST, &q);

    if (r < 0)
        return r;
    bind_u64(q, 1, resolution_s);
    r = store_step(s, q);
    if (r > 0)
        *ret_s = sqlite3_column_type(q, 0) == SQLITE_NULL ? UINT64_MAX : column_u64(q, 0);
    return MIN(r, 0);
}

static int remove_rollups(struct retain *x, uint32_t resolution_s, uint64_t cut_s)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    int r = store_prepare(x->s, STATEMENT_RETAIN_ROLLUPS, &q);

    if (r < 0)
        return r;
    bind_u64(q, 1, resolution_s);
    bind_u64(q, 2, cut_s);
    r = store_run(x->s, q);
    if (r >= 0)
        x->ret->rollups += (uint64_t)sqlite3_changes(x->s->db);
    return r;
}

/* Goes by the next coarser steps, so that whole hours are left, or whole days. */
static int rule_rollups(struct retain *x, uint32_t resolution_s, uint32_t step_s, uint64_t age_us,
                        uint64_t *from_us)
{
    uint64_t cut_s = (x->now_us - MIN(x->now_us, age_us)) / US_PER_S;
    uint64_t oldest_s = UINT64_MAX;
    int r = 0;

    if (age_us == 0 || !x->by_age)
        return 0;
    if (resolution_s == 60)
        cut_s = MIN(cut_s, x->s->state.folded_us / US_PER_S); /* or hours would never get them */
    cut_s -= cut_s % step_s;
    while (r >= 0 && !time_is_up(x)) {
        uint64_t to_s;

        r = oldest_rollup(x->s, resolution_s, &oldest_s);
        if (r < 0 || oldest_s >= cut_s)
            return r;
        to_s = MIN(oldest_s - oldest_s % step_s + step_s, cut_s);
        r = store_begin(x->s);
        if (r < 0)
            return r;
        r = remove_rollups(x, resolution_s, to_s);
        if (r >= 0 && from_us)
            *from_us = MAX(*from_us, to_s * US_PER_S);
        r = store_finish(x->s, r);
    }
    return r;
}

/* ---- captures, sessions ---- */

/* A number that a statement gives. */
static int ask(struct store *s, enum statement id, uint64_t bound, uint64_t *ret)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    int r = store_prepare(s, id, &q);

    if (r < 0)
        return r;
    bind_u64(q, 1, bound);
    r = store_step(s, q);
    if (r > 0)
        *ret = column_u64(q, 0);
    return MIN(r, 0);
}

static int rule_captures(struct retain *x)
{
    const struct retention *rule = x->r;
    struct victims old = {
        .id = STATEMENT_RETAIN_CAPTURES_OLD,
        .kind = CAPTURES,
        .cut_us = x->now_us - MIN(x->now_us, rule->capture_age_us),
        .n = UINT64_MAX,
    };
    struct victims first = {.id = STATEMENT_RETAIN_CAPTURES_FIRST, .kind = CAPTURES};
    uint64_t bytes = 0;
    int r = 0;

    if (x->by_age && rule->capture_age_us > 0)
        r = drain(x, old);
    while (r >= 0 && rule->capture_bytes > 0 && !time_is_up(x)) {
        r = ask(x->s, STATEMENT_RETAIN_CAPTURES_BYTES, 0, &bytes);
        if (r < 0 || bytes <= rule->capture_bytes)
            return r;
        r = piece(x, &first, 1);
    }
    return MIN(r, 0);
}

static int rule_sessions(struct retain *x)
{
    _cleanup_reset_ sqlite3_stmt *q = NULL;
    uint64_t n = 0;
    int r = ask(x->s, STATEMENT_RETAIN_SESSIONS_COUNT, x->now_us, &n);

    if (r < 0 || n == 0 || !x->by_age)
        return r;
    r = store_prepare(x->s, STATEMENT_RETAIN_SESSIONS, &q);
    if (r < 0)
        return r;
    bind_u64(q, 1, x->now_us);
    r = store_remove(x->s, q);
    if (r >= 0)
        x->ret->sessions += n;
    return r;
}

/* ---- all of it ---- */

/* A clock that has jumped (a machine that starts without one, a hand that set it) would take
 * everything with it: ages count only after it has gone on steadily for a while. A start long after
 * the last record may be such a jump too. */
static int believe(struct retain *x)
{
    struct store *s = x->s;
    uint64_t now_ns = clock_now_ns();
    uint64_t expected_us = s->retained_wall_us + (now_ns - s->retained_ns) / NS_PER_US;
    int r = 0;

    if (s->retained_ns == 0) {
        struct store_info info = {0};

        r = store_info(s, &info);
        expected_us = info.newest_us > 0 ? info.newest_us + RETENTION_DAY_US : x->now_us;
        if (x->now_us < expected_us)
            expected_us = x->now_us;
    }
    if (r < 0)
        return r;
    if (MAX(x->now_us, expected_us) - MIN(x->now_us, expected_us) >= JUMP_US)
        s->settled_ns = now_ns + x->r->settle_s * NS_PER_S;
    s->retained_wall_us = x->now_us;
    s->retained_ns = now_ns;
    x->by_age = now_ns >= s->settled_ns;
    x->ret->clock_waits = !x->by_age;
    return 0;
}

int store_retain(struct store *s, const struct retention *r, uint64_t now_us, unsigned budget_ms,
                 struct store_retained *ret)
{
    struct retain x = {
        .s = s,
        .r = r,
        .now_us = now_us,
        .deadline_ns = clock_now_ns() + budget_ms * NS_PER_MS,
        .ret = ret,
    };
    int e = believe(&x);

    e = e < 0 ? e : rule_sessions(&x);
    e = e < 0 ? e : rule_captures(&x);
    e = e < 0 ? e : rule_rollups(&x, 60, 3600, r->minutes_us, &s->state.minutes_us);
    e = e < 0 ? e : rule_rollups(&x, 3600, 86400, r->hours_us, &s->state.hours_us);
    e = e < 0 ? e : rule_rollups(&x, 86400, 30 * 86400, r->days_us, NULL);
    e = e < 0 ? e : rule_for_all(&x);
    e = e < 0 ? e : rule_for_each(&x);
    e = e < 0 ? e : rule_bytes(&x);
    e = e < 0 ? e : give_back(&x);
    if (e >= 0)
        reserve_hold(s);
    return e < 0 ? e : x.more;
}
