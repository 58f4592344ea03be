#include "os/pidref.h"

#include "os/fault.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* From Linux 6.13 on; the first published size, of which only the ids are used. */
struct pidfd_info_v0 {
    uint64_t mask;
    uint64_t cgroupid;
    uint32_t pid;
    uint32_t tgid;
    uint32_t ppid;
    uint32_t ids[8];
    int32_t exit_code;
};
#define PIDFD_INFO_MASK_PID  1
#define PIDFD_GET_INFO_IOCTL _IOWR(0xFF, 11, struct pidfd_info_v0)
#define FDINFO_BYTES_MAX     1024
#define PROC_STAT_BYTES_MAX  512

/* Older kernels tell the pid in the fd's fdinfo and nothing of the parent. */
static int pidfd_info_from_proc(int fd, pid_t *ret_pid, pid_t *ret_ppid)
{
    char path[64], text[FDINFO_BYTES_MAX];
    _cleanup_close_ int info = -1;
    const char *line;
    long pid, ppid = 0;
    ssize_t n;

    (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    info = open(path, O_RDONLY | O_CLOEXEC);
    if (info < 0)
        return -errno;
    n = read(info, text, sizeof(text) - 1);
    if (n < 0)
        return -errno;
    text[n] = '\0';
    line = strstr(text, "\nPid:");
    if (!line)
        return -EBADF;
    pid = strtol(line + 5, NULL, 10);
    if (pid <= 0)
        return -ESRCH;
    if (ret_ppid) {
        _cleanup_close_ int stat = -1;

        (void)snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
        stat = open(path, O_RDONLY | O_CLOEXEC);
        n = stat < 0 ? -1 : read(stat, text, PROC_STAT_BYTES_MAX);
        if (n <= 0)
            return -ESRCH;
        text[n] = '\0';
        line = strrchr(text, ')'); /* the name before it may hold anything */
        if (!line || sscanf(line, ") %*c %ld", &ppid) != 1)
            return -ESRCH;
        *ret_ppid = (pid_t)ppid;
    }
    *ret_pid = (pid_t)pid;
    return 0;
}

int pidref_from_fd_take(int fd, struct pidref *ret, pid_t *ret_ppid)
{
    struct pidfd_info_v0 info = {.mask = PIDFD_INFO_MASK_PID};
    pid_t pid = 0;
    int r;

    r = os_fault(OS_CALL_PIDFD);
    if (r < 0)
        return r;
    if (ioctl(fd, PIDFD_GET_INFO_IOCTL, &info) == 0) {
        pid = (pid_t)info.pid;
        if (ret_ppid)
            *ret_ppid = (pid_t)info.ppid;
    } else if (errno == ESRCH) {
        return -ESRCH;
    } else {
        r = pidfd_info_from_proc(fd, &pid, ret_ppid);
        if (r < 0)
            return r;
    }
    if (pid == 0)
        return -ESRCH;
    *ret = (struct pidref){.pid = pid, .fd = fd};
    return 0;
}

int pidref_open_child(pid_t pid, struct pidref *ret)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    if (fd < 0)
        return -errno;
    *ret = (struct pidref){.pid = pid, .fd = fd};
    return 0;
}

void pidref_done(struct pidref *p)
{
    p->fd = fd_close(p->fd);
    p->pid = 0;
}

int pidref_kill(const struct pidref *p, int signal)
{
    if (p->fd < 0)
        return -ESRCH;
    return syscall(SYS_pidfd_send_signal, p->fd, signal, NULL, 0) < 0 ? -errno : 0;
}

int pidref_reap(const struct pidref *p, int *ret_status)
{
    siginfo_t info = {0};

    if (waitid(P_PIDFD, (id_t)p->fd, &info, WEXITED | WNOHANG) < 0)
        return -errno;
    if (info.si_pid == 0)
        return 0;
    *ret_status = info.si_code == CLD_EXITED
                      ? (info.si_status & 0xff) << 8
                      : info.si_status | (info.si_code == CLD_DUMPED ? 0x80 : 0);
    return 1;
}
