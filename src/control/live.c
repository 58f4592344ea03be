/* The window is made of whole seconds: the ten before the present one. Percentiles are of the
 * present period of five seconds and of the one before it, since a histogram can be added to but
 * not taken from. */

#include "control/live.h"

#include "model/snapshot.h"

#include <errno.h>

#define FRESH_NS   (2500 * NS_PER_MS)
#define MACHINE_NS (500 * NS_PER_MS) /* a share of less time says little */
#define JSON_BYTES (256UL * 1024)

/* ---- windows ---- */

static int find(const struct live *l, struct slice name, uint32_t *ret)
{
    uint32_t low = 0, high = l->n_windows;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int c = strncmp(l->windows[mid]->name, name.base, name.len);

        if (c == 0 && l->windows[mid]->name[name.len])
            c = 1;
        if (c == 0) {
            *ret = mid;
            return 0;
        }
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *ret = low;
    return -ENOENT;
}

static struct live_window *window_find(const struct live *l, struct slice name)
{
    uint32_t i;

    return find(l, name, &i) == 0 ? l->windows[i] : NULL;
}

/* Those of functions that nothing has been heard of for a while go. */
static void windows_sweep(struct live *l, uint64_t now_s)
{
    uint32_t n = 0;

    if (now_s < l->swept_s + LIVE_WINDOW_S)
        return;
    l->swept_s = now_s;
    for (uint32_t i = 0; i < l->n_windows; i++) {
        struct live_window *w = l->windows[i];

        if (w->last_s + LIVE_WINDOW_S + 1 < now_s)
            free(w);
        else
            l->windows[n++] = w;
    }
    l->n_windows = n;
}

/* NULL: too many, or no memory. */
static struct live_window *window_make(struct live *l, struct slice name)
{
    struct live_window *w;
    uint32_t i;

    if (find(l, name, &i) == 0)
        return l->windows[i];
    if (l->n_windows == LIVE_FUNCTIONS_MAX || name.len == 0 || name.len >= sizeof(w->name))
        return NULL;
    if (!l->windows)
        l->windows = calloc(LIVE_FUNCTIONS_MAX, sizeof(*l->windows));
    w = l->windows ? calloc(1, sizeof(*w)) : NULL;
    if (!w)
        return NULL;
    memcpy(w->name, name.base, name.len);
    memmove(&l->windows[i + 1], &l->windows[i], (l->n_windows - i) * sizeof(*l->windows));
    l->windows[i] = w;
    l->n_windows++;
    return w;
}

static void window_age(struct live_window *w, uint64_t now_s)
{
    uint64_t half = now_s / LIVE_HALF_S;

    if (half == w->half)
        return;
    if (half == w->half + 1)
        w->old = w->young;
    else
        memset(&w->old, 0, sizeof(w->old));
    memset(&w->young, 0, sizeof(w->young));
    w->half = half;
}

static void window_add(struct live_window *w, const struct record *r, uint64_t now_s)
{
    struct live_slot *slot = &w->slots[now_s % ARRAY_SIZE(w->slots)];

    if (slot->second != now_s)
        *slot = (struct live_slot){.second = now_s};
    slot->count++;
    slot->errors += r->outcome != OUTCOME_OK;
    slot->cold += r->cold;
    slot->cpu_us += r->user_us + r->system_us;
    slot->own_bytes += r->memory_own_bytes;
    window_age(w, now_s);
    histogram_add(&w->young, r->total_ns / NS_PER_US);
    w->last_s = now_s;
}

void live_record(struct live *l, const struct record *r, uint64_t now_ns)
{
    uint64_t now_s = now_ns / NS_PER_S;
    struct live_window *w;

    windows_sweep(l, now_s);
    window_add(&l->all, r, now_s);
    w = window_make(l, r->function);
    if (w)
        window_add(w, r, now_s);
}

static struct live_slot window_sum(const struct live_window *w, uint64_t now_s)
{
    struct live_slot sum = {0};

