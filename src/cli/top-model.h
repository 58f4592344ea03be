#pragma once

/* What `mayfly top` knows: the newest "live" event, the rate of the last minutes, and which rows of
 * it are shown in which order. Draws nothing. */

#include "json/text.h"

#define TOP_NAME_MAX      64
#define TOP_FUNCTIONS_MAX 2000
#define TOP_PROCESSES_MAX 2000
#define TOP_HISTORY_MAX   600 /* samples of the rate, one an event */
#define TOP_FILTER_MAX    64

struct top_function {
    char name[TOP_NAME_MAX + 1];
    char version[TOP_NAME_MAX + 1];
    char state[16];
    double rate, error_rate; /* a second */
    double cpu_percent;      /* of one CPU */
    uint64_t p50_us, p90_us, p99_us;
    uint64_t busy, standbys, queued, oldest_queued_ms;
    uint64_t cold; /* cold starts since the daemon's start */
    uint64_t memory_bytes;
};

struct top_process {
    char kind[16];
    char function[TOP_NAME_MAX + 1];
    char state[16];
    char request_id[37];
    uint64_t pid, age_ms;
};

struct top_machine {
    uint64_t time_us;
    uint64_t cpus;
    double cpu_percent; /* of all CPUs together: 0 to 100 */
    uint64_t memory_bytes, memory_used_bytes;
    double rate, error_rate;
    uint64_t p50_us, p99_us;
    uint64_t workers, workers_max, queued, omitted;
};

enum top_pane {
    TOP_FUNCTIONS,
    TOP_WORKERS,
    _TOP_PANE_MAX,
};

/* A column of a pane. Width is in cells; 0 takes what the others leave. */
struct top_column {
    const char *title;
    int width;
    bool left;    /* text to the left; else a number to the right */
    int keep;     /* the lower, the sooner it is left out where there is no room */
    bool by_text; /* sorts from a to z; else the largest first */
    void (*write)(const void *row, char *dst, size_t size);
    double (*number)(const void *row);
    const char *(*text)(const void *row);
};

/* One pane's rows: those that the filter lets through, sorted. */
struct top_view {
    const struct top_column *columns;
    size_t n_columns;
    size_t sort; /* a column */
    bool reversed;
    const void **rows; /* struct top_function or struct top_process */
    size_t n;
    size_t selected;            /* a row, if there are any */
    size_t top;                 /* the first row on the screen */
    char key[TOP_NAME_MAX + 1]; /* what the selected row is known by when the next event comes */
};

struct top_model {
    struct top_machine machine;
    struct top_function *functions;
    size_t n_functions;
    struct top_process *processes;
    size_t n_processes;
    double history[TOP_HISTORY_MAX]; /* the newest last */
    size_t n_history;
    char filter[TOP_FILTER_MAX + 1];
    bool all_processes; /* zygotes and standbys among the workers */
    struct top_view views[_TOP_PANE_MAX];
};

/* Returns 0 or -ENOMEM. */
int top_model_init(struct top_model *m);
void top_model_deinit(struct top_model *m);

/* Takes a "live" event from the daemon, whatever it holds. */
void top_model_take(struct top_model *m, const json_t *live);

/* Makes the views anew: after any change of filter, sort or all_processes. The selected row stays
 * selected, if it is still there. */
void top_model_arrange(struct top_model *m);

/* Moves the selection by so many rows, as far as there are any. */
void top_view_move(struct top_view *v, long by);

/* Sorts by the next column to the right or left. */
void top_view_sort_next(struct top_view *v, int step);
/* By the column of that title; by the same once more turns the order around. */
void top_view_sort_by(struct top_view *v, const char *title);

/* NULL where there is none. */
const struct top_function *top_selected_function(const struct top_model *m);
const struct top_process *top_selected_process(const struct top_model *m);
