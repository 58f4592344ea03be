/* The log lines of a request or a function, within `mayfly top`: the newest page, and then what
 * comes. At the end it stays at the end. */

#include "cli/top-ui.h"

#include "base/log.h"
#include "cli/api.h"
#include "cli/lines.h"
#include "cli/show.h"
#include "cli/stream.h"

#include <curses.h>
#include <errno.h>
#include <string.h>

#define LINES_MAX  5000 /* that are kept; the oldest go */
#define PAGE_MAX   1000
#define SIDE_STEP  16
#define SIDE_MAX   16384
#define ESCAPE     27
#define TIME_WIDTH 13

struct line {
    char *text;
    uint64_t time_us;
    char mark;
};

struct top_pager {
    char function[TOP_NAME_MAX + 1];
    char request[37];
    struct line *lines;
    size_t n;
    size_t top;   /* the first line on the screen */
    size_t side;  /* cells cut off at the left */
    bool at_end;  /* stay there */
    bool is_live; /* the first page has been asked for */
    uint64_t last_id;
    uint64_t n_lost;
    char problem[TOP_MESSAGE_MAX];
    struct api_target target;
    struct stream *stream;
};

/* ---- lines ---- */

static void drop_oldest(struct top_pager *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(p->lines[i].text);
    memmove(p->lines, p->lines + n, (p->n - n) * sizeof *p->lines);
    p->n -= n;
    p->top = p->top > n ? p->top - n : 0;
}

/* On the screen a tab is a blank: where it leads to is not known here. */
static char *text_of(const json_t *line)
{
    _cleanup_free_ char *text = cli_printf("%s", api_string(line, "text"));
    size_t size = 4 * strlen(text) + 1;

    for (char *c = text; (c = strchr(c, '\t'));)
        *c = ' ';
    return log_quote(slice_str(text), cli_check(malloc(size)), size);
}

static void add_line(struct top_pager *p, const json_t *line)
{
    uint64_t id = api_number(line, "id");

    if (id <= p->last_id)
        return;
    p->last_id = id;
    if (p->n == LINES_MAX)
        drop_oldest(p, LINES_MAX / 10);
    p->lines[p->n++] = (struct line){
        .text = text_of(line), .time_us = api_number(line, "time_us"), .mark = lines_mark(line)};
}

static void add_lines(struct top_pager *p, const json_t *lines)
{
    json_t *line;
    size_t i;

    json_array_foreach((json_t *)lines, i, line)
    {
        add_line(p, line);
    }
}

static int on_event(void *ctx, const struct sse_event *event)
{
    struct top_pager *p = ctx;
    json_t *body = NULL;

    if (!p->is_live || json_text_load(event->data, "event", &body, NULL) < 0)
        return 0; /* the page that is asked for then has it */
    if (slice_eq(event->name, SLICE_LIT("log"))) {
        add_lines(p, json_object_get(body, "lines"));
        p->n_lost += api_number(body, "omitted");
    } else if (slice_eq(event->name, SLICE_LIT("gap"))) {
        p->n_lost += api_number(body, "lines");
    }
    json_decref(body);
    return 0;
}

static void fetch_page(struct top_ui *ui, struct top_pager *p)
{
    struct api_target target;
    struct error err = ERROR_NULL;
    json_t *answer = NULL;
    unsigned status = 0;

    api_target_init(&target, "/api/v1/logs");
    api_target_add(&target, "function", p->function);
    api_target_add(&target, "request", p->request[0] ? p->request : NULL);
    api_target_add_u64(&target, "limit", PAGE_MAX);
    if (api_try(ui->peer, "GET", api_target_end(&target), &status, &answer, &err) != 0)
        (void)snprintf(p->problem, sizeof p->problem, "%.*s", TOP_MESSAGE_MAX - 1, err.text);
    else if (status != 200)
        (void)snprintf(p->problem, sizeof p->problem, "the daemon answers %u", status);
    add_lines(p, json_object_get(answer, "lines"));
    json_decref(answer);
}

/* ---- its life ---- */

void top_pager_open(struct top_ui *ui, const char *function, const char *request)
{
    struct top_pager *p = cli_check(calloc(1, sizeof *p));

    (void)snprintf(p->function, sizeof p->function, "%s", function);
    (void)snprintf(p->request, sizeof p->request, "%s", request);
    p->lines = cli_check(calloc(LINES_MAX, sizeof *p->lines));
    p->at_end = true;
    api_target_init(&p->target, "/api/v1/stream");
    api_target_add(&p->target, "events", "log");
    api_target_add(&p->target, "function", p->function);
    api_target_add(&p->target, "request", p->request[0] ? p->request : NULL);
    p->stream = stream_new(ui->peer, api_target_end(&p->target), on_event, p);
    ui->pager = p;
    ui->mode = TOP_MODE_PAGER;
}

