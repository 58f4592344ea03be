#include "sandbox/seccomp.h"

#include "os/fault.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

int sandbox_seccomp_install(void)
{
    const struct sock_fprog program = {
        .len = n_seccomp_program,
        .filter = (struct sock_filter *)(uintptr_t)seccomp_program, /* the kernel only reads */
    };
    int r = os_fault(OS_CALL_SECCOMP);

    if (r < 0)
        return r;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? -errno : 0;
}
