#include "gateway/admin.h"
#include "gateway/client.h"
#include "gateway/links.h"
#include "gateway/request.h"

#include <sys/socket.h>

/* Of what waits for control to read; with a full head each, three connections, with small ones some
 * hundred. Beyond it, control is too busy. */
#define WAITING_BYTES_MAX (128 * 1024)
#define FIELDS_BYTES_MAX  1024 /* of a message beside the request */

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
    m.admin_request = (struct wire_admin_request){
        .local = c->local, .principal = slice_str(principal), .bytes = buf_slice(&c->in)};
    m.fds[0] = client_release(c);
    links_send_control(g, &m);
}

void admin_answer(struct client *c, const struct http_head *head)
{
    if (!local_answer(c, head))
        hand_over(c, head, "local");
}
