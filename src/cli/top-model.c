#include "cli/top-model.h"

#include "base/log.h"
#include "cli/api.h"
#include "cli/show.h"

#include <errno.h>
#include <string.h>

/* ---- columns ---- */

#define NUMBER(name, type, expression)                                                             \
    static double name(const void *row)                                                            \
    {                                                                                              \
        const type *r = row;                                                                       \
                                                                                                   \
        return (double)(expression);                                                               \
    }

#define TEXT(name, type, member)                                                                   \
    static const char *name(const void *row)                                                       \
    {                                                                                              \
        return ((const type *)row)->member;                                                        \
    }

#define WRITE(name, type, ...)                                                                     \
    static void name(const void *row, char *dst, size_t size)                                      \
    {                                                                                              \
        const type *r = row;                                                                       \
        _unused_ char text[SHOW_SIZE];                                                             \
                                                                                                   \
        (void)snprintf(dst, size, __VA_ARGS__);                                                    \
    }

typedef unsigned long long ull;
typedef struct top_function function;
typedef struct top_process process;

TEXT(name_text, function, name)
TEXT(state_text, function, state)
NUMBER(rate_number, function, r->rate)
NUMBER(errors_number, function, r->rate > 0 ? r->error_rate / r->rate : 0)
NUMBER(p50_number, function, r->p50_us)
NUMBER(p99_number, function, r->p99_us)
NUMBER(busy_number, function, r->busy)
NUMBER(standby_number, function, r->standbys)
NUMBER(queue_number, function, r->queued)
NUMBER(cold_number, function, r->cold)
NUMBER(cpu_number, function, r->cpu_percent)
NUMBER(memory_number, function, r->memory_bytes)
WRITE(write_name, function, "%s", r->name)
WRITE(write_state, function, "%s", r->state)
WRITE(write_rate, function, r->rate < 99.95 ? "%.1f" : "%.0f", r->rate)
WRITE(write_errors, function, "%.1f", 100 * errors_number(r))
WRITE(write_p50, function, "%s", r->p50_us ? show_us(r->p50_us, text) : "-")
WRITE(write_p99, function, "%s", r->p99_us ? show_us(r->p99_us, text) : "-")
WRITE(write_busy, function, "%llu", (ull)r->busy)
WRITE(write_standby, function, "%llu", (ull)r->standbys)
WRITE(write_queue, function, "%llu", (ull)r->queued)
WRITE(write_cold, function, "%llu", (ull)r->cold)
WRITE(write_cpu, function, "%.1f", r->cpu_percent)
WRITE(write_memory, function, "%s", show_bytes(r->memory_bytes, text))

static const struct top_column function_columns[] = {
    {"FUNCTION", 0, true, 100, true, write_name, NULL, name_text},
    {"STATE", 7, true, 3, true, write_state, NULL, state_text},
    {"REQ/S", 7, false, 90, false, write_rate, rate_number, NULL},
    {"ERR%", 5, false, 80, false, write_errors, errors_number, NULL},
    {"P50", 7, false, 70, false, write_p50, p50_number, NULL},
    {"P99", 7, false, 60, false, write_p99, p99_number, NULL},
    {"WRK", 4, false, 85, false, write_busy, busy_number, NULL},
    {"STBY", 4, false, 40, false, write_standby, standby_number, NULL},
    {"QUEUE", 5, false, 50, false, write_queue, queue_number, NULL},
    {"COLD", 5, false, 30, false, write_cold, cold_number, NULL},
    {"CPU%", 6, false, 75, false, write_cpu, cpu_number, NULL},
    {"MEM", 6, false, 74, false, write_memory, memory_number, NULL},
};

TEXT(kind_text, process, kind)
TEXT(function_text, process, function)
TEXT(process_state_text, process, state)
TEXT(request_text, process, request_id)
NUMBER(pid_number, process, r->pid)
NUMBER(age_number, process, r->age_ms)
WRITE(write_pid, process, "%llu", (ull)r->pid)
WRITE(write_kind, process, "%s", r->kind)
WRITE(write_age, process, "%s", show_age_ms(r->age_ms, text))
WRITE(write_process_state, process, "%s", r->state)
WRITE(write_function, process, "%s", r->function)
WRITE(write_request, process, "%s", r->request_id)

static const struct top_column process_columns[] = {
    {"PID", 8, false, 90, false, write_pid, pid_number, NULL},
    {"KIND", 7, true, 60, true, write_kind, NULL, kind_text},
    {"AGE", 7, false, 95, false, write_age, age_number, NULL},
    {"STATE", 9, true, 50, true, write_process_state, NULL, process_state_text},
    {"FUNCTION", 0, true, 100, true, write_function, NULL, function_text},
    {"REQUEST", 36, true, 80, true, write_request, NULL, request_text},
};

