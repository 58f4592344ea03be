/* On the wire a message is a u32 type and its fields in the order of messages.tbl.h. */

#include "wire/wire.h"

#include "base/pack.h"
#include "os/fd.h"
#include "os/sock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define QUEUE_BYTES_MAX (4 * 1024 * 1024)

struct packet {
    struct list link;
    int fds[WIRE_FDS_MAX];
    unsigned n_fds;
    size_t len;
    char bytes[];
};

static const struct {
    const char *name;
    enum wire_role from, to;
    unsigned n_fds;
} infos[_WIRE_TYPE_MAX] = {
#define MSG(NAME, name, from, to, n_fds, fields)                                                   \
    [WIRE_##NAME] = {#NAME, WIRE_##from, WIRE_##to, n_fds},
#include "wire/messages.tbl.h"
#undef MSG
};

const char *wire_type_name(enum wire_type type)
{
    return type > _WIRE_NONE && type < _WIRE_TYPE_MAX ? infos[type].name : "none";
}

int wire_encode(const struct wire_message *m, struct buf *b)
{
    int r = pack_u32(b, m->type);

#define PACK_u32(v) pack_u32(b, v)
#define PACK_u64(v) pack_u64(b, v)
#define PACK_str(v) pack_str(b, v)
#define NOTHING
#define F(ftype, fname)                                                                            \
    if (r == 0)                                                                                    \
        r = PACK_##ftype(body->fname);
#define MSG(NAME, name, from, to, n_fds, fields)                                                   \
    case WIRE_##NAME: {                                                                            \
        const struct wire_##name *body _unused_ = &m->name;                                        \
        fields break;                                                                              \
    }
    switch (m->type) {
#include "wire/messages.tbl.h"
    case _WIRE_NONE:
    case _WIRE_TYPE_MAX:
        return -EINVAL;
    }
#undef MSG
#undef F
#undef NOTHING
    return r;
}

int wire_decode(struct slice bytes, enum wire_role self, enum wire_role peer, unsigned n_fds,
                struct wire_message *ret)
{
    struct unpack u;
    uint32_t type;

    unpack_init(&u, bytes);
    type = unpack_u32(&u);
    if (type <= _WIRE_NONE || type >= _WIRE_TYPE_MAX || infos[type].to != self ||
        infos[type].from != peer || infos[type].n_fds != n_fds)
        return -EBADMSG;
    *ret = (struct wire_message){.type = (enum wire_type)type, .fds = {-1, -1, -1, -1}};

#define NOTHING
#define F(ftype, fname) body->fname = unpack_##ftype(&u);
#define MSG(NAME, name, from, to, fds, fields)                                                     \
    case WIRE_##NAME: {                                                                            \
        struct wire_##name *body _unused_ = &ret->name;                                            \
        fields break;                                                                              \
    }
    switch (ret->type) {
#include "wire/messages.tbl.h"
    case _WIRE_NONE:
    case _WIRE_TYPE_MAX:
        break;
    }
#undef MSG
#undef F
#undef NOTHING
    return unpack_end(&u);
}

int wire_pair(int ret_fds[2])
{
    return sock_pair(SOCK_SEQPACKET | SOCK_NONBLOCK, ret_fds);
}

void wire_init_with(struct wire *w, int fd, enum wire_role self, enum wire_role peer, char *in)
{
    *w = (struct wire){.fd = fd,
                       .self = self,
                       .peer = peer,
                       .queue_max = QUEUE_BYTES_MAX,
                       .in = in,
                       .in_borrowed = true};
    list_init(&w->queue);
}

int wire_init_consume(struct wire *w, int fd, enum wire_role self, enum wire_role peer)
{
    wire_init_with(w, fd, self, peer, malloc(WIRE_BYTES_MAX));
    w->in_borrowed = false;
    if (!w->in) {
        wire_deinit(w);
        return -ENOMEM;
    }
    return 0;
}

static void close_fds(int *fds, unsigned n_fds)
{
    for (unsigned i = 0; i < n_fds; i++)
        fds[i] = fd_close(fds[i]);
}

