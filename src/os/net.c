#include "os/net.h"

#include "os/fault.h"
#include "os/fd.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int net_loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int r = os_fault(OS_CALL_SOCKET);
    _cleanup_close_ int fd = -1;

    if (r < 0)
        return r;
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
        return -errno;
    return 0;
}