#define SORT_RATE 2
#define SORT_AGE  2

/* ---- taking an event ---- */

static void take_text(const json_t *from, const char *key, char *dst, size_t size)
{
    char quoted[512]; /* quoting stops where another \xHH would not fit */

    (void)log_quote(slice_str(api_string(from, key)), quoted, sizeof quoted);
    (void)snprintf(dst, size, "%.*s", (int)size - 1, quoted);
}

/* A number that is one, and not absurd: it will be printed. */
static double take_real(const json_t *from, const char *key)
{
    double value = api_real(from, key);

    return value > 0 && value < 1e12 ? value : 0;
}

static void take_function(struct top_function *f, const json_t *from)
{
    take_text(from, "name", f->name, sizeof f->name);
    take_text(from, "version", f->version, sizeof f->version);
    take_text(from, "state", f->state, sizeof f->state);
    f->rate = take_real(from, "rate");
    f->error_rate = take_real(from, "error_rate");
    f->cpu_percent = take_real(from, "cpu_percent");
    f->p50_us = api_number(from, "p50_us");
    f->p90_us = api_number(from, "p90_us");
    f->p99_us = api_number(from, "p99_us");
    f->busy = api_number(from, "busy");
    f->standbys = api_number(from, "standbys");
    f->queued = api_number(from, "queued");
    f->oldest_queued_ms = api_number(from, "oldest_queued_ms");
    f->cold = api_number(from, "cold");
    f->memory_bytes = api_number(from, "memory_bytes");
}

static void take_process(struct top_process *p, const json_t *from)
{
    take_text(from, "kind", p->kind, sizeof p->kind);
    take_text(from, "function", p->function, sizeof p->function);
    take_text(from, "state", p->state, sizeof p->state);
    take_text(from, "request_id", p->request_id, sizeof p->request_id);
    p->pid = api_number(from, "pid");
    p->age_ms = api_number(from, "age_ms");
}

static void take_machine(struct top_machine *t, const json_t *live)
{
    const json_t *machine = json_object_get(live, "machine");

    t->time_us = api_number(live, "time_us");
    t->cpus = api_number(machine, "cpus");
    t->cpu_percent = take_real(machine, "cpu_percent");
    t->memory_bytes = api_number(machine, "memory_bytes");
    t->memory_used_bytes = api_number(machine, "memory_used_bytes");
    t->rate = take_real(live, "rate");
    t->error_rate = take_real(live, "error_rate");
    t->p50_us = api_number(live, "p50_us");
    t->p99_us = api_number(live, "p99_us");
    t->workers = api_number(live, "workers");
    t->workers_max = api_number(live, "workers_max");
    t->queued = api_number(live, "queued");
    t->omitted = api_number(live, "omitted");
}

static void remember(struct top_model *m, double rate)
{
    if (m->n_history == TOP_HISTORY_MAX) {
        memmove(m->history, m->history + 1, sizeof m->history - sizeof m->history[0]);
        m->n_history--;
    }
    m->history[m->n_history++] = rate;
}

void top_model_take(struct top_model *m, const json_t *live)
{
    json_t *functions = json_object_get(live, "functions");
    json_t *processes = json_object_get(live, "processes");

    m->n_functions = MIN(json_array_size(functions), (size_t)TOP_FUNCTIONS_MAX);
    for (size_t i = 0; i < m->n_functions; i++)
        take_function(&m->functions[i], json_array_get(functions, i));
    m->n_processes = MIN(json_array_size(processes), (size_t)TOP_PROCESSES_MAX);
    for (size_t i = 0; i < m->n_processes; i++)
        take_process(&m->processes[i], json_array_get(processes, i));
    take_machine(&m->machine, live);
    remember(m, m->machine.rate);
    top_model_arrange(m);
}

int top_model_init(struct top_model *m)
{
    *m = (struct top_model){
        .functions = calloc(TOP_FUNCTIONS_MAX, sizeof *m->functions),
        .processes = calloc(TOP_PROCESSES_MAX, sizeof *m->processes),
        .views = {[TOP_FUNCTIONS] = {.columns = function_columns,
                                     .n_columns = ARRAY_SIZE(function_columns),
                                     .sort = SORT_RATE,
                                     .rows = calloc(TOP_FUNCTIONS_MAX, sizeof(void *))},
                  [TOP_WORKERS] = {.columns = process_columns,
                                   .n_columns = ARRAY_SIZE(process_columns),
                                   .sort = SORT_AGE,
                                   .rows = calloc(TOP_PROCESSES_MAX, sizeof(void *))}}};
    if (m->functions && m->processes && m->views[TOP_FUNCTIONS].rows && m->views[TOP_WORKERS].rows)
        return 0;
    top_model_deinit(m);
    return -ENOMEM;
}

