/* Lines for people who watch. A request's log lines come before its record, but read better below
 * it; so they are held back for a moment, and only those of a request that takes longer are printed
 * as they come. */

#include "base/clock.h"
#include "base/log.h"
#include "control/printer.h"
#include "json/text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define HOLD_NS     (150 * NS_PER_MS)
#define CODE_INSIDE "/var/task/" /* sandbox/sandbox.h, which this program does not link */

#define RED    "\033[31m"
#define GREEN  "\033[32m"
#define YELLOW "\033[33m"
#define CYAN   "\033[36m"
#define DIM    "\033[2m"
#define RESET  "\033[0m"

static const struct {
    const char *mark;
    const char *color;
} streams[_LOG_STREAM_MAX] = {
    [LOG_STDOUT] = {"|", DIM},
    [LOG_STDERR] = {"!", YELLOW},
    [LOG_SYSTEM] = {"*", CYAN},
};

static const char *paint(const struct printer *p, const char *color)
{
    return p->color ? color : "";
}

/* The last digits of an id: the first ones of a UUID version 7 are the time. */
static struct slice id_short(struct slice id)
{
    size_t n = MIN(id.len, (size_t)8);

    return slice(id.base + id.len - n, n);
}

static const char *duration(uint64_t ns, char dst[static 16])
{
    double ms = (double)ns / 1e6;

    if (ms < 10)
        (void)snprintf(dst, 16, "%.2fms", ms);
    else if (ms < 1000)
        (void)snprintf(dst, 16, "%.0fms", ms);
    else
        (void)snprintf(dst, 16, "%.2fs", ms / 1000);
    return dst;
}

static const char *clock_text(uint64_t wall_us, char dst[static 16])
{
    time_t seconds = (time_t)(wall_us / US_PER_S);
    struct tm tm;

    if (!localtime_r(&seconds, &tm))
        return "--:--:--.---";
    (void)snprintf(dst, 16, "%02d:%02d:%02d.%03u", tm.tm_hour % 100, tm.tm_min % 100,
                   tm.tm_sec % 100, (unsigned)(wall_us / 1000 % 1000));
    return dst;
}

static int put_quoted(struct buf *b, struct slice text)
{
    static char quoted[4 * LOG_LINE_BYTES_MAX + 8];

    return buf_append_str(b, log_quote(text, quoted, sizeof(quoted)));
}

static void find_code(struct printer *p, struct slice function)
{
    p->code = p->find_code ? p->find_code(p->find_code_ctx, function) : NULL;
}

/* A function knows its code by a name of the sandbox's; an editor finds it by its own. */
static int put_line(struct printer *p, struct slice line)
{
    static const struct slice inside = SLICE_LIT(CODE_INSIDE);
    int r = 0;

    while (p->code && r == 0) {
        const char *at = line.len > 0 ? memmem(line.base, line.len, inside.base, inside.len) : NULL;
        size_t before = at ? (size_t)(at - line.base) : 0;

        if (!at)
            break;
        r = put_quoted(&p->out->buf, slice(line.base, before));
        r = r < 0 ? r : put_quoted(&p->out->buf, slice_str(p->code));
        r = r < 0 ? r : buf_append_str(&p->out->buf, "/");
        line = slice(at + inside.len, line.len - before - inside.len);
    }
    return r < 0 ? r : put_quoted(&p->out->buf, line);
}

/* Each line of a text on one of its own, with nothing in it that a terminal would obey. */
static int put_lines(struct printer *p, const char *before, struct slice text, const char *after)
{
    struct buf *b = &p->out->buf;
    int r = 0;

    while (text.len > 0 && r == 0) {
        const char *end = memchr(text.base, '\n', text.len);
        size_t n = end ? (size_t)(end - text.base) : text.len;

        r = buf_append_str(b, before);
        r = r < 0 ? r : put_line(p, slice(text.base, n));
        r = r < 0 ? r : buf_append_str(b, after);
        n += end != NULL;
        text = slice(text.base + n, text.len - n);
    }
    return r;
}

/* What a function or its loading failed with, {"errorType", "errorMessage", "stackTrace"}, as
 * people read it; any other text as it is. */
static int put_failure(struct printer *p, const char *before, struct slice text, const char *after)
{
    json_t *json = NULL, *type, *message, *item;
    _cleanup_free_ char *line = NULL;
    size_t i;
    int r;

    if (text.len == 0 || text.base[0] != '{' || json_text_load(text, "failure", &json, NULL) < 0)
        return put_lines(p, before, text, after);
    type = json_object_get(json, "errorType");
    message = json_object_get(json, "errorMessage");
    if (!json_is_string(type) || !json_is_string(message) ||
        asprintf(&line, "%s: %s", json_string_value(type), json_string_value(message)) < 0) {
        line = NULL;
        r = put_lines(p, before, text, after);
    } else {
        r = put_lines(p, before, slice_str(line), after);
        json_array_foreach(json_object_get(json, "stackTrace"), i, item) r =
            r < 0 ? r : put_lines(p, before, slice_str(json_string_value(item)), after);
    }
    json_decref(json);
    return r;
}

static int put_log_text(struct printer *p, enum log_stream stream, struct slice text)
{
    const char *after = p->color && stream == LOG_STDERR ? RESET "\n" : "\n";
    char before[64];

    (void)snprintf(before, sizeof(before), "    %s%s%s ", paint(p, streams[stream].color),
                   streams[stream].mark, stream == LOG_STDERR ? "" : paint(p, RESET));
    if (text.len == 0) /* an empty line is one, too */
        text = SLICE_LIT("\n");
    return stream == LOG_SYSTEM ? put_failure(p, before, text, after)
                                : put_lines(p, before, text, after);
}

