/* The channels to supervisor and gateway. Either may bring anything at any time that its table
 * allows; a gateway that breaks the rules is dropped, and the supervisor introduces the next. */

#include "base/clock.h"
#include "base/log.h"
#include "control/control.h"

#include <errno.h>
#include <sys/socket.h>

#define MESSAGES_MAX 64 /* of the gateway in one round, so that it cannot keep us from the rest */

static void on_records(struct control *c, const struct wire_records *m)
{
    struct record record;
    struct unpack u;

    unpack_init(&u, m->bytes);
    for (uint32_t i = 0; i < m->n && !u.bad; i++) {
        record_decode(&u, &record);
        if (u.bad)
            break;
        redactor_record(&c->redactor, project_redact(c->project), &record);
        c->printer.kind->record(&c->printer, &record);
    }
    if (unpack_end(&u) < 0)
        log_warning("records.bad", "n=%u", m->n);
    if (m->lost > 0)
        c->printer.kind->lost(&c->printer, "records", m->lost);
}

static void on_logs(struct control *c, const struct wire_logs *m)
{
    uint64_t now_ns = clock_now_ns();
    struct log_line line;
    struct unpack u;

    unpack_init(&u, m->bytes);
    for (uint32_t i = 0; i < m->n && !u.bad; i++) {
        log_line_decode(&u, &line);
        if (u.bad)
            break;
        redactor_line(&c->redactor, project_redact(c->project), &line);
        c->printer.kind->log_line(&c->printer, &line, now_ns);
    }
    if (unpack_end(&u) < 0)
        log_warning("logs.bad", "n=%u", m->n);
    if (m->lost > 0)
        c->printer.kind->lost(&c->printer, "log lines", m->lost);
}

/* What is printed is kept, as far as we are concerned. A gateway that is gone does not hear of it,
 * but what it has said before is still here to be read. */
static void send_taken(struct control *c, uint64_t batch)
{
    struct wire_message m = {.type = WIRE_TAKEN, .taken = {.batch = batch}};

    (void)wire_send(&c->gateway, &m);
}

/* Nothing of the admin interface is answered here yet. */
static void refuse_admin_request(int fd)
{
    static const char answer[] =
        "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 75\r\n"
        "Connection: close\r\n\r\n"
        "{\"errorType\": \"NotFound\", \"errorMessage\": \"mayfly's API has no such path\"}\n";

    (void)send(fd, answer, sizeof(answer) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void on_gateway_message(struct control *c, struct wire_message *m)
{
    switch (m->type) {
    case WIRE_RECORDS:
        on_records(c, &m->records);
        send_taken(c, m->records.batch);
        break;
    case WIRE_LOGS:
        on_logs(c, &m->logs);
        send_taken(c, m->logs.batch);
        break;
    case WIRE_ADMIN_REQUEST:
        refuse_admin_request(m->fds[0]);
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
    gateway_close(c);
    r = wire_init_consume(&c->gateway, fd_consume, WIRE_CONTROL, WIRE_GATEWAY);
    if (r == 0 && c->loop)
        r = loop_io_add(c->loop, &c->gateway_io, c->gateway.fd, EPOLLIN | EPOLLOUT, on_gateway);
    if (r < 0)
        gateway_close(c);
    if (r < 0)
        log_error("gateway.link", "error=%s", strerrordesc_np(-r));
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
