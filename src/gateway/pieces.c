/* Answers that are made while they are sent, a piece whenever the client has taken the one before:
 * what is long takes neither memory nor the loop's time. */

#include "gateway/client.h"

#include <errno.h>

#define PIECE_BYTES_MAX 65536

void client_pump(struct client *c)
{
    struct buf piece = BUF_INIT(PIECE_BYTES_MAX);
    int r = c->more(c->more_ctx, &piece);

    if (r <= 0)
        c->more = NULL;
    if (r >= 0 && buf_len(&piece) > 0 && client_data(c, buf_slice(&piece)) < 0)
        r = -ENOBUFS;
    buf_deinit(&piece);
    if (r < 0)
        client_abort(c);
    else if (r == 0)
        client_end(c);
    else
        loop_io_again(&c->io); /* the others have their turn first */
}

static int write_head(struct client *c, const char *type)
{
    int r = http_write_status_line(&c->out, 200, slice_str(http_reason(200)));

    c->out_chunked = c->version_minor > 0 && !c->head_request;
    c->keep_alive = c->keep_alive && c->version_minor > 0; /* else only the close ends the body */
    if (r == 0)
        r = http_write_header_str(&c->out, "Content-Type", type);
    if (r == 0 && c->out_chunked)
        r = http_write_header_str(&c->out, "Transfer-Encoding", "chunked");
    if (r == 0)
        r = client_write_common_headers(c, false);
    return r < 0 ? r : http_write_head_end(&c->out);
}

void client_answer_pieces(struct client *c, const char *type, client_more *more, void *ctx_consume)
{
    free(c->more_ctx);
    c->more_ctx = ctx_consume;
    c->more = c->head_request ? NULL : more;
    if (write_head(c, type) < 0)
        client_close(c);
    else if (c->head_request)
        client_end(c);
    else
        client_pump(c);
}