/* ---- lines on their own ---- */

static void held_print(struct printer *p, const struct printer_held *h)
{
    struct slice id = id_short(slice_str(h->request_id));
    char function[128], quoted[40];
    int r;

    output_begin(p->out);
    find_code(p, slice_str(h->function));
    r = buf_printf(&p->out->buf, "  %s%s%s%s%s\n", paint(p, DIM),
                   log_quote(slice_str(h->function), function, sizeof(function)),
                   id.len > 0 ? " " : "", log_quote(id, quoted, sizeof(quoted)), paint(p, RESET));
    r = r < 0 ? r : put_log_text(p, h->stream, slice(h->text, h->len));
    output_end(p->out, r);
}

static void held_drop(struct printer *p, uint32_t i)
{
    free(p->held[i].text);
    p->n_held--;
    memmove(&p->held[i], &p->held[i + 1], (p->n_held - i) * sizeof(p->held[0]));
}

static void copy_text(char *dst, size_t size, struct slice s)
{
    size_t n = MIN(s.len, size - 1);

    if (n > 0)
        memcpy(dst, s.base, n);
    dst[n] = '\0';
}

static void pretty_log_line(struct printer *p, const struct log_line *l, uint64_t now_ns)
{
    struct printer_held h = {.until_ns = now_ns + HOLD_NS, .stream = l->stream};

    copy_text(h.request_id, sizeof(h.request_id), l->request_id);
    copy_text(h.function, sizeof(h.function), l->function);
    h.text = slice_dup(l->text);
    h.len = l->text.len;
    if (!h.text) {
        p->out->n_dropped++;
        return;
    }
    if (l->request_id.len == 0) {
        held_print(p, &h);
        free(h.text);
        return;
    }
    if (p->n_held == PRINTER_HELD_MAX) {
        held_print(p, &p->held[0]);
        held_drop(p, 0);
    }
    p->held[p->n_held++] = h;
}

static uint64_t pretty_tick(struct printer *p, uint64_t now_ns)
{
    while (p->n_held > 0 && p->held[0].until_ns <= now_ns) {
        held_print(p, &p->held[0]);
        held_drop(p, 0);
    }
    return p->n_held > 0 ? p->held[0].until_ns : UINT64_MAX;
}

/* ---- records ---- */

static const char *status_color(const struct record *r)
{
    if (r->status >= 500 || r->status == 0)
        return RED;
    return r->status >= 400 ? YELLOW : r->status >= 300 ? CYAN : GREEN;
}

static int put_record(struct printer *p, const struct record *r)
{
    char when[16], wait[16], init[16], run[16], cpu[16], status[24], method[80], path[256],
        function[128], id[40];
    bool bad = r->outcome != OUTCOME_OK;
    struct buf *b = &p->out->buf;
    int x;

    (void)snprintf(status, sizeof(status), "%llu", (unsigned long long)r->status);
    x = buf_printf(b, "%s%s%s %-4s %s %s%s%s  %s  wait %s", paint(p, DIM),
                   clock_text(r->start_us, when), paint(p, RESET),
                   log_quote(r->method, method, sizeof(method)),
                   log_quote(r->path, path, sizeof(path)), paint(p, status_color(r)),
                   r->status > 0 ? status : "---", paint(p, RESET),
                   log_quote(r->function, function, sizeof(function)), duration(r->wait_ns, wait));
    if (x == 0 && r->init_ns > 0)
        x = buf_printf(b, " init %s", duration(r->init_ns, init));
    x = x < 0 ? x
              : buf_printf(b, " run %s  cpu %s  %.1fMB", duration(r->run_ns, run),
                           duration((r->user_us + r->system_us) * NS_PER_US, cpu),
                           (double)r->memory_peak_bytes / (1 << 20));
    x = x < 0 ? x
              : buf_printf(b, "  %s%s%s  %s%s%s\n", paint(p, bad ? RED : GREEN),
                           outcome_name((enum outcome)r->outcome), paint(p, RESET), paint(p, DIM),
                           log_quote(id_short(r->request_id), id, sizeof(id)), paint(p, RESET));
    x = x < 0
            ? x
            : put_lines(p, p->color ? "    " RED : "    ", r->error, p->color ? RESET "\n" : "\n");
    return x < 0 ? x
                 : put_failure(p, p->color ? "      " RED : "      ", r->stack,
                               p->color ? RESET "\n" : "\n");
}

static void pretty_record(struct printer *p, const struct record *r)
{
    int x;

    output_begin(p->out);
    find_code(p, r->function);
    x = put_record(p, r);
    for (uint32_t i = 0; i < p->n_held;) {
        struct printer_held *h = &p->held[i];

        if (!slice_eq(slice_str(h->request_id), r->request_id)) {
            i++;
            continue;
        }
        /* What mayfly says of the end is the record's error already. */
        if (x >= 0 && !(h->stream == LOG_SYSTEM && slice_eq(slice(h->text, h->len), r->error)))
            x = put_log_text(p, h->stream, slice(h->text, h->len));
        held_drop(p, i);
    }
    output_end(p->out, x);
}

static void pretty_lost(struct printer *p, const char *what, uint64_t n)
{
    output_begin(p->out);
    output_end(p->out,
               buf_printf(&p->out->buf, "%s%llu %s were lost: more than could be printed%s\n",
                          paint(p, YELLOW), (unsigned long long)n, what, paint(p, RESET)));
}

const struct printer_kind printer_pretty = {
    .record = pretty_record,
    .log_line = pretty_log_line,
    .lost = pretty_lost,
    .tick = pretty_tick,
};
