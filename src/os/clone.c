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

    struct clone_args args = {
        .flags = flags | CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)&fd,
        .exit_signal = SIGCHLD,
    };
    if (tid_address) {
        args.flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
        args.child_tid = (uint64_t)(uintptr_t)tid_address;
    }
    pid = syscall(SYS_clone3, &args, sizeof(args));
    if (pid < 0)
        return -errno;
    if (pid == 0)
        return 0;
    *ret = (struct pidref){.pid = (pid_t)pid, .fd = fd};
    return 1;
}
