/* A worker looks around: each layer is asked for what it forbids or hides. */

#include "sandbox/landlock.h"
#include "sandbox/layers.h"

#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define UNEXPECTED(errno_value) ((errno_value) != 0 ? (errno_value) : EEXIST)

static const struct {
    uint64_t flag;
    const char *path;
} namespaces[_LAYER_MAX] = {
    [LAYER_USER_NAMESPACE] = {CLONE_NEWUSER, "/proc/self/ns/user"},
    [LAYER_PID_NAMESPACE] = {CLONE_NEWPID, "/proc/self/ns/pid"},
    [LAYER_IPC_NAMESPACE] = {CLONE_NEWIPC, "/proc/self/ns/ipc"},
    [LAYER_UTS_NAMESPACE] = {CLONE_NEWUTS, "/proc/self/ns/uts"},
    [LAYER_CGROUP_NAMESPACE] = {CLONE_NEWCGROUP, "/proc/self/ns/cgroup"},
    [LAYER_NET_NAMESPACE] = {CLONE_NEWNET, "/proc/self/ns/net"},
};

uint64_t layer_namespace(enum sandbox_layer layer)
{
    return namespaces[layer].flag;
}

/* 0 if it cannot be told. */
static uint64_t number_of(const char *path)
{
    struct stat st;

    return stat(path, &st) < 0 ? 0 : st.st_ino;
}

static uint64_t device_of(const char *path)
{
    struct stat st;

    return stat(path, &st) < 0 ? 0 : st.st_dev;
}

void layers_look(struct layer_outside *ret)
{
    *ret = (struct layer_outside){.root_device = device_of("/")};
    for (unsigned i = 0; i < _LAYER_MAX; i++)
        ret->namespaces[i] = namespaces[i].path ? number_of(namespaces[i].path) : 0;
}

void layers_listen(struct layer_outside *ret)
{
    const struct sockaddr_un any = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ret->socket_len = sizeof(ret->socket);
    /* An address of the family alone: the kernel picks an abstract name. */
    if (fd < 0 || bind(fd, (const struct sockaddr *)&any, sizeof(any.sun_family)) < 0 ||
        listen(fd, 1) < 0 || getsockname(fd, (struct sockaddr *)&ret->socket, &ret->socket_len) < 0)
        ret->socket_len = 0;
}

static int is_on_tmpfs(const char *path)
{
    struct statfs fs;

    if (statfs(path, &fs) < 0)
        return errno;
    return fs.f_type == TMPFS_MAGIC ? 0 : EXDEV;
}

static int inspect_namespace(const struct layer_outside *outside, enum sandbox_layer layer)
{
    uint64_t number = number_of(namespaces[layer].path);

    if (number == 0)
        return UNEXPECTED(errno);
    return number != outside->namespaces[layer] ? 0 : EEXIST;
}

static int inspect_root(const struct layer_outside *outside, const struct sandbox_plan *plan)
{
    if (device_of("/") == outside->root_device)
        return EXDEV;
    errno = 0;
    if (mkdir("/mayfly", 0700) == 0 || (errno != EROFS && errno != EACCES))
        return UNEXPECTED(errno);
    return is_on_tmpfs("/");
}

static int inspect_ids(const struct layer_outside *outside, const struct sandbox_plan *plan)
{
    if (plan->ids_first == 0)
        return LAYER_NOT_TRIED;
    if (getuid() != plan->worker.slot_uid || getgid() != plan->worker.slot_uid)
        return EPERM;
    return syscall(SYS_setresuid, 0, 0, 0) < 0 ? 0 : EEXIST;
}

/* It may see itself; PID 1 there is the sandbox's init. */
static int inspect_proc(const struct layer_outside *outside, const struct sandbox_plan *plan)
{
    if (access("/proc/self/stat", R_OK) < 0)
        return errno;
    if (access("/proc/version", F_OK) == 0 || access("/proc/1", F_OK) == 0)
        return EEXIST;
    return access("/proc/self/comm", W_OK) < 0 && errno == EROFS ? 0 : ENOTSUP;
}

static int inspect_tmp(const struct layer_outside *outside, const struct sandbox_plan *plan)
{
    struct stat st;

    if (stat("/tmp", &st) < 0)
        return errno;
    if (st.st_uid != getuid() || (st.st_mode & 07777) != 0700)
        return EXDEV; /* the zygote's, which is everybody's */
    if (mkdir("/tmp/mayfly", 0700) < 0)
        return errno;
    return is_on_tmpfs("/tmp");
}

static int inspect_capabilities(const struct layer_outside *outside,
                                const struct sandbox_plan *plan)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[2] = {0};

    if (syscall(SYS_capget, &header, caps) < 0)
        return errno;
    for (unsigned i = 0; i < 2; i++) {
        if (caps[i].effective | caps[i].permitted | caps[i].inheritable)
            return EPERM;
    }
    return 0;
}

static int inspect_privileges(const struct layer_outside *outside, const struct sandbox_plan *plan)
{
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : EPERM;
}

/* A filter may be another's: ours refuses what any kernel without it would answer by EFAULT. */
static int inspect_seccomp(const struct layer_outside *outside, const struct sandbox_plan *plan)
{
    if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != SECCOMP_MODE_FILTER)
        return ENOSYS;
    return syscall(SYS_io_uring_setup, 1, NULL) < 0 && errno == EPERM ? 0 : EEXIST;
}

/* The zygote's domain, where there are scopes, and the worker's own. */
static int inspect_landlock(const struct layer_outside *outside, const struct sandbox_plan *plan)
{
    int abi = sandbox_landlock_abi(), depth;

    if (abi == 0)
        return EOPNOTSUPP;
    depth = sandbox_landlock_depth();
    if (depth < 0)
        return -depth;
    return depth >= (abi < 6 ? 1 : 2) ? 0 : EPERM;
}

static int inspect_landlock_scope(const struct layer_outside *outside,
                                  const struct sandbox_plan *plan)
{
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || outside->socket_len == 0)
        return LAYER_NOT_TRIED;
    if (connect(fd, (const struct sockaddr *)&outside->socket, outside->socket_len) == 0)
        return sandbox_landlock_abi() < 6 ? EOPNOTSUPP : EEXIST;
    return errno == EPERM ? 0 : errno;
}

void layers_inspect(const struct layer_outside *outside, const struct sandbox_plan *plan,
                    int ret_errors[static _LAYER_MAX])
{
    static int (*const inspections[_LAYER_MAX])(const struct layer_outside *,
                                                const struct sandbox_plan *) = {
        [LAYER_OWN_ROOT] = inspect_root,
        [LAYER_UID_RANGE] = inspect_ids,
        [LAYER_PROC] = inspect_proc,
        [LAYER_PRIVATE_TMP] = inspect_tmp,
        [LAYER_CAPABILITIES] = inspect_capabilities,
        [LAYER_NO_NEW_PRIVILEGES] = inspect_privileges,
        [LAYER_SECCOMP] = inspect_seccomp,
        [LAYER_LANDLOCK] = inspect_landlock,
        [LAYER_LANDLOCK_SCOPE] = inspect_landlock_scope,
    };

    for (unsigned i = 0; i < _LAYER_MAX; i++) {
        if (namespaces[i].path)
            ret_errors[i] = inspect_namespace(outside, i);
        else
            ret_errors[i] = inspections[i] ? inspections[i](outside, plan) : LAYER_NOT_TRIED;
    }
}
