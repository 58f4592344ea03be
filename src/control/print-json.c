/* One JSON object a line, so that a line is an event to every tool. */

#include "base/clock.h"
#include "control/printer.h"
#include "model/record-json.h"

#include <stdio.h>

static void line_begin(struct printer *p, struct jsonw *w, const char *type, uint64_t time_us)
{
    char iso[CLOCK_ISO_SIZE];

    output_begin(p->out);
    *w = JSONW_INIT(&p->out->buf);
    jsonw_object_begin(w);
    jsonw_key(w, "type");
    jsonw_str(w, slice_str(type));
    jsonw_key(w, "time");
    jsonw_str(w, slice_str(clock_iso(time_us, iso)));
}

static void line_end(struct printer *p, struct jsonw *w)
{
    int r;

    jsonw_object_end(w);
    r = jsonw_end(w);
    output_end(p->out, r < 0 ? r : buf_append(&p->out->buf, "\n", 1));
}

static void put_str(struct jsonw *w, const char *name, struct slice value)
{
    jsonw_key(w, name);
    jsonw_str(w, value);
}

static void print_record(struct printer *p, const struct record *r)
{
    struct jsonw w;

    line_begin(p, &w, "invocation", r->start_us);
    record_write_json(r, &w);
    line_end(p, &w);
}

static void print_log_line(struct printer *p, const struct log_line *l, uint64_t now_ns)
{
    struct jsonw w;

    line_begin(p, &w, "log", l->time_us);
    put_str(&w, "stream", slice_str(log_stream_name(l->stream)));
    put_str(&w, "request_id", l->request_id);
    put_str(&w, "function", l->function);
    put_str(&w, "version", l->version);
    put_str(&w, "text", l->text);
    line_end(p, &w);
}

static void print_lost(struct printer *p, const char *what, uint64_t n)
{
    struct jsonw w;

    line_begin(p, &w, "lost", clock_wall_us());
    put_str(&w, "what", slice_str(what));
    jsonw_key(&w, "n");
    jsonw_u64(&w, n);
    line_end(p, &w);
}

const struct printer_kind printer_json = {
    .record = print_record,
    .log_line = print_log_line,
    .lost = print_lost,
};
