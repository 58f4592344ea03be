#pragma once

/* Messages between mayfly's own processes: typed, one per packet, over SOCK_SEQPACKET socketpairs,
 * with file descriptors beside the bytes. What exists is declared once in messages.tbl.h; whatever
 * is not in it for the peer at the other end is refused, and the caller drops that peer, never
 * itself. A zygote has run foreign code, so its messages are foreign input like any other.
 *
 * Context: sending allocates only when the peer is slow; fork-safe. */

#include "base/buf.h"
#include "base/list.h"
#include "base/slice.h"

#define WIRE_BYTES_MAX 131072 /* of one message */
#define WIRE_FDS_MAX   4

enum wire_role {
    WIRE_SUPERVISOR,
    WIRE_GATEWAY,
    WIRE_CONTROL,
    WIRE_ZYGOTE,
    WIRE_OTLP, /* the helper that exports records and lines */
    _WIRE_ROLE_MAX,
};

enum wire_type {
    _WIRE_NONE,
#define MSG(NAME, name, from, to, n_fds, fields) WIRE_##NAME,
#include "wire/messages.tbl.h"
#undef MSG
    _WIRE_TYPE_MAX,
};

/* One struct a message: struct wire_fork { uint64_t worker; }; */
#define WIRE_FIELD_u32 uint32_t
#define WIRE_FIELD_u64 uint64_t
#define WIRE_FIELD_str struct slice /* when received: borrowed until the next wire_recv() */
#define NOTHING
#define F(type, name) WIRE_FIELD_##type name;
#define MSG(NAME, name, from, to, n_fds, fields)                                                   \
    struct wire_##name {                                                                           \
        fields                                                                                     \
    };
#include "wire/messages.tbl.h"
#undef MSG
#undef F
#undef NOTHING

struct wire_message {
    enum wire_type type;
    int fds[WIRE_FDS_MAX]; /* owned by the message; take_fd() what is kept */
    unsigned n_fds;
    union {
#define MSG(NAME, name, from, to, n_fds, fields) struct wire_##name name;
#include "wire/messages.tbl.h"
#undef MSG
    };
};

enum {
    WIRE_E_OK,
    WIRE_E_AGAIN,  /* nothing to read */
    WIRE_E_CLOSED, /* the peer has closed */
};

/* One end of a channel. */
struct wire {
    int fd;
    enum wire_role self;
    enum wire_role peer;
    struct list queue; /* packets that wait for the peer to read */
    size_t queue_bytes;
    size_t queue_max; /* ceiling on them */
    char *in;         /* the packet being looked at, WIRE_BYTES_MAX */
    bool in_borrowed;
};

/* Makes a pair of connected sockets, CLOEXEC and non-blocking. Returns 0 or -errno. */
int wire_pair(int ret_fds[2]);

/* Takes over fd. Returns 0 or -ENOMEM (fd is closed then). */
int wire_init_consume(struct wire *w, int fd, enum wire_role self, enum wire_role peer);

/* The same with the caller's buffer of WIRE_BYTES_MAX, for a peer that counts its pages. */
void wire_init_with(struct wire *w, int fd, enum wire_role self, enum wire_role peer, char *in);

void wire_deinit(struct wire *w); /* closes fd and what is queued; may be called twice */

static inline bool wire_is_open(const struct wire *w)
{
    return w->fd >= 0;
}

/* Sends m, or queues it behind what waits. m->fds are consumed in every case. Returns 0, -ENOBUFS
 * when the queue is full, -EPIPE when the peer is gone, or -errno. */
int wire_send(struct wire *w, struct wire_message *m);

/* Sends what is queued; to be called when the fd becomes writable. Returns as wire_send(). */
int wire_flush(struct wire *w);
static inline bool wire_has_queued(const struct wire *w)
{
    return !list_is_empty((struct list *)&w->queue);
}

/* Receives one message. Returns an outcome above, -EBADMSG if the peer sent what it may not, or
 * -errno; then *ret holds nothing. Otherwise the caller ends with wire_message_deinit(). */
int wire_recv(struct wire *w, struct wire_message *ret);
void wire_message_deinit(struct wire_message *m); /* closes the fds that were not taken */

/* The same for bytes, without a socket: for tests and fuzzing. n_fds is what came with them. */
int wire_decode(struct slice bytes, enum wire_role self, enum wire_role peer, unsigned n_fds,
                struct wire_message *ret);
int wire_encode(const struct wire_message *m, struct buf *b);

const char *wire_type_name(enum wire_type type); /* "FORK" */
