/* Messages between processes: each one of the table comes back as it went, nothing else does, and
 * no descriptor is ever lost on the way. */

#include "os/fd.h"
#include "os/sock.h"
#include "wire/wire.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define STR_A SLICE_LIT("a name")
#define STR_B SLICE_LIT("\0\xff{}")

/* ---- the table again, as this test sees it ---- */

static const struct {
    enum wire_role from, to;
    unsigned n_fds;
} rows[_WIRE_TYPE_MAX] = {
#define MSG(NAME, name, from, to, n_fds, fields) [WIRE_##NAME] = {WIRE_##from, WIRE_##to, n_fds},
#include "wire/messages.tbl.h"
#undef MSG
};

/* A message with values that differ from field to field. */
static struct wire_message message_make(enum wire_type type)
{
    struct wire_message m = {.type = type};
    uint64_t n _unused_ = 0x0102030405060708ULL;
    bool odd _unused_ = false;

#define VALUE_u32 (uint32_t)(n += 0x1010101)
#define VALUE_u64 (n *= 3)
#define VALUE_str ((odd = !odd) ? STR_A : STR_B)
#define NOTHING
#define F(ftype, fname) body->fname = VALUE_##ftype;
#define MSG(NAME, name, from, to, fds, fields)                                                     \
    case WIRE_##NAME: {                                                                            \
        struct wire_##name *body _unused_ = &m.name;                                               \
        fields break;                                                                              \
    }
    switch (type) {
#include "wire/messages.tbl.h"
    case _WIRE_NONE:
    case _WIRE_TYPE_MAX:
        break;
    }
#undef MSG
#undef F
    return m;
}

static void assert_same(const struct wire_message *a, const struct wire_message *b)
{
    assert_int_equal(a->type, b->type);
#define SAME_u32(x, y)  assert_int_equal(x, y)
#define SAME_u64(x, y)  assert_true((x) == (y))
#define SAME_str(x, y)  assert_true(slice_eq(x, y))
#define F(ftype, fname) SAME_##ftype(one->fname, other->fname);
#define MSG(NAME, name, from, to, fds, fields)                                                     \
    case WIRE_##NAME: {                                                                            \
        const struct wire_##name *one _unused_ = &a->name, *other _unused_ = &b->name;             \
        fields break;                                                                              \
    }
    switch (a->type) {
#include "wire/messages.tbl.h"
    case _WIRE_NONE:
    case _WIRE_TYPE_MAX:
        break;
    }
#undef MSG
#undef F
#undef NOTHING
}

static unsigned count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static int some_fd(void)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

/* ---- bytes ---- */

static void every_message_comes_back_as_it_went(void **state)
{
    for (enum wire_type t = _WIRE_NONE + 1; t < _WIRE_TYPE_MAX; t++) {
        struct wire_message m = message_make(t), back;
        struct buf b = BUF_INIT(4096);

        assert_int_equal(wire_encode(&m, &b), 0);
        assert_int_equal(wire_decode(buf_slice(&b), rows[t].to, rows[t].from, rows[t].n_fds, &back),
                         0);
        assert_same(&m, &back);
        assert_int_equal(back.n_fds, 0);
        assert_string_not_equal(wire_type_name(t), "none");
        buf_deinit(&b);
    }
}

static void every_message_cut_or_too_long_is_refused(void **state)
{
    for (enum wire_type t = _WIRE_NONE + 1; t < _WIRE_TYPE_MAX; t++) {
        struct wire_message m = message_make(t), back;
        struct buf b = BUF_INIT(4096);
        size_t len;

        assert_int_equal(wire_encode(&m, &b), 0);
        len = buf_len(&b);
        assert_int_equal(buf_append(&b, "", 1), 0);
        for (size_t n = 0; n <= len + 1; n++) {
            int r = wire_decode(slice(buf_slice(&b).base, n), rows[t].to, rows[t].from,
                                rows[t].n_fds, &back);

            assert_int_equal(r, n == len ? 0 : -EBADMSG);
        }
        buf_deinit(&b);
    }
}

static void a_message_of_another_peer_or_with_other_fds_is_refused(void **state)
{
    for (enum wire_type t = _WIRE_NONE + 1; t < _WIRE_TYPE_MAX; t++) {
        struct wire_message m = message_make(t), back;
        struct buf b = BUF_INIT(4096);

        assert_int_equal(wire_encode(&m, &b), 0);
        for (int self = 0; self < _WIRE_ROLE_MAX; self++) {
            for (int peer = 0; peer < _WIRE_ROLE_MAX; peer++) {
                for (unsigned n_fds = 0; n_fds <= SOCK_FDS_MAX; n_fds++) {
                    bool right = self == (int)rows[t].to && peer == (int)rows[t].from &&
                                 n_fds == rows[t].n_fds;
                    int r = wire_decode(buf_slice(&b), (enum wire_role)self, (enum wire_role)peer,
                                        n_fds, &back);

                    assert_int_equal(r, right ? 0 : -EBADMSG);
                }
            }
        }
        buf_deinit(&b);
    }
}

