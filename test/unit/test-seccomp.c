/* The filter of system calls as a child under it sees it: each kind of rule, and that every name in
 * the table answers as its row says. */

#include "sandbox/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define BY_SIGNAL 1000 /* added to the number of a signal that ended a child */
#define HIGH_BITS (UINT64_C(0x5555) << 32)

struct call {
    const char *name;
    long number;
    uint64_t args[6];
    int wanted; /* errno; 0: anything but what the filter says (EPERM, ENOSYS...) */
};

static int errno_of(const struct call *c)
{
    long r =
        syscall(c->number, c->args[0], c->args[1], c->args[2], c->args[3], c->args[4], c->args[5]);

    return r < 0 ? errno : 0;
}

/* What the child that runs `act` under the filter exits with, or BY_SIGNAL + the signal. */
static int under_filter(int (*act)(const void *), const void *arg)
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || sandbox_seccomp_install() < 0)
            _exit(255);
        _exit(act(arg));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? BY_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

static int make_call(const void *arg)
{
    return errno_of(arg);
}

static void needs_no_new_privileges(void **state)
{
    pid_t pid;
    int status;

    if (geteuid() == 0) { /* cmocka's skip() counts as a failure in TAP */
        print_message("# skipped: CAP_SYS_ADMIN does instead\n");
        return;
    }
    pid = fork();
    if (pid == 0)
        _exit(-sandbox_seccomp_install());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), EACCES);
}

static void is_of_a_size_that_stays(void **state)
{
    print_message("# filter: %u instructions for %zu names\n", n_seccomp_program, n_syscall_rules);
    assert_in_range(n_seccomp_program, 300, 1200);
    assert_in_range(n_syscall_rules, 250, 450);
}

static const struct syscall_rule *rule_named(const char *name)
{
    for (size_t i = 0; i < n_syscall_rules; i++) {
        if (strcmp(syscall_rules[i].name, name) == 0)
            return &syscall_rules[i];
    }
    return NULL;
}

static void no_name_stands_twice(void **state)
{
    for (size_t i = 0; i < n_syscall_rules; i++)
        assert_ptr_equal(rule_named(syscall_rules[i].name), &syscall_rules[i]);
}

/* With arguments that the kernel would find fault with, so that nothing happens. */
static void every_refused_name_is_refused(void **state)
{
    unsigned n_refused = 0, n_absent = 0;

    for (size_t i = 0; i < n_syscall_rules; i++) {
        const struct syscall_rule *rule = &syscall_rules[i];
        struct call c = {rule->name, rule->number, {~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull}, 0};

        if (rule->number < 0 || rule->verdict == SYSCALL_ALLOW || rule->verdict == SYSCALL_CHECK)
            continue;
        c.wanted = rule->verdict == SYSCALL_REFUSE ? EPERM : ENOSYS;
        if (under_filter(make_call, &c) != c.wanted)
            fail_msg("%s: not refused with %s", rule->name, strerror(c.wanted));
        *(rule->verdict == SYSCALL_REFUSE ? &n_refused : &n_absent) += 1;
    }
    print_message("# %u names refused, %u absent\n", n_refused, n_absent);
    assert_true(n_refused >= 40 && n_absent >= 15);
}

static void calls_of_the_future_do_not_exist(void **state)
{
    static const long numbers[] = {400, 423, 600, 1000, 4096};

    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        struct call c = {"?", numbers[i], {0}, ENOSYS};

        assert_int_equal(under_filter(make_call, &c), ENOSYS);
    }
}