    for (size_t i = 0; w && i < ARRAY_SIZE(w->slots); i++) {
        const struct live_slot *s = &w->slots[i];

        if (s->second >= now_s || s->second + LIVE_WINDOW_S < now_s)
            continue;
        sum.count += s->count;
        sum.errors += s->errors;
        sum.cold += s->cold;
        sum.cpu_us += s->cpu_us;
        sum.own_bytes += s->own_bytes;
    }
    return sum;
}

/* ---- the gateway ---- */

int live_take(struct live *l, struct slice json, uint64_t now_ns)
{
    json_t *told;
    int r = json_text_load(json, "LIVE", &told, NULL);

    if (r < 0)
        return r;
    json_decref(l->gateway);
    l->gateway = told;
    l->told_ns = now_ns;
    return 0;
}

void live_forget_gateway(struct live *l)
{
    json_decref(l->gateway);
    l->gateway = NULL;
}

bool live_is_fresh(const struct live *l, uint64_t now_ns)
{
    return l->gateway && now_ns < l->told_ns + FRESH_NS;
}

void live_deinit(struct live *l)
{
    live_forget_gateway(l);
    for (uint32_t i = 0; i < l->n_windows; i++)
        free(l->windows[i]);
    free(l->windows);
    *l = (struct live){.n_windows = 0};
}

static uint64_t told_u64(const json_t *object, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(object, key));

    return v > 0 ? (uint64_t)v : 0;
}

static struct slice told_str(const json_t *object, const char *key)
{
    return slice_str(json_string_value(json_object_get(object, key)));
}

/* ---- writing ---- */

static void put_u64(struct jsonw *w, const char *key, uint64_t v)
{
    jsonw_key(w, key);
    jsonw_u64(w, v);
}

static void put_str(struct jsonw *w, const char *key, struct slice s)
{
    jsonw_key(w, key);
    jsonw_str(w, s);
}

static void put_milli(struct jsonw *w, const char *key, uint64_t thousandths)
{
    jsonw_key(w, key);
    jsonw_milli(w, thousandths);
}

static void put_rates(struct jsonw *w, struct live_window *window, const struct live_slot *sum,
                      uint64_t now_s)
{
    static struct histogram all; /* large */

    all = (struct histogram){.buckets = {0}};
    if (window) {
        window_age(window, now_s);
        all = window->old;
        histogram_merge(&all, &window->young);
    }
    put_milli(w, "rate", sum->count * 1000 / LIVE_WINDOW_S);
    put_milli(w, "error_rate", sum->errors * 1000 / LIVE_WINDOW_S);
    put_u64(w, "p50_us", histogram_quantile(&all, 500));
    put_u64(w, "p90_us", histogram_quantile(&all, 900));
    put_u64(w, "p99_us", histogram_quantile(&all, 990));
}

static void put_machine(struct live *l, struct jsonw *w, uint64_t now_ns)
{
    struct machine *m = &l->machine;

    if (now_ns >= l->machine_ns + MACHINE_NS) {
        machine_look(m);
        l->machine_ns = now_ns;
    }
    jsonw_key(w, "machine");
    jsonw_object_begin(w);
    put_u64(w, "cpus", m->cpus);
    put_milli(w, "cpu_percent", m->cpu_permille * 100ULL);
    put_u64(w, "memory_bytes", m->memory_bytes);
    put_u64(w, "memory_used_bytes", m->memory_used_bytes);
    jsonw_object_end(w);
}

/* Of the zygotes of a function: what is theirs is shared with their workers. */
static uint64_t zygote_bytes(const struct live *l, struct slice function)
{
    uint64_t bytes = 0;
    json_t *item;
    size_t i;

    json_array_foreach(json_object_get(l->gateway, "processes"), i, item)
    {
        if (slice_eq(told_str(item, "kind"), SLICE_LIT("zygote")) &&
            slice_eq(told_str(item, "function"), function))
            bytes += machine_process_bytes((int)told_u64(item, "pid"));
    }
    return bytes;
}

