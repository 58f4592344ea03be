/* The kernel says no at every single call with which a sandbox is built: the first, the second, and
 * so on until there are no more. Each time the set-up must end, say which step failed, and leave
 * neither process nor mount nor descriptor behind; foreign code must not get to run. */

#include "os/clone.h"
#include "os/fault.h"
#include "os/fd.h"
#include "sandbox/layers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define CALLS_MAX 400 /* of one kind in one set-up; more is a walk that does not end */
#define HANG_MS   20000

/* What the processes of one set-up leave for the test. */
struct outcome {
    bool entered; /* as far as a worker that is ready for foreign code */
    bool pending; /* with the fault still to come */
    char text[512];
};

static struct outcome *outcome;
static struct sandbox_plan plan;
static int init_fd = -1;

static void give_up(const char *step, int r, const char *text)
{
    if (text)
        (void)snprintf(outcome->text, sizeof(outcome->text), "%s", text);
    else
        (void)snprintf(outcome->text, sizeof(outcome->text), "sandbox: %s: %s", step,
                       strerrordesc_np(-r));
    _exit(EXIT_FAILURE);
}

/* In the zygote-to-be: as far as a worker. */
static void make_worker(enum os_call call)
{
    struct sandbox_fork fork;
    struct pidref worker = PIDREF_NULL;
    const char *step = "";
    int r = sandbox_fork_prepare(&fork, &plan.worker);

    if (r < 0)
        give_up("prepare a worker", r, NULL);
    r = os_clone(plan.worker.namespaces, &worker);
    if (r < 0)
        give_up("clone a worker", r, NULL);
    if (r > 0) {
        (void)waitpid(worker.pid, NULL, 0);
        _exit(EXIT_SUCCESS);
    }
    r = sandbox_worker_enter(&fork, 0, 1, &step);
    if (r < 0)
        give_up(step, r, NULL);
    outcome->pending = os_fault_pending(call);
    outcome->entered = true;
    _exit(EXIT_SUCCESS);
}

static void set_up(enum os_call call, unsigned nth, int error)
{
    struct pidref child = PIDREF_NULL;
    struct error err = ERROR_NULL;
    struct pollfd ended;
    int r;

    memset(outcome, 0, sizeof(*outcome));
    r = os_clone(plan.init_namespaces, &child);
    assert_true(r >= 0);
    if (r == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

        (void)dup2(null, STDERR_FILENO); /* each fault says so */
        if (nth > 0)
            os_fault_arm(call, nth, error);
        if (sandbox_enter(&plan, init_fd, &err) < 0)
            give_up("", 0, err.text);
        make_worker(call);
    }
    ended = (struct pollfd){.fd = child.fd, .events = POLLIN};
    if (poll(&ended, 1, HANG_MS) != 1) {
        (void)pidref_kill(&child, SIGKILL);
        fail_msg("call %d, the %u.: it hangs", (int)call, nth);
    }
    assert_int_equal(waitpid(child.pid, NULL, 0), child.pid);
    pidref_done(&child);
}

static unsigned count_lines(const char *path)
{
    FILE *f = fopen(path, "re");
    unsigned n = 0;
    int c;

    assert_non_null(f);
    while ((c = fgetc(f)) != EOF)
        n += c == '\n';
    (void)fclose(f);
    return n;
}

static unsigned count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;

    assert_non_null(d);
    while (readdir(d))
        n++;
    (void)closedir(d);
    return n;
}

static unsigned count_children(void)
{
    return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD ? 0 : 1;
}

/* Returns how many calls of that kind a set-up makes. */
static unsigned walk(enum os_call call, int error)
{
    for (unsigned nth = 1; nth < CALLS_MAX; nth++) {
        set_up(call, nth, error);
        if (outcome->entered && outcome->pending)
            return nth - 1;
        if (outcome->entered || strncmp(outcome->text, "sandbox: ", 9) != 0)
            fail_msg("call %d, the %u.: entered=%d, it says \"%s\"", (int)call, nth,
                     outcome->entered, outcome->text);
        if (!strstr(outcome->text, strerrordesc_np(error)) || strstr(outcome->text, ": :"))
            fail_msg("call %d, the %u.: no step, no reason in \"%s\"", (int)call, nth,
                     outcome->text);
    }
    fail_msg("call %d: no end", (int)call);
    return 0;
}