void top_pager_close(struct top_ui *ui)
{
    struct top_pager *p = ui->pager;

    if (!p)
        return;
    (void)stream_free(p->stream);
    drop_oldest(p, p->n);
    buf_deinit(&p->target.b);
    free(p->lines);
    free(p);
    ui->pager = NULL;
    ui->mode = TOP_MODE_LIST;
}

int top_pager_fd(const struct top_ui *ui)
{
    return ui->pager ? stream_fd(ui->pager->stream) : -1;
}

short top_pager_events(const struct top_ui *ui)
{
    return ui->pager ? stream_events(ui->pager->stream) : 0;
}

int top_pager_timeout_ms(const struct top_ui *ui)
{
    return ui->pager ? stream_timeout_ms(ui->pager->stream) : -1;
}

void top_pager_step(struct top_ui *ui)
{
    struct top_pager *p = ui->pager;
    struct error err = ERROR_NULL;
    int r;

    if (!p)
        return;
    r = stream_step(p->stream, &err);
    if (r == STREAM_E_LIVE) {
        p->problem[0] = '\0';
        fetch_page(ui, p); /* after a loss, too: what is known already is left out */
        p->is_live = true;
    } else if (r == STREAM_E_LOST) {
        p->is_live = false;
        (void)snprintf(p->problem, sizeof p->problem, "no connection: %.*s", TOP_MESSAGE_MAX - 20,
                       err.text);
    } else if (r == STREAM_E_REFUSED) {
        (void)snprintf(p->problem, sizeof p->problem, "the daemon answers %u",
                       stream_status(p->stream));
    }
}

/* ---- on the screen ---- */

static size_t room(void)
{
    return (size_t)MAX(top_rows() - 2, 1);
}

static size_t last_top(const struct top_pager *p)
{
    return p->n > room() ? p->n - room() : 0;
}

/* So many cells into the text; a character of several bytes counts as one. */
static const char *from_side(const char *text, size_t side)
{
    for (; side > 0 && *text; side--) {
        text++;
        while (((unsigned char)*text & 0xc0) == 0x80)
            text++;
    }
    return text;
}

static enum top_paint paint_of(char mark)
{
    return mark == '!' ? TOP_PAINT_WARN : mark == '*' ? TOP_PAINT_ACCENT : TOP_PAINT_PLAIN;
}

void top_pager_draw(struct top_ui *ui)
{
    struct top_pager *p = ui->pager;
    int width = top_columns(), bottom = top_rows() - 1;

    p->top = p->at_end ? last_top(p) : MIN(p->top, last_top(p));
    top_put(0, 0, width, TOP_PAINT_TITLE, " logs of %s%s%s", p->function,
            p->request[0] ? "  request " : "", p->request);
    for (size_t i = 0; i < room() && p->top + i < p->n; i++) {
        const struct line *line = &p->lines[p->top + i];
        char time[SHOW_SIZE];
        int y = (int)i + 1;

        top_put(y, 0, TIME_WIDTH, TOP_PAINT_DIM, "%s", show_clock(line->time_us, time));
        top_put(y, TIME_WIDTH, width, paint_of(line->mark), "%c %s", line->mark,
                from_side(line->text, p->side));
    }
    if (p->problem[0])
        top_put(bottom, 0, width, TOP_PAINT_BAD, "%s", p->problem);
    else if (p->n_lost)
        top_put(bottom, 0, width, TOP_PAINT_BAD, "%llu lines came too fast and are not here",
                (unsigned long long)p->n_lost);
    else
        top_put(bottom, 0, width, TOP_PAINT_KEY,
                " %zu lines%s   arrows move, End follows, q goes back", p->n,
                p->at_end ? ", following" : "");
}

static void move_to(struct top_pager *p, long to)
{
    long last = (long)last_top(p);

    p->top = (size_t)(to < 0 ? 0 : MIN(to, last));
    p->at_end = to >= last;
}

void top_pager_key(struct top_ui *ui, int key)
{
    struct top_pager *p = ui->pager;
    long top = (long)p->top;

    switch (key) {
    case 'q':
    case ESCAPE:
    case KEY_BACKSPACE:
    case 127:
    case KEY_F(10):
        top_pager_close(ui);
        break;
    case KEY_UP:
    case 'k':
        move_to(p, top - 1);
        break;
    case KEY_DOWN:
    case 'j':
        move_to(p, top + 1);
        break;
    case KEY_PPAGE:
    case 'b':
        move_to(p, top - (long)room());
        break;
    case KEY_NPAGE:
    case ' ':
        move_to(p, top + (long)room());
        break;
    case KEY_HOME:
    case 'g':
        move_to(p, 0);
        break;
    case KEY_END:
    case 'G':
        move_to(p, (long)p->n);
        break;
    case KEY_LEFT:
        p->side = p->side > SIDE_STEP ? p->side - SIDE_STEP : 0;
        break;
    case KEY_RIGHT:
        p->side = MIN(p->side + SIDE_STEP, (size_t)SIDE_MAX);
        break;
    default:
        break;
    }
}
