#include "cli/top-ui.h"

#include "base/clock.h"
#include "cli/show.h"
#include "cli/term.h"

#include <curses.h>
#include <stdarg.h>
#include <string.h>
#include <wchar.h>

#define HEADER_ROWS 5
#define CELLS_MAX   512
#define NAME_MIN    12 /* of the column that takes what is left */

/* Without colours attributes tell the same. */
static const struct {
    short foreground, background;
    attr_t with_color, without;
} paints[_TOP_PAINT_MAX] = {
    [TOP_PAINT_PLAIN] = {-1, -1, A_NORMAL, A_NORMAL},
    [TOP_PAINT_TITLE] = {COLOR_BLACK, COLOR_GREEN, A_NORMAL, A_REVERSE},
    [TOP_PAINT_SORTED] = {COLOR_BLACK, COLOR_CYAN, A_NORMAL, A_REVERSE | A_UNDERLINE},
    [TOP_PAINT_SELECTED] = {COLOR_BLACK, COLOR_CYAN, A_NORMAL, A_REVERSE},
    [TOP_PAINT_GOOD] = {COLOR_GREEN, -1, A_NORMAL, A_NORMAL},
    [TOP_PAINT_WARN] = {COLOR_YELLOW, -1, A_NORMAL, A_NORMAL},
    [TOP_PAINT_BAD] = {COLOR_RED, -1, A_BOLD, A_BOLD},
    [TOP_PAINT_DIM] = {-1, -1, A_DIM, A_NORMAL},
    [TOP_PAINT_KEY] = {COLOR_BLACK, COLOR_CYAN, A_NORMAL, A_REVERSE},
    [TOP_PAINT_ACCENT] = {COLOR_CYAN, -1, A_BOLD, A_BOLD},
};

void top_draw_begin(void)
{
    for (short i = 0; term_has_colors() && i < _TOP_PAINT_MAX; i++)
        (void)init_pair((short)(i + 1), paints[i].foreground, paints[i].background);
}

static attr_t paint_of(enum top_paint paint)
{
    return term_has_colors() ? paints[paint].with_color | COLOR_PAIR(paint + 1)
                             : paints[paint].without;
}

int top_rows(void)
{
    return getmaxy(stdscr);
}

int top_columns(void)
{
    return getmaxx(stdscr);
}

/* The characters of s that fit, and then blanks. What the locale has no sign for is a '?'. */
static int to_cells(const char *s, int width, wchar_t cells[static CELLS_MAX])
{
    mbstate_t state = {0};
    int n = 0, used = 0;

    while (*s && n < CELLS_MAX - 1) {
        wchar_t c = L'?';
        size_t len = mbrtowc(&c, s, strlen(s), &state);
        int cell;

        if (len == (size_t)-1 || len == (size_t)-2 || len == 0) {
            memset(&state, 0, sizeof state);
            c = L'?';
            len = 1;
        }
        cell = wcwidth(c);
        if (cell < 0) {
            c = L'?';
            cell = 1;
        }
        if (used + cell > width)
            break;
        cells[n++] = c;
        used += cell;
        s += len;
    }
    while (used++ < width && n < CELLS_MAX - 1)
        cells[n++] = L' ';
    return n;
}

void top_put(int y, int x, int width, enum top_paint paint, const char *format, ...)
{
    wchar_t cells[CELLS_MAX];
    char text[2 * CELLS_MAX];
    va_list ap;
    int n;

    width = MIN(width, top_columns() - x);
    if (y < 0 || y >= top_rows() || x < 0 || width <= 0)
        return;
    va_start(ap, format);
    (void)vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    n = to_cells(text, MIN(width, CELLS_MAX - 1), cells);
    (void)attrset((int)paint_of(paint));
    (void)mvaddnwstr(y, x, cells, n);
    (void)attrset(A_NORMAL);
}

/* ---- the header ---- */

