/* mayfly top: the daemon's "live" events, on a screen where there is one, else as tables or JSON,
 * one after the other. */

#include "cli/api.h"
#include "cli/given.h"
#include "cli/output.h"
#include "cli/show.h"
#include "cli/stream.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/top-ui.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define STREAM_TARGET "/api/v1/stream?events=live"
#define LIVE_TARGET   "/api/v1/live"
#define REDRAW_MS     1000 /* a message may have had its time */

typedef unsigned long long ull;

struct top {
    const struct cli *cli;
    struct client_peer peer;
    struct top_ui ui;
    struct stream *stream;
    json_t *early;                 /* an event that came before it was known how to show it */
    uint64_t interval_ns, next_ns; /* without a screen: not oftener than that */
    enum { SHOWS_NOTHING_YET, SHOWS_TABLES, SHOWS_SCREEN } shows;
};

/* ---- without a screen ---- */

static void print_view(const struct cli *cli, const struct top_view *v)
{
    const char *heads[TABLE_COLUMNS_MAX] = {0};
    struct table *table;

    for (size_t i = 0; i < v->n_columns; i++)
        heads[i] = cli_printf("%c%s", v->columns[i].left ? '<' : '>', v->columns[i].title);
    table = table_new(heads);
    for (size_t i = 0; i < v->n; i++) {
        table_row(table, NULL);
        for (size_t k = 0; k < v->n_columns; k++) {
            char text[128];

            v->columns[k].write(v->rows[i], text, sizeof text);
            table_cell(table, "%s", text);
        }
    }
    table_print(table, stdout, cli->color_out);
    (void)table_free(table);
    for (size_t i = 0; i < v->n_columns; i++)
        free((char *)(uintptr_t)heads[i]);
}

static void print_tables(const struct top *t)
{
    const struct top_model *m = &t->ui.model;
    const struct top_machine *x = &m->machine;
    char time[SHOW_SIZE], used[SHOW_SIZE], all[SHOW_SIZE], p50[SHOW_SIZE], p99[SHOW_SIZE];

    (void)printf("%.8s  CPU %.1f%% of %llu, memory %s of %s, workers %llu of %llu, %llu queued\n",
                 show_clock(x->time_us, time), x->cpu_percent, (ull)x->cpus,
                 show_bytes(x->memory_used_bytes, used), show_bytes(x->memory_bytes, all),
                 (ull)x->workers, (ull)x->workers_max, (ull)x->queued);
    (void)printf("%.1f requests/s, %.1f failed, p50 %s, p99 %s\n\n", x->rate, x->error_rate,
                 show_us(x->p50_us, p50), show_us(x->p99_us, p99));
    print_view(t->cli, &m->views[TOP_FUNCTIONS]);
    (void)fputc('\n', stdout);
    print_view(t->cli, &m->views[TOP_WORKERS]);
    if (x->omitted)
        (void)printf("and %llu more\n", (ull)x->omitted);
    (void)fputc('\n', stdout);
}

static void print_live(struct top *t, const json_t *live)
{
    if (t->cli->json) {
        api_print(live);
    } else {
        top_model_take(&t->ui.model, live);
        print_tables(t);
    }
}

static enum cli_exit print_once(struct top *t)
{
    json_t *live = NULL;
    enum cli_exit code = api_get(t->cli, &t->peer, LIVE_TARGET, &live);

    if (code == CLI_OK)
        print_live(t, live);
    json_decref(live);
    return code;
}

/* ---- the stream ---- */

static void show(struct top *t, const json_t *live)
{
    uint64_t now_ns = clock_now_ns();

    if (t->shows == SHOWS_SCREEN) {
        if (!t->ui.paused || !t->ui.has_any)
            top_model_take(&t->ui.model, live);
        t->ui.has_any = true;
    } else if (now_ns >= t->next_ns) {
        print_live(t, live);
        t->next_ns = now_ns + t->interval_ns;
    }
}

static int on_event(void *ctx, const struct sse_event *event)
{
    struct top *t = ctx;
    json_t *live = NULL;

    if (!slice_eq(event->name, SLICE_LIT("live")) ||
        json_text_load(event->data, "event", &live, NULL) < 0)
        return 0;
    if (t->shows == SHOWS_NOTHING_YET) {
        json_decref(t->early);
        t->early = live;
        return 0;
    }
    show(t, live);
    json_decref(live);
    return 0;
}

