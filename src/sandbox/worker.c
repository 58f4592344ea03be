/* What a worker does to itself right after the fork. Each step costs every request: the order is by
 * what a step still needs the right to do. */

#include "sandbox/sandbox.h"

#include "os/cred.h"
#include "os/fault.h"
#include "os/fd.h"
#include "os/mount.h"
#include "sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* Memory that counts for RLIMIT_DATA now: the zygote's own share, which every worker starts with.
 */
static int data_of_this_process(uint64_t *ret)
{
    unsigned long long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (!f)
        return -errno;
    if (fscanf(f, "%*u %*u %*u %*u %*u %llu", &pages) != 1)
        pages = 0;
    (void)fclose(f);
    *ret = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return pages > 0 ? 0 : -EBADMSG;
}

/* Where all workers have one uid the kernel counts their processes together: each may then have
 * what this many may, so that one that keeps to its own limit is not refused for another's sake. */
#define SHARERS_MIN 16

static const char *const readable[] = {"/", NULL};

/* Made once for all workers where they can be. Rules on paths name what is mounted when they are
 * made: a /tmp that each worker mounts for itself is not known to rules of the zygote's. */
static int prepare_rules(struct sandbox_fork *f)
{
    bool on_paths = f->landlock_abi < LANDLOCK_ABI_SCOPES;
    unsigned n = 0;
    int r;

    f->writable[n++] = "/tmp";
    f->writable[n++] = "/dev";
    for (unsigned i = 0; f->worker.writes[i]; i++)
        f->writable[n++] = f->worker.writes[i];
    if (on_paths && (f->worker.namespaces & CLONE_NEWNS))
        return 0;
    r = sandbox_landlock_prepare(readable, f->writable, &f->rules_fd);
    return MIN(r, 0);
}

static int enter_rules(const struct sandbox_fork *f)
{
    int fd = f->rules_fd, r = 0;

    if (fd < 0)
        r = sandbox_landlock_prepare(readable, f->writable, &fd);
    if (r == 0)
        r = sandbox_landlock_worker(fd);
    fd_close(fd);
    return MIN(r, 0); /* a kernel without Landlock: the layers' list tells */
}

int sandbox_fork_prepare(struct sandbox_fork *f, const struct sandbox_worker *w)
{
    uint64_t own = 0;
    int r = 0;

    *f = (struct sandbox_fork){
        .worker = *w, .rules_fd = -1, .landlock_abi = w->landlock ? sandbox_landlock_abi() : 0};
    if (w->landlock) {
        r = prepare_rules(f);
        if (r < 0)
            return r;
    }
    if (w->memory_bytes > 0) {
        r = data_of_this_process(&own);
        f->data_bytes = own + w->memory_bytes;
    }
    return r;
}

static int limit(int resource, uint64_t max)
{
    /* A process gets a signal of its own at its limit of CPU time, and is killed a second after. */
    const struct rlimit l = {.rlim_cur = max, .rlim_max = max + (resource == RLIMIT_CPU)};
    int r = os_fault(OS_CALL_RLIMIT);

    if (r < 0)
        return r;
    /* -EPERM: the daemon itself runs under a lower one, which then holds. */
    return setrlimit((__rlimit_resource_t)resource, &l) < 0 && errno != EPERM ? -errno : 0;
}

static int mount_own_tmp(const struct sandbox_worker *w, uint32_t uid)
{
    char options[128];
    int n = snprintf(options, sizeof(options), "mode=700,size=%llu,nr_inodes=%llu",
                     (unsigned long long)w->tmp_bytes, (unsigned long long)w->tmp_inodes);

    if (w->slot_uid)
        (void)snprintf(options + n, sizeof(options) - (size_t)n, ",uid=%u,gid=%u", uid, uid);
    return mount_new("tmpfs", "/tmp", MS_NOSUID | MS_NODEV, options);
}

/* ---- the steps ---- */

struct entering {
    const struct sandbox_fork *fork;
    uint32_t uid;
    uint32_t n_alive;
};

static int step_tmp(const struct entering *e)
{
    const struct sandbox_worker *w = &e->fork->worker;

    return w->namespaces & CLONE_NEWNS ? mount_own_tmp(w, e->uid) : 0;
}

static int step_user(const struct entering *e)
{
    return e->fork->worker.slot_uid ? cred_switch(e->uid, e->uid) : 0;
}

static int step_capabilities(const struct entering *e)
{
    return e->fork->worker.drop_capabilities ? cred_drop() : 0;
}

static int step_landlock(const struct entering *e)
{
    return e->fork->worker.landlock ? enter_rules(e->fork) : 0;
}

/* As the zygote's child it may not be looked into, not even by itself: /proc/self/environ,
 * /dev/stderr and the like would be closed to it. Where its user id or its domain keeps others
 * away, it may. */
static int step_itself(const struct entering *e)
{
    const struct sandbox_worker *w = &e->fork->worker;

    if (!w->slot_uid && e->fork->landlock_abi == 0)
        return 0;
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0 ? -errno : 0;
}

static int step_limits(const struct entering *e)
{
    const struct sandbox_worker *w = &e->fork->worker;
    int r = 0;

    if (w->processes > 0)
        r = limit(RLIMIT_NPROC, w->processes * (w->slot_uid ? 1 : MAX(e->n_alive, SHARERS_MIN)));
    if (r == 0 && e->fork->data_bytes > 0)
        r = limit(RLIMIT_DATA, e->fork->data_bytes);
    if (r == 0 && w->cpu_seconds > 0)
        r = limit(RLIMIT_CPU, w->cpu_seconds);
    return r;
}

int sandbox_worker_enter(const struct sandbox_fork *f, uint32_t slot, uint32_t n_alive,
                         const char **ret_step)
{
    static const struct {
        const char *name;
        int (*enter)(const struct entering *e);
    } steps[] = {
        {"mount its /tmp", step_tmp},
        {"become its user", step_user},
        {"drop its capabilities", step_capabilities},
        {"enter its Landlock domain", step_landlock},
        {"see itself", step_itself},
        {"set its limits", step_limits},
    };
    const struct entering e = {f, f->worker.slot_uid + slot, n_alive};

    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        int r = steps[i].enter(&e);

        *ret_step = steps[i].name;
        if (r < 0)
            return r;
    }
    return 0;
}
