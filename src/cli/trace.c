/* mayfly trace: one request whole. */

#include "base/clock.h"
#include "cli/api.h"
#include "cli/lines.h"
#include "cli/output.h"
#include "cli/records.h"
#include "cli/request-id.h"
#include "cli/show.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BAR_MIN       20
#define BAR_MAX       100
#define BAR_MARGIN    24 /* what stands beside it: the phase's name and time */
#define FETCH_TRIES   20 /* the record is kept a moment after the answer */
#define FETCH_WAIT_US 50000

struct trace {
    const struct cli *cli;
    const json_t *record, *logs;
    const char *parent;
    bool utf8;
};

static bool paints(const struct trace *t)
{
    return t->cli->color_out;
}

/* ---- the head ---- */

static void print_head(const struct trace *t)
{
    const json_t *r = t->record;
    const char *paint = record_paint(r);
    char time[SHOW_SIZE];

    (void)fputs(color(paints(t), COLOR_BOLD), stdout);
    line_quoted(stdout, slice_str(api_string(r, "method")));
    (void)fputc(' ', stdout);
    line_quoted(stdout, slice_str(api_string(r, "path")));
    (void)printf("%s  %s", color(paints(t), COLOR_NONE),
                 color(paints(t), paint ? paint : COLOR_GREEN));
    (void)printf("%llu %s", (unsigned long long)api_number(r, "status"), api_plain(r, "outcome"));
    (void)printf("%s\n", color(paints(t), COLOR_NONE));
    (void)printf("request   %s\n", api_plain(r, "request_id"));
    (void)printf("function  %s, version %s, trigger %s\n", api_plain(r, "function"),
                 api_plain(r, "version"), api_plain(r, "trigger"));
    (void)printf("arrived   %s\n", show_moment(api_number(r, "start_us"), time));
    if (*t->parent)
        (void)printf("trace     %s\n", t->parent);
    if (*api_string(r, "error")) {
        (void)printf("%serror     ", color(paints(t), COLOR_RED));
        line_quoted(stdout, slice_str(api_string(r, "error")));
        (void)printf("%s\n", color(paints(t), COLOR_NONE));
    }
    if (*api_string(r, "limit"))
        (void)printf("limit     %s: used %llu of %llu\n", api_plain(r, "limit"),
                     (unsigned long long)api_number(r, "limit_used"),
                     (unsigned long long)api_number(r, "limit_max"));
}

/* ---- the timeline ---- */

static unsigned bar_width(void)
{
    struct winsize size;
    unsigned columns = 80;

    if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        columns = size.ws_col;
    return MIN(MAX(columns, BAR_MIN + BAR_MARGIN) - BAR_MARGIN, (unsigned)BAR_MAX);
}

static void print_cells(const struct trace *t, const char *paint, const char *cell, unsigned n)
{
    (void)fputs(color(paints(t), paint), stdout);
    while (n-- > 0)
        (void)fputs(cell, stdout);
    (void)fputs(color(paints(t), COLOR_NONE), stdout);
}

/* One phase from `from` to `to` of `all` nanoseconds. What took any time is seen. */
static void print_phase(const struct trace *t, const char *name, const char *paint, uint64_t from,
                        uint64_t to, uint64_t all)
{
    const char *full = t->utf8 ? "\xe2\x96\x88" : "#", *empty = t->utf8 ? "\xc2\xb7" : ".";
    unsigned width = bar_width();
    unsigned begin = MIN((unsigned)((double)from / (double)all * width), width - 1);
    unsigned end = (unsigned)((double)to / (double)all * width + 0.5);
    char time[SHOW_SIZE];

    end = to > from ? MIN(MAX(end, begin + 1), width) : begin;
    (void)printf("  %-6s ", name);
    print_cells(t, COLOR_DIM, empty, begin);
    print_cells(t, paint, full, end - begin);
    print_cells(t, COLOR_DIM, empty, width - end);
    (void)printf(" %9s\n", show_us((to - from) / 1000, time));
}

static void print_timeline(const struct trace *t)
{
    uint64_t wait = api_number(t->record, "wait_ns"), init = api_number(t->record, "init_ns");
    uint64_t run = api_number(t->record, "run_ns"), total = api_number(t->record, "total_ns");
    uint64_t all = MAX(MAX(total, wait + init + run), 1);
    char time[SHOW_SIZE];

    (void)fputc('\n', stdout);
    print_phase(t, "wait", COLOR_YELLOW, 0, wait, all);
    print_phase(t, "init", COLOR_CYAN, wait, wait + init, all);
    print_phase(t, "run", COLOR_GREEN, wait + init, wait + init + run, all);
    (void)printf("  %-6s %*s %9s%s\n", "total", (int)bar_width(), "", show_us(total / 1000, time),
                 api_number(t->record, "cold") ? "  cold start" : "");
}

/* ---- the figures ---- */

static const char *us_of(const json_t *r, const char *key)
{
    char text[SHOW_SIZE];

    return cli_printf("%s", show_us(api_number(r, key), text));
}

static const char *bytes_of(const json_t *r, const char *key)
{
    char text[SHOW_SIZE];

    return cli_printf("%s", show_bytes(api_number(r, key), text));
}

static const char *count_of(const json_t *r, const char *key)
{
    return cli_printf("%llu", (unsigned long long)api_number(r, key));
}