/* What a result of stream_step() means; *ret_ended is set where it is the end. */
static enum cli_exit take_step(struct top *t, int r, const struct error *err, bool *ret_ended)
{
    *ret_ended = r == STREAM_E_REFUSED || r < 0;
    if (r == STREAM_E_LIVE) {
        t->ui.lost[0] = '\0';
    } else if (r == STREAM_E_LOST) {
        (void)snprintf(t->ui.lost, sizeof t->ui.lost, "%.*s", TOP_MESSAGE_MAX - 1, err->text);
        if (t->shows != SHOWS_SCREEN)
            cli_note(t->cli, "mayfly: top: the connection is lost (%s); trying again", err->text);
    } else if (*ret_ended) {
        term_end();
        return r < 0 ? cli_fail(t->cli, CLI_FAILURE, NULL, "the daemon's stream: %s", strerror(-r))
                     : api_refused(t->cli, stream_status(t->stream), stream_refusal(t->stream),
                                   STREAM_TARGET);
    }
    return CLI_OK;
}

/* Before the screen changes: whether there is anybody. */
static enum cli_exit connect_first(struct top *t)
{
    for (;;) {
        struct pollfd fd = {.fd = stream_fd(t->stream), .events = stream_events(t->stream)};
        struct error err = ERROR_NULL;
        bool ended;
        int r;

        (void)poll(&fd, 1, stream_timeout_ms(t->stream));
        r = stream_step(t->stream, &err);
        if (r == STREAM_E_LOST)
            return api_fail(t->cli, CLIENT_E_UNREACHABLE, &err);
        if (r != STREAM_E_OK)
            return take_step(t, r, &err, &ended);
    }
}

static enum cli_exit run_plain(struct top *t)
{
    enum cli_exit code = CLI_OK;
    bool ended = false;

    while (!ended && fflush(stdout) == 0) {
        struct pollfd fds[] = {{.fd = stream_fd(t->stream), .events = stream_events(t->stream)},
                               {.fd = STDOUT_FILENO}}; /* POLLERR: nobody reads any more */
        struct error err = ERROR_NULL;

        if (poll(fds, ARRAY_SIZE(fds), stream_timeout_ms(t->stream)) > 0 &&
            (fds[1].revents & (POLLERR | POLLHUP)))
            break;
        code = take_step(t, stream_step(t->stream, &err), &err, &ended);
    }
    return code;
}

/* ---- the screen ---- */

static int earliest(int a, int b)
{
    return a < 0 ? b : b < 0 ? a : MIN(a, b);
}

static enum cli_exit run_screen(struct top *t)
{
    struct top_ui *ui = &t->ui;
    enum cli_exit code = CLI_OK;
    bool ended = false;

    top_draw_begin();
    while (!ui->ends && !ended) {
        struct pollfd fds[] = {{.fd = stream_fd(t->stream), .events = stream_events(t->stream)},
                               {.fd = top_pager_fd(ui), .events = top_pager_events(ui)}};
        int timeout_ms = earliest(stream_timeout_ms(t->stream), top_pager_timeout_ms(ui));
        struct error err = ERROR_NULL;
        int key;

        top_draw(ui);
        if (term_wait(fds, ARRAY_SIZE(fds), earliest(timeout_ms, REDRAW_MS)) == TERM_E_END)
            break;
        code = take_step(t, stream_step(t->stream, &err), &err, &ended);
        top_pager_step(ui);
        while (!ui->ends && !ended && (key = term_key()) >= 0)
            top_key(ui, key);
    }
    top_pager_close(ui);
    term_end();
    return code;
}

static enum cli_exit run(struct top *t)
{
    enum cli_exit code;

    t->stream = stream_new(&t->peer, STREAM_TARGET, on_event, t);
    code = connect_first(t);
    if (code == CLI_OK) {
        bool plain = t->cli->json || term_begin(t->cli->color_out) == TERM_E_PLAIN;

        t->shows = plain ? SHOWS_TABLES : SHOWS_SCREEN;
        if (t->early)
            show(t, t->early);
        code = plain ? run_plain(t) : run_screen(t);
    }
    json_decref(t->early);
    t->stream = stream_free(t->stream);
    return code;
}

enum cli_exit command_top(struct cli *cli)
{
    struct top t = {.cli = cli};
    uint64_t interval_us = 0;
    enum cli_exit code = given_duration(cli, "interval", &interval_us);

    if (code == CLI_OK)
        code = api_find(cli, &t.peer);
    if (code != CLI_OK)
        return code;
    if (top_model_init(&t.ui.model) < 0)
        cli_no_memory();
    t.interval_ns = interval_us * NS_PER_US;
    t.ui.cli = cli;
    t.ui.peer = &t.peer;
    t.ui.utf8 = show_has_utf8();
    code = cli_flag(cli, "once") ? print_once(&t) : run(&t);
    top_model_deinit(&t.ui.model);
    return code;
}
