/* Files: devices, the system's, the code, tricks with names, /proc and /sys; descriptors. */

#include "battery.h"

#include <limits.h>
#include <stddef.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#define FDS_TRIED  4096
#define FD_REQUEST 3 /* the last that a worker has */

/* ---- devices ---- */

static int node(mode_t type, unsigned major_number, unsigned minor_number)
{
    const char *path = "/tmp/battery-node";
    int r;

    (void)unlink(path);
    r = result(mknod(path, type | 0600, makedev(major_number, minor_number)));
    (void)unlink(path);
    return r;
}

static int make_memory_device(void)
{
    return node(S_IFCHR, 1, 1);
}

static int make_disk_device(void)
{
    return node(S_IFBLK, 8, 0);
}

static int open_memory(void)
{
    static const char *const names[] = {"/dev/mem", "/dev/port", "/dev/kmem"};

    return opened_one(names, COUNT(names), O_RDONLY);
}

static int open_log_device(void)
{
    static const char *const names[] = {"/dev/kmsg"};

    return opened_one(names, COUNT(names), O_RDWR);
}

static int open_kvm(void)
{
    static const char *const names[] = {"/dev/kvm"};

    return opened_one(names, COUNT(names), O_RDWR);
}

static int open_fuse(void)
{
    static const char *const names[] = {"/dev/fuse", "/dev/cuse"};

    return opened_one(names, COUNT(names), O_RDWR);
}

static int open_disks(void)
{
    static const char *const names[] = {"/dev/vda",           "/dev/vdb",           "/dev/sda",
                                        "/dev/nvme0n1",       "/dev/loop0",         "/dev/xvda",
                                        "/dev/loop-control",  "/dev/btrfs-control", "/dev/ram0",
                                        "/dev/mapper/control"};

    return opened_one(names, COUNT(names), O_RDONLY);
}

static int open_network_device(void)
{
    static const char *const names[] = {"/dev/net/tun", "/dev/vhost-net", "/dev/vhost-vsock",
                                        "/dev/vsock"};

    return opened_one(names, COUNT(names), O_RDWR);
}

/* ---- what is not ours ---- */

static int write_root(void)
{
    return made("/battery-file");
}

static int write_usr(void)
{
    return made("/usr/battery-file");
}

static int write_etc(void)
{
    return made("/etc/battery-file");
}

static int write_dev(void)
{
    return made("/dev/battery-file");
}

static int write_var(void)
{
    return made("/var/battery-file");
}

static int write_code(void)
{
    return made("battery-file");
}

/* The code itself; the folder is the working directory. */
static int change_code(void)
{
    static const char *const names[] = {"battery/battery.c", "battery.c", "mayfly.json"};

    return opened_one(names, COUNT(names), O_WRONLY | O_APPEND);
}

static int remove_code(void)
{
    const char *const name = battery.inside ? "mayfly.json" : "battery-removed";

    if (!battery.inside)
        (void)close(open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    return result(unlink(name));
}

static int write_mayfly(void)
{
    static const char *const names[] = {"/run/mayfly/battery-file", "/run/mayfly/lib/battery-file",
                                        "/run/battery-file"};
    int r = ENOENT;

    for (size_t i = 0; i < COUNT(names) && r != 0; i++)
        r = made(names[i]);
    return r;
}

static int change_own_program(void)
{
    return changed("/proc/self/exe");
}

static int change_shell(void)
{
    return changed("/bin/sh");
}

static int change_users(void)
{
    return opened("/etc/passwd", O_WRONLY | O_APPEND);
}

static int read_shadow(void)
{
    static const char *const names[] = {"/etc/shadow", "/etc/gshadow", "/etc/sudoers"};

    return opened_one(names, COUNT(names), O_RDONLY);
}

static int read_homes(void)
{
    static const char *const names[] = {"/root", "/root/.ssh", "/home", "/srv"};

    return opened_one(names, COUNT(names), O_RDONLY);
}

static int read_host(void)
{
    static const char *const names[] = {"/host", "/boot",  "/var/log", "/var/lib",
                                        "/opt",  "/media", "/mnt"};

    return opened_one(names, COUNT(names), O_RDONLY);
}

static int read_secret(void)
{
    return opened(battery.secret ? battery.secret : "/etc/shadow", O_RDONLY);
}

static int read_secret_by_proc(void)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "/proc/self/root/../../../..%s",
                   battery.secret ? battery.secret : "/etc/shadow");
    return opened(path, O_RDONLY);
}