static void a_type_that_does_not_exist_is_refused(void **state)
{
    const uint32_t types[] = {0, _WIRE_TYPE_MAX, _WIRE_TYPE_MAX + 1, UINT32_MAX};
    struct wire_message back;

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        assert_int_equal(wire_decode(slice(&types[i], 4), WIRE_GATEWAY, WIRE_ZYGOTE, 0, &back),
                         -EBADMSG);
        assert_string_equal(wire_type_name((enum wire_type)types[i]), "none");
    }
}

/* ---- channels ---- */

struct channel {
    struct wire gateway, zygote;
    unsigned n_fds_before;
};

static void channel_open(struct channel *c)
{
    int fds[2];

    c->n_fds_before = count_fds();
    assert_int_equal(wire_pair(fds), 0);
    assert_int_equal(wire_init_consume(&c->gateway, fds[0], WIRE_GATEWAY, WIRE_ZYGOTE), 0);
    assert_int_equal(wire_init_consume(&c->zygote, fds[1], WIRE_ZYGOTE, WIRE_GATEWAY), 0);
}

static void channel_close(struct channel *c)
{
    wire_deinit(&c->gateway);
    wire_deinit(&c->gateway);
    wire_deinit(&c->zygote);
    assert_int_equal(count_fds(), c->n_fds_before);
}

static int send_fork(struct channel *c, uint64_t worker)
{
    struct wire_message m = {.type = WIRE_FORK,
                             .n_fds = 3,
                             .fds = {some_fd(), some_fd(), some_fd(), -1},
                             .fork = {worker}};
    int r = wire_send(&c->gateway, &m);

    assert_int_equal(m.fds[0], -1); /* consumed in every case */
    assert_int_equal(m.fds[2], -1);
    return r;
}

