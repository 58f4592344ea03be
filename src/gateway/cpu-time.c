/* RLIMIT_CPU counts whole seconds, and timers that a process has on its own CPU clock are its own
 * to stop. The kernel's CPU clock of another process is exact, costs one system call to read, and
 * runs at most as fast as there are CPUs: so the next look can wait until the limit could be
 * reached. The clock is that of the worker alone; each of its children has the limit to itself, by
 * RLIMIT_CPU, and what they have used is known when it has waited for them. */

#include "gateway/cpu-time.h"
#include "gateway/invocation.h"
#include "gateway/pool.h"
#include "gateway/worker.h"

#include <time.h>
#include <unistd.h>

#define LOOK_MIN_NS (5 * NS_PER_MS)

bool cpu_time_of(const struct worker *w, uint64_t *ret_us)
{
    struct timespec ts;
    clockid_t clock;

    if (!w->process.pid || clock_getcpuclockid(w->process.pid, &clock) != 0 ||
        clock_gettime(clock, &ts) < 0)
        return false;
    *ret_us = (uint64_t)ts.tv_sec * US_PER_S + (uint64_t)ts.tv_nsec / NS_PER_US;
    return true;
}

static void on_look(struct loop_timer *t)
{
    struct worker *w = container_of(t, struct worker, cpu_look);
    uint64_t limit_us = w->pool->function->limits.cpu_time_ms * 1000, used_us = 0;
    long n_cpus = sysconf(_SC_NPROCESSORS_ONLN);

    if (w->state != WORKER_BUSY)
        return;
    if (cpu_time_of(w, &used_us))
        used_us -= MIN(used_us, w->cpu_before_us);
    if (used_us >= limit_us)
        invocation_on_cpu_time(w->invocation, used_us / 1000);
    else
        (void)loop_timer_after(
            w->pool->gateway->loop, t,
            MAX((limit_us - used_us) * NS_PER_US / (uint64_t)MAX(n_cpus, 1), LOOK_MIN_NS), on_look);
}

void cpu_time_watch(struct worker *w)
{
    if (w->pool->function->limits.cpu_time_ms > 0)
        (void)loop_timer_after(w->pool->gateway->loop, &w->cpu_look, LOOK_MIN_NS, on_look);
}

void cpu_time_unwatch(struct worker *w)
{
    loop_timer_cancel(&w->cpu_look);
}
