/* System calls that another process answers, and what the watched one may not do any more. */

#include "os/fd.h"
#include "os/notify.h"
#include "os/sock.h"
#include "sandbox/seccomp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define EXIT_SETUP 250

static const int watched[] = {SYS_bind, SYS_connect};

/* A child under both filters that runs `act`; ret_fd is the watcher's end. */
static pid_t child_start(int (*act)(void), int *ret_fd)
{
    int pair[2], fds[SOCK_FDS_MAX];
    unsigned n = 0;
    char byte;
    pid_t pid;

    assert_int_equal(sock_pair(SOCK_SEQPACKET, pair), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int fd;

        (void)alarm(20);
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || sandbox_seccomp_install_endpoint() < 0)
            _exit(EXIT_SETUP);
        fd = notify_listen(watched, ARRAY_SIZE(watched));
        if (fd < 0 || sock_send(pair[1], SLICE_LIT("x"), &fd, 1) != 1)
            _exit(EXIT_SETUP);
        fd_close(fd);
        _exit(act());
    }
    fd_close(pair[1]);
    assert_int_equal(sock_recv(pair[0], &byte, 1, fds, &n), 1);
    assert_int_equal(n, 1);
    fd_close(pair[0]);
    *ret_fd = fds[0];
    return pid;
}

static int child_end(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static struct notify_call call_await(int fd, int number)
{
    struct notify_call call;

    assert_int_equal(notify_receive(fd, &call), 1);
    assert_int_equal(call.number, number);
    return call;
}

static const struct sockaddr_in somewhere = {.sin_family = AF_INET, .sin_port = 0x2301};

static int act_bind(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};

    return bind(fd, (void *)&at, sizeof(at)) == 0 && listen(fd, 1) == 0 ? 0 : errno;
}

static void a_socket_is_replaced_before_it_is_bound(void **state)
{
    int watch, type = 0, own = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t len = sizeof(type), at_len = sizeof(struct sockaddr_in);
    pid_t pid = child_start(act_bind, &watch);
    struct notify_call call = call_await(watch, SYS_bind);
    int target = (int)call.args[0], taken = notify_take_fd(watch, &call, target);
    struct sockaddr_in at;

    assert_true(taken >= 0);
    assert_int_equal(getsockopt(taken, SOL_SOCKET, SO_TYPE, &type, &len), 0);
    assert_int_equal(type, SOCK_STREAM);
    assert_int_equal(notify_fd_is_cloexec(watch, &call, target), 1);
    assert_int_equal(notify_take_fd(watch, &call, 999), -EBADF);
    assert_int_equal(notify_put_fd(watch, &call, own, target, true), 0);
    assert_int_equal(notify_fd_is_cloexec(watch, &call, target), 1);
    assert_int_equal(notify_continue(watch, &call), 0);
    assert_int_equal(child_end(pid), 0);
    assert_int_equal(getsockname(own, (void *)&at, &at_len), 0);
    assert_int_not_equal(at.sin_port, 0); /* it is ours that the child bound */
    at_len = sizeof(at);
    assert_int_equal(getsockname(taken, (void *)&at, &at_len), 0);
    assert_int_equal(at.sin_port, 0);
    fd_close(taken);
    fd_close(own);
    fd_close(watch);
}

static int act_connect(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (connect(fd, (const void *)&somewhere, sizeof(somewhere)) != 0)
        return errno;
    return connect(fd, (const void *)&somewhere, sizeof(somewhere)) == 0 ? 0 : errno;
}

static void a_call_is_answered_after_a_look_at_memory(void **state)
{
    struct sockaddr_in seen;
    int watch;
    pid_t pid = child_start(act_connect, &watch);
    struct notify_call call = call_await(watch, SYS_connect);

    assert_int_equal(call.args[2], sizeof(seen));
    assert_int_equal(notify_read_memory(watch, &call, call.args[1], &seen, sizeof(seen)), 0);
    assert_memory_equal(&seen, &somewhere, sizeof(seen));
    assert_int_equal(notify_read_memory(watch, &call, 16, &seen, sizeof(seen)), -EFAULT);
    assert_int_equal(notify_read_memory(watch, &call, UINT64_MAX, &seen, 1), -EFAULT);
    assert_int_equal(notify_answer(watch, &call, 0), 0);
    call = call_await(watch, SYS_connect);
    assert_int_equal(notify_fail(watch, &call, EHOSTDOWN), 0);
    assert_int_equal(child_end(pid), EHOSTDOWN);
    fd_close(watch);
}

