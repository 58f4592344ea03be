/* How long the store takes: fills a file with records, says what each cost, and times the queries
 * of the dashboard and the command line, those included that look at everything and find nothing.
 *
 *     ninja -C build bench/bench-store && build/bench/bench-store FOLDER [RECORDS [BATCH [FORGET]]]
 */

#include "store/store.h"
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define FUNCTIONS     20
#define T0            4102444800000000ull /* 2100: minutes that are not over, as in the life of a store */
#define APART_US      300000ull /* a request each 0.3 s on average: a million in 3.5 days; */
#define COMMIT_US     200000ull /* those of a commit at once */
#define REPEATS       5
#define LINES_PER_100 40

static struct store *store;
static uint64_t batch = 1000; /* records of a commit */

static _noreturn_ void die(const char *doing, const char *why)
{
    (void)fprintf(stderr, "bench-store: %s: %s\n", doing, why);
    exit(1);
}

static void check(int r, const char *doing)
{
    if (r < 0)
        die(doing, store_error(store));
}

static double us_of(struct timeval t)
{
    return (double)t.tv_sec * 1e6 + (double)t.tv_usec;
}

static void print_cost(const char *what, uint64_t n, const struct rusage *from, uint64_t ns,
                       uint64_t slowest_ns)
{
    struct rusage to;
    double user, system;

    (void)getrusage(RUSAGE_SELF, &to);
    user = us_of(to.ru_utime) - us_of(from->ru_utime);
    system = us_of(to.ru_stime) - us_of(from->ru_stime);
    (void)printf("%s: %llu, each %.2f us of CPU (%.2f user, %.2f system), %.2f us of time; "
                 "the longest call took %.1f ms\n",
                 what, (unsigned long long)n, (user + system) / (double)n, user / (double)n,
                 system / (double)n, (double)ns / 1e3 / (double)n, (double)slowest_ns / 1e6);
}

/* The same numbers each time. */
static uint64_t random_next(void)
{
    static uint64_t x = 88172645463325252ull;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x;
}

static struct slice id_of(uint64_t time_us, char dst[static REQUEST_ID_LEN + 1])
{
    uint64_t ms = time_us / 1000;

    (void)snprintf(dst, REQUEST_ID_LEN + 1, "%08x-%04x-7%03x-8000-%012llx", (unsigned)(ms >> 16),
                   (unsigned)(ms & 0xffff), (unsigned)(random_next() & 0xfff),
                   (unsigned long long)(random_next() & 0xffffffffffffull));
    return slice(dst, REQUEST_ID_LEN);
}

/* Half of all requests are of the first function; the last but one never fails, the last failed
 * once. */
static void record_make(uint64_t i, char names[static 64], struct record *ret)
{
    static char id[REQUEST_ID_LEN + 1];
    uint64_t x = random_next();
    unsigned function = x % 2 ? 0 : (unsigned)(x / 2 % FUNCTIONS);
    uint64_t run_us = 500 + (x >> 20) % 3000 + ((x >> 40) % 100 == 0 ? 100000 : 0);

    (void)snprintf(names, 64, "function-%02u", function);
    *ret = (struct record){
        .function = slice_str(names),
        .version = SLICE_LIT("3f1c2a9b7d4e"),
        .method = SLICE_LIT("GET"),
        .path = SLICE_LIT("/api/orders/12345/items"),
        .trace_id = SLICE_LIT("0af7651916cd43dd8448eb211c80319c"),
        .span_id = SLICE_LIT("b7ad6b7169203331"),
        .start_us = T0 + (i - i % batch) * APART_US + i % batch * (COMMIT_US / batch),
        .status = 200,
        .pid = 1000 + i % 30000,
        .outcome = (x >> 50) % 200 == 0 && function < FUNCTIONS - 2 ? OUTCOME_ERROR : OUTCOME_OK,
        .cold = (x >> 30) % 5000 == 0,
        .wait_ns = 20000 + x % 100000,
        .run_ns = run_us * 1000,
        .total_ns = run_us * 1000 + 150000,
        .user_us = run_us / 2,
        .system_us = run_us / 4,
        .memory_peak_bytes = 20 * MIB + x % MIB,
        .memory_own_bytes = MIB,
        .memory_limit_bytes = 128 * MIB,
        .minor_faults = 120,
        .voluntary_switches = 2,
        .bytes_in = 100,
        .bytes_out = 2000,
    };
    ret->request_id = id_of(ret->start_us, id);
    if (ret->outcome != OUTCOME_OK)
        ret->error = SLICE_LIT("ValueError: no such item");
}

