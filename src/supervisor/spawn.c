#include "os/clone.h"
#include "os/fault.h"
#include "os/fd.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define FDS_MAX      4
#define FD_PARKED    64 /* out of the way of the numbers that are wanted */
#define EXIT_NO_EXEC 127

extern char **environ;

static int place_fds(const struct spawn *s)
{
    int parked[FDS_MAX], null;

    for (unsigned i = 0; i < s->n_fds; i++) {
        parked[i] = fcntl(s->fds[i], F_DUPFD_CLOEXEC, FD_PARKED);
        if (parked[i] < 0)
            return -errno;
    }
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0)
        return -errno;
    if (s->output_fd >= 0 &&
        (dup2(s->output_fd, STDOUT_FILENO) < 0 || dup2(s->output_fd, STDERR_FILENO) < 0))
        return -errno;
    for (unsigned i = 0; i < s->n_fds; i++) {
        if (dup2(parked[i], s->fd_first + (int)i) < 0)
            return -errno;
    }
    return 0;
}

static int enter(const struct spawn *s, struct error *err)
{
    uint64_t flags = s->plan ? s->plan->init_namespaces : 0;
    sigset_t none;
    int r;

    /* Ahead of everything: what is used from now on, the group pays. */
    r = s->door ? cgroup_door_enter(s->door) : 0;
    if (r < 0)
        return error_set_errno(err, r, "cannot enter the control group");
    /* The namespace shows the group that it was made in as the root. */
    if ((flags & CLONE_NEWCGROUP) && unshare(CLONE_NEWCGROUP) < 0)
        return error_set_errno(err, -errno, "sandbox: unshare control groups");
    sigemptyset(&none);
    if (sigprocmask(SIG_SETMASK, &none, NULL) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return error_set_errno(err, -errno, "cannot prepare the process");
    r = place_fds(s);
    if (r < 0)
        return error_set_errno(err, r, "cannot place file descriptors");
    return 0;
}

/* Behind the sandbox the folder has another name. */
static int enter_sandbox(const struct spawn *s, struct error *err)
{
    char dir[PATH_MAX];
    const char *inside;
    int r = s->plan ? sandbox_enter(s->plan, s->init_fd, err) : 0;

    if (r < 0 || !s->dir)
        return r;
    inside = s->plan ? sandbox_plan_path(s->plan, s->dir, dir, sizeof(dir)) : s->dir;
    if (chdir(inside) < 0)
        return error_set_errno(err, -errno, "cannot enter the folder %s", s->dir);
    return 0;
}

int spawn(const struct spawn *s, struct pidref *ret)
{
    struct error err = ERROR_NULL;
    uint64_t flags = s->plan ? s->plan->init_namespaces : 0;
    const char *fault;
    int r;

    assert(s->n_fds <= FDS_MAX);
    flags &= ~(uint64_t)CLONE_NEWCGROUP; /* once it is in its group */
    r = s->door ? cgroup_door_clone(s->door, flags, ret) : os_clone(flags, ret);
    if (r != 0)
        return r < 0 ? r : 0;
    fault = s->plan ? getenv("MAYFLY_FAULT_SANDBOX") : NULL;
    if (fault)
        (void)os_fault_arm_text(fault);
    r = enter(s, &err);
    r = r < 0 ? r : enter_sandbox(s, &err);
    if (r == 0) {
        (void)execve(s->argv[0], s->argv, s->env ? s->env : environ);
        (void)error_set_errno(&err, -errno, "cannot execute %s", s->argv[0]);
    }
    if (s->on_failure)
        s->on_failure(&err);
    _exit(EXIT_NO_EXEC);
}

/* What passes from our environment to a function's: enough to find programs, files and words; none
 * of the secrets that an operator's shell may hold. */
static const char *const passed_on[] = {"PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"};

/* A sandbox has no home but its /tmp, and nobody in it that the host knows. */
static char *const in_sandbox[] = {"HOME=/tmp", "USER=function", "TMPDIR=/tmp", NULL};

static bool is_set(char **list, size_t n, const char *entry)
{
    size_t len = (size_t)(strchrnul(entry, '=') - entry);

    for (size_t i = 0; i < n; i++) {
        if (strncmp(list[i], entry, len) == 0 && list[i][len] == '=')
            return true;
    }
    return false;
}

static bool is_passed_on(const char *entry)
{
    size_t len = (size_t)(strchrnul(entry, '=') - entry);

    for (size_t i = 0; i < ARRAY_SIZE(passed_on); i++) {
        if (strlen(passed_on[i]) == len && strncmp(entry, passed_on[i], len) == 0)
            return true;
    }
    return false;
}

char **spawn_environment(const struct sandbox_plan *plan, char *const *extra, char *const *own)
{
    char *const *sources[] = {own, extra, plan->own_root ? in_sandbox : NULL, environ};
    size_t n = 1, filled = 0;
    char **list;

    for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
        for (char *const *e = sources[i]; e && *e; e++)
            n++;
    }
    list = calloc(n, sizeof(*list));
    if (!list)
        return NULL;
    for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
        for (char *const *e = sources[i]; e && *e; e++) {
            bool wanted = sources[i] != environ || is_passed_on(*e);

            if (wanted && !is_set(list, filled, *e))
                list[filled++] = *e;
        }
    }
    return list;
}

char **spawn_words(const struct sandbox_plan *plan, char *const *argv)
{
    size_t n = 0, n_bytes = 0;
    char **list, *next;

    for (; argv[n]; n++)
        n_bytes += strlen(argv[n]) + sizeof(plan->binds[0].target) + 1;
    list = calloc(1, (n + 1) * sizeof(*list) + n_bytes);
    if (!list)
        return NULL;
    next = (char *)(list + n + 1);
    for (size_t i = 0; i < n; i++) {
        size_t size = strlen(argv[i]) + sizeof(plan->binds[0].target) + 1;
        const char *word = sandbox_plan_path(plan, argv[i], next, size);

        list[i] = word == next ? next : argv[i];
        next += size;
    }
    return list;
}
