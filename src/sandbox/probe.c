/* The kernel is asked by doing: a child enters the profile as a zygote does, and clones a worker
 * from there. What fails tells why, through a pipe. */

#include "sandbox/sandbox.h"

#include "os/clone.h"
#include "os/fd.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB_TMP (1024 * 1024)

static void tell(int fd, const struct error *err)
{
    (void)!write(fd, err->text, strlen(err->text));
}

/* In the zygote-to-be. */
static int try_worker(const struct sandbox_plan *plan, struct error *err)
{
    struct sandbox_fork fork;
    struct pidref worker = PIDREF_NULL;
    siginfo_t info = {0};
    int r = sandbox_fork_prepare(&fork, &plan->worker);

    if (r < 0)
        return error_set_errno(err, r, "sandbox: prepare a worker");
    r = os_clone(plan->worker.namespaces, &worker);
    if (r == 0)
        _exit(-sandbox_worker_enter(&fork, 0, 1));
    if (r < 0)
        return error_set_errno(err, r, "sandbox: clone a worker");
    if (waitid(P_PIDFD, (id_t)worker.fd, &info, WEXITED) < 0)
        return error_set_errno(err, -errno, "sandbox: wait for a worker");
    if (info.si_code != CLD_EXITED || info.si_status != 0)
        return error_set_errno(err, -info.si_status, "sandbox: a worker's own part");
    return 0;
}

static _noreturn_ void try_in_child(const struct sandbox_plan *plan, int init_fd, int result_fd)
{
    struct error err = ERROR_NULL;
    int r = sandbox_enter(plan, init_fd, &err);

    r = r < 0 ? r : try_worker(plan, &err);
    tell(result_fd, &err);
    _exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* Returns 0, or a negative errno with *err. */
static int try_profile(enum sandbox_profile profile, int init_fd, struct error *err)
{
    const struct sandbox_request request = {.profile = profile, .uid = geteuid(), .gid = getegid()};
    struct pidref child = PIDREF_NULL;
    struct sandbox_plan plan;
    int result[2], status = 0, r;
    ssize_t n;

    sandbox_plan_build(&request, &plan);
    plan.worker.tmp_bytes = MIB_TMP;
    plan.worker.tmp_inodes = 64;
    plan.worker.namespaces |= CLONE_NEWNS;
    r = fd_pipe(result, 0);
    if (r < 0)
        return error_set_errno(err, r, "sandbox: try it out");
    r = os_clone(plan.init_namespaces, &child);
    if (r == 0)
        try_in_child(&plan, init_fd, result[1]);
    fd_close(result[1]);
    if (r < 0) {
        fd_close(result[0]);
        return error_set_errno(err, r, "sandbox: clone into new namespaces");
    }
    n = read(result[0], err->text, sizeof(err->text) - 1);
    err->text[MAX(n, 0)] = '\0';
    fd_close(result[0]);
    while (waitpid(child.pid, &status, 0) < 0 && errno == EINTR) {
    }
    pidref_done(&child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return err->text[0] ? -EPERM : error_set(err, -EPERM, "sandbox: the trial ended early");
}

enum sandbox_profile sandbox_probe(int init_fd, struct error *why)
{
    const char *wanted = getenv("MAYFLY_SANDBOX");
    struct error err = ERROR_NULL;

    *why = ERROR_NULL;
    if (wanted && strcmp(wanted, "degraded") == 0) {
        (void)error_set(why, 0, "MAYFLY_SANDBOX asks for less");
        return SANDBOX_DEGRADED;
    }
    if (wanted && strcmp(wanted, "user") == 0)
        (void)error_set(why, 0, "MAYFLY_SANDBOX asks for less");
    else if (geteuid() != 0)
        (void)error_set(why, 0, "the daemon does not run as root");
    else if (try_profile(SANDBOX_ROOT, init_fd, why) == 0)
        return SANDBOX_ROOT;
    if (try_profile(SANDBOX_USER, init_fd, &err) == 0)
        return SANDBOX_USER;
    *why = err;
    return SANDBOX_DEGRADED;
}
