#include "os/notify.h"

#include "os/fault.h"
#include "os/fd.h"
#include "os/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Younger than Debian 12's headers may be (Linux 5.19): once we have seen a call, only a signal
 * that kills interrupts its caller. A runtime that sends itself signals all the time (Go) would
 * otherwise make the call again and again. */
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH AUDIT_ARCH_RISCV64
#else
#error "say here what linux/audit.h calls this architecture"
#endif

#define INSNS_MAX (NOTIFY_CALLS_MAX + 16)

/* ---- the watched side ---- */

struct program {
    struct sock_filter insns[INSNS_MAX];
    unsigned short n;
};

static void emit(struct program *p, struct sock_filter insn)
{
    assert(p->n < INSNS_MAX);
    p->insns[p->n++] = insn;
}

static void emit_load(struct program *p, size_t offset)
{
    emit(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

static void emit_return(struct program *p, uint32_t verdict)
{
    emit(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, verdict));
}

/* The flags of the three calls are in the low half of an argument. */
static size_t low_half(unsigned argument)
{
    size_t offset = offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t);

    return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? offset + sizeof(uint32_t) : offset;
}

/* EPERM for the call if the argument has one of the bits. */
static void emit_refusal(struct program *p, int number, unsigned argument, uint32_t bits)
{
    emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 4));
    emit_load(p, low_half(argument));
    emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1));
    emit_return(p, SECCOMP_RET_ERRNO | EPERM);
    emit_return(p, SECCOMP_RET_ALLOW);
}

/* Calls of another architecture are the affair of the filter around this one, which kills. */
static void build(struct program *p, const int *calls, size_t n)
{
    emit_load(p, offsetof(struct seccomp_data, arch));
    emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0));
    emit_return(p, SECCOMP_RET_ALLOW);
    emit_load(p, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < n; i++)
        emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i],
                                             (uint8_t)(n - i - 1), i + 1 == n ? 1 : 0));
    emit_return(p, SECCOMP_RET_USER_NOTIF);
    emit(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_getfd, 0, 1));
    emit_return(p, SECCOMP_RET_ERRNO | EPERM);
    emit_refusal(p, SYS_seccomp, 1, SECCOMP_FILTER_FLAG_NEW_LISTENER);
    emit_refusal(p, SYS_clone, 0, CLONE_NEWNET);
    emit_return(p, SECCOMP_RET_ALLOW);
}

int notify_listen(const int *calls, size_t n_calls)
{
    struct program p = {.n = 0};
    struct sock_fprog program = {.filter = p.insns};
    unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
    int r = os_fault(OS_CALL_SECCOMP);

    assert(n_calls > 0 && n_calls <= NOTIFY_CALLS_MAX);
    if (r < 0)
        return r;
    build(&p, calls, n_calls);
    program.len = p.n;
    r = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                     flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program);
    if (r < 0 && errno == EINVAL)
        r = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    return r < 0 ? -errno : r;
}

/* ---- the watcher's side ---- */

int notify_receive(int fd, struct notify_call *ret)
{
    struct seccomp_notif n;

    memset(&n, 0, sizeof(n)); /* the kernel insists */
    if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &n) < 0)
        return errno == ENOENT || errno == EINTR ? 0 : -errno;
    *ret = (struct notify_call){.id = n.id, .tid = (pid_t)n.pid, .number = n.data.nr};
    for (size_t i = 0; i < ARRAY_SIZE(ret->args); i++)
        ret->args[i] = n.data.args[i];
    return 1;
}

static int respond(int fd, struct seccomp_notif_resp response)
{
    return ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &response) < 0 ? -errno : 0;
}

int notify_answer(int fd, const struct notify_call *call, int64_t value)
{
    return respond(fd, (struct seccomp_notif_resp){.id = call->id, .val = value});
}

int notify_fail(int fd, const struct notify_call *call, int error)
{
    assert(error > 0);
    return respond(fd, (struct seccomp_notif_resp){.id = call->id, .error = -error});
}

int notify_continue(int fd, const struct notify_call *call)
{
    return respond(
        fd, (struct seccomp_notif_resp){.id = call->id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE});
}

int notify_put_fd(int fd, const struct notify_call *call, int source, int target, bool cloexec)
{
    struct seccomp_notif_addfd add = {.id = call->id,
                                      .flags = SECCOMP_ADDFD_FLAG_SETFD,
                                      .srcfd = (uint32_t)source,
                                      .newfd = (uint32_t)target,
                                      .newfd_flags = cloexec ? O_CLOEXEC : 0};

    return ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0 ? -errno : 0;
}

/* A call that still waits has its caller alive: what was looked up by its number since is his. */
static int still_waits(int fd, const struct notify_call *call)
{
    return ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &call->id) < 0 ? -errno : 0;
}

int notify_take_fd(int fd, const struct notify_call *call, int target)
{
    _cleanup_close_ int pidfd = -1;
    struct thread_place caller; /* a pidfd names processes, not threads */
    int r = thread_find(call->tid, &caller), taken;

    if (r < 0)
        return r;
    pidfd = (int)syscall(SYS_pidfd_open, caller.pid, 0);
    r = pidfd < 0 ? -errno : still_waits(fd, call);
    if (r < 0)
        return r;
    taken = (int)syscall(SYS_pidfd_getfd, pidfd, target, 0); /* CLOEXEC always */
    return taken < 0 ? -errno : taken;
}

int notify_fd_is_cloexec(int fd, const struct notify_call *call, int target)
{
    char path[64], text[256], *line;
    _cleanup_close_ int info = -1;
    struct thread_place caller;
    int r = thread_find(call->tid, &caller);
    ssize_t n;

    if (r < 0)
        return r;
    (void)snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", caller.in_proc, target);
    info = open(path, O_RDONLY | O_CLOEXEC);
    n = info < 0 ? -1 : read(info, text, sizeof(text) - 1);
    r = n < 0 ? -errno : still_waits(fd, call);
    if (r < 0)
        return r;
    text[n] = '\0';
    line = strstr(text, "flags:");
    return line && (strtol(line + 6, NULL, 8) & O_CLOEXEC) != 0;
}

int notify_read_memory(int fd, const struct notify_call *call, uint64_t address, void *dst,
                       size_t size)
{
    char path[64];
    _cleanup_close_ int memory = -1;
    struct thread_place caller;
    int r = thread_find(call->tid, &caller);
    ssize_t n;

    if (r < 0)
        return r;
    (void)snprintf(path, sizeof(path), "/proc/%d/mem", caller.in_proc);
    memory = open(path, O_RDONLY | O_CLOEXEC);
    r = memory < 0 ? -errno : still_waits(fd, call);
    if (r < 0)
        return r;
    if (address > INT64_MAX)
        return -EFAULT;
    n = pread(memory, dst, size, (off_t)address);
    if (n < 0)
        return errno == EIO ? -EFAULT : -errno;
    return (size_t)n == size ? 0 : -EFAULT;
}