static void every_call_may_fail(void **state)
{
    static const struct {
        enum os_call call;
        const char *name;
        bool root_only; /* a plain user's set-up has none */
    } calls[] = {{OS_CALL_CAPSET, "capset", false},     {OS_CALL_CLONE, "clone", false},
                 {OS_CALL_DUP, "dup", false},           {OS_CALL_HOSTNAME, "hostname", false},
                 {OS_CALL_LANDLOCK, "landlock", false}, {OS_CALL_LINK, "link", false},
                 {OS_CALL_MKDIR, "mkdir", false},       {OS_CALL_MKNOD, "mknod", false},
                 {OS_CALL_MOUNT, "mount", false},       {OS_CALL_OPEN, "open", false},
                 {OS_CALL_PIPE, "pipe", false},         {OS_CALL_PIVOT_ROOT, "pivot_root", false},
                 {OS_CALL_PRCTL, "prctl", false},       {OS_CALL_RLIMIT, "rlimit", false},
                 {OS_CALL_SECCOMP, "seccomp", false},   {OS_CALL_SETID, "setid", true}};
    unsigned mounts = count_lines("/proc/self/mountinfo"), fds = count_fds(), total = 0;

    if (plan.profile == SANDBOX_DEGRADED) {
        print_message("# skipped: nothing is built here: no namespaces\n");
        return;
    }
    set_up(OS_CALL_CLONE, 0, 0);
    assert_string_equal(outcome->text, "");
    assert_true(outcome->entered);
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        unsigned n = walk(calls[i].call, EIO);

        print_message("# %s: %u\n", calls[i].name, n);
        if (n == 0 && calls[i].call != OS_CALL_LANDLOCK && !calls[i].root_only)
            fail_msg("%s is never asked", calls[i].name);
        total += n;
    }
    assert_true(total > 60);
    assert_int_equal(count_children(), 0);
    assert_int_equal(count_lines("/proc/self/mountinfo"), mounts);
    assert_int_equal(count_fds(), fds);
    set_up(OS_CALL_CLONE, 0, 0);
    assert_true(outcome->entered);
}

/* An errno that some call means something by must not be taken for that. */
static void no_errno_opens_a_gap(void **state)
{
    static const int errors[] = {ENOENT, EACCES, EPERM,      EEXIST, EINVAL,
                                 ENOSYS, EINTR,  EOPNOTSUPP, EAGAIN, ENOSPC};
    static const enum os_call calls[] = {OS_CALL_CAPSET, OS_CALL_LANDLOCK,  OS_CALL_MOUNT,
                                         OS_CALL_PRCTL,  OS_CALL_RLIMIT,    OS_CALL_SECCOMP,
                                         OS_CALL_SETID,  OS_CALL_PIVOT_ROOT};

    if (plan.profile == SANDBOX_DEGRADED)
        return;
    for (size_t e = 0; e < ARRAY_SIZE(errors); e++) {
        for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
            for (unsigned nth = 1; nth < 4; nth++) {
                set_up(calls[i], nth, errors[e]);
                if (outcome->entered && !outcome->pending)
                    fail_msg("call %d, the %u., errno %d: a worker without it", (int)calls[i], nth,
                             errors[e]);
            }
        }
    }
}

static int open_init(void)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 32);
    char *slash;

    assert_true(n > 0);
    path[n] = '\0';
    for (int i = 0; i < 3; i++) { /* build/test/unit/test-... */
        slash = strrchr(path, '/');
        assert_non_null(slash);
        *slash = '\0';
    }
    (void)strcat(path, "/libexec/mayfly-init");
    return open(path, O_PATH | O_CLOEXEC);
}

static int prepare(void **state)
{
    struct sandbox_request request = {.uid = geteuid(), .gid = getegid()};
    struct sandbox_report report;

    outcome =
        mmap(NULL, sizeof(*outcome), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    init_fd = open_init();
    if (outcome == MAP_FAILED || init_fd < 0)
        return -1;
    (void)unsetenv("MAYFLY_SANDBOX");
    sandbox_probe(init_fd, &report);
    request.profile = report.profile;
    sandbox_plan_build(&request, &plan);
    plan.worker.tmp_bytes = 65536;
    plan.worker.tmp_inodes = 16;
    plan.worker.namespaces |= CLONE_NEWNS;
    plan.worker.processes = 16;
    plan.worker.memory_bytes = 1 << 27;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_may_fail),
        cmocka_unit_test(no_errno_opens_a_gap),
    };

    return cmocka_run_group_tests_name("sandbox-faults", tests, prepare, NULL);
}