static void add_line(const struct record *r)
{
    struct log_line l = {
        .time_us = r->start_us + 100,
        .stream = LOG_STDOUT,
        .request_id = r->request_id,
        .function = r->function,
        .version = r->version,
        .text = SLICE_LIT("{\"level\": \"info\", \"message\": \"order looked up\", \"items\": 12, "
                          "\"customer\": \"c-1029384756\"}"),
    };

    check(store_add_log(store, &l), "adding a line");
}

static void fill(uint64_t n, bool lines)
{
    uint64_t began_ns = clock_now_ns(), slowest_ns = 0;
    struct rusage from;
    char name[64];
    struct record r;

    (void)getrusage(RUSAGE_SELF, &from);
    for (uint64_t i = 0; i < n; i++) {
        record_make(i, name, &r);
        if (lines) {
            add_line(&r);
        } else {
            check(store_add_record(store, &r), "adding a record");
        }
        if (i % batch == batch - 1 || i == n - 1) {
            uint64_t t = clock_now_ns();

            check(store_commit(store), "committing");
            slowest_ns = MAX(slowest_ns, clock_now_ns() - t);
        }
    }
    if (n > 0)
        print_cost(lines ? "log lines" : "records", n, &from, clock_now_ns() - began_ns,
                   slowest_ns);
}

/* ---- queries ---- */

static size_t rows;

static int count_record(void *ctx, uint64_t number, const struct record *r)
{
    rows++;
    return 0;
}

static int count_line(void *ctx, uint64_t number, const struct log_line *l)
{
    rows++;
    return 0;
}

static int ask_records(const struct store_query *q, char *cursor)
{
    return store_records(store, q, count_record, NULL, cursor);
}

static int ask_lines(const struct store_query *q, char *cursor)
{
    return store_logs(store, q, count_line, NULL, cursor);
}

static void time_query(const char *what, struct store_query q,
                       int (*ask)(const struct store_query *q, char *cursor))
{
    char cursor[STORE_CURSOR_MAX] = "";
    double first = 0, worst = 0, sum = 0;

    for (int i = 0; i < REPEATS; i++) {
        uint64_t t = clock_now_ns();
        double ms;

        rows = 0;
        check(ask(&q, cursor), what);
        ms = (double)(clock_now_ns() - t) / 1e6;
        first = i == 0 ? ms : first;
        worst = MAX(worst, ms);
        sum += ms;
    }
    (void)printf("%-44s %8.2f %8.2f %8.2f ms %6zu rows%s\n", what, first, sum / REPEATS, worst,
                 rows, *cursor ? ", more" : "");
}

/* ---- sums ---- */

static uint64_t span_us;

static int count_point(void *ctx, const struct rollup *r)
{
    rows++;
    return 0;
}

static int count_usage(void *ctx, const struct store_usage *u)
{
    rows++;
    return 0;
}

/* Of a query only function, span and limit count here: the limit is the step. */
static int ask_series(const struct store_query *q, char *cursor)
{
    return store_series(store, q->function, q->since_us, q->until_us, q->limit, count_point, NULL);
}

static int ask_usage(const struct store_query *q, char *cursor)
{
    uint64_t since_us, until_us;

    return store_usage(store, (enum store_usage_by)q->limit, q->function, q->since_us, q->until_us,
                       count_usage, NULL, &since_us, &until_us);
}

static int ask_info(const struct store_query *q, char *cursor)
{
    struct store_info info;

    rows = 1;
    return store_info(store, &info);
}

