/* Control groups of versions: made with the zygote, given back when it is gone.
 *
 * Removing a group may have to wait: what was in it is dying. Then it waits here with a timer,
 * without the zygote, which is freed at once. */

#include "base/log.h"
#include "os/fd.h"
#include "os/proc.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define MEMORY_SHARE        4            /* quarters of the machine's memory: three of them */
#define ZYGOTE_MEMORY_MIN   (1024 * MIB) /* for what is loaded, and shared by all workers */
#define PROCESSES_OVERHEAD  64           /* the zygote, its init, what they start */
#define PROCESSES_MAX       16384
#define SLOTS_AT_FIRST      8
#define REMOVE_AGAIN_NS     (5 * NS_PER_MS)
#define REMOVE_AGAIN_NS_MAX NS_PER_S
#define SWEEP_AGAIN_NS      (100 * NS_PER_MS)
#define SWEEPS_MAX          50
#define LIFT_NS_MAX         (100 * NS_PER_MS)

/* A group without its zygote. */
struct leftover {
    struct list link;
    struct supervisor *supervisor;
    struct cgroup group;
    struct loop_timer again;
    uint64_t delay_ns;
};

/* A worker that was told to die while its version had a quota of CPU time. */
struct dying {
    struct list link; /* of the zygote */
    struct zygote *zygote;
    struct pidref worker;
    struct loop_io exit_io;
};

/* ---- the daemon's place ---- */

static void on_sweep(struct loop_timer *t)
{
    struct supervisor *s = container_of(t, struct supervisor, sweep);
    unsigned left = cgroups_sweep(&s->cgroups);

    if (left > 0 && ++s->n_sweeps < SWEEPS_MAX)
        (void)loop_timer_after(s->loop, t, SWEEP_AGAIN_NS, on_sweep);
    else if (left > 0)
        log_warning("cgroup.sweep", "groups=%u of a daemon that is gone cannot be removed", left);
}

void groups_open(struct supervisor *s)
{
    struct buf text = BUF_INIT(1024);

    cgroups_open(cgroups_wanted(), &s->cgroups);
    (void)cgroups_print(&s->cgroups, &text);
    if (s->cgroups.parts & 1u << CGROUP_MEMORY)
        log_debug("cgroup", "%s", buf_cstr(&text));
    else
        log_warning("cgroup.missing",
                    "memory of functions is limited by rlimits alone; control groups: %s",
                    buf_cstr(&text));
    buf_deinit(&text);
    on_sweep(&s->sweep);
}

void groups_close(struct supervisor *s)
{
    loop_timer_cancel(&s->sweep);
    while (!list_is_empty(&s->leftovers)) {
        struct leftover *l = list_entry(s->leftovers.next, struct leftover, link);

        list_remove(&l->link);
        loop_timer_cancel(&l->again);
        free(l);
    }
    cgroups_close(&s->cgroups); /* with what is left in it */
}

/* ---- a version's ---- */

static uint64_t product(uint64_t a, uint64_t b)
{
    uint64_t p;

    return __builtin_mul_overflow(a, b, &p) ? UINT64_MAX : p;
}

static uint64_t sum(uint64_t a, uint64_t b)
{
    uint64_t s;

    return __builtin_add_overflow(a, b, &s) ? UINT64_MAX : s;
}

/* Workers have limits of their own; these are what all of them may take together, so that one
 * function cannot take the machine. */
static struct cgroup_limits limits_of(const struct limits *l)
{
    uint64_t zygote = MAX(2 * l->memory_bytes, ZYGOTE_MEMORY_MIN), machine;
    struct cgroup_limits limits = {
        .memory_bytes = sum(zygote, product(l->concurrency, l->memory_bytes)),
        .processes =
            MIN(sum(PROCESSES_OVERHEAD, product(l->concurrency, l->processes)), PROCESSES_MAX),
        .cpu_milli = l->cpu_milli,
    };

    if (proc_memory_total(&machine) == 0)
        limits.memory_bytes = MIN(limits.memory_bytes, machine / MEMORY_SHARE * (MEMORY_SHARE - 1));
    return limits;
}

int group_make(struct zygote *z, const struct function *f, uid_t zygote_uid)
{
    const struct cgroup_limits limits = limits_of(&f->limits);
    int r = cgroup_new(&z->supervisor->cgroups, z->id, &limits, &z->group);

    if (r < 0)
        return r;
    z->cpu_milli = f->limits.cpu_milli;
    z->memory_bytes = f->limits.memory_bytes;
    z->slots_max = (unsigned)MIN(f->limits.concurrency, CGROUP_SLOTS_MAX);
    z->uid = zygote_uid;
    return 0;
}

