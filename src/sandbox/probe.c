/* The kernel is asked by doing: a child enters the profile as a zygote does, and clones a worker
 * from there, which tries each layer. What it found comes back through a pipe. */

#include "sandbox/layers.h"

#include "os/clone.h"
#include "os/fd.h"
#include "sandbox/egress.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB_TMP (1024 * 1024)

struct trial {
    struct sandbox_plan plan;
    struct layer_outside outside;
    int init_fd;
    int result_fd;
};

/* What a trial sends: one write, complete or not there (PIPE_BUF). */
struct trial_result {
    bool entered;
    int errors[_LAYER_MAX];
    char text[1024]; /* why it was not entered */
};

static _noreturn_ void tell(const struct trial *t, struct trial_result *result, const char *text)
{
    _Static_assert(sizeof(*result) <= 4096, "a write that a pipe does not divide");
    (void)snprintf(result->text, sizeof(result->text), "%s", text);
    _exit(write(t->result_fd, result, sizeof(*result)) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* In the zygote-to-be. */
static int try_worker(const struct trial *t, struct trial_result *result, struct error *err)
{
    struct sandbox_fork fork;
    struct pidref worker = PIDREF_NULL;
    siginfo_t info = {0};
    int r = sandbox_fork_prepare(&fork, &t->plan.worker);

    if (r < 0)
        return error_set_errno(err, r, "sandbox: prepare a worker");
    r = os_clone(t->plan.worker.namespaces, &worker);
    if (r == 0) {
        const char *step;

        r = sandbox_worker_enter(&fork, 0, 1, &step);
        if (r < 0) {
            (void)error_set_errno(err, r, "sandbox: a worker cannot %s", step);
            tell(t, result, err->text);
        }
        layers_inspect(&t->outside, &t->plan, result->errors);
        result->entered = true;
        tell(t, result, "");
    }
    if (r < 0)
        return error_set_errno(err, r, "sandbox: clone a worker");
    if (waitid(P_PIDFD, (id_t)worker.fd, &info, WEXITED) < 0)
        return error_set_errno(err, -errno, "sandbox: wait for a worker");
    if (info.si_code != CLD_EXITED || info.si_status != 0)
        return error_set_errno(err, -info.si_status, "sandbox: a worker's own part");
    return 0;
}

static _noreturn_ void try_in_child(struct trial *t)
{
    struct trial_result result = {.entered = false};
    struct error err = ERROR_NULL;
    int r;

    layers_listen(&t->outside);
    r = sandbox_enter(&t->plan, t->init_fd, &err);
    r = r < 0 ? r : try_worker(t, &result, &err);
    if (r < 0)
        tell(t, &result, err.text);
    _exit(EXIT_SUCCESS);
}

static void reap(struct pidref *child)
{
    while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    pidref_done(child);
}

static void trial_prepare(struct trial *t, enum sandbox_profile profile, int init_fd)
{
    const struct sandbox_request request = {.profile = profile, .uid = geteuid(), .gid = getegid()};

    *t = (struct trial){.init_fd = init_fd};
    layers_look(&t->outside);
    sandbox_plan_build(&request, &t->plan);
    t->plan.init_namespaces |= CLONE_NEWNET;
    t->plan.worker.tmp_bytes = MIB_TMP;
    t->plan.worker.tmp_inodes = 64;
    t->plan.worker.namespaces |= CLONE_NEWNS;
}

static void try_profile(enum sandbox_profile profile, int init_fd, struct trial_result *ret)
{
    static struct trial t; /* a plan is large */
    struct pidref child = PIDREF_NULL;
    int pipe[2], r;

    *ret = (struct trial_result){.entered = false, .text = "the trial ended early"};
    trial_prepare(&t, profile, init_fd);
    r = fd_pipe(pipe, 0);
    if (r < 0) {
        (void)snprintf(ret->text, sizeof(ret->text), "pipe: %s", strerrordesc_np(-r));
        return;
    }
    t.result_fd = pipe[1];
    r = os_clone(t.plan.init_namespaces, &child);
    if (r == 0)
        try_in_child(&t);
    fd_close(pipe[1]);
    if (r < 0)
        (void)snprintf(ret->text, sizeof(ret->text), "clone into new namespaces: %s",
                       strerrordesc_np(-r));
    else
        (void)!read(pipe[0], ret, sizeof(*ret));
    ret->text[sizeof(ret->text) - 1] = '\0';
    fd_close(pipe[0]);
    if (r > 0)
        reap(&child);
}

/* Whether a namespace can be made when nothing else is asked for. Returns 0 or an errno. */
static int try_namespace(uint64_t flag)
{
    struct pidref child = PIDREF_NULL;
    int r = os_clone(flag | (geteuid() == 0 ? 0 : CLONE_NEWUSER), &child);

    if (r == 0)
        _exit(EXIT_SUCCESS);
    if (r < 0)
        return -r;
    reap(&child);
    return 0;
}

void sandbox_probe_realtime(struct sandbox_report *report)
{
    const struct sched_param priority = {.sched_priority = sched_get_priority_min(SCHED_FIFO)};
    struct pidref child = PIDREF_NULL;
    siginfo_t info = {0};
    int r = os_clone(0, &child);

    if (r == 0)
        _exit(sched_setscheduler(0, SCHED_FIFO, &priority) < 0 ? errno : 0);
    if (r > 0 && waitid(P_PIDFD, (id_t)child.fd, &info, WEXITED) == 0)
        r = info.si_code == CLD_EXITED ? info.si_status : EINTR;
    pidref_done(&child);
    layer_judge(report, LAYER_WATCHDOG, r == 0, strerrordesc_np(abs(r)));
}

/* ---- what it means ---- */

static void judge_entered(struct sandbox_report *report, const struct trial_result *result,
                          const char *why_not_better)
{
    for (enum sandbox_layer i = 0; i < _LAYER_MAX; i++) {
        int e = result->errors[i];
        char reason[LAYER_REASON_MAX];

        (void)snprintf(reason, sizeof(reason), "%s%s",
                       e == LAYER_NOT_TRIED ? "" : "a worker tried it out: ",
                       e == LAYER_NOT_TRIED ? why_not_better
                       : e == EEXIST        ? "it is not held back"
                                            : strerrordesc_np(e));
        layer_judge(report, i, e == 0, reason);
    }
}

/* Nothing holds; a namespace that cannot be made even alone tells more than the whole's failure. */
static void judge_degraded(struct sandbox_report *report, const char *why, bool asked)
{
    for (enum sandbox_layer i = 0; i < _LAYER_MAX; i++) {
        uint64_t flag = asked ? 0 : layer_namespace(i);
        int e = flag ? try_namespace(flag) : 0;

        layer_judge(report, i, false, e ? strerrordesc_np(e) : why);
    }
}

static void probe_profiles(int init_fd, struct sandbox_report *ret)
{
    static const char asked[] = "MAYFLY_SANDBOX asks for less";
    const char *less = getenv("MAYFLY_SANDBOX");
    struct trial_result root = {.entered = false}, user;

    *ret = (struct sandbox_report){.wanted = geteuid() == 0 ? SANDBOX_ROOT : SANDBOX_USER,
                                   .profile = SANDBOX_DEGRADED};
    if (less && strcmp(less, "degraded") == 0) {
        judge_degraded(ret, asked, true);
        return;
    }
    if (less && strcmp(less, "user") == 0)
        (void)snprintf(root.text, sizeof(root.text), "%s", asked);
    else if (ret->wanted == SANDBOX_ROOT)
        try_profile(SANDBOX_ROOT, init_fd, &root);
    if (root.entered) {
        ret->profile = SANDBOX_ROOT;
        judge_entered(ret, &root, "");
        return;
    }
    try_profile(SANDBOX_USER, init_fd, &user);
    if (user.entered) {
        ret->profile = SANDBOX_USER;
        judge_entered(ret, &user, root.text);
        return;
    }
    judge_degraded(ret, user.text, false);
}

void sandbox_probe(int init_fd, struct sandbox_report *ret)
{
    probe_profiles(init_fd, ret);
    sandbox_probe_realtime(ret);
    sandbox_egress_probe(ret, true, -1);
}