static void descriptors_arrive_and_are_the_receivers(void **state)
{
    struct wire_message m;
    struct channel c;

    channel_open(&c);
    assert_int_equal(wire_recv(&c.zygote, &m), WIRE_E_AGAIN);
    assert_int_equal(send_fork(&c, 7), 0);
    assert_int_equal(wire_recv(&c.zygote, &m), WIRE_E_OK);
    assert_true(m.fork.worker == 7);
    assert_int_equal(m.n_fds, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(fcntl(m.fds[i], F_GETFD), FD_CLOEXEC);
    wire_message_deinit(&m);
    wire_message_deinit(&m);
    channel_close(&c);
}

static void what_a_slow_peer_does_not_read_waits_in_order_with_its_fds(void **state)
{
    uint64_t n = 0, expected = 0;
    struct wire_message m;
    struct channel c;

    channel_open(&c);
    while (!wire_has_queued(&c.gateway))
        assert_int_equal(send_fork(&c, n++), 0);
    for (int i = 0; i < 50; i++)
        assert_int_equal(send_fork(&c, n++), 0);
    while (expected < n) {
        int r = wire_recv(&c.zygote, &m);

        if (r == WIRE_E_AGAIN) {
            assert_int_equal(wire_flush(&c.gateway), 0);
            continue;
        }
        assert_int_equal(r, WIRE_E_OK);
        assert_true(m.fork.worker == expected++);
        assert_int_equal(m.n_fds, 3);
        assert_true(fcntl(m.fds[2], F_GETFD) >= 0);
        wire_message_deinit(&m);
    }
    assert_false(wire_has_queued(&c.gateway));
    assert_int_equal(c.gateway.queue_bytes, 0);
    channel_close(&c);
}

static void what_still_waits_when_a_channel_closes_is_closed_with_it(void **state)
{
    struct channel c;

    channel_open(&c);
    while (!wire_has_queued(&c.gateway))
        assert_int_equal(send_fork(&c, 1), 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(send_fork(&c, 1), 0);
    channel_close(&c);
}

static void the_queue_has_a_ceiling(void **state)
{
    struct channel c;
    int r = 0, n = 0;

    channel_open(&c);
    c.gateway.queue_max = 1000;
    while (r == 0 && n++ < 100000)
        r = send_fork(&c, 1);
    assert_int_equal(r, -ENOBUFS);
    assert_true(c.gateway.queue_bytes <= 1000);
    channel_close(&c);
}

static void a_peer_that_is_gone_is_told_apart(void **state)
{
    struct wire_message m;
    struct channel c;

    channel_open(&c);
    wire_deinit(&c.zygote);
    assert_int_equal(send_fork(&c, 1), -EPIPE);
    assert_int_equal(wire_recv(&c.gateway, &m), WIRE_E_CLOSED);
    wire_deinit(&c.gateway);
    assert_int_equal(send_fork(&c, 1), -EPIPE); /* closed at our side */
    channel_close(&c);
}

static void a_big_message_goes_through_whole(void **state)
{
    static char text[WIRE_BYTES_MAX];
    struct wire supervisor, zygote;
    struct wire_message m;
    int fds[2];

    memset(text, 'x', sizeof(text));
    assert_int_equal(wire_pair(fds), 0);
    assert_int_equal(wire_init_consume(&supervisor, fds[0], WIRE_SUPERVISOR, WIRE_ZYGOTE), 0);
    assert_int_equal(wire_init_consume(&zygote, fds[1], WIRE_ZYGOTE, WIRE_SUPERVISOR), 0);
    m = (struct wire_message){.type = WIRE_FAILED, .failed = {slice(text, sizeof(text) - 8)}};
    assert_int_equal(wire_send(&zygote, &m), 0);
    assert_int_equal(wire_recv(&supervisor, &m), WIRE_E_OK);
    assert_int_equal(m.failed.error.len, sizeof(text) - 8);
    m = (struct wire_message){.type = WIRE_FAILED, .failed = {slice(text, sizeof(text) - 7)}};
    assert_int_equal(wire_send(&zygote, &m), -ENOBUFS);
    wire_deinit(&supervisor);
    wire_deinit(&zygote);
}

/* ---- a peer that is not believed ---- */

static void send_raw(struct channel *c, const void *bytes, size_t len, unsigned n_fds)
{
    int fds[SOCK_FDS_MAX] = {0};

    for (unsigned i = 0; i < n_fds; i++)
        fds[i] = some_fd();
    assert_true(sock_send(c->zygote.fd, slice(bytes, len), fds, n_fds) >= 0);
    for (unsigned i = 0; i < n_fds; i++)
        fd_close(fds[i]);
}

static void descriptors_beside_a_wrong_message_are_closed(void **state)
{
    struct wire_message started = {.type = WIRE_WORKER_STARTED, .worker_started = {1}}, m;
    struct buf b = BUF_INIT(256);
    struct channel c;

    assert_int_equal(wire_encode(&started, &b), 0);
    channel_open(&c);
    send_raw(&c, buf_slice(&b).base, buf_len(&b), 2); /* one fd too many */
    assert_int_equal(wire_recv(&c.gateway, &m), -EBADMSG);
    send_raw(&c, buf_slice(&b).base, buf_len(&b), 0);
    assert_int_equal(wire_recv(&c.gateway, &m), -EBADMSG);
    send_raw(&c, buf_slice(&b).base, buf_len(&b) - 1, 1);
    assert_int_equal(wire_recv(&c.gateway, &m), -EBADMSG);
    send_raw(&c, "junk", 4, SOCK_FDS_MAX);
    assert_int_equal(wire_recv(&c.gateway, &m), -EBADMSG);
    buf_deinit(&b);
    channel_close(&c);
}

static void descriptors_beside_an_empty_packet_are_closed(void **state)
{
    struct wire_message m;
    struct channel c;

    channel_open(&c);
    send_raw(&c, "", 0, 4);
    assert_int_equal(wire_recv(&c.gateway, &m), -EBADMSG);
    channel_close(&c);
}

static void a_packet_that_is_too_big_is_refused(void **state)
{
    static char bytes[WIRE_BYTES_MAX + 1];
    struct wire_message m;
    struct channel c;

    channel_open(&c);
    send_raw(&c, bytes, sizeof(bytes), 2);
    assert_int_equal(wire_recv(&c.gateway, &m), -EBADMSG);
    channel_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_comes_back_as_it_went),
        cmocka_unit_test(every_message_cut_or_too_long_is_refused),
        cmocka_unit_test(a_message_of_another_peer_or_with_other_fds_is_refused),
        cmocka_unit_test(a_type_that_does_not_exist_is_refused),
        cmocka_unit_test(descriptors_arrive_and_are_the_receivers),
        cmocka_unit_test(what_a_slow_peer_does_not_read_waits_in_order_with_its_fds),
        cmocka_unit_test(what_still_waits_when_a_channel_closes_is_closed_with_it),
        cmocka_unit_test(the_queue_has_a_ceiling),
        cmocka_unit_test(a_peer_that_is_gone_is_told_apart),
        cmocka_unit_test(a_big_message_goes_through_whole),
        cmocka_unit_test(descriptors_beside_a_wrong_message_are_closed),
        cmocka_unit_test(descriptors_beside_an_empty_packet_are_closed),
        cmocka_unit_test(a_packet_that_is_too_big_is_refused),
    };

    return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
