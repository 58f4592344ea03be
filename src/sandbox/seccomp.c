#include "sandbox/seccomp.h"

#include "os/fault.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

static int install(const struct sock_filter *filter, unsigned short n)
{
    const struct sock_fprog program = {
        .len = n, .filter = (struct sock_filter *)(uintptr_t)filter, /* the kernel only reads */
    };
    int r = os_fault(OS_CALL_SECCOMP);

    if (r < 0)
        return r;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? -errno : 0;
}

int sandbox_seccomp_install(void)
{
    return install(seccomp_program, n_seccomp_program);
}

int sandbox_seccomp_install_endpoint(void)
{
    return install(seccomp_endpoint_program, n_seccomp_endpoint_program);
}