/* "CPU[||||||       45.3%]" */
static void draw_meter(int y, int x, int width, const char *name, double share, const char *text)
{
    int inner = width - (int)strlen(name) - 2, filled, at = x + (int)strlen(name) + 1;
    int text_len = (int)strlen(text);
    enum top_paint paint = share > 0.9   ? TOP_PAINT_BAD
                           : share > 0.7 ? TOP_PAINT_WARN
                                         : TOP_PAINT_GOOD;

    if (inner < text_len + 1)
        return;
    filled = (int)(MIN(MAX(share, 0), 1) * inner + 0.5);
    top_put(y, x, (int)strlen(name), TOP_PAINT_ACCENT, "%s", name);
    top_put(y, at - 1, 1, TOP_PAINT_PLAIN, "[");
    for (int i = 0; i < inner - text_len; i++)
        top_put(y, at + i, 1, paint, i < filled ? "|" : " ");
    top_put(y, at + inner - text_len, text_len, TOP_PAINT_DIM, "%s", text);
    top_put(y, at + inner, 1, TOP_PAINT_PLAIN, "]");
}

static void draw_meters(const struct top_ui *ui, int y, int width)
{
    const struct top_machine *m = &ui->model.machine;
    char text[96], used[SHOW_SIZE], all[SHOW_SIZE];

    (void)snprintf(text, sizeof text, "%.1f%% of %llu", m->cpu_percent,
                   (unsigned long long)m->cpus);
    draw_meter(y, 1, width, "CPU", m->cpu_percent / 100, text);
    (void)snprintf(text, sizeof text, "%.20s/%.20s", show_bytes(m->memory_used_bytes, used),
                   show_bytes(m->memory_bytes, all));
    draw_meter(y + 1, 1, width, "Mem",
               m->memory_bytes ? (double)m->memory_used_bytes / (double)m->memory_bytes : 0, text);
    (void)snprintf(text, sizeof text, "%llu/%llu", (unsigned long long)m->workers,
                   (unsigned long long)m->workers_max);
    draw_meter(y + 2, 1, width, "Wrk",
               m->workers_max ? (double)m->workers / (double)m->workers_max : 0, text);
}

/* The rate of the last seconds, the newest at the right. */
static void draw_sparkline(const struct top_ui *ui, int y, int x, int width)
{
    static const char *const blocks[] = {" ",
                                         "\xe2\x96\x81",
                                         "\xe2\x96\x82",
                                         "\xe2\x96\x83",
                                         "\xe2\x96\x84",
                                         "\xe2\x96\x85",
                                         "\xe2\x96\x86",
                                         "\xe2\x96\x87",
                                         "\xe2\x96\x88"};
    static const char *const signs[] = {" ", ".", ":", "-", "=", "+", "*", "#", "@"};
    const struct top_model *m = &ui->model;
    size_t shown = width > 0 ? MIN(m->n_history, (size_t)width) : 0;
    double max = 0;

    for (size_t i = 0; i < shown; i++)
        max = MAX(max, m->history[m->n_history - 1 - i]);
    for (size_t i = 0; i < shown; i++) {
        double value = m->history[m->n_history - shown + i];
        size_t level = max > 0 ? (size_t)(value / max * 8 + 0.5) : 0;

        level = value > 0 ? MAX(level, 1) : 0;
        top_put(y, x + width - (int)shown + (int)i, 1, TOP_PAINT_ACCENT, "%s",
                ui->utf8 ? blocks[level] : signs[level]);
    }
}

static void draw_numbers(const struct top_ui *ui, int y, int x, int width)
{
    const struct top_machine *m = &ui->model.machine;
    double share = m->rate > 0 ? 100 * m->error_rate / m->rate : 0;
    char p50[SHOW_SIZE], p99[SHOW_SIZE];

    top_put(y, x, width, TOP_PAINT_PLAIN, "%.1f requests/s", m->rate);
    if (share > 0)
        top_put(y, x + 20, width - 20, TOP_PAINT_BAD, "%.1f%% errors", share);
    top_put(y + 1, x, width, TOP_PAINT_PLAIN, "p50 %s  p99 %s  queued %llu",
            show_us(m->p50_us, p50), show_us(m->p99_us, p99), (unsigned long long)m->queued);
    draw_sparkline(ui, y + 2, x, width);
}

static void draw_title(const struct top_ui *ui)
{
    const struct top_model *m = &ui->model;
    char time[SHOW_SIZE];
    int width = top_columns();

    top_put(0, 1, width, TOP_PAINT_ACCENT, "mayfly top");
    if (ui->lost[0])
        top_put(0, 13, width - 23, TOP_PAINT_BAD, "no connection: %s", ui->lost);
    else if (!ui->has_any)
        top_put(0, 13, width - 23, TOP_PAINT_DIM, "waiting for the daemon");
    else if (ui->paused)
        top_put(0, 13, width - 23, TOP_PAINT_WARN, "paused");
    else if (m->filter[0])
        top_put(0, 13, width - 23, TOP_PAINT_WARN, "filter: %s", m->filter);
    if (ui->has_any)
        top_put(0, width - 9, 8, TOP_PAINT_DIM, "%.8s", show_clock(m->machine.time_us, time));
}

