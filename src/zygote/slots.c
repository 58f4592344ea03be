/* Memory slots: the groups of single workers that the supervisor made for this zygote. */

#include "cgroup/cgroup.h"
#include "os/fd.h"
#include "zygote/zygote-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define GROW_MAX   64 /* slots asked for at once: the supervisor makes them while others wait */
#define OOM_WORKER "1000"
#define OOM_LEN    4

int zygote_fd_place(int fd_consume, int number)
{
    if (fd_consume == number)
        return 0;
    if (dup3(fd_consume, number, O_CLOEXEC) < 0) {
        int r = -errno;

        fd_close(fd_consume);
        return r;
    }
    fd_close(fd_consume);
    return 0;
}

/* The file comes open into a sandbox; without one, /proc is the host's. */
void slots_init(struct worker_slots *s)
{
    ssize_t n = pread(ZYGOTE_FD_OOM, s->oom_score, sizeof(s->oom_score), 0);

    if (n < 0) {
        int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);

        n = fd < 0 ? -1 : read(fd, s->oom_score, sizeof(s->oom_score));
        if (fd >= 0 && zygote_fd_place(fd, ZYGOTE_FD_OOM) < 0)
            n = -1;
    }
    s->oom_len = n > 0 && fd_set_cloexec(ZYGOTE_FD_OOM, true) == 0 ? (size_t)n : 0;
}

int slots_take(struct worker_slots *s, struct wire_message *m)
{
    int r = zygote_fd_place(take_fd(&m->fds[0]), ZYGOTE_FD_SLOTS);

    if (r == 0) {
        s->v2 = m->cgroup.v2 != 0;
        s->n = s->asked = MIN(m->cgroup.slots, CGROUP_SLOTS_MAX);
    }
    return r;
}

void slots_grown(struct worker_slots *s, uint32_t n)
{
    s->n = MIN(n, CGROUP_SLOTS_MAX);
}

bool slots_has(const struct worker_slots *s, uint32_t slot)
{
    return slot < s->n;
}

uint32_t slots_wanted(struct worker_slots *s, uint32_t slot)
{
    /* Asked once: fewer than that means that there are no more to be had. */
    if (s->n == 0 || s->n < s->asked || s->n == CGROUP_SLOTS_MAX || slot + 1 < s->n)
        return 0;
    s->asked = MIN(s->n + MIN(s->n, GROW_MAX), CGROUP_SLOTS_MAX);
    return s->asked;
}

int slots_join(const struct inheritance *in)
{
    return in->has_slot ? cgroup_slot_join(ZYGOTE_FD_SLOTS, in->slots_v2, in->slot) : -ENOENT;
}

bool slots_end(struct worker_slots *s, uint32_t slot, uint64_t *ret_peak_bytes)
{
    struct cgroup_slot_report report;

    if (!slots_has(s, slot) ||
        cgroup_slot_end(ZYGOTE_FD_SLOTS, s->v2, slot, &s->oom_kills[slot], &report) < 0)
        return false;
    *ret_peak_bytes = report.peak_bytes;
    return report.out_of_memory;
}

/* A fork inherits the score, so the zygote wears its workers' for that moment: a worker that raised
 * its own would pay for a walk through /proc. */
void slots_fork_begin(const struct worker_slots *s)
{
    if (s->oom_len > 0)
        (void)!pwrite(ZYGOTE_FD_OOM, OOM_WORKER, OOM_LEN, 0);
}

void slots_fork_end(const struct worker_slots *s)
{
    if (s->oom_len > 0)
        (void)!pwrite(ZYGOTE_FD_OOM, s->oom_score, s->oom_len, 0);
}
