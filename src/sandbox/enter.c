#include "sandbox/sandbox.h"

#include "os/clone.h"
#include "os/cred.h"
#include "os/fault.h"
#include "os/fd.h"
#include "os/mount.h"
#include "os/net.h"
#include "sandbox/landlock.h"
#include "sandbox/root.h"
#include "sandbox/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define FD_INIT 3 /* in init: its program */

static int limit(int resource, uint64_t max, struct error *err, const char *what)
{
    struct rlimit l;
    int r = os_fault(OS_CALL_RLIMIT);

    if (r == 0 && getrlimit((__rlimit_resource_t)resource, &l) < 0)
        r = -errno;
    if (r == 0) {
        l.rlim_cur = l.rlim_max = MIN((rlim_t)max, l.rlim_max);
        r = setrlimit((__rlimit_resource_t)resource, &l) < 0 ? -errno : 0;
    }
    return r < 0 ? error_set_errno(err, r, "sandbox: limit %s", what) : 0;
}

static int adjust_oom_score(int score)
{
    char text[16];
    _cleanup_close_ int fd = -1;
    int n = snprintf(text, sizeof(text), "%d", score), r = os_fault(OS_CALL_OPEN);

    if (r < 0)
        return r;
    fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return write(fd, text, (size_t)n) == n ? 0 : -errno;
}