/* told is what the gateway knows of it, or NULL. */
static void put_function(struct live *l, struct jsonw *w, struct slice name, struct slice version,
                         const json_t *told, uint64_t now_s)
{
    struct live_window *window = window_find(l, name);
    struct live_slot sum = window_sum(window, now_s);
    uint64_t standbys = told_u64(told, "standbys"), busy = told_u64(told, "busy");
    bool cold = !told || slice_eq(told_str(told, "state"), SLICE_LIT("cold"));
    uint64_t own = sum.count > 0 ? sum.own_bytes / sum.count : 0;

    jsonw_object_begin(w);
    put_str(w, "name", name);
    put_str(w, "version", version);
    put_str(w, "state", told ? told_str(told, "state") : SLICE_LIT("cold"));
    put_u64(w, "standbys", standbys);
    put_u64(w, "busy", busy);
    put_u64(w, "queued", told_u64(told, "queued"));
    put_u64(w, "oldest_queued_ms", told_u64(told, "oldest_queued_ms"));
    put_rates(w, window, &sum, now_s);
    put_milli(w, "cpu_percent", sum.cpu_us / LIVE_WINDOW_S / 10); /* of one CPU */
    put_u64(w, "memory_bytes", cold ? 0 : zygote_bytes(l, name) + own * (standbys + busy));
    put_u64(w, "cold", sum.cold);
    put_milli(w, "cold_rate", sum.cold * 1000 / LIVE_WINDOW_S);
    jsonw_object_end(w);
}

static uint64_t put_functions(struct live *l, const struct snapshot *s, struct jsonw *w,
                              uint64_t now_s)
{
    const json_t *functions = json_object_get(l->gateway, "functions");
    uint64_t queued = 0;
    json_t *item;
    size_t i;

    jsonw_key(w, "functions");
    jsonw_array_begin(w);
    json_array_foreach(functions, i, item)
    {
        queued += told_u64(item, "queued");
        put_function(l, w, told_str(item, "name"), told_str(item, "version"), item, now_s);
    }
    for (uint32_t k = 0; !functions && s && k < s->n_functions; k++)
        put_function(l, w, slice_str(s->functions[k].name), slice_str(s->functions[k].version),
                     NULL, now_s);
    jsonw_array_end(w);
    return queued;
}

static void put_processes(struct live *l, struct jsonw *w)
{
    const json_t *processes = json_object_get(l->gateway, "processes");
    char *text = processes ? json_dumps(processes, JSON_COMPACT) : NULL;

    jsonw_key(w, "processes");
    jsonw_json(w, text ? slice_str(text) : SLICE_LIT("[]"));
    free(text);
    put_u64(w, "omitted", told_u64(l->gateway, "omitted"));
}

void live_write(struct live *l, const struct snapshot *s, struct jsonw *w)
{
    uint64_t now_ns = clock_now_ns(), now_s = now_ns / NS_PER_S, queued;
    struct live_slot sum = window_sum(&l->all, now_s);

    if (!live_is_fresh(l, now_ns))
        live_forget_gateway(l);
    jsonw_object_begin(w);
    put_u64(w, "time_us", clock_wall_us());
    put_machine(l, w, now_ns);
    put_rates(w, &l->all, &sum, now_s);
    put_u64(w, "workers", told_u64(l->gateway, "workers"));
    put_u64(w, "workers_max", told_u64(l->gateway, "workers_max"));
    queued = put_functions(l, s, w, now_s);
    put_u64(w, "queued", queued);
    put_processes(l, w);
    jsonw_object_end(w);
}

void live_write_workers(struct live *l, struct jsonw *w)
{
    jsonw_object_begin(w);
    put_u64(w, "time_us", clock_wall_us());
    put_processes(l, w);
    jsonw_object_end(w);
}