int group_send_slots(struct zygote *z)
{
    struct wire_message m = {.type = WIRE_CGROUP, .n_fds = 1};
    int r;

    if (z->uid == geteuid())
        return 0; /* whose user id is ours could set its own limits with them */
    r = cgroup_slots_grow(&z->group, MIN(SLOTS_AT_FIRST, z->slots_max), z->memory_bytes, z->uid);
    if (r == -EOPNOTSUPP)
        return 0; /* workers stay in the version's group, or in none */
    if (r == 0)
        r = m.fds[0] = cgroup_slots_open(&z->group);
    if (r < 0) {
        log_warning("cgroup.slots", "function=%s error=%s", z->function, strerrordesc_np(-r));
        return r;
    }
    m.cgroup.v2 = z->supervisor->cgroups.backend == CGROUP_V2;
    m.cgroup.slots = z->group.n_slots;
    return wire_send(&z->wire, &m);
}

void group_more_slots(struct zygote *z, uint32_t n)
{
    struct wire_message m = {.type = WIRE_SLOTS};
    int r;

    if (z->group.n_slots == 0)
        return; /* it was never given any */
    r = cgroup_slots_grow(&z->group, MIN(n, z->slots_max), z->memory_bytes, z->uid);
    if (r < 0)
        log_warning("cgroup.slots", "function=%s error=%s", z->function, strerrordesc_np(-r));
    m.slots.slots = z->group.n_slots;
    (void)wire_send(&z->wire, &m);
}

/* ---- its end ---- */

static void forget(struct dying *d)
{
    list_remove(&d->link);
    loop_io_remove(&d->exit_io);
    pidref_done(&d->worker);
    free(d);
}

static void leftover_try(struct leftover *l)
{
    int r = cgroup_remove(&l->group);

    if (r == 0) {
        list_remove(&l->link);
        loop_timer_cancel(&l->again);
        free(l);
        return;
    }
    if (r != -EAGAIN)
        l->delay_ns = MIN(2 * l->delay_ns, REMOVE_AGAIN_NS_MAX);
    (void)cgroup_kill(&l->group); /* without namespaces somebody may have stayed behind */
    (void)loop_timer_after(l->supervisor->loop, &l->again, r == -EAGAIN ? 0 : l->delay_ns,
                           l->again.on_due);
}

static void on_again(struct loop_timer *t)
{
    leftover_try(container_of(t, struct leftover, again));
}

void group_bury(struct zygote *z)
{
    struct leftover *l;

    while (!list_is_empty(&z->dying))
        forget(list_entry(z->dying.next, struct dying, link));
    loop_timer_cancel(&z->lift);
    if (!z->group.host)
        return;
    l = calloc(1, sizeof(*l));
    if (!l)
        return; /* removed when the daemon ends */
    l->supervisor = z->supervisor;
    l->group = z->group;
    l->delay_ns = REMOVE_AGAIN_NS / 2;
    l->again.on_due = on_again;
    z->group = CGROUP_NULL;
    list_add_last(&z->supervisor->leftovers, &l->link);
    leftover_try(l);
}

/* ---- killing ---- */

static void restore(struct zygote *z)
{
    loop_timer_cancel(&z->lift);
    if (z->state != ZYGOTE_ENDING)
        (void)cgroup_set_cpu(&z->group, z->cpu_milli);
}

static void on_dead(struct loop_io *io)
{
    struct dying *d = container_of(io, struct dying, exit_io);
    struct zygote *z = d->zygote;

    forget(d);
    if (list_is_empty(&z->dying))
        restore(z);
}

static void on_lifted_enough(struct loop_timer *t)
{
    struct zygote *z = container_of(t, struct zygote, lift);

    while (!list_is_empty(&z->dying))
        forget(list_entry(z->dying.next, struct dying, link));
    restore(z);
}

void group_lift(struct zygote *z, const struct pidref *worker)
{
    struct loop *loop = z->supervisor->loop;
    struct dying *d;

    if (z->cpu_milli == 0 || cgroup_set_cpu(&z->group, 0) < 0)
        return;
    if (!worker)
        return; /* all of it ends */
    d = calloc(1, sizeof(*d));
    if (d) {
        d->zygote = z;
        d->worker.pid = worker->pid;
        d->worker.fd = fcntl(worker->fd, F_DUPFD_CLOEXEC, 3);
        loop_io_init(&d->exit_io);
        list_add_last(&z->dying, &d->link);
        if (d->worker.fd < 0 || loop_io_add(loop, &d->exit_io, d->worker.fd, EPOLLIN, on_dead) < 0)
            forget(d);
    }
    if (!loop_timer_is_armed(&z->lift))
        (void)loop_timer_after(loop, &z->lift, LIFT_NS_MAX, on_lifted_enough);
}
