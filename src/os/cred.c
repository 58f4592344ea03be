#include "os/cred.h"

#include "os/fault.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The system calls themselves: the C library's functions would look for other threads to change. */
int cred_switch(uid_t uid, gid_t gid)
{
    int r = os_fault(OS_CALL_SETID);

    if (r < 0)
        return r;
    if (syscall(SYS_setresgid, gid, gid, gid) < 0 || syscall(SYS_setresuid, uid, uid, uid) < 0)
        return -errno;
    return 0;
}

int cred_become(uid_t uid, gid_t gid)
{
    int r = os_fault(OS_CALL_SETID);

    if (r < 0)
        return r;
    if (syscall(SYS_setgroups, 0, NULL) < 0)
        return -errno;
    return cred_switch(uid, gid);
}

int cred_keep_capabilities(void)
{
    int r = os_fault(OS_CALL_PRCTL);

    if (r < 0)
        return r;
    return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

static int set_capabilities(uint64_t mask)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[2];
    int r = os_fault(OS_CALL_CAPSET);

    for (unsigned i = 0; i < 2; i++) {
        uint32_t half = (uint32_t)(mask >> (32 * i));

        caps[i] = (struct __user_cap_data_struct){half, half, half};
    }
    if (r < 0)
        return r;
    return syscall(SYS_capset, &header, caps) < 0 ? -errno : 0;
}

int cred_hold(uint64_t mask)
{
    int r = set_capabilities(mask);

    for (int cap = 0; cap < 64 && r == 0; cap++) {
        if (!(mask & (1ULL << cap)))
            continue;
        r = os_fault(OS_CALL_PRCTL);
        if (r == 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
            r = -errno;
    }
    return r;
}

int cred_drop(void)
{
    return set_capabilities(0); /* the ambient ones go with those that allow them */
}

static int write_file(const char *folder, const char *name, const char *text)
{
    char path[64];
    _cleanup_close_ int fd = -1;
    size_t len = strlen(text);
    int r = os_fault(OS_CALL_OPEN);

    if (r < 0)
        return r;
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return write(fd, text, len) == (ssize_t)len ? 0 : -errno;
}

int cred_map(const char *proc, uint32_t inside, uint32_t outside_uid, uint32_t outside_gid,
             uint32_t count, bool groups)
{
    char text[64];
    int r = groups ? 0 : write_file(proc, "setgroups", "deny");

    (void)snprintf(text, sizeof(text), "%u %u %u\n", inside, outside_uid, count);
    r = r < 0 ? r : write_file(proc, "uid_map", text);
    (void)snprintf(text, sizeof(text), "%u %u %u\n", inside, outside_gid, count);
    return r < 0 ? r : write_file(proc, "gid_map", text);
}
