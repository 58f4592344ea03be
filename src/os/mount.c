#include "os/mount.h"

#include "os/fault.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MOUNT_ATTR_RDONLY
#define MOUNT_ATTR_RDONLY 0x1
#define MOUNT_ATTR_NOSUID 0x2
#define MOUNT_ATTR_NODEV  0x4
#endif
#define RECURSIVE        0x8000 /* AT_RECURSIVE */
#define TREE_CLONE       1      /* OPEN_TREE_CLONE */
#define TREE_CLOEXEC     O_CLOEXEC
#define MOVE_EMPTY_PATHS 0x44 /* MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH */

/* As <linux/mount.h> has it, which cannot stand beside <sys/mount.h>. */
struct attributes {
    uint64_t set;
    uint64_t clear;
    uint64_t propagation;
    uint64_t user_namespace;
};

int mount_new(const char *type, const char *target, unsigned long flags, const char *options)
{
    int r = os_fault(OS_CALL_MOUNT);

    if (r < 0)
        return r;
    return mount(type, target, type, flags, options) < 0 ? -errno : 0;
}

int mount_make_private(void)
{
    int r = os_fault(OS_CALL_MOUNT);

    if (r < 0)
        return r;
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? -errno : 0;
}

static int set_attributes(int folder, const char *target, uint64_t set, unsigned flags)
{
    struct attributes a = {.set = set};
    int r = os_fault(OS_CALL_MOUNT);

    if (r < 0)
        return r;
    return syscall(SYS_mount_setattr, folder, target, flags, &a, sizeof(a)) < 0 ? -errno : 0;
}

static uint64_t bind_attributes(bool writable)
{
    return MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (writable ? 0 : MOUNT_ATTR_RDONLY);
}

/* Returns a descriptor of the place alone, or -errno. */
static int place_open(const char *path)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS};
    int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

    return fd < 0 ? -errno : fd;
}

int mount_bind_exact(const char *source, const char *target, bool writable)
{
    _cleanup_close_ int from = -1, to = -1, tree = -1;
    int r = os_fault(OS_CALL_MOUNT);

    if (r < 0)
        return r;
    from = place_open(source);
    if (from < 0)
        return from;
    to = place_open(target);
    if (to < 0)
        return to;
    tree = (int)syscall(SYS_open_tree, from, "",
                        AT_EMPTY_PATH | RECURSIVE | TREE_CLONE | TREE_CLOEXEC);
    if (tree < 0)
        return -errno;
    r = set_attributes(tree, "", bind_attributes(writable), AT_EMPTY_PATH | RECURSIVE);
    if (r < 0)
        return r;
    return syscall(SYS_move_mount, tree, "", to, "", MOVE_EMPTY_PATHS) < 0 ? -errno : 0;
}

int mount_bind(const char *source, const char *target, bool writable)
{
    int r = os_fault(OS_CALL_MOUNT);

    if (r < 0)
        return r;
    if (mount(source, target, NULL, MS_BIND | MS_REC, NULL) < 0)
        return -errno;
    return set_attributes(AT_FDCWD, target, bind_attributes(writable), RECURSIVE);
}

int mount_read_only(const char *target)
{
    return set_attributes(AT_FDCWD, target, MOUNT_ATTR_RDONLY, 0);
}

int mount_pivot(const char *new_root, const char *put_old)
{
    int r = os_fault(OS_CALL_PIVOT_ROOT);

    if (r < 0)
        return r;
    if (syscall(SYS_pivot_root, new_root, put_old) < 0 || chdir("/") < 0)
        return -errno;
    return 0;
}

int mount_detach(const char *target)
{
    int r = os_fault(OS_CALL_MOUNT);

    if (r < 0)
        return r;
    return umount2(target, MNT_DETACH) < 0 ? -errno : 0;
}

static int make_folder(const char *path)
{
    int r = os_fault(OS_CALL_MKDIR);

    if (r < 0)
        return r;
    return mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

static int make_file(const char *path)
{
    int fd, r = os_fault(OS_CALL_OPEN);

    if (r < 0)
        return r;
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return -errno;
    fd_close(fd);
    return 0;
}

int mount_place(const char *path, bool is_file)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    int r = 0;

    if (path[0] != '/' || len >= sizeof(part))
        return -ENAMETOOLONG;
    for (size_t i = 1; i < len && r == 0; i++) {
        if (path[i] != '/')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        r = make_folder(part);
    }
    if (r < 0)
        return r;
    return is_file ? make_file(path) : make_folder(path);
}
