/* A peer's packets, at every end of every channel: what is taken is written back byte for byte, and
 * what is refused is refused whole. */

#include "fuzz.h"
#include "wire/wire.h"

#include <errno.h>

static void check(struct slice bytes, enum wire_role self, enum wire_role peer, unsigned n_fds)
{
    struct buf b = BUF_INIT(WIRE_BYTES_MAX);
    struct wire_message m;
    int r = wire_decode(bytes, self, peer, n_fds, &m);

    FUZZ_CHECK(r == 0 || r == -EBADMSG);
    if (r < 0)
        return;
    FUZZ_CHECK(m.n_fds == 0);
    FUZZ_CHECK(wire_type_name(m.type)[0] >= 'A' && wire_type_name(m.type)[0] <= 'Z');
    FUZZ_CHECK(wire_encode(&m, &b) == 0);
    FUZZ_CHECK(slice_eq(buf_slice(&b), bytes));
    buf_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > WIRE_BYTES_MAX)
        return 0; /* wire_recv() takes no bigger ones */
    for (int self = 0; self < _WIRE_ROLE_MAX; self++) {
        for (int peer = 0; peer < _WIRE_ROLE_MAX; peer++) {
            for (unsigned n_fds = 0; n_fds <= WIRE_FDS_MAX; n_fds++)
                check(slice(data, size), (enum wire_role)self, (enum wire_role)peer, n_fds);
        }
    }
    return 0;
}
