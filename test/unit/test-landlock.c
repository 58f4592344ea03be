/* Landlock domains as processes in them see them. Each case runs in children of its own, because
 * there is no way back out of a domain. */

#include "os/fd.h"
#include "sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ABI_SCOPES 6
#define FAILED     254 /* exit status: the test itself could not do what it wanted */
#define CANNOT     253 /* this user may not do what the test needs */

static char folder[] = "/tmp/test-landlock-XXXXXX"; /* the "/tmp" of these tests */
static char outside[] = "/tmp/test-landlock-XXXXXX";

static int make_folders(void **state)
{
    return mkdtemp(folder) && mkdtemp(outside) ? 0 : -1;
}

static int remove_folders(void **state)
{
    return rmdir(folder) == 0 && rmdir(outside) == 0 ? 0 : -1;
}

static int in_child(int (*act)(void))
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? FAILED : act());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* As a worker is, without capabilities: root could look at everything with CAP_PERFMON. */
static int drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};

    return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

static int confine_for(int abi)
{
    const char *const read_paths[] = {"/", NULL};
    const char *const write_paths[] = {folder, "/dev/null", "/nothing/is/here", NULL};
    _cleanup_close_ int fd = -1;
    int r = sandbox_landlock_prepare_for(abi, read_paths, write_paths, &fd);

    if (r == 0)
        r = sandbox_landlock_worker(fd);
    return r == 0 ? drop_capabilities() : r;
}

static int confine(void)
{
    return confine_for(sandbox_landlock_abi());
}

/* As on a kernel without scopes: by rules about files. */
static int confine_files(void)
{
    return confine_for(MIN(sandbox_landlock_abi(), ABI_SCOPES - 1));
}

static void need_abi(int abi)
{
    int have = sandbox_landlock_abi();

    if (have < abi) {
        print_message("# Landlock ABI %d here, %d needed\n", have, abi);
        skip();
    }
}

static int try_open(const char *dir, const char *name, int flags)
{
    char path[PATH_MAX];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    (void)close(fd);
    if (flags & O_CREAT)
        (void)unlink(path);
    return 0;
}

/* ---- files ---- */

static int read_everywhere(void)
{
    if (confine_files() != 0)
        return FAILED;
    return try_open("/etc", "passwd", O_RDONLY);
}

static int write_outside(void)
{
    if (confine_files() != 0)
        return FAILED;
    return try_open(outside, "file", O_WRONLY | O_CREAT);
}

static int write_inside(void)
{
    if (confine_files() != 0)
        return FAILED;
    return try_open(folder, "file", O_WRONLY | O_CREAT);
}

static int write_device(void)
{
    if (confine_files() != 0)
        return FAILED;
    return try_open("/dev", "null", O_WRONLY | O_TRUNC);
}

static int make_node(void)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/null", folder);
    if (confine_files() != 0)
        return FAILED;
    if (mknod(path, S_IFCHR | 0600, 1 << 8 | 3) < 0)
        return errno;
    (void)unlink(path);
    return 0;
}

static int cut_outside(void)
{
    char path[PATH_MAX];
    int r = FAILED;

    (void)snprintf(path, sizeof(path), "%s/file", outside);
    if (mknod(path, S_IFREG | 0600, 0) == 0 && confine_files() == 0)
        r = truncate(path, 0) < 0 ? errno : 0;
    return r;
}

/* The child cannot remove the file any more. */
static int cut_and_clean(void)
{
    char path[PATH_MAX];
    int r = in_child(cut_outside);

    (void)snprintf(path, sizeof(path), "%s/file", outside);
    assert_int_equal(unlink(path), 0);
    return r;
}

static int rename_after(int (*enter)(void))
{
    char a[PATH_MAX], b[PATH_MAX], c[PATH_MAX];
    int r = FAILED;

    (void)snprintf(a, sizeof(a), "%s/a", folder);
    (void)snprintf(b, sizeof(b), "%s/a/file", folder);
    (void)snprintf(c, sizeof(c), "%s/file", folder);
    if (enter() == 0 && mkdir(a, 0700) == 0 && mknod(b, S_IFREG | 0600, 0) == 0)
        r = rename(b, c) == 0 ? 0 : errno;
    (void)unlink(c);
    (void)unlink(b);
    (void)rmdir(a);
    return r;
}

static int rename_by_rules(void)
{
    return rename_after(confine_files);
}

static int enter_both(void)
{
    int r = sandbox_landlock_zygote();

    return r == 0 ? confine() : r;
}

