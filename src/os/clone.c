/* glibc keeps the thread id in its thread descriptor and trusts it (recursive mutexes, raise). Its
 * own fork() lets the kernel write it there by CLONE_CHILD_SETTID; the address is not published,
 * but the kernel knows it from set_tid_address() and tells by prctl(PR_GET_TID_ADDRESS). The same
 * address serves CLONE_CHILD_CLEARTID, as it does in fork(). */

#include "os/clone.h"

#include "os/fault.h"

#include <errno.h>
#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int *tid_address_of_caller(void)
{
    static int *address; /* of the one thread that forks; the same for ever */

    if (!address && prctl(PR_GET_TID_ADDRESS, &address) < 0)
        address = NULL; /* a kernel without CONFIG_CHECKPOINT_RESTORE */
    return address;
}

int os_clone_into(uint64_t flags, int cgroup_fd, struct pidref *ret)
{
    int fd = -1, r = os_fault(OS_CALL_CLONE);
    struct clone_args args = {
        .flags =
            flags | CLONE_PIDFD | CLONE_INTO_CGROUP | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID,
        .pidfd = (uint64_t)(uintptr_t)&fd,
        .child_tid = (uint64_t)(uintptr_t)tid_address_of_caller(),
        .exit_signal = SIGCHLD,
        .cgroup = (uint64_t)cgroup_fd,
    };
    long pid;

    if (r < 0)
        return r;
    if (!args.child_tid)
        args.flags &= ~(uint64_t)(CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID);
    pid = syscall(SYS_clone3, &args, sizeof(args));
    if (pid < 0)
        return -errno;
    if (pid == 0)
        return 0;
    *ret = (struct pidref){.pid = (pid_t)pid, .fd = fd};
    return 1;
}

int os_clone(uint64_t flags, struct pidref *ret)
{
    int *tid_address, fd = -1, r;
    long pid;

    r = os_fault(OS_CALL_CLONE);
    if (r < 0)
        return r;
    tid_address = tid_address_of_caller();

    /* Not clone3(): a system call filter cannot look into its arguments, so ours refuses it. */
    flags |= CLONE_PIDFD | SIGCHLD;
    if (tid_address)
        flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
#if defined(__aarch64__) || defined(__arm__) || defined(__i386__)
    pid = syscall(SYS_clone, flags, NULL, &fd, NULL, tid_address); /* CONFIG_CLONE_BACKWARDS */
#else
    pid = syscall(SYS_clone, flags, NULL, &fd, tid_address, NULL);
#endif
    if (pid < 0)
        return -errno;
    if (pid == 0)
        return 0;
    *ret = (struct pidref){.pid = (pid_t)pid, .fd = fd};
    return 1;
}
