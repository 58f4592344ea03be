/* Out by another view of the machine: namespaces, mounts, roots. */

#include "battery.h"

#include <limits.h>

#define NEW_TIME         0x00000080
#define OPEN_TREE_CLONE_ 1
#define F_EMPTY_PATH     4
#define ATTRIBUTE_RDONLY 1
#define MOUNT_POINT      "/tmp"

/* ---- namespaces ---- */

static int unshared(int flags)
{
    return result(unshare(flags));
}

static int unshare_user(void)
{
    return unshared(CLONE_NEWUSER);
}

static int unshare_mounts(void)
{
    return unshared(CLONE_NEWNS);
}

static int unshare_processes(void)
{
    return unshared(CLONE_NEWPID);
}

static int unshare_network(void)
{
    return unshared(CLONE_NEWNET);
}

static int unshare_ipc(void)
{
    return unshared(CLONE_NEWIPC);
}

static int unshare_name(void)
{
    return unshared(CLONE_NEWUTS);
}

static int unshare_cgroup(void)
{
    return unshared(CLONE_NEWCGROUP);
}

static int unshare_time(void)
{
    return unshared(NEW_TIME);
}

static int cloned(unsigned long flags)
{
    long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);

    if (pid == 0)
        _exit(0);
    return pid < 0 ? errno : exit_of((pid_t)pid);
}

static int clone_user(void)
{
    return cloned(CLONE_NEWUSER);
}

static int clone_user_high_bits(void)
{
    return cloned(CLONE_NEWUSER | UINT64_C(1) << 40);
}

static int clone_processes(void)
{
    return cloned(CLONE_NEWPID);
}

static int clone_mounts(void)
{
    return cloned(CLONE_NEWNS);
}

static int clone_network(void)
{
    return cloned(CLONE_NEWNET);
}

static int clone3_user(void)
{
    uint64_t args[8] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD};
    long pid = syscall(SYS_clone3, args, sizeof(args));

    if (pid == 0)
        _exit(0);
    return pid < 0 ? errno : exit_of((pid_t)pid);
}

static int setns_own(void)
{
    int fd = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);

    return fd < 0 ? errno : result(setns(fd, CLONE_NEWUTS));
}

static int setns_init(void)
{
    int fd = (int)syscall(SYS_pidfd_open, battery.inside ? getppid() : 1, 0);

    return fd < 0 ? errno : result(setns(fd, CLONE_NEWIPC));
}

/* ---- mounts ---- */

/* Outside, what follows must not reach the machine's own mounts; inside, there is no such way. */
static int own_mounts(void)
{
    if (battery.inside)
        return 0;
    if (unshare(CLONE_NEWNS) < 0)
        return errno;
    return result(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
}

static int mounted(const char *source, const char *target, const char *type, unsigned long flags)
{
    int r = own_mounts();

    return r != 0 ? r : result(mount(source, target, type, flags, NULL));
}

static int mount_tmpfs(void)
{
    return mounted("tmpfs", MOUNT_POINT, "tmpfs", 0);
}

static int mount_proc(void)
{
    return mounted("proc", MOUNT_POINT, "proc", 0);
}

static int mount_sysfs(void)
{
    return mounted("sysfs", MOUNT_POINT, "sysfs", 0);
}

static int mount_cgroup(void)
{
    return mounted("cgroup2", MOUNT_POINT, "cgroup2", 0);
}

static int mount_queues(void)
{
    return mounted("mqueue", MOUNT_POINT, "mqueue", 0);
}

static int mount_terminals(void)
{
    return mounted("devpts", MOUNT_POINT, "devpts", 0);
}

static int bind_root(void)
{
    return mounted("/", MOUNT_POINT, NULL, MS_BIND | MS_REC);
}

static int bind_proc(void)
{
    return mounted("/proc/self", MOUNT_POINT, NULL, MS_BIND);
}

static int remount_root(void)
{
    return mounted(NULL, "/", NULL, MS_REMOUNT | MS_BIND);
}

/* Outside there is nothing mounted on the code folder: it is made a mount first. */
static int remount_code(void)
{
    char path[PATH_MAX];
    int r = own_mounts();

    if (r != 0 || !getcwd(path, sizeof(path)))
        return r != 0 ? r : errno;
    if (!battery.inside && mount(path, path, NULL, MS_BIND, NULL) < 0)
        return errno;
    return result(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND, NULL));
}

static int move_a_mount(void)
{
    int r = own_mounts();

    if (r != 0)
        return r;
    if (!battery.inside)
        (void)mount("tmpfs", MOUNT_POINT, "tmpfs", 0, NULL);
    return result(mount("/proc", MOUNT_POINT, NULL, MS_MOVE, NULL));
}

static int share_mounts(void)
{
    return mounted(NULL, "/", NULL, MS_SHARED | MS_REC);
}

static int umounted(const char *path)
{
    int r = own_mounts();

    return r != 0 ? r : result(umount2(path, MNT_DETACH));
}

static int umount_proc(void)
{
    return umounted("/proc");
}

