/* The new root is mounted over /tmp, becomes the root, and the old one hangs in /host until all
 * that is wanted of it has been bound: so a source may lie anywhere, below /tmp as well. */

#include "sandbox/root.h"

#include "base/buf.h"
#include "os/fault.h"
#include "os/fd.h"
#include "os/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define HOST            "/host"
#define ROOT_OPTIONS    "mode=755,size=16m,nr_inodes=2048"
#define COPY_MAX        (4 * 1024 * 1024)
#define DEVICE_MODE     (S_IFCHR | 0666)
#define NAMED_SLOTS     1024 /* of the workers at once of a function; 1000 is the default */
#define USERS_BYTES_MAX (128 * 1024)

#define TRY(what, call)                                                                            \
    do {                                                                                           \
        int _r = (call);                                                                           \
        if (_r < 0)                                                                                \
            return error_set_errno(err, _r, "sandbox: %s", what);                                  \
    } while (0)

static int link_to(const char *target, const char *path)
{
    int r = os_fault(OS_CALL_LINK);

    if (r < 0)
        return r;
    return symlink(target, path) < 0 ? -errno : 0;
}

/* ---- what comes from the host ---- */

static int bind_one(const struct sandbox_bind *b, struct error *err)
{
    const char *target = b->target[0] ? b->target : b->source;
    char source[PATH_MAX];
    struct stat st;
    int r;

    (void)snprintf(source, sizeof(source), HOST "%s", b->source);
    if (stat(source, &st) < 0)
        return b->optional ? 0 : error_set_errno(err, -errno, "sandbox: %s", b->source);
    r = mount_place(target, !S_ISDIR(st.st_mode));
    if (r == 0)
        r = b->exact ? mount_bind_exact(source, target, b->writable)
                     : mount_bind(source, target, b->writable);
    return r < 0 ? error_set_errno(err, r, "sandbox: show %s", b->source) : 0;
}

/* /bin, /lib and their like: links into /usr today, folders on older systems. */
static int bind_system_folder(const char *name, struct error *err)
{
    struct sandbox_bind bind = {.source = name};
    char path[64], target[PATH_MAX];
    ssize_t n;

    (void)snprintf(path, sizeof(path), HOST "%s", name);
    n = readlink(path, target, sizeof(target) - 1);
    if (n < 0)
        return errno == ENOENT ? 0 : bind_one(&bind, err);
    target[n] = '\0';
    TRY(name, link_to(target, name));
    return 0;
}

static int copy_bytes(int from, int to)
{
    char bytes[16384];
    ssize_t n;
    size_t total = 0;

    while ((n = read(from, bytes, sizeof(bytes))) > 0) {
        total += (size_t)n;
        if (total > COPY_MAX)
            return -EFBIG;
        if (write(to, bytes, (size_t)n) != n)
            return -errno;
    }
    return n < 0 ? -errno : 0;
}

