/* The kernel's facilities: each can be told to fail, and keeps its word when it does not. */

#include "os/clone.h"
#include "os/fault.h"
#include "os/fd.h"
#include "os/memfd.h"
#include "os/pidref.h"
#include "os/proc.h"
#include "os/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- faults ---- */

static int call_clone(void)
{
    struct pidref child = PIDREF_NULL;
    int r = os_clone(0, &child), status;

    if (r == 0)
        _exit(0);
    if (r < 0)
        return r;
    while (pidref_reap(&child, &status) == 0)
        (void)usleep(1000);
    pidref_done(&child);
    return 0;
}

static int call_memfd(void)
{
    int fd = memfd_new("test", SLICE_LIT("bytes"));

    return fd < 0 ? fd : fd_close(fd) + 1;
}

static int call_pidfd(void)
{
    struct pidref self = PIDREF_NULL;
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    int r = pidref_from_fd_take(fd, &self, NULL);

    fd_close(fd);
    return r;
}

static int call_pipe(void)
{
    int fds[2], r = fd_pipe(fds, 0);

    if (r == 0) {
        fd_close(fds[0]);
        fd_close(fds[1]);
    }
    return r;
}

static int call_socket(void)
{
    int fds[2], r = sock_pair(SOCK_STREAM, fds);

    if (r == 0) {
        fd_close(fds[0]);
        fd_close(fds[1]);
    }
    return r;
}

static int transfer(bool receive)
{
    int fds[2], got[SOCK_FDS_MAX];
    unsigned n_fds;
    char bytes[8];
    ssize_t r;

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    if (receive) {
        assert_int_equal(write(fds[0], "x", 1), 1);
        r = sock_recv(fds[1], bytes, sizeof(bytes), got, &n_fds);
    } else {
        r = sock_send(fds[0], SLICE_LIT("x"), NULL, 0);
    }
    fd_close(fds[0]);
    fd_close(fds[1]);
    return r < 0 ? (int)r : 0;
}

static int call_recv(void)
{
    return transfer(true);
}

static int call_send(void)
{
    return transfer(false);
}

static void each_call_fails_when_it_is_told_to_and_only_then(void **state)
{
    static const struct {
        enum os_call call;
        const char *name;
        int (*run)(void);
    } cases[] = {
        {OS_CALL_CLONE, "clone", call_clone},    {OS_CALL_MEMFD, "memfd", call_memfd},
        {OS_CALL_PIDFD, "pidfd", call_pidfd},    {OS_CALL_PIPE, "pipe", call_pipe},
        {OS_CALL_RECV, "recv", call_recv},       {OS_CALL_SEND, "send", call_send},
        {OS_CALL_SOCKET, "socket", call_socket},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[64];

        assert_int_equal(cases[i].run(), 0);
        os_fault_arm(cases[i].call, 2, EMFILE);
        assert_int_equal(cases[i].run(), 0);
        assert_int_equal(cases[i].run(), -EMFILE);
        assert_int_equal(cases[i].run(), 0);
        (void)snprintf(text, sizeof(text), "%s:1:%d", cases[i].name, ENOMEM);
        assert_int_equal(os_fault_arm_text(text), 0);
        assert_int_equal(cases[i].run(), -ENOMEM);
        assert_int_equal(cases[i].run(), 0);
        os_fault_arm(cases[i].call, 1, EIO);
        os_fault_arm(cases[i].call, 0, 0);
        assert_int_equal(cases[i].run(), 0);
    }
}

static void a_fault_that_is_not_understood_is_refused(void **state)
{
    static const char *const texts[] = {
        "",          "pipe",       "pipe:1",      "pipe:1:",   "pipe:1:0",
        "pipe:1:-5", "pipe:1:24x", "nosuch:1:24", "PIPE:1:24", "pipe:x:24"};

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        assert_int_equal(os_fault_arm_text(texts[i]), -EINVAL);
    assert_int_equal(call_pipe(), 0);
}

/* ---- pidref ---- */

