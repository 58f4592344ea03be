/* /series and /usage: sums over time. */

#include "control/api-handlers.h"
#include "control/api-rows.h"
#include "control/control.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#define GB_MIB           1024
#define SERIES_DEFAULT_S 3600
#define SERIES_STEPS_MAX 2000
#define STEP_DEFAULT_S   60

/* ---- series ---- */

struct series {
    struct jsonw *w;
    bool histogram;
};

static void put_buckets(struct jsonw *w, const char *key, const struct histogram *h)
{
    jsonw_key(w, key);
    jsonw_array_begin(w);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (h->buckets[i] == 0)
            continue;
        jsonw_array_begin(w);
        jsonw_u64(w, histogram_low(i));
        jsonw_u64(w, histogram_high(i));
        jsonw_u64(w, h->buckets[i]);
        jsonw_array_end(w);
    }
    jsonw_array_end(w);
}

static int on_point(void *ctx, const struct rollup *r)
{
    struct series *s = ctx;
    struct jsonw *w = s->w;

    jsonw_object_begin(w);
    api_put_u64(w, "start_us", r->start_us);
    api_put_u64(w, "step_s", r->step_s);
    api_put_u64(w, "count", r->count);
    api_put_u64(w, "errors", r->count - r->outcomes[OUTCOME_OK]);
    api_put_u64(w, "throttled", r->outcomes[OUTCOME_THROTTLED]);
    api_put_u64(w, "timeouts", r->outcomes[OUTCOME_TIMEOUT]);
    api_put_u64(w, "cold", r->cold);
    api_put_u64(w, "p50_us", histogram_quantile(&r->total, 500));
    api_put_u64(w, "p90_us", histogram_quantile(&r->total, 900));
    api_put_u64(w, "p99_us", histogram_quantile(&r->total, 990));
    api_put_u64(w, "p999_us", histogram_quantile(&r->total, 999));
    api_put_u64(w, "max_us", r->total_max_us);
    api_put_u64(w, "wait_p50_us", histogram_quantile(&r->wait, 500));
    api_put_u64(w, "init_p50_us", histogram_quantile(&r->init, 500));
    api_put_u64(w, "run_p50_us", histogram_quantile(&r->run, 500));
    api_put_u64(w, "run_us", r->run_ns / NS_PER_US);
    api_put_u64(w, "user_us", r->user_us);
    api_put_u64(w, "system_us", r->system_us);
    api_put_u64(w, "gb_us", r->mib_us / GB_MIB);
    api_put_u64(w, "memory_peak_bytes", r->memory_peak_bytes);
    api_put_u64(w, "bytes_in", r->bytes_in);
    api_put_u64(w, "bytes_out", r->bytes_out);
    api_put_u64(w, "log_lines", r->log_lines);
    jsonw_key(w, "outcomes");
    jsonw_object_begin(w);
    for (unsigned i = 0; i < _OUTCOME_MAX; i++)
        api_put_u64(w, outcome_name((enum outcome)i), r->outcomes[i]);
    jsonw_object_end(w);
    if (s->histogram)
        put_buckets(w, "buckets", &r->total);
    jsonw_object_end(w);
    return 0;
}

void api_series(struct api_call *call)
{
    uint64_t until = clock_wall_us(), since = 0, step = STEP_DEFAULT_S;
    struct store *store = api_store(call);
    struct series s = {.histogram = false};
    bool has_since = api_param(call, "since").len > 0;

    if (!store || !api_param_u64(call, "until", INT64_MAX, &until) ||
        !api_param_u64(call, "since", INT64_MAX, &since) ||
        !api_param_u64(call, "step", 366ULL * 86400, &step) ||
        !api_param_bool(call, "histogram", &s.histogram))
        return;
    if (!has_since)
        since = until - MIN(until, MAX(SERIES_DEFAULT_S, 60 * step) * US_PER_S);
    if (step == 0 || since > until || (until - since) / (step * US_PER_S) > SERIES_STEPS_MAX) {
        api_fail(call, 400,
                 "from \"since\" to \"until\" there are at most %d steps of \"step\" seconds",
                 SERIES_STEPS_MAX);
        return;
    }
    s.w = api_json(call);
    jsonw_object_begin(s.w);
    jsonw_key(s.w, "points");
    jsonw_array_begin(s.w);
    if (!api_store_did(call, store_series(store, api_param(call, "function"), since, until,
                                          (uint32_t)step, on_point, &s)))
        return;
    jsonw_array_end(s.w);
    api_put_u64(s.w, "step_s", step);
    jsonw_object_end(s.w);
    api_json_end(call, 200);
}

/* ---- usage ---- */

static const char *by_choice(unsigned i)
{
    static const char *const names[] = {
        [STORE_USAGE_FUNCTION] = "function",
        [STORE_USAGE_VERSION] = "version",
        [STORE_USAGE_DAY] = "day",
    };

    return names[i];
}

struct usage {
    struct jsonw *w;
    enum store_usage_by by;
};

static void put_day(struct jsonw *w, const char *key, uint64_t day_us)
{
    time_t seconds = (time_t)(day_us / US_PER_S);
    char text[16];
    struct tm tm;

    (void)gmtime_r(&seconds, &tm);
    (void)strftime(text, sizeof(text), "%Y-%m-%d", &tm);
    api_put_str(w, key, slice_str(text));
}

static int on_usage(void *ctx, const struct store_usage *u)
{
    struct usage *x = ctx;
    struct jsonw *w = x->w;

    jsonw_object_begin(w);
    if (x->by == STORE_USAGE_DAY) {
        put_day(w, "key", u->day_us);
        put_day(w, "day", u->day_us);
    } else {
        api_put_str(w, "key", x->by == STORE_USAGE_VERSION ? u->version : u->function);
        api_put_str(w, "function", u->function);
    }
    if (x->by == STORE_USAGE_VERSION)
        api_put_str(w, "version", u->version);
    api_put_u64(w, "invocations", u->invocations);
    api_put_u64(w, "errors", u->errors);
    api_put_u64(w, "cold", u->cold);
    api_put_u64(w, "run_us", u->run_ns / NS_PER_US);
    api_put_u64(w, "user_us", u->user_us);
    api_put_u64(w, "system_us", u->system_us);
    api_put_u64(w, "gb_us", u->mib_us / GB_MIB);
    api_put_u64(w, "bytes_in", u->bytes_in);
    api_put_u64(w, "bytes_out", u->bytes_out);
    jsonw_object_end(w);
    return 0;
}

void api_usage(struct api_call *call)
{
    uint64_t since = 0, until = 0, from = 0, to = 0;
    struct store *store = api_store(call);
    int by = STORE_USAGE_FUNCTION;
    struct usage x;

    if (!store || !api_param_choice(call, "by", by_choice, 3, &by) ||
        !api_param_u64(call, "since", INT64_MAX, &since) ||
        !api_param_u64(call, "until", INT64_MAX, &until))
        return;
    x = (struct usage){.w = api_json(call), .by = (enum store_usage_by)by};
    jsonw_object_begin(x.w);
    jsonw_key(x.w, "rows");
    jsonw_array_begin(x.w);
    if (!api_store_did(call, store_usage(store, x.by, api_param(call, "function"), since, until,
                                         on_usage, &x, &from, &to)))
        return;
    jsonw_array_end(x.w);
    api_put_u64(x.w, "since_us", from);
    api_put_u64(x.w, "until_us", to);
    jsonw_object_end(x.w);
    api_json_end(call, 200);
}
