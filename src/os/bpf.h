#pragma once

/* Programs that the kernel runs where a control group's processes use the network. Needs CAP_BPF
 * and CAP_NET_ADMIN, and the group to be of a v2 hierarchy. */

#include "base/error.h"

#include <linux/bpf.h>

/* Loads a program; the kernel checks it first. Returns its descriptor, or -errno with *err: the
 * last line of the kernel's complaint. */
int bpf_load(enum bpf_prog_type type, enum bpf_attach_type attach_type, const char *name,
             const struct bpf_insn *insns, size_t n_insns, struct error *err);

/* Binds it to the group, beside those of groups above, in the place of what was bound to the group
 * itself; it lasts as long as the group. Binding what is bound already does nothing. Returns 0 or
 * -errno. */
int bpf_attach(int program_fd, int group_fd, enum bpf_attach_type attach_type);