static int umount_tmp(void)
{
    if (!battery.inside) {
        int r = own_mounts();

        return r != 0 || mount("tmpfs", MOUNT_POINT, "tmpfs", 0, NULL) < 0
                   ? errno
                   : result(umount2(MOUNT_POINT, MNT_DETACH));
    }
    return umounted(MOUNT_POINT);
}

static int pivot(void)
{
    int r = own_mounts();

    if (r != 0)
        return r;
    if (!battery.inside)
        (void)mount("tmpfs", MOUNT_POINT, "tmpfs", 0, NULL);
    return result(syscall(SYS_pivot_root, MOUNT_POINT, MOUNT_POINT));
}

static int change_root(void)
{
    return result(chroot("/"));
}

/* The old trick: a root below one's working directory, and then up. */
static int climb_out(void)
{
    (void)mkdir("/tmp/battery-root", 0700);
    if (chroot("/tmp/battery-root") < 0) {
        int r = errno;

        (void)rmdir("/tmp/battery-root");
        return r;
    }
    for (int i = 0; i < 64; i++)
        (void)!chdir("..");
    (void)!chroot(".");
    (void)rmdir("/tmp/battery-root");
    return opened("/etc/shadow", O_RDONLY);
}

static int tree_of_root(void)
{
    return result(syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE_));
}

static int move_tree(void)
{
    int r = own_mounts();
    long fd = r != 0 ? -1 : syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE_);

    if (r != 0)
        return r;
    return result(syscall(SYS_move_mount, fd, "", AT_FDCWD, MOUNT_POINT, F_EMPTY_PATH));
}

static int open_filesystem(void)
{
    return result(syscall(SYS_fsopen, "tmpfs", 0));
}

static int pick_filesystem(void)
{
    int r = own_mounts();

    return r != 0 ? r : result(syscall(SYS_fspick, AT_FDCWD, "/", 0));
}

static int make_writable(void)
{
    const uint64_t attributes[4] = {0, ATTRIBUTE_RDONLY, 0, 0};
    int r = own_mounts();

    if (r != 0)
        return r;
    return result(syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, attributes, sizeof(attributes)));
}

static int open_by_handle(void)
{
    struct {
        struct file_handle handle;
        unsigned char bytes[128];
    } h = {.handle = {.handle_bytes = 128}};
    int mount_id, fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (name_to_handle_at(AT_FDCWD, "/etc", &h.handle, &mount_id, 0) < 0) {
        /* Guess one, as Docker's "shocker" did: the root's inode is 2 on most file systems. */
        h.handle.handle_bytes = 8;
        h.handle.handle_type = 1;
        h.bytes[0] = 2;
    }
    return past_the_gate(open_by_handle_at(fd, &h.handle, O_RDONLY));
}

static const struct act namespace_acts[] = {
    {"unshare-user", "make a user namespace, in which one is root", unshare_user},
    {"unshare-mounts", "make a mount namespace", unshare_mounts},
    {"unshare-processes", "make a process namespace", unshare_processes},
    {"unshare-network", "make a network", unshare_network},
    {"unshare-ipc", "make an IPC namespace", unshare_ipc},
    {"unshare-name", "make a host name of one's own", unshare_name},
    {"unshare-cgroup", "make a cgroup namespace", unshare_cgroup},
    {"unshare-time", "make a time namespace", unshare_time},
    {"clone-user", "clone into a user namespace", clone_user},
    {"clone-user-high-bits", "the same with bits that the kernel ignores", clone_user_high_bits},
    {"clone-processes", "clone into a process namespace", clone_processes},
    {"clone-mounts", "clone into a mount namespace", clone_mounts},
    {"clone-network", "clone into a network", clone_network},
    {"clone3-user", "clone3 into a user namespace: its flags lie in memory", clone3_user},
    {"setns-own", "enter a namespace by /proc", setns_own},
    {"setns-parent", "enter namespaces of another process", setns_init},
    {"mount-tmpfs", "mount a tmpfs", mount_tmpfs},
    {"mount-proc", "mount a /proc without restrictions", mount_proc},
    {"mount-sysfs", "mount /sys", mount_sysfs},
    {"mount-cgroup", "mount the cgroups", mount_cgroup},
    {"mount-mqueue", "mount the message queues", mount_queues},
    {"mount-devpts", "mount terminals", mount_terminals},
    {"bind-root", "show / in another place", bind_root},
    {"bind-proc", "show /proc/self in another place", bind_proc},
    {"remount-root", "remount / writable", remount_root},
    {"remount-code", "remount the code writable", remount_code},
    {"move-mount", "move /proc away", move_a_mount},
    {"share-mounts", "make mounts visible to others", share_mounts},
    {"umount-proc", "see what is below /proc", umount_proc},
    {"umount-tmp", "see what is below /tmp", umount_tmp},
    {"pivot-root", "change the root of all", pivot},
    {"chroot", "change one's root", change_root},
    {"climb-out", "climb out of a chroot", climb_out},
    {"open-tree", "copy the tree of mounts", tree_of_root},
    {"move-tree", "attach a copied tree", move_tree},
    {"fsopen", "make a file system by the new calls", open_filesystem},
    {"fspick", "change a file system by the new calls", pick_filesystem},
    {"mount-setattr", "take the read-only mark off /", make_writable},
    {"open-by-handle", "open a file by its number", open_by_handle},
};