/* ---- tricks with names ---- */

static int through_symlink(void)
{
    const char *path = "/tmp/battery-link";
    int r;

    (void)unlink(path);
    if (symlink("/etc/passwd", path) < 0)
        return errno;
    r = opened(path, O_WRONLY | O_APPEND);
    (void)unlink(path);
    return r;
}

static int symlink_to_process(void)
{
    const char *path = "/tmp/battery-link";
    int r;

    (void)unlink(path);
    if (symlink("/proc/1/root/etc/shadow", path) < 0)
        return errno;
    r = opened(path, O_RDONLY);
    (void)unlink(path);
    return r;
}

static int hard_link(void)
{
    const char *path = "/tmp/battery-hard", *from = battery.inside ? "mayfly.json" : "/etc/passwd";
    int r;

    (void)unlink(path);
    r = result(link(from, path));
    (void)unlink(path);
    return r;
}

static int hard_link_by_descriptor(void)
{
    const char *path = "/tmp/battery-hard";
    int fd = open(battery.inside ? "mayfly.json" : "/etc/passwd", O_RDONLY | O_CLOEXEC), r;
    char proc[64];

    (void)unlink(path);
    (void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    r = result(linkat(AT_FDCWD, proc, AT_FDCWD, path, AT_SYMLINK_FOLLOW));
    (void)unlink(path);
    return r;
}

/* Reading is allowed: is writing, by opening the descriptor again? */
static int reopen_for_writing(void)
{
    int fd = open(battery.inside ? "mayfly.json" : "/etc/passwd", O_RDONLY | O_CLOEXEC);
    char proc[64];

    if (fd < 0)
        return errno;
    (void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    return opened(proc, O_WRONLY | O_APPEND);
}

static int rename_over_code(void)
{
    const char *path = "/tmp/battery-new",
               *to = battery.inside ? "mayfly.json" : "/tmp/battery-renamed";
    int r;

    (void)close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    r = result(rename(path, to));
    (void)unlink(path);
    (void)unlink("/tmp/battery-renamed");
    return r;
}

static int rename_tmp(void)
{
    int r;

    (void)mkdir("/tmp/battery-dir", 0700);
    r = result(rename(battery.inside ? "/tmp" : "/tmp/battery-dir",
                      battery.inside ? "/tmp2" : "/tmp/battery-dir2"));
    (void)rmdir("/tmp/battery-dir");
    (void)rmdir("/tmp/battery-dir2");
    return r;
}

static int change_mode(void)
{
    return changed("/etc");
}

/* ---- /proc, /sys, cgroups: opened for writing, and nothing is written ---- */

static int change_settings(void)
{
    static const char *const names[] = {
        "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname",
        "/proc/sys/vm/overcommit_memory", "/proc/sys/kernel/modprobe"};

    return opened_one(names, COUNT(names), O_WRONLY);
}

static int press_sysrq(void)
{
    return opened("/proc/sysrq-trigger", O_WRONLY);
}

static int binary_formats(void)
{
    static const char *const names[] = {"/proc/sys/fs/binfmt_misc/register",
                                        "/proc/sys/fs/binfmt_misc"};

    return opened_one(names, COUNT(names), O_RDONLY);
}

static int change_sys(void)
{
    static const char *const names[] = {"/sys/kernel/uevent_helper", "/sys/power/state",
                                        "/sys/kernel/mm/transparent_hugepage/enabled",
                                        "/sys/module/kernel/parameters/panic"};

    return opened_one(names, COUNT(names), O_WRONLY);
}

static int debug_filesystems(void)
{
    static const char *const names[] = {"/sys/kernel/debug", "/sys/kernel/tracing",
                                        "/sys/firmware/efi/efivars", "/sys/kernel/security"};

    return opened_one(names, COUNT(names), O_RDONLY);
}

static const char *const cgroup_roots[] = {"/sys/fs/cgroup/unified/", "/sys/fs/cgroup/",
                                           "/sys/fs/cgroup/memory/", "/sys/fs/cgroup/pids/"};

static int in_cgroups(const char *file)
{
    char path[128];
    int r = ENOENT;

    for (size_t i = 0; i < COUNT(cgroup_roots) && r != 0; i++) {
        (void)snprintf(path, sizeof(path), "%s%s", cgroup_roots[i], file);
        r = opened(path, O_WRONLY);
    }
    return r;
}

static int leave_cgroup(void)
{
    return in_cgroups("cgroup.procs");
}

static int release_agent(void)
{
    return in_cgroups("release_agent");
}

static int kernel_addresses(void)
{
    FILE *f = fopen("/proc/kallsyms", "re");
    unsigned long address = 0;

    if (!f)
        return errno;
    if (fscanf(f, "%lx", &address) != 1)
        address = 0;
    (void)fclose(f);
    return address != 0 ? 0 : EPERM;
}

static int kernel_memory(void)
{
    return opened("/proc/kcore", O_RDONLY);
}

static int kernel_messages(void)
{
    return opened("/proc/kmsg", O_RDONLY);
}

static int machine_facts(void)
{
    static const char *const names[] = {"/proc/iomem",      "/proc/slabinfo",
                                        "/proc/timer_list", "/proc/vmallocinfo",
                                        "/proc/net/unix",   "/proc/mounts/../1/mountinfo"};

    return opened_one(names, COUNT(names), O_RDONLY);
}

static int kernel_command_line(void)
{
    static const char *const names[] = {"/proc/cmdline", "/proc/config.gz", "/proc/version",
                                        "/proc/modules"};

    return opened_one(names, COUNT(names), O_RDONLY);
}

static int map_ids(void)
{
    return opened("/proc/self/uid_map", O_WRONLY) == 0 &&
                   opened("/proc/self/setgroups", O_WRONLY) == 0
               ? 0
               : errno;
}

static int audit_identity(void)
{
    return opened("/proc/self/loginuid", O_WRONLY);
}

/* ---- descriptors and sockets ---- */

static int other_descriptors(void)
{
    for (int fd = FD_REQUEST + 1; fd < FDS_TRIED; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            return 0;
    }
    return EBADF;
}

/* The numbers at which the zygote has its channels. */
static int talk_on_channels(void)
{
    char bytes[16] = {1};
    int r = EBADF;

    for (int fd = FD_REQUEST + 1; fd < 64 && r != 0; fd++) {
        r = result(send(fd, bytes, 0, MSG_DONTWAIT | MSG_NOSIGNAL));
        if (r != 0 && recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_PEEK) >= 0)
            r = 0;
    }
    return r;
}

static int reached(const char *path, bool abstract)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

    if (fd < 0 || len + 1 >= sizeof(a.sun_path))
        return EINVAL;
    memcpy(a.sun_path + abstract, path, len);
    r = result(connect(fd, (struct sockaddr *)&a,
                       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + abstract + len)));
    (void)close(fd);
    return r;
}