static void draw_header(const struct top_ui *ui)
{
    int half = top_columns() / 2;

    draw_title(ui);
    if (ui->model.machine.omitted)
        top_put(HEADER_ROWS - 1, 1, top_columns() - 1, TOP_PAINT_WARN,
                "%llu processes more than are listed here",
                (unsigned long long)ui->model.machine.omitted);
    draw_meters(ui, 1, half - 2);
    draw_numbers(ui, 1, half + 1, top_columns() - half - 2);
}

/* ---- tables ---- */

/* Which columns there is room for; those without get width -1. */
static void lay_out(const struct top_view *v, int room, int widths[static 16])
{
    for (size_t i = 0; i < v->n_columns; i++)
        widths[i] = v->columns[i].width;
    for (;;) {
        int used = 0, least = -1, filler = -1;

        for (size_t i = 0; i < v->n_columns; i++) {
            if (widths[i] < 0)
                continue;
            used += (widths[i] ? widths[i] : NAME_MIN) + 1;
            if (widths[i] == 0)
                filler = (int)i;
            else if (least < 0 || v->columns[i].keep < v->columns[least].keep)
                least = (int)i;
        }
        if (used <= room || least < 0) {
            if (filler >= 0)
                widths[filler] = MAX(NAME_MIN + room - used, 1);
            return;
        }
        widths[least] = -1;
    }
}

static void draw_titles(const struct top_view *v, int y, const int widths[static 16], bool focused)
{
    int x = 1;

    top_put(y, 0, top_columns(), TOP_PAINT_TITLE, " ");
    for (size_t i = 0; i < v->n_columns; i++) {
        const struct top_column *c = &v->columns[i];
        enum top_paint paint = i == v->sort && focused ? TOP_PAINT_SORTED : TOP_PAINT_TITLE;

        if (widths[i] < 0)
            continue;
        if (c->left)
            top_put(y, x, widths[i], paint, "%s", c->title);
        else
            top_put(y, x, widths[i], paint, "%*s", widths[i], c->title);
        x += widths[i] + 1;
    }
}

static void draw_row(const struct top_view *v, const void *row, int y, const int widths[static 16],
                     enum top_paint paint)
{
    int x = 1;

    if (paint == TOP_PAINT_SELECTED)
        top_put(y, 0, top_columns(), paint, " ");
    for (size_t i = 0; i < v->n_columns; i++) {
        char text[128];

        if (widths[i] < 0)
            continue;
        v->columns[i].write(row, text, sizeof text);
        if (v->columns[i].left)
            top_put(y, x, widths[i], paint, "%s", text);
        else
            top_put(y, x, widths[i], paint, "%*s", widths[i], text);
        x += widths[i] + 1;
    }
}

static enum top_paint row_paint(enum top_pane pane, const void *row)
{
    const struct top_function *f = row;

    if (pane == TOP_WORKERS)
        return strcmp(((const struct top_process *)row)->kind, "worker") == 0 ? TOP_PAINT_PLAIN
                                                                              : TOP_PAINT_DIM;
    if (f->error_rate > 0)
        return TOP_PAINT_BAD;
    if (f->queued > 0)
        return TOP_PAINT_WARN;
    return f->rate > 0 || f->busy > 0 ? TOP_PAINT_PLAIN : TOP_PAINT_DIM;
}

static void draw_pane(struct top_ui *ui, enum top_pane pane, int y, int rows)
{
    struct top_view *v = &ui->model.views[pane];
    int widths[16], room = rows - 1;

    if (rows < 1)
        return;
    lay_out(v, top_columns() - 1, widths);
    draw_titles(v, y, widths, ui->focus == pane);
    if (room < 1)
        return;
    if (v->selected < v->top)
        v->top = v->selected;
    if (v->selected >= v->top + (size_t)room)
        v->top = v->selected - (size_t)room + 1;
    if (v->top + (size_t)room > v->n)
        v->top = v->n > (size_t)room ? v->n - (size_t)room : 0;
    for (int i = 0; i < room && v->top + (size_t)i < v->n; i++) {
        size_t at = v->top + (size_t)i;
        bool selected = ui->focus == pane && at == v->selected;

        draw_row(v, v->rows[at], y + 1 + i, widths,
                 selected ? TOP_PAINT_SELECTED : row_paint(pane, v->rows[at]));
    }
}