/* A wait status in words. */
static const char *end_of(const json_t *r)
{
    unsigned status = (unsigned)api_number(r, "exit_status");

    if (status & 0x7f)
        return cli_printf("signal %u (%s)%s", status & 0x7f, strsignal((int)(status & 0x7f)),
                          status & 0x80 ? ", core dumped" : "");
    return cli_printf("exit %u", status >> 8 & 0xff);
}

static void print_figures(const struct trace *t)
{
    const json_t *r = t->record;
    double cpu = (double)(api_number(r, "user_us") + api_number(r, "system_us"));
    double run = (double)api_number(r, "run_ns") / 1e3;

    (void)printf("\n  CPU      user %s, system %s", us_of(r, "user_us"), us_of(r, "system_us"));
    if (run > 0)
        (void)printf(" (%.0f %% of the run)", 100 * cpu / run);
    (void)printf("; switches: %s by waiting, %s by force\n", count_of(r, "voluntary_switches"),
                 count_of(r, "involuntary_switches"));
    (void)printf("  memory   peak %s, %s of it its own\n", bytes_of(r, "memory_peak_bytes"),
                 bytes_of(r, "memory_own_bytes"));
    (void)printf("  faults   %s without I/O, %s with\n", count_of(r, "minor_faults"),
                 count_of(r, "major_faults"));
    (void)printf("  bytes    %s in, %s out\n", bytes_of(r, "bytes_in"), bytes_of(r, "bytes_out"));
    if (api_number(r, "pid"))
        (void)printf("  process  %s, %s\n", count_of(r, "pid"), end_of(r));
}

/* ---- what it said ---- */

static void print_logs(const struct trace *t)
{
    uint64_t start_us = api_number(t->record, "start_us");
    json_t *line;
    size_t i;

    (void)printf("\n  %llu log lines\n", (unsigned long long)api_number(t->record, "log_lines"));
    json_array_foreach((json_t *)t->logs, i, line)
    {
        uint64_t time_us = api_number(line, "time_us");
        uint64_t offset_us = time_us > start_us ? time_us - start_us : start_us - time_us;
        const char *paint = color(paints(t), lines_paint(line));
        char time[SHOW_SIZE], offset[SHOW_SIZE + 1];

        (void)snprintf(offset, sizeof offset, "%c%s", time_us >= start_us ? '+' : '-',
                       show_us(offset_us, time));
        (void)printf("  %s%9s%s %s%c ", color(paints(t), COLOR_DIM), offset,
                     color(paints(t), COLOR_NONE), paint, lines_mark(line));
        line_quoted(stdout, slice_str(api_string(line, "text")));
        (void)printf("%s\n", *paint ? COLOR_NONE : "");
    }
    if (json_array_size(t->logs) < api_number(t->record, "log_lines"))
        (void)printf(
            "  %llu of them are not kept, or not any more\n",
            (unsigned long long)(api_number(t->record, "log_lines") - json_array_size(t->logs)));
    if (api_number(t->record, "log_dropped"))
        (void)printf("  %s of output were dropped\n", bytes_of(t->record, "log_dropped"));
}

static void print_stack(const struct trace *t)
{
    const char *stack = api_string(t->record, "stack");

    if (*stack) {
        (void)fputs("\n  stack\n", stdout);
        lines_print_stack(stdout, stack);
    }
}

/* ---- fetching ---- */

/* Whether a process works on it right now. */
static bool still_runs(const struct client_peer *peer, const char *id)
{
    json_t *answer = NULL, *process;
    bool found = false;
    size_t i;

    if (api_look(peer, "/api/v1/ps", &answer) != 0)
        return false;
    json_array_foreach(json_object_get(answer, "processes"), i, process)
    {
        found = found || strcmp(api_string(process, "request_id"), id) == 0;
    }
    json_decref(answer);
    return found;
}

static enum cli_exit fetch(const struct cli *cli, const struct client_peer *peer, const char *id,
                           json_t **ret)
{
    char *target = api_path("/api/v1/traces/", id, "");

    for (int i = 0; i < FETCH_TRIES; i++) {
        int r = api_look(peer, target, ret);

        if (r != 0 || *ret)
            break;
        if (still_runs(peer, id))
            return cli_fail(cli, CLI_NOT_FOUND, "`mayfly ps` shows its process",
                            "request %s still runs: its record comes with its end", id);
        (void)usleep(FETCH_WAIT_US);
    }
    return *ret ? CLI_OK : api_get(cli, peer, target, ret); /* says why */
}

enum cli_exit command_trace(struct cli *cli)
{
    struct trace t = {.cli = cli, .utf8 = show_has_utf8()};
    struct client_peer peer;
    char id[REQUEST_ID_SIZE];
    json_t *answer = NULL;
    enum cli_exit code = CLI_OK;

    if (!request_id_is_name(cli->operands[0]))
        return request_id_refuse(cli, cli->operands[0]);
    code = api_find(cli, &peer);
    if (code == CLI_OK)
        code = request_id_find(cli, &peer, cli->operands[0], id);
    if (code == CLI_OK)
        code = fetch(cli, &peer, id, &answer);
    if (code != CLI_OK)
        return code;
    t.record = json_object_get(answer, "record");
    t.logs = json_object_get(answer, "logs");
    t.parent = api_plain(answer, "traceparent");
    if (cli->json) {
        api_print(answer);
    } else {
        print_head(&t);
        print_timeline(&t);
        print_figures(&t);
        print_logs(&t);
        print_stack(&t);
    }
    json_decref(answer);
    return CLI_OK;
}
