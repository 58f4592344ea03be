/* The channels to supervisor and gateway. Either may bring anything at any time that its table
 * allows; a gateway that breaks the rules is dropped, and the supervisor introduces the next. */

#include "base/clock.h"
#include "base/log.h"
#include "control/access.h"
#include "control/control.h"
#include "control/recording.h"
#include "control/report.h"
#include "os/fd.h"

#include <errno.h>

#define MESSAGES_MAX 64 /* of the gateway in one round, so that it cannot keep us from the rest */

static void on_lost(struct control *c, const char *what, uint64_t n)
{
    if (n == 0)
        return;
    c->printer.kind->lost(&c->printer, what, n);
    keep_gateway_lost(&c->keep, what, n);
}

/* In the log only: what is printed of a request says the same already. */
static void report(struct control *c, const struct record *r)
{
    const struct function *f = c->last ? snapshot_find(c->last, r->function) : NULL;
    char text[REPORT_SIZE];
    struct log_line line;

    if (!f || r->pid == 0 || !report_is_for(f))
        return;
    line = report_line(r, text);
    streams_line(&c->streams, keep_log(&c->keep, &line), &line);
}

static void on_records(struct control *c, const struct wire_records *m)
{
    bool is_new = keep_batch_begin(&c->keep, m->boot, m->batch);
    struct record record;
    struct unpack u;

    unpack_init(&u, m->bytes);
    for (uint32_t i = 0; i < m->n && !u.bad; i++) {
        record_decode(&u, &record);
        if (u.bad || !is_new)
            break;
        redactor_record(&c->redactor, project_redact(c->project), &record);
        c->printer.kind->record(&c->printer, &record);
        report(c, &record);
        keep_record(&c->keep, &record);
        streams_record(&c->streams, &record);
        otlp_record(&c->otlp, &record);
    }
    if (is_new && unpack_end(&u) < 0)
        log_warning("records.bad", "n=%u", m->n);
    on_lost(c, "records", is_new ? m->lost : 0);
    keep_batch_end(&c->keep);
    streams_flush(&c->streams);
}

static void on_logs(struct control *c, const struct wire_logs *m)
{
    bool is_new = keep_batch_begin(&c->keep, m->boot, m->batch);
    uint64_t now_ns = clock_now_ns();
    struct log_line line;
    struct unpack u;

    unpack_init(&u, m->bytes);
    for (uint32_t i = 0; i < m->n && !u.bad; i++) {
        log_line_decode(&u, &line);
        if (u.bad || !is_new)
            break;
        redactor_line(&c->redactor, project_redact(c->project), &line);
        c->printer.kind->log_line(&c->printer, &line, now_ns);
        streams_line(&c->streams, keep_log(&c->keep, &line), &line);
        otlp_line(&c->otlp, &line);
    }
    if (is_new && unpack_end(&u) < 0)
        log_warning("logs.bad", "n=%u", m->n);
    on_lost(c, "log lines", is_new ? m->lost : 0);
    keep_batch_end(&c->keep);
    streams_flush(&c->streams);
}

void channels_send_gateway(struct control *c, struct wire_message *m)
{
    if (wire_is_open(&c->gateway))
        (void)wire_send(&c->gateway, m);
}

void channels_on_taken(struct keep *k, uint64_t batch)
{
    struct wire_message m = {.type = WIRE_TAKEN, .taken = {.batch = batch}};

    channels_send_gateway(container_of(k, struct control, keep), &m);
}

void channels_on_status(struct keep *k)
{
    struct control *c = container_of(k, struct control, keep);
    struct wire_message m = {.type = WIRE_STATUS};
    struct buf b = BUF_INIT(16384);
    struct jsonw w = JSONW_INIT(&b);

    jsonw_object_begin(&w);
    jsonw_key(&w, "store");
    jsonw_object_begin(&w);
    jsonw_key(&w, "status");
    jsonw_str(&w, slice_str(keep_status_name(k->status)));
    jsonw_key(&w, "detail");
    jsonw_str(&w, slice_str(k->detail));
    jsonw_object_end(&w);
    jsonw_object_end(&w);
    if (jsonw_end(&w) == 0) {
        m.status = (struct wire_status){.ready = 1, .json = buf_slice(&b)};
        channels_send_gateway(c, &m);
    }
    buf_deinit(&b);
}