static void a_caller_that_is_gone_is_told(void **state)
{
    int watch;
    pid_t pid = child_start(act_connect, &watch);
    struct notify_call call = call_await(watch, SYS_connect);
    struct pollfd p = {.fd = watch, .events = POLLIN};
    char byte;

    (void)kill(pid, SIGKILL);
    assert_int_equal(child_end(pid), 256 + SIGKILL);
    assert_int_equal(notify_answer(watch, &call, 0), -ENOENT);
    assert_int_equal(notify_put_fd(watch, &call, watch, 0, false), -ENOENT);
    assert_true(notify_read_memory(watch, &call, call.args[1], &byte, 1) < 0);
    assert_true(notify_take_fd(watch, &call, 0) < 0);
    assert_int_equal(poll(&p, 1, 5000), 1);
    assert_true(p.revents & POLLHUP);
    fd_close(watch);
}

static void without_a_watcher_the_calls_do_not_exist(void **state)
{
    int watch;
    pid_t pid = child_start(act_connect, &watch);

    fd_close(watch);
    assert_int_equal(child_end(pid), ENOSYS);
}

/* ---- what the watched one may not ---- */

static struct sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
static const struct sock_fprog all_allowed = {1, allow};

static long listen_to_others(void)
{
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                   &all_allowed);
}

static long filter_itself(void)
{
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &all_allowed);
}

static long take_descriptor(void)
{
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);

    return syscall(SYS_pidfd_getfd, self, STDOUT_FILENO, 0);
}

static long clone_with(unsigned long flags)
{
    long pid = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);

    if (pid == 0)
        _exit(0);
    return pid;
}

static long make_network(void)
{
    return clone_with(CLONE_NEWNET);
}

static long make_users(void)
{
    return clone_with(CLONE_NEWUSER);
}

static long leave_network(void)
{
    return unshare(CLONE_NEWNET);
}

static long fork_plainly(void)
{
    return clone_with(0);
}

static const struct right {
    const char *name;
    long (*use)(void);
    bool endpoint; /* the zygote of an endpoint has it */
    bool function; /* every function has it */
} rights[] = {
    {"listen to others", listen_to_others, true, false},
    {"take descriptors", take_descriptor, true, false},
    {"make a network", make_network, true, false},
    {"make users", make_users, false, false},
    {"leave its network", leave_network, false, false},
    {"filter itself", filter_itself, true, true},
    {"fork", fork_plainly, true, true},
};

/* As bits: which of the rights are not refused by a filter. EPERM is what it answers; for a
 * network a plain user lacks the capability as well, so that one cannot be told apart there. */
static int rights_used(void)
{
    int bits = 0;

    for (size_t i = 0; i < ARRAY_SIZE(rights); i++) {
        errno = 0;
        if (rights[i].use() >= 0 || errno != EPERM)
            bits |= 1 << i;
    }
    return bits;
}

static int under(int (*install)(void))
{
    pid_t pid = fork();

    if (pid == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || install() < 0)
            _exit(EXIT_SETUP);
        _exit(rights_used());
    }
    return child_end(pid);
}

static void a_watched_program_has_the_rights_of_any_function(void **state)
{
    int all = 0, endpoint = 0, watch, watched_rights, only_root = 1 << 2;
    pid_t pid = child_start(rights_used, &watch);

    watched_rights = child_end(pid);
    fd_close(watch);
    for (size_t i = 0; i < ARRAY_SIZE(rights); i++) {
        all |= rights[i].function << i;
        endpoint |= rights[i].endpoint << i;
    }
    if (geteuid() != 0)
        endpoint &= ~only_root;
    assert_int_equal(under(sandbox_seccomp_install), all);
    assert_int_equal(under(sandbox_seccomp_install_endpoint), endpoint);
    assert_int_equal(watched_rights, all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_socket_is_replaced_before_it_is_bound),
        cmocka_unit_test(a_call_is_answered_after_a_look_at_memory),
        cmocka_unit_test(a_caller_that_is_gone_is_told),
        cmocka_unit_test(without_a_watcher_the_calls_do_not_exist),
        cmocka_unit_test(a_watched_program_has_the_rights_of_any_function),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