static void draw_panes(struct top_ui *ui, int y, int rows)
{
    int functions = (int)ui->model.views[TOP_FUNCTIONS].n + 1;
    int workers = (int)ui->model.views[TOP_WORKERS].n + 1;
    int first;

    if (rows < 6) { /* for two there is no room */
        draw_pane(ui, ui->focus, y, rows);
        return;
    }
    first = MIN(functions, MAX(rows / 2, rows - workers));
    draw_pane(ui, TOP_FUNCTIONS, y, first);
    draw_pane(ui, TOP_WORKERS, y + first, rows - first);
}

/* ---- the last line ---- */

static void draw_keys(int y)
{
    static const struct {
        const char *key, *text;
    } keys[] = {
        {"?", "Help"},  {"Tab", "Pane"},  {"Enter", "Logs"}, {"k", "Kill"}, {"/", "Filter"},
        {"<>", "Sort"}, {"r", "Reverse"}, {"p", "Pause"},    {"q", "Quit"},
    };
    int x = 0;

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        int key = (int)strlen(keys[i].key), text = (int)strlen(keys[i].text);

        if (x + key + text + 1 > top_columns())
            return;
        top_put(y, x, key, TOP_PAINT_PLAIN, "%s", keys[i].key);
        top_put(y, x + key, text, TOP_PAINT_KEY, "%s", keys[i].text);
        x += key + text + 1;
    }
}

static void draw_bottom(const struct top_ui *ui)
{
    int y = top_rows() - 1, width = top_columns();

    if (ui->mode == TOP_MODE_FILTER)
        top_put(y, 0, width, TOP_PAINT_WARN, "Filter: %s_  (Enter keeps it, Esc drops it)",
                ui->model.filter);
    else if (ui->mode == TOP_MODE_KILL)
        top_put(y, 0, width, TOP_PAINT_BAD, "Kill request %s of %s? y/N", ui->kill_id,
                ui->kill_function);
    else if (ui->message[0] && clock_now_ns() < ui->message_until_ns)
        top_put(y, 0, width, TOP_PAINT_WARN, "%s", ui->message);
    else
        draw_keys(y);
}

/* ---- help ---- */

static void draw_help(void)
{
    static const char *const lines[] = {
        "mayfly top: what runs now",
        "",
        "Above the functions, below the workers: each is one request in one process.",
        "Rates, percentiles and cold starts are of the last 10 seconds.",
        "",
        "  Tab                 from one table to the other",
        "  arrows, PgUp/PgDn   move        Home/End   to the first, to the last",
        "  Enter, l            log lines of the request or function",
        "  k, Del              kill the worker's request (asks first)",
        "  /                   show only rows with this text; Esc shows all again",
        "  <  >  left, right   sort by another column     r  the other way around",
        "  C  M  R  A          sort by CPU, memory, rate, age",
        "  a                   standbys and zygotes among the workers, too",
        "  p, blank            pause",
        "  Ctrl-L              draw anew",
        "  q, F10              quit",
        "",
        "WRK workers  STBY standbys  COLD cold starts  ERR% share of failed requests",
        "",
        "Any key goes back.",
    };

    for (int i = 0; i < (int)ARRAY_SIZE(lines) && i < top_rows(); i++)
        top_put(i, 1, top_columns() - 1, i == 0 ? TOP_PAINT_ACCENT : TOP_PAINT_PLAIN, "%s",
                lines[i]);
}

void top_draw(struct top_ui *ui)
{
    int rows = top_rows(), header = rows >= 2 * HEADER_ROWS ? HEADER_ROWS : rows > 3 ? 1 : 0;

    (void)erase();
    if (ui->mode == TOP_MODE_HELP) {
        draw_help();
    } else if (ui->mode == TOP_MODE_PAGER) {
        top_pager_draw(ui);
    } else {
        if (header == HEADER_ROWS)
            draw_header(ui);
        else if (header)
            draw_title(ui);
        draw_panes(ui, header, rows - header - 1);
        draw_bottom(ui);
    }
    (void)refresh();
}