/* A file of /etc as it is now; one that the host does not have or does not show is left out. */
static int copy_file(const char *name)
{
    char source[64];
    _cleanup_close_ int from = -1, to = -1;
    int r = os_fault(OS_CALL_OPEN);

    if (r < 0)
        return r;
    (void)snprintf(source, sizeof(source), HOST "%s", name);
    from = open(source, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return errno == ENOENT || errno == EACCES ? 0 : -errno;
    to = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    return to < 0 ? -errno : copy_bytes(from, to);
}

static int write_text(const char *path, struct slice text)
{
    _cleanup_close_ int fd = -1;
    int r = os_fault(OS_CALL_OPEN);

    if (r < 0)
        return r;
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    return write(fd, text.base, text.len) == (ssize_t)text.len ? 0 : -errno;
}

/* Each worker has an id of its own, and programs want a name for it. The function's stands before
 * root's, which may have the same one. */
static int make_users(const struct sandbox_plan *p)
{
    _cleanup_(buf_deinit) struct buf users = BUF_INIT(USERS_BYTES_MAX);
    _cleanup_(buf_deinit) struct buf groups = BUF_INIT(USERS_BYTES_MAX);
    uint32_t uid = p->ids_first ? SANDBOX_ID_ZYGOTE : p->uid;
    uint32_t gid = p->ids_first ? SANDBOX_ID_ZYGOTE : p->gid;
    int r = 0;

    for (uint32_t i = 0; i < (p->ids_first ? 1 + NAMED_SLOTS : 1) && r == 0; i++) {
        r = buf_printf(&users, "function:x:%u:%u:function:/tmp:/bin/sh\n", uid + i, gid + i);
        r = r < 0 ? r : buf_printf(&groups, "function:x:%u:\n", gid + i);
    }
    r = r < 0 ? r
              : buf_append_str(&users, "root:x:0:0:root:/:/usr/sbin/nologin\n"
                                       "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n");
    r = r < 0 ? r : buf_append_str(&groups, "root:x:0:\nnogroup:x:65534:\n");
    r = r < 0 ? r : write_text("/etc/passwd", buf_slice(&users));
    return r < 0 ? r : write_text("/etc/group", buf_slice(&groups));
}

/* What names need: users, hosts, services, the linker's cache, the time zone. The host's own users
 * are none of a function's business. */
static int make_etc(const struct sandbox_plan *p, struct error *err)
{
    static const char *const copied[] = {"/etc/hosts",    "/etc/resolv.conf", "/etc/nsswitch.conf",
                                         "/etc/services", "/etc/protocols",   "/etc/localtime",
                                         "/etc/timezone", "/etc/mime.types",  "/etc/ld.so.cache",
                                         "/etc/gai.conf", "/etc/host.conf",   "/etc/os-release"};

    TRY("/etc", mount_place("/etc", false));
    for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
        TRY(copied[i], copy_file(copied[i]));
    TRY("/etc/passwd and /etc/group", make_users(p));
    return 0;
}

/* ---- what is made ---- */

static int make_device(const struct sandbox_plan *p, const char *name, unsigned minor)
{
    char path[32], host[32];
    int r = os_fault(OS_CALL_MKNOD);

    if (r < 0)
        return r;
    (void)snprintf(path, sizeof(path), "/dev/%s", name);
    if (p->profile == SANDBOX_ROOT)
        return mknod(path, DEVICE_MODE, makedev(1, minor)) < 0 ||
                       chmod(path, 0666) < 0 /* whatever the umask */
                   ? -errno
                   : 0;
    (void)snprintf(host, sizeof(host), HOST "/dev/%s", name);
    r = mount_place(path, true);
    if (r < 0)
        return r;
    return mount(host, path, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
}

static int make_dev(const struct sandbox_plan *p, struct error *err)
{
    static const struct {
        const char *name;
        unsigned minor;
    } devices[] = {{"null", 3}, {"zero", 5}, {"full", 7}, {"random", 8}, {"urandom", 9}};
    static const struct {
        const char *name, *target;
    } links[] = {{"/dev/fd", "/proc/self/fd"},
                 {"/dev/stdin", "/proc/self/fd/0"},
                 {"/dev/stdout", "/proc/self/fd/1"},
                 {"/dev/stderr", "/proc/self/fd/2"},
                 {"/dev/shm", "/tmp"}};

    TRY("/dev", mount_place("/dev", false));
    for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
        TRY(devices[i].name, make_device(p, devices[i].name, devices[i].minor));
    for (size_t i = 0; i < ARRAY_SIZE(links); i++)
        TRY(links[i].name, link_to(links[i].target, links[i].name));
    return 0;
}

/* Of its own processes only, and of them only those that the reader may trace: "invisible" would
 * make an exception for group 0, which a root user's own user namespace has. */
static int make_proc(struct error *err)
{
    TRY("/proc", mount_place("/proc", false));
    TRY("mount /proc", mount_new("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                                 "subset=pid,hidepid=ptraceable"));
    return 0;
}

/* The zygote's; a worker gets its own over it. */
static int make_tmp(const struct sandbox_plan *p, struct error *err)
{
    char options[96];

    TRY("/tmp", mount_place("/tmp", false));
    if (p->tmp_bytes == 0)
        return 0;
    (void)snprintf(options, sizeof(options), "mode=1777,size=%llu,nr_inodes=%llu",
                   (unsigned long long)p->tmp_bytes, (unsigned long long)p->tmp_inodes);
    TRY("mount /tmp", mount_new("tmpfs", "/tmp", MS_NOSUID | MS_NODEV, options));
    return 0;
}

int sandbox_root_build(const struct sandbox_plan *p, struct error *err)
{
    static const char *const system_folders[] = {"/bin",   "/sbin",  "/lib",
                                                 "/lib32", "/lib64", "/libx32"};
    int r;

    (void)umask(022);
    TRY("own mounts", mount_make_private());
    TRY("mount the root", mount_new("tmpfs", "/tmp", MS_NOSUID, ROOT_OPTIONS));
    TRY("place for the host's root", mkdir("/tmp" HOST, 0700) < 0 ? -errno : 0);
    TRY("pivot_root", mount_pivot("/tmp", "/tmp" HOST));
    r = make_etc(p, err);
    r = r < 0 ? r : make_dev(p, err);
    r = r < 0 ? r : make_proc(err);
    for (unsigned i = 0; r == 0 && i < p->n_binds; i++)
        r = bind_one(&p->binds[i], err);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(system_folders); i++)
        r = bind_system_folder(system_folders[i], err);
    r = r < 0 ? r : make_tmp(p, err);
    if (r < 0)
        return r;
    TRY("leave the host's root", mount_detach(HOST));
    TRY("remove its place", rmdir(HOST) < 0 ? -errno : 0);
    TRY("make the root read-only", mount_read_only("/"));
    return 0;
}
