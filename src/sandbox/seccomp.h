#pragma once

/* The filter of system calls of a zygote and all its workers. What is allowed is a table
 * (syscalls.tbl.h, syscall-checks.tbl.h); seccomp-gen.c makes a program of it at build time, so
 * that nothing here links libseccomp or allocates.
 *
 * Calls that are not in the table: ENOSYS. Calls that are known and dangerous: EPERM. Calls of
 * another architecture (i386 and x32 on x86-64): the process is killed. */

#include "base/def.h"

#include <linux/filter.h>

enum syscall_verdict {
    SYSCALL_ALLOW,
    SYSCALL_CHECK,  /* allowed with some arguments */
    SYSCALL_REFUSE, /* EPERM */
    SYSCALL_ABSENT, /* ENOSYS */
};

/* Confines the calling thread, and what it forks and executes, for good. no_new_privs must be set.
 *
 * Context: one thread only; async-signal-safe, after fork too. Returns 0 or -errno: -EACCES without
 * no_new_privs, -EINVAL if the kernel has no seccomp filters. */
int sandbox_seccomp_install(void);

/* The same, but with the calls of syscalls-endpoint.tbl.h: for a zygote that runs mayfly's code
 * only, and takes them from the author's program before it is executed (os/notify.h). */
int sandbox_seccomp_install_endpoint(void);

/* ---- what the filter is, for tests and reports; generated ---- */

struct syscall_rule {
    const char *name;
    int number; /* -1: this architecture does not have it */
    enum syscall_verdict verdict;
};

extern const struct syscall_rule syscall_rules[];
extern const size_t n_syscall_rules;

extern const struct sock_filter seccomp_program[];
extern const unsigned short n_seccomp_program; /* instructions */

extern const struct sock_filter seccomp_endpoint_program[];
extern const unsigned short n_seccomp_endpoint_program;