static void arguments_decide(void **state)
{
    static const struct call calls[] = {
        {"unix stream", SYS_socket, {AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0}, 0},
        {"unix packets", SYS_socket, {AF_UNIX, SOCK_SEQPACKET, 0}, 0},
        {"tcp", SYS_socket, {AF_INET, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP}, 0},
        {"udp", SYS_socket, {AF_INET, SOCK_DGRAM, 0}, 0},
        {"family with high bits", SYS_socket, {AF_UNIX | HIGH_BITS, SOCK_STREAM, 0}, 0},
        {"netlink", SYS_socket, {AF_NETLINK, SOCK_DGRAM, 0}, EAFNOSUPPORT},
        {"netlink with high bits",
         SYS_socket,
         {AF_NETLINK | HIGH_BITS, SOCK_DGRAM, 0},
         EAFNOSUPPORT},
        {"vsock", SYS_socket, {AF_VSOCK, SOCK_STREAM, 0}, EAFNOSUPPORT},
        {"packet", SYS_socket, {AF_PACKET, SOCK_DGRAM, 0}, EAFNOSUPPORT},
        {"crypto", SYS_socket, {AF_ALG, SOCK_SEQPACKET, 0}, EAFNOSUPPORT},
        {"raw", SYS_socket, {AF_INET, SOCK_RAW, IPPROTO_ICMP}, EPERM},
        {"raw, nonblocking", SYS_socket, {AF_INET6, SOCK_RAW | SOCK_NONBLOCK, 58}, EPERM},
        {"ping", SYS_socket, {AF_INET, SOCK_DGRAM, IPPROTO_ICMP}, EPROTONOSUPPORT},
        {"mptcp", SYS_socket, {AF_INET, SOCK_STREAM, 262}, EPROTONOSUPPORT},
        {"sctp", SYS_socket, {AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP}, EPROTONOSUPPORT},
        {"tipc pair", SYS_socketpair, {30, SOCK_DGRAM, 0, 0}, EAFNOSUPPORT},
        {"own user namespace", SYS_unshare, {CLONE_NEWUSER}, EPERM},
        {"own mounts", SYS_unshare, {CLONE_NEWNS}, EPERM},
        {"own files", SYS_unshare, {CLONE_FILES}, 0},
        {"clone into a user namespace", SYS_clone, {CLONE_NEWUSER | SIGCHLD}, EPERM},
        {"clone into a user namespace among others",
         SYS_clone,
         {CLONE_NEWPID | CLONE_NEWUSER | SIGCHLD | HIGH_BITS},
         EPERM},
        {"clone into a network", SYS_clone, {CLONE_NEWNET | SIGCHLD}, EPERM},
        {"clone into an IPC namespace", SYS_clone, {CLONE_NEWIPC | SIGCHLD}, EPERM},
        {"bind mount", SYS_mount, {0, 0, 0, MS_BIND | MS_REC}, EPERM},
        {"remount", SYS_mount, {0, 0, 0, MS_REMOUNT}, EPERM},
        {"moved mount", SYS_mount, {0, 0, 0, MS_MOVE}, EPERM},
        {"shared mount", SYS_mount, {0, 0, 0, MS_SHARED | MS_REC}, EPERM},
        {"mount", SYS_mount, {~0ull, ~0ull, ~0ull, 0}, EFAULT},
        {"a byte typed into a terminal", SYS_ioctl, {0, TIOCSTI, 0}, EPERM},
        {"the same with high bits", SYS_ioctl, {0, TIOCSTI | HIGH_BITS, 0}, EPERM},
        {"TIOCLINUX", SYS_ioctl, {0, TIOCLINUX, 0}, EPERM},
        {"line discipline", SYS_ioctl, {0, TIOCSETD, 0}, EPERM},
        {"another ioctl", SYS_ioctl, {~0ull, FIONREAD, 0}, EBADF},
        {"who am I", SYS_personality, {0xffffffff}, 0},
        {"plain Linux", SYS_personality, {0}, 0},
        {"executable data", SYS_personality, {READ_IMPLIES_EXEC}, EPERM},
        {"addresses to foretell", SYS_personality, {ADDR_NO_RANDOMIZE}, EPERM},
        {"name", SYS_prctl, {PR_SET_NAME, (uint64_t)(uintptr_t) "x"}, 0},
        {"memory map", SYS_prctl, {PR_SET_MM, PR_SET_MM_BRK, 0}, EINVAL},
        {"speculation", SYS_prctl, {PR_SET_SPECULATION_CTRL, 0, 0}, EINVAL},
        {"option of the future", SYS_prctl, {12345}, EINVAL},
        {"filter with a listener",
         SYS_seccomp,
         {SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, 0},
         EPERM},
        {"another filter", SYS_seccomp, {SECCOMP_SET_MODE_FILTER, 0, 0}, EFAULT},
        {"device node", SYS_mknodat, {~0ull, 0, S_IFCHR | 0600, 0}, EPERM},
        {"disk", SYS_mknodat, {~0ull, 0, S_IFBLK | 0600, 0}, EPERM},
        {"fifo", SYS_mknodat, {~0ull, 0, S_IFIFO | 0600, 0}, EFAULT},
    };

    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        int got = under_filter(make_call, &calls[i]);

        if (got != calls[i].wanted)
            fail_msg("%s: wanted %d, got %d", calls[i].name, calls[i].wanted, got);
    }
}

/* A fork, a thread-like clone, files, memory, time: what no program can do without. */
static int live(const void *arg)
{
    int fds[2], status;
    char c = 'x';
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0 || write(fds[1], &c, 1) != 1 || read(fds[0], &c, 1) != 1)
        return 1;
    if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
        return 2;
    pid = fork();
    if (pid == 0)
        (void)execl("/bin/sh", "sh", "-c", "test -n \"$(ls /)\" && exit 42", NULL);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 3;
    return WIFEXITED(status) && WEXITSTATUS(status) == 42 ? 0 : 4;
}

static void ordinary_life_goes_on(void **state)
{
    assert_int_equal(under_filter(live, NULL), 0);
}

static int make_bad_clone3(const void *arg)
{
    static const uint64_t args[8] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD};

    return syscall(SYS_clone3, args, sizeof(args)) < 0 ? errno : 0;
}

static void clone3_does_not_exist(void **state)
{
    assert_int_equal(under_filter(make_bad_clone3, NULL), ENOSYS);
}

#ifdef __x86_64__
static int call_as_i386(const void *arg)
{
    long r;

    __asm__ volatile("int $0x80"
                     : "=a"(r)
                     : "a"(20L /* getpid */)
                     : "memory", "r8", "r9", "r10", "r11");
    return r > 0 ? 0 : (int)-r;
}

static int call_as_x32(const void *arg)
{
    return syscall(0x40000000 + SYS_getpid) > 0 ? 0 : errno;
}

static void other_architectures_kill(void **state)
{
    assert_int_equal(under_filter(call_as_i386, NULL), BY_SIGNAL + SIGSYS);
    assert_int_equal(under_filter(call_as_x32, NULL), BY_SIGNAL + SIGSYS);
}
#else
static void other_architectures_kill(void **state)
{
    print_message("# skipped: 32-bit calls are made in other ways here\n");
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(needs_no_new_privileges),
        cmocka_unit_test(is_of_a_size_that_stays),
        cmocka_unit_test(no_name_stands_twice),
        cmocka_unit_test(every_refused_name_is_refused),
        cmocka_unit_test(calls_of_the_future_do_not_exist),
        cmocka_unit_test(arguments_decide),
        cmocka_unit_test(ordinary_life_goes_on),
        cmocka_unit_test(clone3_does_not_exist),
        cmocka_unit_test(other_architectures_kill),
    };

    return cmocka_run_group_tests_name("seccomp", tests, NULL, NULL);
}
