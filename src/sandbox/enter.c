#include "sandbox/sandbox.h"

#include "os/clone.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int write_text(const char *path, const char *text)
{
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
    size_t len = strlen(text);

    if (fd < 0)
        return -errno;
    return write(fd, text, len) == (ssize_t)len ? 0 : -errno;
}

/* One id, mapped to itself: outside it is the user we are, inside nothing else exists. */
static int map_ids(const struct sandbox_plan *p)
{
    char text[64];
    int r;

    r = write_text("/proc/self/setgroups", "deny");
    if (r < 0)
        return r;
    (void)snprintf(text, sizeof(text), "%u %u 1\n", p->uid, p->uid);
    r = write_text("/proc/self/uid_map", text);
    if (r < 0)
        return r;
    (void)snprintf(text, sizeof(text), "%u %u 1\n", p->gid, p->gid);
    return write_text("/proc/self/gid_map", text);
}

/* The zygote needs CAP_SYS_ADMIN over its own namespace, and nothing else, to give each worker a
 * PID namespace. A user other than root keeps a capability over an exec only as an ambient one. The
 * workers drop it (zygote/fork.c). */
static int keep_sys_admin(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[2] = {{0}};

    caps[0].effective = caps[0].permitted = caps[0].inheritable = 1u << CAP_SYS_ADMIN;
    if (syscall(SYS_capset, &header, caps) < 0)
        return -errno;
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0) < 0 ? -errno : 0;
}

static int limit(int resource, uint64_t max)
{
    struct rlimit l;

    if (getrlimit((__rlimit_resource_t)resource, &l) < 0)
        return -errno;
    l.rlim_cur = l.rlim_max = MIN((rlim_t)max, l.rlim_max);
    return setrlimit((__rlimit_resource_t)resource, &l) < 0 ? -errno : 0;
}

static int adjust_oom_score(int score)
{
    char text[16];

    (void)snprintf(text, sizeof(text), "%d", score);
    return write_text("/proc/self/oom_score_adj", text);
}

int sandbox_enter(const struct sandbox_plan *p, struct error *err)
{
    int r;

    r = adjust_oom_score(p->oom_score_adj); /* before the namespace takes the right to it */
    if (r < 0)
        return error_set_errno(err, r, "sandbox: oom_score_adj");
    r = p->user_namespace ? map_ids(p) : 0;
    if (r < 0)
        return error_set_errno(err, r, "sandbox: map the user's ids");
    r = p->user_namespace ? keep_sys_admin() : 0;
    if (r < 0)
        return error_set_errno(err, r, "sandbox: capabilities");
    r = limit(RLIMIT_CORE, p->core_bytes_max);
    if (r < 0)
        return error_set_errno(err, r, "sandbox: limit core dumps");
    r = limit(RLIMIT_MEMLOCK, p->memlock_bytes_max);
    if (r < 0)
        return error_set_errno(err, r, "sandbox: limit locked memory");
    if (p->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_set_errno(err, -errno, "sandbox: no new privileges");
    return 0;
}

/* Whether a child can be cloned into the profile's namespaces and, as a zygote does, clone one of
 * its own from there. */
static bool try_profile(enum sandbox_profile profile)
{
    struct pidref child = PIDREF_NULL, grandchild = PIDREF_NULL;
    struct sandbox_plan plan;
    siginfo_t info = {0};
    int r;

    sandbox_plan_build(profile, NULL, getuid(), getgid(), &plan);
    r = os_clone(sandbox_clone_flags(&plan), &child);
    if (r == 0) {
        if (sandbox_enter(&plan, NULL) < 0)
            _exit(1);
        r = os_clone(CLONE_NEWPID, &grandchild);
        if (r == 0)
            _exit(0);
        if (r < 0 || waitid(P_PIDFD, (id_t)grandchild.fd, &info, WEXITED) < 0)
            _exit(1);
        _exit(info.si_status);
    }
    if (r < 0)
        return false;
    r = waitid(P_PIDFD, (id_t)child.fd, &info, WEXITED);
    pidref_done(&child);
    return r == 0 && info.si_code == CLD_EXITED && info.si_status == 0;
}

enum sandbox_profile sandbox_probe(void)
{
    const char *wanted = getenv("MAYFLY_SANDBOX");

    if (wanted && strcmp(wanted, "degraded") == 0)
        return SANDBOX_DEGRADED;
    if (geteuid() == 0 && try_profile(SANDBOX_ROOT))
        return SANDBOX_ROOT;
    if (try_profile(SANDBOX_USER))
        return SANDBOX_USER;
    return SANDBOX_DEGRADED;
}