static void a_child_is_known_killed_and_reaped_by_its_pidfd(void **state)
{
    struct pidref child = PIDREF_NULL, again = PIDREF_NULL;
    pid_t parent = 0;
    int r, fd, status = 0;

    r = os_clone(0, &child);
    if (r == 0) {
        pause();
        _exit(1);
    }
    assert_int_equal(r, 1);
    assert_int_equal(pidref_reap(&child, &status), 0);
    fd = fcntl(child.fd, F_DUPFD_CLOEXEC, 3);
    assert_int_equal(pidref_from_fd_take(fd, &again, &parent), 0);
    assert_int_equal(again.pid, child.pid);
    assert_int_equal(again.fd, fd);
    assert_int_equal(parent, getpid());
    assert_int_equal(pidref_kill(&again, SIGKILL), 0);
    while ((r = pidref_reap(&child, &status)) == 0)
        (void)usleep(1000);
    assert_int_equal(r, 1);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    assert_int_equal(pidref_kill(&again, SIGKILL), -ESRCH);
    pidref_done(&again);
    fd = fcntl(child.fd, F_DUPFD_CLOEXEC, 3);
    assert_int_equal(pidref_from_fd_take(fd, &again, &parent), -ESRCH);
    fd_close(fd);
    pidref_done(&child);
    pidref_done(&child);
    assert_false(pidref_is_set(&child));
    assert_int_equal(pidref_kill(&child, SIGKILL), -ESRCH);
}

static void an_exit_status_is_as_wait_tells_it(void **state)
{
    struct pidref child = PIDREF_NULL;
    int r = os_clone(0, &child), status = 0;

    if (r == 0)
        _exit(42);
    while ((r = pidref_reap(&child, &status)) == 0)
        (void)usleep(1000);
    assert_int_equal(r, 1);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
    assert_true(pidref_reap(&child, &status) < 0);
    pidref_done(&child);
}

static void what_is_no_pidfd_is_not_taken_for_one(void **state)
{
    struct pidref p = PIDREF_NULL;
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    assert_int_equal(pidref_from_fd_take(fd, &p, NULL), -EBADF);
    assert_false(pidref_is_set(&p));
    assert_true(fcntl(fd, F_GETFD) >= 0); /* not closed */
    fd_close(fd);
}

static void a_child_knows_its_thread_id(void **state)
{
    struct pidref child = PIDREF_NULL;
    int r = os_clone(0, &child), status = 0;

    if (r == 0)
        _exit(gettid() == (pid_t)syscall(SYS_gettid) && raise(0) == 0 ? 0 : 1);
    while ((r = pidref_reap(&child, &status)) == 0)
        (void)usleep(1000);
    assert_int_equal(status, 0);
    pidref_done(&child);
}

/* ---- memory files ---- */

static void a_sealed_file_is_read_as_it_was_written(void **state)
{
    struct slice bytes = SLICE_NULL;
    int fd = memfd_new("test", SLICE_LIT("some bytes"));

    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(memfd_map(fd, 10, &bytes), 0);
    assert_true(slice_eq(bytes, SLICE_LIT("some bytes")));
    memfd_unmap(&bytes);
    memfd_unmap(&bytes);
    assert_int_equal(memfd_map(fd, 9, &bytes), -EFBIG);
    assert_true(write(fd, "x", 1) < 0);
    assert_true(ftruncate(fd, 1) < 0);
    fd_close(fd);
}

static void a_file_that_could_change_under_us_is_refused(void **state)
{
    static const int seals[] = {0, F_SEAL_WRITE, F_SEAL_SHRINK, F_SEAL_GROW | F_SEAL_WRITE};
    struct slice bytes = SLICE_NULL;
    int fd;

    for (size_t i = 0; i < ARRAY_SIZE(seals); i++) {
        fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        assert_int_equal(write(fd, "x", 1), 1);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, seals[i]), 0);
        assert_int_equal(memfd_map(fd, 100, &bytes), -EPERM);
        fd_close(fd);
    }
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(memfd_map(fd, 100, &bytes), -EPERM);
    fd_close(fd);
    fd = memfd_new("empty", SLICE_NULL);
    assert_int_equal(memfd_map(fd, 100, &bytes), -EFBIG);
    fd_close(fd);
}

