/* The only fork without an exec in mayfly. The zygote is single-threaded here, so the child has
 * every lock as the zygote had it; what the child must not keep goes in one flat list of steps. */

#include "os/clone.h"
#include "os/fd.h"
#include "zygote/zygote-internal.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int close_zygote_fds(const struct inheritance *in)
{
    /* The three that came with FORK take the lowest free numbers, which zygote.c keeps in this
     * range; a function that closed and opened fds at will while it loaded may have moved them. */
    if (close_range(ZYGOTE_FD_CONTROL, ZYGOTE_FD_LAST, 0) < 0)
        return -errno;
    if (in->socket > ZYGOTE_FD_LAST)
        fd_close(in->socket);
    if (in->out > ZYGOTE_FD_LAST)
        fd_close(in->out);
    if (in->err > ZYGOTE_FD_LAST)
        fd_close(in->err);
    return 0;
}

/* In the worker. No way back: a step that fails ends it, and the gateway sees a closed socket. */
static int fork_child(const struct inheritance *in)
{
    struct sandbox_fork own = *in->sandbox;
    const char *step;
    sigset_t none;
    int r;

    /* With true accounting, a limit on what is merely mapped would only get in the way: of threads,
     * say, whose stacks are large and empty. */
    if (slots_join(in) == 0)
        own.data_bytes = 0;
    if (dup2(in->socket, ZYGOTE_FD_WORKER) < 0 || dup2(in->out, STDOUT_FILENO) < 0 ||
        dup2(in->err, STDERR_FILENO) < 0)
        return -errno;
    r = sandbox_worker_enter(&own, in->slot, in->n_alive, &step);
    if (r < 0) {
        /* Its stderr is the worker's own by now, so the request that it was for shows this. */
        (void)dprintf(STDERR_FILENO, "mayfly: this worker could not %s: %s\n", step,
                      strerrordesc_np(-r));
        return r;
    }
    r = close_zygote_fds(in);
    if (r < 0)
        return r;
    sigemptyset(&none);
    if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
        return -errno;
    if (!(in->sandbox->worker.namespaces & CLONE_NEWPID)) {
        /* Nobody ends what is left behind for us: die with the zygote, and collect orphans, which
         * then become the zygote's when this worker ends. */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
            return -errno;
    }
    return 0;
}

int fork_worker(const struct inheritance *in, struct pidref *ret)
{
    int r = os_clone(in->sandbox->worker.namespaces, ret);

    if (r != 0)
        return r;
    if (fork_child(in) < 0)
        _exit(EXIT_FAILURE);
    return 0;
}

/* In the helper. */
static int helper_child(void)
{
    sigset_t none;

    if (close_range(ZYGOTE_FD_WORKER, ZYGOTE_FD_LAST, 0) < 0)
        return -errno;
    sigemptyset(&none);
    if (sigprocmask(SIG_SETMASK, &none, NULL) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return -errno;
    return 0;
}

int fork_helper(uint64_t namespaces, struct pidref *ret)
{
    int r = os_clone(namespaces, ret);

    if (r != 0)
        return r;
    if (helper_child() < 0)
        _exit(EXIT_FAILURE);
    return 0;
}

bool fork_is_refused(void)
{
    pid_t pid = vfork();

    if (pid == 0)
        _exit(EXIT_SUCCESS);
    if (pid > 0)
        (void)waitpid(pid, NULL, 0);
    return pid < 0 && errno == EAGAIN;
}