static int reach_mayfly(void)
{
    return battery.mayfly_socket ? reached(battery.mayfly_socket, false) : ENOENT;
}

static int reach_abstract(void)
{
    return battery.abstract_socket ? reached(battery.abstract_socket, true) : ENOENT;
}

static int reach_system(void)
{
    static const char *const names[] = {"/run/systemd/private", "/run/dbus/system_bus_socket",
                                        "/var/run/docker.sock", "/run/containerd/containerd.sock",
                                        "/dev/log"};
    int r = ENOENT;

    for (size_t i = 0; i < COUNT(names) && r != 0; i++)
        r = reached(names[i], false);
    return r;
}

static int set_id_file(void)
{
    struct statvfs st;

    if (statvfs("/usr", &st) < 0)
        return errno;
    return st.f_flag & ST_NOSUID ? EPERM : 0;
}

static const struct act file_acts[] = {
    {"make-memory-device", "make a device node for memory", make_memory_device},
    {"make-disk-device", "make a device node for a disk", make_disk_device},
    {"dev-mem", "open the machine's memory", open_memory},
    {"dev-kmsg", "open the kernel's log", open_log_device},
    {"dev-kvm", "make a virtual machine", open_kvm},
    {"dev-fuse", "make a file system", open_fuse},
    {"dev-disk", "open a disk", open_disks},
    {"dev-net", "make a network device", open_network_device},
    {"write-root", "make a file in /", write_root},
    {"write-usr", "make a file in /usr", write_usr},
    {"write-etc", "make a file in /etc", write_etc},
    {"write-dev", "make a file in /dev", write_dev},
    {"write-var", "make a file in /var", write_var},
    {"write-code", "make a file among the code", write_code},
    {"change-code", "change the code", change_code},
    {"remove-code", "remove code", remove_code},
    {"write-mayfly", "make a file among mayfly's", write_mayfly},
    {"change-program", "change one's own program", change_own_program},
    {"change-shell", "change the shell", change_shell},
    {"change-users", "change who the users are", change_users},
    {"read-shadow", "read the passwords", read_shadow},
    {"read-homes", "read what users have", read_homes},
    {"read-host", "read what the machine has", read_host},
    {"read-secret", "read a file of another function", read_secret},
    {"read-secret-by-proc", "the same by /proc/self/root", read_secret_by_proc},
    {"through-symlink", "write through a symbolic link", through_symlink},
    {"symlink-to-process", "read by a link to another process's root", symlink_to_process},
    {"hard-link", "have a second name for code in /tmp", hard_link},
    {"hard-link-by-descriptor", "the same by a descriptor", hard_link_by_descriptor},
    {"reopen-for-writing", "open a read-only descriptor again", reopen_for_writing},
    {"rename-over-code", "put another file in place of code", rename_over_code},
    {"rename-tmp", "move /tmp away", rename_tmp},
    {"chmod-etc", "change the mode of /etc", change_mode},
    {"proc-sys", "change settings of the kernel", change_settings},
    {"sysrq", "press the magic key", press_sysrq},
    {"binfmt", "say how programs are executed", binary_formats},
    {"write-sys", "change settings in /sys", change_sys},
    {"debugfs", "see the kernel's insides", debug_filesystems},
    {"leave-cgroup", "leave one's control group", leave_cgroup},
    {"release-agent", "have a program executed by the kernel", release_agent},
    {"kallsyms", "learn addresses of the kernel", kernel_addresses},
    {"kcore", "read the kernel's memory", kernel_memory},
    {"kmsg", "read the kernel's log by /proc", kernel_messages},
    {"machine-facts", "learn what the machine does", machine_facts},
    {"kernel-facts", "learn how the kernel was started", kernel_command_line},
    {"map-ids", "map user ids", map_ids},
    {"loginuid", "change one's audit identity", audit_identity},
    {"other-descriptors", "find descriptors that were left open", other_descriptors},
    {"talk-on-channels", "talk on the zygote's channels", talk_on_channels},
    {"reach-mayfly", "reach mayfly's socket", reach_mayfly},
    {"reach-abstract", "reach an abstract socket outside", reach_abstract},
    {"reach-system", "reach sockets of the system", reach_system},
    {"set-uid-files", "find programs whose set-uid bit counts", set_id_file},
};
