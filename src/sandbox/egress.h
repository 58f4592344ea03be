#pragma once

/* Where a version's processes may send, as programs that the kernel asks at each connect() and at
 * each datagram to a given address, for every socket that was made in the version's control group.
 *
 *   host   everything but the addresses at which clouds give out credentials
 *   list   only what is listed; connections are accepted only on listed addresses
 *   none   nothing: there it is enough to have a network namespace of one's own
 *
 * The programs are built as data by pure functions, and loaded and bound by one that is not. A
 * check of the address given to connect() is all that is needed, because these hold, too: a socket
 * has no other protocol than TCP or UDP (other kinds do not ask), 0.0.0.0 is turned into 127.0.0.1
 * (the kernel would take it for the socket's own address), and where there is a list, no packet has
 * a source route (which would go elsewhere first) or accepts a connection from outside. */

#include "base/error.h"
#include "model/egress.h"
#include "model/function.h"
#include "sandbox/layers.h"

#include <linux/bpf.h>

enum egress_hook {
    EGRESS_CONNECT4,
    EGRESS_CONNECT6,
    EGRESS_SENDMSG4,
    EGRESS_SENDMSG6,
    EGRESS_SOCKET,
    EGRESS_PACKET, /* with a list only */
    _EGRESS_HOOK_MAX,
};

struct egress_policy {
    bool list; /* else all but what is refused */
    struct egress_rule *rules;
    size_t n_rules;
};

/* From a function that has a network. Returns 0, -EINVAL for a rule that is none, or -ENOMEM. */
int egress_policy_init(struct egress_policy *p, const struct function *f);
void egress_policy_deinit(struct egress_policy *p);

struct egress_program {
    struct bpf_insn *insns; /* owned */
    size_t n;
    size_t max;
};

/* Never touches the kernel. Returns 0 or -ENOMEM. */
int egress_program_build(const struct egress_policy *policy, enum egress_hook hook,
                         struct egress_program *ret);
void egress_program_deinit(struct egress_program *p);

/* The programs of functions with the host's network, which are nearly always the same: loaded once.
 * Zeroed is valid. */
struct sandbox_egress {
    bool loaded;
    int fds[_EGRESS_HOOK_MAX];
    struct egress_policy policy;
};

void sandbox_egress_deinit(struct sandbox_egress *cache);

/* Sets LAYER_METADATA of a report that is complete otherwise, by trial: whether the programs can be
 * loaded, and bound to the group if there is one (not -1). `unified` tells whether there can be
 * groups of a v2 hierarchy at all. */
void sandbox_egress_probe(struct sandbox_report *report, bool unified, int group_fd);

/* Binds the function's programs to its group, a folder of a v2 hierarchy, in the place of those
 * that are there. To be called before anything runs in the group, and again when f->egress has
 * changed. Returns 0, or -errno with *err.
 *
 * Context: the supervisor, privileged. */
int sandbox_egress_attach(struct sandbox_egress *cache, const struct function *f, int group_fd,
                          struct error *err);