static void time_queries(uint64_t n)
{
    const struct store_query any = STORE_QUERY_ANY;
    struct store_query q;

#define ASK(what, ask, ...)                                                                        \
    do {                                                                                           \
        q = any;                                                                                   \
        __VA_ARGS__;                                                                               \
        time_query(what, q, ask);                                                                  \
    } while (0)
    (void)printf("%-44s %8s %8s %8s\n", "query", "first", "mean", "worst");
    ASK("newest", ask_records, q.limit = 100);
    ASK("newest 1000", ask_records, q.limit = 1000);
    ASK("one function, newest", ask_records, q.function = SLICE_LIT("function-07"));
    ASK("failed, newest", ask_records, q.failed = true);
    ASK("failed, of one that failed never", ask_records, q.failed = true,
        q.function = SLICE_LIT("function-19"));
    ASK("timeouts: none", ask_records, q.outcome = OUTCOME_TIMEOUT);
    ASK("scheduled: none", ask_records, q.trigger = TRIGGER_SCHEDULE);
    ASK("scheduled, of the big function: none", ask_records, q.trigger = TRIGGER_SCHEDULE,
        q.function = SLICE_LIT("function-00"));
    ASK("over 10 s: none", ask_records, q.min_us = 10000000);
    ASK("over 10 s, ok, http: none", ask_records, q.min_us = 10000000, q.outcome = OUTCOME_OK,
        q.trigger = TRIGGER_HTTP);
    ASK("version: none", ask_records, q.version = SLICE_LIT("000000000000"));
    ASK("version: all", ask_records, q.version = SLICE_LIT("3f1c2a9b7d4e"));
    ASK("version, over 10 s: none", ask_records, q.version = SLICE_LIT("3f1c2a9b7d4e"),
        q.min_us = 10000000);
    ASK("slowest of all", ask_records, q.order = STORE_BY_DURATION);
    ASK("slowest 1000 of all", ask_records, q.order = STORE_BY_DURATION, q.limit = 1000);
    ASK("slowest of the big function", ask_records, q.order = STORE_BY_DURATION,
        q.function = SLICE_LIT("function-00"));
    ASK("slowest of an hour", ask_records, q.order = STORE_BY_DURATION,
        q.since_us = T0 + n * APART_US / 2, q.until_us = q.since_us + 3600000000ull);
    ASK("an hour in the middle", ask_records, q.since_us = T0 + n * APART_US / 2,
        q.until_us = q.since_us + 3600000000ull);
    ASK("by id: none", ask_records,
        q.request_id = SLICE_LIT("03bb2222-0000-7000-8000-000000000000"));
    ASK("text in the path or error: none", ask_records, q.text = SLICE_LIT("no such text"));
    ASK("after the last but 1000", ask_records, q.order = STORE_BY_NUMBER, q.limit = 1000,
        q.after = store_last_record(store) - 1000);
    ASK("lines, newest", ask_lines, q.limit = 100);
    ASK("lines of one function", ask_lines, q.function = SLICE_LIT("function-07"));
    ASK("lines with a text: none", ask_lines, q.text = SLICE_LIT("no such text"));
    ASK("lines of stderr: none", ask_lines, q.stream = LOG_STDERR);
    span_us = n * APART_US;
    ASK("series of a function, by minute", ask_series, q.function = SLICE_LIT("function-07"),
        q.since_us = T0, q.until_us = T0 + span_us, q.limit = 60);
    ASK("series of all, by minute", ask_series, q.since_us = T0, q.until_us = T0 + span_us,
        q.limit = 60);
    ASK("series of all, by hour", ask_series, q.since_us = T0, q.until_us = T0 + span_us,
        q.limit = 3600);
    ASK("usage by function", ask_usage, q.since_us = T0 + 1, q.until_us = T0 + span_us - 1,
        q.limit = STORE_USAGE_FUNCTION);
    ASK("usage by day", ask_usage, q.since_us = T0 + 1, q.until_us = T0 + span_us - 1,
        q.limit = STORE_USAGE_DAY);
    ASK("info", ask_info, q.limit = 1);
#undef ASK
}

/* Deletes the oldest `rows_n` with their lines, in pieces of 20 ms. */
static void time_retention(uint64_t n, uint64_t rows_n)
{
    struct retention keep = {.all = {.records = n - MIN(n, rows_n)}};
    struct store_retained gone = {0};
    uint64_t began_ns = clock_now_ns(), longest_ns = 0;
    struct rusage from;
    int r;

    (void)getrusage(RUSAGE_SELF, &from);
    do {
        uint64_t t = clock_now_ns();

        r = store_retain(store, &keep, T0, 20, &gone);
        check(r, "forgetting");
        longest_ns = MAX(longest_ns, clock_now_ns() - t);
    } while (r == 1);
    if (gone.records > 0)
        print_cost("forgotten", gone.records + gone.log_lines, &from, clock_now_ns() - began_ns,
                   longest_ns);
}

int main(int argc, char **argv)
{
    uint64_t n = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000;
    struct error err = ERROR_NULL;
    char path[4096];
    uint64_t t;

    if (argc > 3)
        batch = strtoull(argv[3], NULL, 10);
    if (argc < 2)
        die("usage", "bench-store FOLDER [RECORDS [BATCH [FORGET]]]");
    (void)snprintf(path, sizeof(path), "%s/%s", argv[1], STORE_NAME);
    if (store_open(path, 0, &store, &err) < 0)
        die("opening", err.text);
    if (store_last_record(store) == 0) {
        fill(n, false);
        fill(n * LINES_PER_100 / 100, true);
    }
    n = store_last_record(store);
    store = store_free(store);
    t = clock_now_ns();
    if (store_open(path, 0, &store, &err) < 0)
        die("opening", err.text);
    (void)printf("opened in %.1f ms\n", (double)(clock_now_ns() - t) / 1e6);
    time_queries(n);
    if (argc > 4)
        time_retention(n, strtoull(argv[4], NULL, 10));
    store = store_free(store);
    return 0;
}
