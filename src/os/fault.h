#pragma once

/* Makes a kernel facility fail on purpose, for tests: every wrapper in os/ asks here first. Armed
 * by os_fault_arm() or, in the programs, by MAYFLY_FAULT=call:nth:errno (for example "pipe:3:24":
 * the third pipe fails with EMFILE). Nothing is armed otherwise, and asking costs one comparison.
 * MAYFLY_FAULT_GATEWAY does the same in the gateway, MAYFLY_FAULT_SANDBOX in each child in which
 * the supervisor builds a sandbox. What fails is said on stderr: "mayfly: fault: pipe".
 *
 * Context: async-signal-safe; a child inherits what is armed and how far it has counted. */

#include "base/def.h"

#define OS_CALLS(X)                                                                                \
    X(BPF, "bpf")                                                                                  \
    X(CAPSET, "capset")                                                                            \
    X(CGROUP, "cgroup")                                                                            \
    X(CLONE, "clone")                                                                              \
    X(DUP, "dup")                                                                                  \
    X(EPOLL, "epoll")                                                                              \
    X(HOSTNAME, "hostname")                                                                        \
    X(LANDLOCK, "landlock")                                                                        \
    X(LINK, "link")                                                                                \
    X(MALLOC, "malloc")                                                                            \
    X(MEMFD, "memfd")                                                                              \
    X(MKDIR, "mkdir")                                                                              \
    X(MKNOD, "mknod")                                                                              \
    X(MOUNT, "mount")                                                                              \
    X(OPEN, "open")                                                                                \
    X(PIDFD, "pidfd")                                                                              \
    X(PIPE, "pipe")                                                                                \
    X(PIVOT_ROOT, "pivot")                                                                         \
    X(PRCTL, "prctl")                                                                              \
    X(RECV, "recv")                                                                                \
    X(RLIMIT, "rlimit")                                                                            \
    X(SECCOMP, "seccomp")                                                                          \
    X(SEND, "send")                                                                                \
    X(SETID, "setid")                                                                              \
    X(SOCKET, "socket")

enum os_call {
#define X(NAME, name) OS_CALL_##NAME,
    OS_CALLS(X)
#undef X
        _OS_CALL_MAX,
};

/* The nth call from now on (1 is the next) fails with `error`; 0 disarms. */
void os_fault_arm(enum os_call call, unsigned nth, int error);

/* Reads "call:nth:errno". Returns 0 or -EINVAL. */
int os_fault_arm_text(const char *text);

/* Whether the call is armed and has not been told to fail yet. */
bool os_fault_pending(enum os_call call);

/* Returns 0, or the negative errno with which the caller is to fail now. */
int os_fault(enum os_call call);