static int rename_by_scopes(void)
{
    return rename_after(enter_both);
}

static void files_move_between_folders_of_a_zygotes_worker(void **state)
{
    need_abi(ABI_SCOPES);
    assert_int_equal(in_child(rename_by_scopes), 0);
}

static void files_are_written_below_tmp_only(void **state)
{
    need_abi(2);
    assert_int_equal(in_child(read_everywhere), 0);
    assert_int_equal(in_child(write_inside), 0);
    assert_int_equal(in_child(write_outside), EACCES);
    assert_int_equal(in_child(write_device), 0);
    assert_int_equal(in_child(make_node), EACCES);
    assert_int_equal(in_child(rename_by_rules), 0);
    if (sandbox_landlock_abi() >= 3)
        assert_int_equal(cut_and_clean(), EACCES);
}

/* ---- mounts: what comes later is not below ---- */

static bool write_text(const char *path, const char *text)
{
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static bool own_mounts(void)
{
    char uids[64], gids[64];
    bool root = geteuid() == 0;

    (void)snprintf(uids, sizeof(uids), "%u %u 1", geteuid(), geteuid());
    (void)snprintf(gids, sizeof(gids), "%u %u 1", getegid(), getegid());
    if (unshare(CLONE_NEWNS | (root ? 0 : CLONE_NEWUSER)) < 0)
        return false;
    if (!root &&
        (!write_text("/proc/self/setgroups", "deny") || !write_text("/proc/self/uid_map", uids) ||
         !write_text("/proc/self/gid_map", gids)))
        return false;
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static int mount_later(void)
{
    if (!own_mounts())
        return CANNOT;
    if (sandbox_landlock_zygote() != 0 || mount("tmp", folder, "tmpfs", 0, "mode=0777") < 0)
        return FAILED;
    if (confine() != 0 || try_open(folder, "file", O_WRONLY | O_CREAT) != 0)
        return FAILED;
    return mount("tmp", folder, "tmpfs", 0, NULL) < 0 ? errno : 0;
}

static int rules_before_the_mount(void)
{
    const char *const read_paths[] = {"/", NULL}, *const write_paths[] = {folder, NULL};
    int fd = -1;

    if (!own_mounts() ||
        sandbox_landlock_prepare_for(ABI_SCOPES - 1, read_paths, write_paths, &fd) != 0 ||
        mount("tmp", folder, "tmpfs", 0, "mode=0777") < 0 || sandbox_landlock_worker(fd) != 0)
        return FAILED;
    return try_open(folder, "file", O_WRONLY | O_CREAT);
}

static void a_zygote_may_mount_and_a_worker_may_not(void **state)
{
    int r;

    need_abi(ABI_SCOPES);
    r = in_child(mount_later);
    if (r == CANNOT) {
        print_message("# skipped: no mount namespace for this user\n");
        return;
    }
    assert_int_equal(r, EPERM);
    assert_int_equal(in_child(rules_before_the_mount), EACCES);
}

/* ---- other processes ---- */

static int (*confine_siblings)(void) = confine;

/* Starts a child, in a domain of its own if so wanted, that lives until it is killed or its parent
 * ends (PR_SET_PDEATHSIG would not do: that signal is the parent's, and its domain stops it). */
static pid_t start_sibling(bool confined)
{
    int ready[2], hold[2];
    char c;
    pid_t pid;

    if (pipe(ready) < 0 || pipe(hold) < 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        (void)close(hold[1]);
        if ((confined && confine_siblings() != 0) || write(ready[1], "x", 1) != 1)
            _exit(FAILED);
        (void)!read(hold[0], &c, 1);
        _exit(0);
    }
    (void)close(ready[1]);
    (void)close(hold[0]);
    if (pid > 0 && read(ready[0], &c, 1) != 1)
        pid = -1;
    (void)close(ready[0]);
    return pid;
}

static int look_at_sibling(const char *file)
{
    pid_t sibling = start_sibling(true);
    char path[64];

    if (sibling < 0 || confine_siblings() != 0)
        return FAILED;
    (void)snprintf(path, sizeof(path), "%d/%s", (int)sibling, file);
    return try_open("/proc", path, O_RDONLY);
}

static int read_memory(void)
{
    return look_at_sibling("mem");
}

static int read_environment(void)
{
    return look_at_sibling("environ");
}

static int enter_root(void)
{
    return look_at_sibling("root/etc/passwd");
}

static int signal_sibling(void)
{
    pid_t sibling = start_sibling(true);

    if (sibling < 0 || confine() != 0)
        return FAILED;
    return kill(sibling, 0) < 0 ? errno : 0;
}

static int signal_zygote(void)
{
    return confine() != 0 ? FAILED : kill(getppid(), 0) < 0 ? errno : 0;
}

/* The zygote's domain holds those of its workers. */
static int end_worker(void)
{
    pid_t worker;
    int status;

    if (sandbox_landlock_zygote() != 0)
        return FAILED;
    worker = start_sibling(true);
    if (worker < 0 || kill(worker, SIGKILL) < 0 || waitpid(worker, &status, 0) != worker)
        return FAILED;
    return WIFSIGNALED(status) ? 0 : FAILED;
}

static int end_own_child(void)
{
    pid_t child;
    int status;

    if (sandbox_landlock_zygote() != 0 || confine() != 0)
        return FAILED;
    child = start_sibling(false);
    if (child < 0 || kill(child, SIGKILL) < 0 || waitpid(child, &status, 0) != child)
        return FAILED;
    return WIFSIGNALED(status) ? 0 : FAILED;
}

static int end_init(void)
{
    if (sandbox_landlock_zygote() != 0)
        return FAILED;
    return kill(getppid(), 0) < 0 ? errno : 0;
}

static void siblings_of_one_user_cannot_look_at_each_other(void **state)
{
    int (*const ways[])(void) = {confine, confine_files};

    need_abi(1);
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        confine_siblings = ways[i];
        assert_int_equal(in_child(read_memory), EACCES);
        assert_int_equal(in_child(read_environment), EACCES);
        assert_int_equal(in_child(enter_root), EACCES);
    }
}

static void signals_go_down_only(void **state)
{
    need_abi(ABI_SCOPES);
    assert_int_equal(in_child(signal_sibling), EPERM);
    assert_int_equal(in_child(signal_zygote), EPERM);
    assert_int_equal(in_child(end_init), EPERM);
    assert_int_equal(in_child(end_worker), 0);
    assert_int_equal(in_child(end_own_child), 0);
}

/* ---- abstract sockets ---- */

static struct sockaddr_un address;
static socklen_t address_len;

static int listen_abstract(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "landlock-%d",
                   (int)getpid());
    address_len =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(address.sun_path + 1));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, address_len), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static int reach(void)
{
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return connect(fd, (struct sockaddr *)&address, address_len) < 0 ? errno : 0;
}