void top_model_deinit(struct top_model *m)
{
    free(m->functions);
    free(m->processes);
    for (int i = 0; i < _TOP_PANE_MAX; i++)
        free(m->views[i].rows);
}

/* ---- arranging ---- */

/* What qsort_r() is given: equal rows keep an order of their own, so that they do not dance. */
static int compare(const void *a, const void *b, void *ctx)
{
    const struct top_view *v = ctx;
    const struct top_column *column = &v->columns[v->sort], *first = v->columns;
    const void *x = *(const void *const *)a, *y = *(const void *const *)b;
    int order = 0;

    if (column->by_text) {
        order = strcmp(column->text(x), column->text(y));
    } else {
        double p = column->number(x), q = column->number(y);

        order = (p < q) - (p > q);
    }
    if (order == 0)
        order = first->by_text
                    ? strcmp(first->text(x), first->text(y))
                    : (first->number(x) > first->number(y)) - (first->number(x) < first->number(y));
    return v->reversed ? -order : order;
}

static bool passes(const struct top_model *m, const char *a, const char *b)
{
    return m->filter[0] == '\0' || strcasestr(a, m->filter) || strcasestr(b, m->filter);
}

/* What a row is known by: a function by its name, a process by its PID. */
static void key_of(enum top_pane pane, const void *row, char dst[static TOP_NAME_MAX + 1])
{
    if (pane == TOP_FUNCTIONS)
        (void)snprintf(dst, TOP_NAME_MAX + 1, "%s", ((const struct top_function *)row)->name);
    else
        (void)snprintf(dst, TOP_NAME_MAX + 1, "%llu", (ull)((const struct top_process *)row)->pid);
}

static void find_selected(struct top_view *v, enum top_pane pane)
{
    char key[TOP_NAME_MAX + 1];

    for (size_t i = 0; v->key[0] && i < v->n; i++) {
        key_of(pane, v->rows[i], key);
        if (strcmp(key, v->key) == 0) {
            v->selected = i;
            return;
        }
    }
    v->selected = v->n > 0 ? MIN(v->selected, v->n - 1) : 0;
}

/* The selected row as it is now, for the next time. At the very top it is the place that is meant
 * as long as nobody has moved, so that the busiest row stays in view. */
static void note_selected(struct top_view *v, enum top_pane pane)
{
    v->key[0] = '\0';
    if (v->n > 0 && v->selected > 0)
        key_of(pane, v->rows[v->selected], v->key);
}

void top_model_arrange(struct top_model *m)
{
    struct top_view *functions = &m->views[TOP_FUNCTIONS], *workers = &m->views[TOP_WORKERS];

    functions->n = workers->n = 0;
    for (size_t i = 0; i < m->n_functions; i++) {
        if (passes(m, m->functions[i].name, m->functions[i].state))
            functions->rows[functions->n++] = &m->functions[i];
    }
    for (size_t i = 0; i < m->n_processes; i++) {
        const struct top_process *p = &m->processes[i];

        if ((m->all_processes || strcmp(p->kind, "worker") == 0) &&
            passes(m, p->function, p->request_id))
            workers->rows[workers->n++] = p;
    }
    for (int i = 0; i < _TOP_PANE_MAX; i++) {
        struct top_view *v = &m->views[i];

        qsort_r(v->rows, v->n, sizeof *v->rows, compare, v);
        find_selected(v, (enum top_pane)i);
        note_selected(v, (enum top_pane)i);
    }
}

void top_view_move(struct top_view *v, long by)
{
    long last = (long)v->n - 1, to = (long)v->selected + by;

    v->selected = (size_t)(last < 0 || to < 0 ? 0 : MIN(to, last));
    note_selected(v, v->columns == function_columns ? TOP_FUNCTIONS : TOP_WORKERS);
}

void top_view_sort_next(struct top_view *v, int step)
{
    v->sort = (v->sort + v->n_columns + (size_t)(step + (int)v->n_columns)) % v->n_columns;
    v->reversed = false;
}

void top_view_sort_by(struct top_view *v, const char *title)
{
    for (size_t i = 0; i < v->n_columns; i++) {
        if (strcmp(v->columns[i].title, title) == 0) {
            v->reversed = v->sort == i ? !v->reversed : false;
            v->sort = i;
            return;
        }
    }
}

const struct top_function *top_selected_function(const struct top_model *m)
{
    const struct top_view *v = &m->views[TOP_FUNCTIONS];

    return v->n > 0 ? v->rows[v->selected] : NULL;
}

const struct top_process *top_selected_process(const struct top_model *m)
{
    const struct top_view *v = &m->views[TOP_WORKERS];

    return v->n > 0 ? v->rows[v->selected] : NULL;
}