/* ---- sockets ---- */

static void an_address_is_an_ip_and_a_port(void **state)
{
    static const struct {
        const char *text;
        const char *host; /* NULL: refused */
    } cases[] = {
        {"127.0.0.1:0", "127.0.0.1:"},
        {"localhost:0", "127.0.0.1:"},
        {"0.0.0.0:0", "0.0.0.0:"},
        {"", NULL},
        {":", NULL},
        {":80", NULL},
        {"80", NULL},
        {"127.0.0.1", NULL},
        {"127.0.0.1:", NULL},
        {"127.0.0.1:65536", NULL},
        {"127.0.0.1:-1", NULL},
        {"127.0.0.1:+1", NULL},
        {"127.0.0.1: 1", NULL},
        {"127.0.0.1:0x50", NULL},
        {"127.0.0.1:99999999999999999999", NULL},
        {"127.0.0:80", NULL},
        {"example.org:80", NULL},
        {"::1:80", NULL},
        {"[::1:80", NULL},
        {"::1]:80", NULL},
        {"[]:80", NULL},
        {"[127.0.0.1]:80", NULL},
        {"[::1%lo]:80", NULL},
        {"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:80", NULL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char address[64] = "";
        int fd = sock_listen_tcp(cases[i].text);

        if (!cases[i].host) {
            if (fd != -EINVAL)
                print_error("%s gives %d\n", cases[i].text, fd);
            assert_int_equal(fd, -EINVAL);
            continue;
        }
        assert_true(fd >= 0);
        assert_int_equal(sock_local_address(fd, address, sizeof(address)), 0);
        assert_memory_equal(address, cases[i].host, strlen(cases[i].host));
        assert_true(atoi(address + strlen(cases[i].host)) > 0);
        fd_close(fd);
    }
}

static void an_ipv6_address_stands_in_brackets(void **state)
{
    char address[64] = "";
    int fd = sock_listen_tcp("[::1]:0");

    if (fd == -EAFNOSUPPORT ||
        fd == -EADDRNOTAVAIL) { /* cmocka's skip() counts as a failure in TAP */
        print_message("# skipped: no IPv6 here\n");
        return;
    }
    assert_true(fd >= 0);
    assert_int_equal(sock_local_address(fd, address, sizeof(address)), 0);
    assert_memory_equal(address, "[::1]:", 6);
    fd_close(fd);
}

static void a_port_that_is_taken_is_told(void **state)
{
    char address[64] = "";
    int fd = sock_listen_tcp("127.0.0.1:0");

    assert_true(fd >= 0);
    assert_int_equal(sock_local_address(fd, address, sizeof(address)), 0);
    assert_int_equal(sock_listen_tcp(address), -EADDRINUSE);
    fd_close(fd);
}

static void a_socket_file_is_taken_over_only_from_the_dead(void **state)
{
    char folder[] = "/tmp/mayfly-test-os.XXXXXX", path[128], long_path[200];
    int first, second;

    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/s", folder);
    first = sock_listen_unix(path);
    assert_true(first >= 0);
    assert_int_equal(sock_listen_unix(path), -EADDRINUSE);
    fd_close(first);
    second = sock_listen_unix(path);
    assert_true(second >= 0);
    fd_close(second);
    memset(long_path, 'x', sizeof(long_path) - 1);
    long_path[sizeof(long_path) - 1] = '\0';
    assert_int_equal(sock_listen_unix(long_path), -ENAMETOOLONG);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void a_packet_that_is_cut_off_takes_its_descriptors_with_it(void **state)
{
    int fds[2], got[SOCK_FDS_MAX], null = open("/dev/null", O_RDWR | O_CLOEXEC), next;
    unsigned n_fds = 9;
    char bytes[2];

    assert_int_equal(sock_pair(SOCK_SEQPACKET, fds), 0);
    assert_int_equal(sock_send(fds[0], SLICE_LIT("long"), (int[]){null, null}, 2), 4);
    assert_int_equal(sock_recv(fds[1], bytes, sizeof(bytes), got, &n_fds), -EMSGSIZE);
    assert_int_equal(n_fds, 0);
    next = dup(null); /* the lowest free number is where it was */
    assert_true(next <= MAX(fds[1], null) + 1);
    fd_close(next);
    fd_close(null);
    fd_close(fds[0]);
    fd_close(fds[1]);
}

/* ---- /proc ---- */

static void proc_tells_of_us(void **state)
{
    struct proc_stat stat;
    uint64_t bytes = 0;

    assert_int_equal(proc_stat_read(getpid(), &stat), 0);
    assert_int_equal(stat.ppid, getppid());
    assert_int_equal(stat.state, 'R');
    assert_true(stat.rss_bytes > 0 && stat.start_ns > 0);
    assert_int_equal(proc_private_bytes(getpid(), &bytes), 0);
    assert_true(bytes > 0);
    assert_int_equal(proc_memory_total(&bytes), 0);
    assert_true(bytes > stat.rss_bytes);
    assert_int_equal(proc_stat_read(0x3fffffff, &stat), -ESRCH);
}

#define N_CHILDREN 900 /* so that their list is longer than what is read at once */

struct family {
    pid_t pids[N_CHILDREN];
    unsigned n_seen;
};

static void on_child(void *ctx, pid_t pid)
{
    struct family *family = ctx;
    struct pidref child = PIDREF_NULL;
    bool found = false;

    for (int i = 0; i < N_CHILDREN && !found; i++)
        found = family->pids[i] == pid;
    assert_true(found);
    family->n_seen++;
    assert_int_equal(pidref_open_child(pid, &child), 0);
    assert_int_equal(pidref_kill(&child, SIGKILL), 0);
    pidref_done(&child);
}

static void all_children_are_found_and_nobody_else(void **state)
{
    static struct family family;

    for (int i = 0; i < N_CHILDREN; i++) {
        struct pidref child = PIDREF_NULL;
        int r = os_clone(0, &child);

        if (r == 0) {
            pause();
            _exit(0);
        }
        assert_int_equal(r, 1);
        family.pids[i] = child.pid;
        pidref_done(&child);
    }
    if (proc_each_child(on_child, &family) == -ENOENT) {
        print_message("# skipped: a kernel without CONFIG_PROC_CHILDREN\n");
        return;
    }
    assert_int_equal(family.n_seen, N_CHILDREN);
    for (int i = 0; i < N_CHILDREN; i++)
        assert_int_equal(waitpid(family.pids[i], NULL, 0), family.pids[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_call_fails_when_it_is_told_to_and_only_then),
        cmocka_unit_test(a_fault_that_is_not_understood_is_refused),
        cmocka_unit_test(a_child_is_known_killed_and_reaped_by_its_pidfd),
        cmocka_unit_test(an_exit_status_is_as_wait_tells_it),
        cmocka_unit_test(what_is_no_pidfd_is_not_taken_for_one),
        cmocka_unit_test(a_child_knows_its_thread_id),
        cmocka_unit_test(a_sealed_file_is_read_as_it_was_written),
        cmocka_unit_test(a_file_that_could_change_under_us_is_refused),
        cmocka_unit_test(an_address_is_an_ip_and_a_port),
        cmocka_unit_test(an_ipv6_address_stands_in_brackets),
        cmocka_unit_test(a_port_that_is_taken_is_told),
        cmocka_unit_test(a_socket_file_is_taken_over_only_from_the_dead),
        cmocka_unit_test(a_packet_that_is_cut_off_takes_its_descriptors_with_it),
        cmocka_unit_test(proc_tells_of_us),
        cmocka_unit_test(all_children_are_found_and_nobody_else),
    };

    return cmocka_run_group_tests_name("os", tests, NULL, NULL);
}