static int reach_from_zygote(void)
{
    return sandbox_landlock_zygote() != 0 ? FAILED : reach();
}

static int reach_from_worker(void)
{
    return confine() != 0 ? FAILED : reach();
}

static void abstract_sockets_outside_are_out_of_reach(void **state)
{
    _cleanup_close_ int fd = -1;

    need_abi(ABI_SCOPES);
    fd = listen_abstract();
    assert_int_equal(in_child(reach), 0);
    assert_int_equal(in_child(reach_from_zygote), EPERM);
    assert_int_equal(in_child(reach_from_worker), EPERM);
}

/* ---- without ---- */

static void no_landlock_is_an_outcome(void **state)
{
    int abi = sandbox_landlock_abi();

    print_message("# Landlock ABI %d\n", abi);
    assert_true(abi >= 0);
    if (abi == 0)
        assert_int_equal(in_child(confine), LANDLOCK_E_NONE);
    if (abi < ABI_SCOPES)
        assert_int_equal(in_child(sandbox_landlock_zygote), LANDLOCK_E_NONE);
    else
        assert_int_equal(in_child(sandbox_landlock_zygote), 0);
}

static void rules_are_not_inherited_by_programs(void **state)
{
    const char *const none[] = {NULL};
    _cleanup_close_ int fd = -1;

    need_abi(1);
    assert_int_equal(sandbox_landlock_prepare(none, none, &fd), 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_landlock_is_an_outcome),
        cmocka_unit_test(rules_are_not_inherited_by_programs),
        cmocka_unit_test(files_are_written_below_tmp_only),
        cmocka_unit_test(files_move_between_folders_of_a_zygotes_worker),
        cmocka_unit_test(a_zygote_may_mount_and_a_worker_may_not),
        cmocka_unit_test(siblings_of_one_user_cannot_look_at_each_other),
        cmocka_unit_test(signals_go_down_only),
        cmocka_unit_test(abstract_sockets_outside_are_out_of_reach),
    };

    return cmocka_run_group_tests_name("landlock", tests, make_folders, remove_folders);
}