static void packet_free(struct wire *w, struct packet *p)
{
    list_remove(&p->link);
    w->queue_bytes -= p->len;
    close_fds(p->fds, p->n_fds);
    free(p);
}

void wire_deinit(struct wire *w)
{
    struct list *i, *tmp;

    w->fd = fd_close(w->fd);
    if (w->queue.next) {
        list_for_each_safe (i, tmp, &w->queue)
            packet_free(w, list_entry(i, struct packet, link));
    }
    if (!w->in_borrowed)
        free(w->in);
    w->in = NULL;
}

static int enqueue(struct wire *w, struct slice bytes, struct wire_message *m)
{
    struct packet *p;

    if (w->queue_bytes + bytes.len > w->queue_max)
        return -ENOBUFS;
    p = malloc(sizeof(*p) + bytes.len);
    if (!p)
        return -ENOMEM;
    p->n_fds = m->n_fds;
    for (unsigned i = 0; i < m->n_fds; i++)
        p->fds[i] = take_fd(&m->fds[i]);
    p->len = bytes.len;
    memcpy(p->bytes, bytes.base, bytes.len);
    w->queue_bytes += p->len;
    list_add_last(&w->queue, &p->link);
    return 0;
}

int wire_send(struct wire *w, struct wire_message *m)
{
    char stack[512];
    struct buf b = {.data = stack, .cap = sizeof(stack), .max = sizeof(stack)};
    struct buf big = BUF_INIT(WIRE_BYTES_MAX);
    struct slice bytes;
    ssize_t n;
    int r;

    assert(infos[m->type].from == w->self && infos[m->type].to == w->peer);
    assert(infos[m->type].n_fds == m->n_fds);
    /* Nearly all messages fit the stack; the buffer's ceiling keeps it from growing off it. */
    r = wire_encode(m, &b);
    bytes = buf_slice(&b);
    if (r == -ENOBUFS) {
        r = wire_encode(m, &big);
        bytes = buf_slice(&big);
    }
    if (r == 0 && w->fd < 0)
        r = -EPIPE;
    if (r == 0 && list_is_empty(&w->queue)) {
        n = sock_send(w->fd, bytes, m->fds, m->n_fds);
        r = n < 0 ? (int)n : 0;
    } else if (r == 0) {
        r = -EAGAIN;
    }
    if (r == -EAGAIN || r == -ETOOMANYREFS)
        r = enqueue(w, bytes, m);
    close_fds(m->fds, m->n_fds);
    buf_deinit(&big);
    return r;
}

int wire_flush(struct wire *w)
{
    struct list *i, *tmp;

    list_for_each_safe (i, tmp, &w->queue) {
        struct packet *p = list_entry(i, struct packet, link);
        ssize_t n = sock_send(w->fd, slice(p->bytes, p->len), p->fds, p->n_fds);

        if (n == -EAGAIN || n == -ETOOMANYREFS)
            return 0;
        if (n < 0)
            return (int)n;
        packet_free(w, p);
    }
    return 0;
}

int wire_recv(struct wire *w, struct wire_message *ret)
{
    int fds[SOCK_FDS_MAX];
    unsigned n_fds;
    ssize_t n;
    int r;

    n = sock_recv(w->fd, w->in, WIRE_BYTES_MAX, fds, &n_fds);
    if (n == -EAGAIN)
        return WIRE_E_AGAIN;
    if ((n == 0 && n_fds == 0) || n == -ECONNRESET)
        return WIRE_E_CLOSED; /* an empty packet looks like the end, too; descriptors tell it apart
                               */
    if (n < 0)
        return n == -EMSGSIZE ? -EBADMSG : (int)n;
    r = wire_decode(slice(w->in, (size_t)n), w->self, w->peer, n_fds, ret);
    if (r < 0) {
        close_fds(fds, n_fds);
        return r;
    }
    ret->n_fds = n_fds;
    memcpy(ret->fds, fds, n_fds * sizeof(int));
    return WIRE_E_OK;
}

void wire_message_deinit(struct wire_message *m)
{
    close_fds(m->fds, m->n_fds);
    m->n_fds = 0;
}
