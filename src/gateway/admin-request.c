#include "gateway/admin-request.h"
#include "gateway/client.h"
#include "gateway/links.h"
#include "gateway/request.h"

#include "os/sock.h"

#include <sys/socket.h>

/* Of what waits for control to read; with a full head each, three connections, with small ones some
 * hundred. Beyond it, control is too busy. */
#define WAITING_BYTES_MAX (128 * 1024)
#define FIELDS_BYTES_MAX  1024 /* of a message beside the request */

#define CHALLENGE "WWW-Authenticate: Bearer realm=\"mayfly\"\r\n"

/* Control may have a body to read before it thinks of anything else, and 25 bytes fit any socket
 * that has been written nothing yet. */
static void send_continue(const struct client *c)
{
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";

    (void)send(c->fd, line, sizeof(line) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* c->in still begins with the request's head: whoever parses it next sees what we have seen. */
static void hand_over(struct client *c, const struct http_head *head, const char *principal)
{
    struct gateway *g = c->gateway;
    struct wire_message m = {.type = WIRE_ADMIN_REQUEST, .n_fds = 1};

    if (!wire_is_open(&g->control)) {
        client_answer_error(c, 503, "Retry-After: 1\r\n", "control is away", SLICE_NULL);
        return;
    }
    if (g->control.queue_bytes > WAITING_BYTES_MAX) {
        client_answer_error(c, 503, "Retry-After: 1\r\n", "control is busy", SLICE_NULL);
        return;
    }
    if (buf_len(&c->in) > WIRE_BYTES_MAX - FIELDS_BYTES_MAX) {
        client_answer_error(c, 431, NULL, "the request's head is too big", SLICE_NULL);
        return;
    }
    if (head->expect_continue)
        send_continue(c);
    m.admin_request = (struct wire_admin_request){.local = c->door == CLIENT_LOCAL,
                                                  .principal = slice_str(principal),
                                                  .bytes = buf_slice(&c->in)};
    m.fds[0] = client_release(c);
    links_send_control(g, &m);
}

static const struct {
    const char *principal; /* for control, of who is let in */
    unsigned status;       /* of who is not */
    const char *headers, *message;
} verdicts[_ADMIN_VERDICT_MAX] = {
    [ADMIN_OPEN] = {.principal = ""},
    [ADMIN_TOKEN] = {.principal = "token"},
    [ADMIN_SESSION] = {.principal = "session"},
    [ADMIN_E_HOST] = {.status = 421,
                      .message =
                          "the admin interface does not answer to this Host: use its address, "
                          "or start mayfly with --admin-host NAME"},
    [ADMIN_E_NO_SECRET] = {.status = 401,
                           .headers = CHALLENGE,
                           .message = "this needs a token: `mayfly token create NAME` makes one, "
                                      "`Authorization: Bearer TOKEN` sends it; `mayfly dashboard` "
                                      "logs a browser in"},
    [ADMIN_E_BAD_SECRET] = {.status = 401,
                            .headers = CHALLENGE,
                            .message = "this token or session does not hold (any more)"},
    [ADMIN_E_QUERY] = {.status = 401,
                       .headers = CHALLENGE,
                       .message = "a token belongs into the header Authorization, not into the "
                                  "address, which is written to logs"},
    [ADMIN_E_ORIGIN] = {.status = 403,
                        .message = "a session changes things from its own pages only: the Origin "
                                   "of this request is another, or missing"},
    [ADMIN_E_NOT_TOLD] = {.status = 503,
                          .headers = "Retry-After: 1\r\n",
                          .message = "control has not told yet which tokens hold"},
};

/* Who may ask at all; by the unix socket everybody who can. Returns how he was let in, or NULL
 * after an answer. */
static const char *admit(struct client *c, const struct http_head *head)
{
    const struct admin *a = &c->gateway->admin;
    const char *reached = NULL;
    enum admin_verdict v;
    char address[64];

    if (c->door == CLIENT_LOCAL)
        return "local";
    if (a->everywhere && sock_local_address(c->fd, address, sizeof(address)) == 0)
        reached = address;
    v = admin_judge(a, head, reached);
    if (!verdicts[v].principal)
        client_answer_error(c, verdicts[v].status, verdicts[v].headers, verdicts[v].message,
                            SLICE_NULL);
    return verdicts[v].principal;
}

void admin_request_begin(struct client *c, const struct http_head *head)
{
    const char *principal = admit(c, head);

    if (principal && !local_answer(c, head))
        hand_over(c, head, principal);
}
