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

int os_clone(uint64_t flags, struct pidref *ret)
{
    static int *tid_address; /* of the one thread that forks; the same for ever */
    int fd = -1, r;
    long pid;

    r = os_fault(OS_CALL_CLONE);
    if (r < 0)
        return r;
    if (!tid_address && prctl(PR_GET_TID_ADDRESS, &tid_address) < 0)
        tid_address = NULL; /* a kernel without CONFIG_CHECKPOINT_RESTORE */

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