static int forbid_privileges(void)
{
    int r = os_fault(OS_CALL_PRCTL);

    if (r < 0)
        return r;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* ---- the zygote ---- */

static int limit_all(const struct sandbox_plan *p, struct error *err)
{
    int r = limit(RLIMIT_CORE, p->core_bytes_max, err, "core dumps");

    r = r < 0 ? r : limit(RLIMIT_MEMLOCK, p->memlock_bytes_max, err, "locked memory");
    r = r < 0 ? r : limit(RLIMIT_MSGQUEUE, 0, err, "message queues");
    if (p->file_bytes_max > 0)
        r = r < 0 ? r : limit(RLIMIT_FSIZE, p->file_bytes_max, err, "file sizes");
    if (p->files_max > 0)
        r = r < 0 ? r : limit(RLIMIT_NOFILE, p->files_max, err, "open files");
    return r;
}

/* The last steps before foreign code. The capabilities are over its own user namespace: what it
 * takes to give each worker a process namespace, a /tmp and a user id. Workers drop them. */
static int become_zygote(const struct sandbox_plan *p, struct error *err)
{
    bool ids = p->ids_first != 0;
    int r = limit_all(p, err);

    if (r < 0)
        return r;
    /* Its own rank for the OOM killer, its ids: nothing that foreign code could do better. Init's
     * /proc is another mount, so that the ids could be mapped. */
    r = p->own_root && p->zygote_namespaces ? mount_read_only("/proc") : 0;
    if (r < 0)
        return error_set_errno(err, r, "sandbox: make /proc read-only");
    if (p->zygote_namespaces) {
        r = cred_keep_capabilities();
        if (r == 0 && ids)
            r = cred_become(SANDBOX_ID_ZYGOTE, SANDBOX_ID_ZYGOTE);
        r = r < 0 ? r : cred_hold(p->zygote_capabilities);
        if (r < 0)
            return error_set_errno(err, r, "sandbox: become the zygote's user");
    }
    r = forbid_privileges();
    if (r < 0)
        return error_set_errno(err, r, "sandbox: no new privileges");
    r = p->landlock ? sandbox_landlock_zygote() : 0;
    if (r < 0)
        return error_set_errno(err, r, "sandbox: Landlock");
    r = 0; /* positive: this kernel has no scopes */
    if (p->filter)
        r = p->endpoint ? sandbox_seccomp_install_endpoint() : sandbox_seccomp_install();
    return r < 0 ? error_set_errno(err, r, "sandbox: filter system calls") : 0;
}

/* ---- init ---- */

/* Above the number that its program gets. */
static int move_up(int fd)
{
    int r = os_fault(OS_CALL_DUP);

    if (r < 0)
        return r;
    fd = fcntl(fd, F_DUPFD_CLOEXEC, FD_INIT + 1);
    return fd < 0 ? -errno : fd;
}

static int die_with_supervisor(void)
{
    int r = os_fault(OS_CALL_PRCTL);

    if (r < 0)
        return r;
    return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? -errno : 0;
}

/* The zygote waits for the byte in go_fd until its init stands: from there on nothing of ours can
 * fail, so that whatever does fail is told before foreign code runs. */
static int become_init(const struct sandbox_plan *p, int init_fd, int go_fd)
{
    char *const argv[] = {"mayfly-init", NULL}, *const env[] = {NULL};
    int r = p->ids_first ? cred_become(p->ids_first, p->ids_first) : 0;

    /* Again, since the change of user clears it. A supervisor that died in between has closed the
     * zygote's channel, and with the zygote we end. */
    r = r < 0 ? r : die_with_supervisor();
    r = r < 0 ? r : cred_drop();
    r = r < 0 ? r : forbid_privileges();
    r = r < 0 || !p->filter ? r : sandbox_seccomp_install();
    r = r < 0 ? r : move_up(go_fd);
    if (r < 0)
        return r;
    go_fd = r;
    if (dup2(init_fd, FD_INIT) < 0 || fcntl(FD_INIT, F_SETFD, FD_CLOEXEC) < 0 ||
        write(go_fd, "", 1) != 1)
        return -errno;
    (void)close_range(FD_INIT + 1, ~0U, 0);
    (void)fexecve(FD_INIT, argv, env);
    _exit(EXIT_FAILURE);
}

static int map_zygote(const struct sandbox_plan *p, const struct pidref *zygote)
{
    bool ids = p->ids_first != 0;
    char proc[32];

    (void)snprintf(proc, sizeof(proc), "/proc/%d", zygote->pid);
    return cred_map(proc, ids ? 0 : p->uid, ids ? p->ids_first : p->uid,
                    ids ? p->ids_first : p->gid, ids ? SANDBOX_UIDS : 1, ids);
}

/* A zygote raises its rank for the OOM killer while it forks, so that its workers inherit it: for
 * that it keeps this one file open, through init's /proc, since its own is read-only. Without it a
 * worker has the zygote's rank, which is no reason not to start. */
static void keep_oom_score(int proc_fd)
{
    int fd = openat(proc_fd, "self/oom_score_adj", O_RDWR | O_CLOEXEC);

    fd_close(proc_fd);
    if (fd >= 0 && fd != SANDBOX_FD_OOM)
        (void)dup2(fd, SANDBOX_FD_OOM);
    else if (fd >= 0)
        (void)fd_set_cloexec(fd, false);
    if (fd != SANDBOX_FD_OOM)
        fd_close(fd);
}

/* Returns 0 in the zygote; init stays behind. */
static int clone_zygote(const struct sandbox_plan *p, int init_fd, struct error *err)
{
    int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct pidref zygote = PIDREF_NULL;
    int go[2], r;
    char byte;

    r = fd_pipe(go, 0);
    r = r < 0 ? r : os_clone(p->zygote_namespaces, &zygote);
    if (r < 0)
        return error_set_errno(err, r, "sandbox: clone the zygote");
    if (r > 0) {
        r = map_zygote(p, &zygote);
        if (r < 0)
            return error_set_errno(err, r, "sandbox: map the zygote's ids");
        r = become_init(p, init_fd, go[1]);
        return error_set_errno(err, r, "sandbox: make its init");
    }
    fd_close(go[1]);
    if (read(go[0], &byte, 1) != 1)
        _exit(EXIT_FAILURE); /* init has said why */
    fd_close(go[0]);
    keep_oom_score(proc_fd);
    return 0;
}

/* ---- from the outside to the inside ---- */

/* One id, mapped to itself: outside it is the user we are, inside nothing else exists. */
static int map_own_id(const struct sandbox_plan *p)
{
    return cred_map("/proc/self", p->uid, p->uid, p->gid, 1, false);
}

static int name_host(void)
{
    int r = os_fault(OS_CALL_HOSTNAME);

    if (r < 0)
        return r;
    return sethostname("mayfly", 6) < 0 ? -errno : 0;
}

static int enter_namespaces(const struct sandbox_plan *p, int init_fd, struct error *err)
{
    int r = p->profile == SANDBOX_USER ? map_own_id(p) : 0;

    if (r < 0)
        return error_set_errno(err, r, "sandbox: map the user's ids");
    r = name_host();
    if (r < 0)
        return error_set_errno(err, r, "sandbox: name the host");
    r = p->init_namespaces & CLONE_NEWNET ? net_loopback_up() : 0;
    if (r < 0)
        return error_set_errno(err, r, "sandbox: bring the loopback interface up");
    r = p->own_root ? sandbox_root_build(p, err) : 0;
    return r < 0 ? r : clone_zygote(p, init_fd, err);
}

int sandbox_enter(const struct sandbox_plan *p, int init_fd, struct error *err)
{
    int r = adjust_oom_score(p->oom_score_adj); /* while /proc is the host's and we its user */

    if (r < 0)
        return error_set_errno(err, r, "sandbox: oom_score_adj");
    r = p->init_namespaces ? enter_namespaces(p, init_fd, err) : 0;
    return r < 0 ? r : become_zygote(p, err);
}