static void on_gateway_message(struct control *c, struct wire_message *m)
{
    switch (m->type) {
    case WIRE_RECORDS:
        on_records(c, &m->records);
        break;
    case WIRE_LOGS:
        on_logs(c, &m->logs);
        break;
    case WIRE_ADMIN_REQUEST:
        if (c->loop)
            api_take(&c->api, take_fd(&m->fds[0]), m->admin_request.bytes,
                     m->admin_request.local != 0);
        break;
    case WIRE_RECORDING:
        recording_take(c, &m->recording);
        break;
    case WIRE_LIVE:
        streams_on_live(&c->streams, m->live.json);
        break;
    default: /* the table lets nothing else through */
        break;
    }
}

static void gateway_close(struct control *c)
{
    loop_io_remove(&c->gateway_io);
    wire_deinit(&c->gateway);
}

/* Returns whether there may be more. */
static bool gateway_drain(struct control *c)
{
    if (wire_is_open(&c->gateway))
        (void)wire_flush(&c->gateway); /* gone: what it has said is still to be read */
    for (int i = 0; i < MESSAGES_MAX && wire_is_open(&c->gateway); i++) {
        struct wire_message m;
        int r = wire_recv(&c->gateway, &m);

        if (r == WIRE_E_AGAIN)
            return false;
        if (r != 0) {
            if (r != WIRE_E_CLOSED)
                log_warning("gateway.dropped", "error=%s", strerrordesc_np(-r));
            gateway_close(c);
            return false;
        }
        on_gateway_message(c, &m);
        wire_message_deinit(&m);
    }
    return wire_is_open(&c->gateway);
}

static void on_gateway(struct loop_io *io)
{
    struct control *c = container_of(io, struct control, gateway_io);

    loop_io_drained(io, EPOLLIN | EPOLLOUT);
    if (gateway_drain(c))
        loop_io_again(io);
}

static void on_gateway_link(struct control *c, int fd_consume)
{
    int r;

    while (gateway_drain(c)) /* what the last one has said before it ended */
        ;
    keep_link(&c->keep);
    gateway_close(c);
    r = wire_init_consume(&c->gateway, fd_consume, WIRE_CONTROL, WIRE_GATEWAY);
    if (r == 0 && c->loop)
        r = loop_io_add(c->loop, &c->gateway_io, c->gateway.fd, EPOLLIN | EPOLLOUT, on_gateway);
    if (r < 0)
        gateway_close(c);
    if (r < 0)
        log_error("gateway.link", "error=%s", strerrordesc_np(-r));
    if (r < 0 || !c->loop)
        return;
    access_tell(c);
    channels_on_status(&c->keep);
    streams_link(&c->streams);
}

static int supervisor_drain(struct control *c)
{
    for (;;) {
        struct wire_message m;
        int r = wire_recv(&c->supervisor, &m);

        if (r == WIRE_E_AGAIN)
            return 0;
        if (r != 0) {
            if (r != WIRE_E_CLOSED)
                log_error("supervisor.lost", "error=%s", strerrordesc_np(-r));
            return -ECANCELED;
        }
        if (m.type == WIRE_GATEWAY_LINK)
            on_gateway_link(c, take_fd(&m.fds[0]));
        else if (m.type == WIRE_RELOAD)
            c->load_wanted = c->load_forced = true;
        else if (m.type == WIRE_STOPPING)
            c->stopping = true;
        wire_message_deinit(&m);
        if (c->stopping)
            return -ECANCELED;
    }
}

int channels_serve_supervisor(struct control *c)
{
    int r = supervisor_drain(c);

    if (r == 0 && wire_has_queued(&c->supervisor) && wire_flush(&c->supervisor) < 0)
        r = -ECANCELED;
    return r;
}

int channels_serve(struct control *c)
{
    int r = channels_serve_supervisor(c);

    (void)gateway_drain(c);
    (void)printer_tick(&c->printer, clock_now_ns());
    output_flush(&c->output);
    return r;
}
