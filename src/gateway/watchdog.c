/* One word a slot holds its deadline and, in the low bits, its state:
 *
 *   FREE --arm--> ARMED --due--> FIRING --killed--> FIRED --release--> FREE
 *    ^  \_disarm__/                 \--release--> LEFT --killed, pidfd closed--> FREE
 *
 * Why nothing else is ever killed. What the thread kills is named by a pidfd, and a pidfd names one
 * process for ever; the only danger is the *number* of the descriptor, which the loop closes and
 * the kernel gives out again. The thread reads the number only after it has moved the slot from
 * ARMED to FIRING by one compare-and-swap of the whole word. The swap fails if the slot has been
 * freed, or freed and armed again for another worker with another deadline; with the very same
 * deadline that other worker is due, too, and the number read is its own. From FIRING on the loop
 * does not touch the number: watchdog_release() finds FIRING, makes it LEFT and leaves the
 * descriptor to the thread, which closes it after the kill. The loop calls watchdog_release()
 * before it closes a pidfd, so at no time a number is closed that the thread may still use.
 *
 * Neither side ever waits for the other: each move is one swap that fails only because the other
 * side has moved on, in the direction drawn above.
 *
 * Why no deadline is slept over. The thread says that it listens to everybody (until = FOREVER),
 * looks at all slots, says until when it will sleep, and sleeps if nobody has rung since before it
 * looked. The loop writes a slot, then reads `until`. All of these are sequentially consistent: a
 * loop that has read what `until` was before the thread looked has written its slot before that
 * look, which sees it; any other compares with FOREVER or with what the look had found, and rings.
 */

#include "gateway/watchdog.h"

#include "base/clock.h"
#include "os/fd.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STACK_BYTES 65536ul
#define PAUSE_NS    (1 * NS_PER_MS) /* between two looks that nobody rang for */
#define TRIES_MAX   8               /* slots that are LEFT at the same time: one, as a rule none */

enum slot_state {
    SLOT_FREE,
    SLOT_ARMED,
    SLOT_FIRING, /* the thread is at it */
    SLOT_FIRED,  /* it was killed */
    SLOT_LEFT,   /* the thread is at it, and nobody else any more */
};
#define STATE_MASK 7ull

struct watch {
    _Atomic uint64_t word; /* deadline | state */
    int pidfd;             /* the loop's while FREE and ARMED, the thread's while FIRING and LEFT */
};

struct watchdog {
    _Atomic uint64_t until; /* the thread sleeps, at the longest */
    _Atomic uint32_t rings; /* a futex */
    _Atomic uint32_t n_used;
    _Atomic uint64_t n_kills, n_scans;
    uint32_t n_slots;
    uint32_t n_unused;
    uint32_t *unused; /* slots, a stack: the low ones are used again and again */
    struct watch *slots;
};

static enum slot_state state_of(uint64_t word)
{
    return (enum slot_state)(word & STATE_MASK);
}

static uint64_t word_of(uint64_t at_ns, enum slot_state state)
{
    return (at_ns & ~STATE_MASK) | state;
}

/* ---- the thread's side ---- */

static void kill_one(struct watchdog *d, struct watch *s, uint64_t firing)
{
    struct pidref process = {.fd = s->pidfd};
    uint64_t expected = firing;

    if (pidref_kill(&process, SIGKILL) == 0)
        atomic_fetch_add(&d->n_kills, 1);
    if (atomic_compare_exchange_strong(&s->word, &expected, word_of(firing, SLOT_FIRED)))
        return;
    fd_close(s->pidfd); /* LEFT */
    atomic_store(&s->word, SLOT_FREE);
}

uint64_t watchdog_scan(struct watchdog *d, uint64_t now_ns)
{
    uint64_t earliest = WATCHDOG_FOREVER;
    uint32_t n = atomic_load(&d->n_used);

    atomic_fetch_add(&d->n_scans, 1);
    for (uint32_t i = 0; i < n; i++) {
        struct watch *s = &d->slots[i];
        uint64_t word = atomic_load(&s->word), at_ns = word & ~STATE_MASK;

        if (state_of(word) != SLOT_ARMED)
            continue;
        if (at_ns > now_ns)
            earliest = MIN(earliest, at_ns);
        else if (atomic_compare_exchange_strong(&s->word, &word, word_of(at_ns, SLOT_FIRING)))
            kill_one(d, s, word_of(at_ns, SLOT_FIRING));
    }
    return earliest;
}

static void sleep_until(struct watchdog *d, uint32_t rings, uint64_t at_ns)
{
    struct timespec ts = {.tv_sec = (time_t)(at_ns / NS_PER_S),
                          .tv_nsec = (long)(at_ns % NS_PER_S)};

    (void)syscall(SYS_futex, &d->rings, FUTEX_WAIT_BITSET_PRIVATE, rings,
                  at_ns == WATCHDOG_FOREVER ? NULL : &ts, NULL, FUTEX_BITSET_MATCH_ANY);
}

static void *run(void *ctx)
{
    struct watchdog *d = ctx;

    for (;;) {
        uint32_t rings = atomic_load(&d->rings);
        uint64_t now, at_ns;

        atomic_store(&d->until, WATCHDOG_FOREVER);
        now = clock_now_ns();
        at_ns = watchdog_scan(d, now);
        at_ns = MAX(at_ns, now + PAUSE_NS); /* a ceiling on what this priority may take */
        atomic_store(&d->until, at_ns);
        sleep_until(d, rings, at_ns);
    }
    return NULL;
}

/* ---- the loop's side ---- */

int watchdog_new(uint32_t n_slots, struct watchdog **ret)
{
    struct watchdog *d = calloc(1, sizeof(*d));

    if (!d)
        return -ENOMEM;
    d->n_slots = d->n_unused = n_slots;
    d->unused = calloc(n_slots, sizeof(*d->unused));
    d->slots = calloc(n_slots, sizeof(*d->slots));
    if (!d->unused || !d->slots) {
        watchdog_free(d);
        return -ENOMEM;
    }
    atomic_store(&d->until, WATCHDOG_FOREVER);
    for (uint32_t i = 0; i < n_slots; i++)
        d->unused[i] = n_slots - 1 - i;
    *ret = d;
    return 0;
}

void watchdog_free(struct watchdog *d)
{
    if (!d)
        return;
    free(d->unused);
    free(d->slots);
    free(d);
}

int watchdog_start(struct watchdog *d, int *ret_refused)
{
    struct sched_param param = {.sched_priority = 1};
    pthread_attr_t attr;
    sigset_t all, before;
    pthread_t thread;
    int r;

    r = pthread_attr_init(&attr);
    if (r != 0)
        return -r;
    (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
    r = pthread_create(&thread, &attr, run, d);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attr);
    if (r != 0)
        return -r;
    r = pthread_setschedparam(thread, SCHED_FIFO | SCHED_RESET_ON_FORK, &param);
    if (r == 0)
        return 0;
    *ret_refused = r;
    return 1;
}

/* Returns a slot that is free for the thread, too, or WATCHDOG_NONE. */
static uint32_t take_slot(struct watchdog *d)
{
    for (uint32_t i = d->n_unused; i-- > 0 && d->n_unused - i <= TRIES_MAX;) {
        uint32_t slot = d->unused[i];

        if (atomic_load(&d->slots[slot].word) != SLOT_FREE)
            continue;
        d->unused[i] = d->unused[--d->n_unused];
        if (slot >= atomic_load(&d->n_used))
            atomic_store(&d->n_used, slot + 1);
        return slot;
    }
    return WATCHDOG_NONE;
}

static void ring(struct watchdog *d)
{
    atomic_fetch_add(&d->rings, 1);
    (void)syscall(SYS_futex, &d->rings, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

int watchdog_arm(struct watchdog *d, uint32_t *slot, int pidfd, uint64_t at_ns)
{
    uint64_t word;
    struct watch *s;

    if (*slot == WATCHDOG_NONE)
        *slot = take_slot(d);
    if (*slot == WATCHDOG_NONE)
        return -ENOBUFS;
    at_ns = (at_ns + STATE_MASK) & ~STATE_MASK; /* never before its time */
    watchdog_disarm(d, *slot);
    s = &d->slots[*slot];
    word = atomic_load(&s->word);
    if (state_of(word) != SLOT_FREE)
        return -EBUSY;
    s->pidfd = pidfd;
    atomic_store(&s->word, word_of(at_ns, SLOT_ARMED));
    if (at_ns < atomic_load(&d->until))
        ring(d);
    return 0;
}

void watchdog_disarm(struct watchdog *d, uint32_t slot)
{
    uint64_t word;

    if (slot == WATCHDOG_NONE)
        return;
    word = atomic_load(&d->slots[slot].word);
    if (state_of(word) == SLOT_ARMED)
        (void)atomic_compare_exchange_strong(&d->slots[slot].word, &word, SLOT_FREE);
}

bool watchdog_fired(const struct watchdog *d, uint32_t slot)
{
    enum slot_state state;

    if (slot == WATCHDOG_NONE)
        return false;
    state = state_of(atomic_load(&d->slots[slot].word));
    return state == SLOT_FIRING || state == SLOT_FIRED;
}

void watchdog_release(struct watchdog *d, uint32_t *slot, int *pidfd)
{
    struct watch *s;
    uint64_t word;

    if (*slot == WATCHDOG_NONE)
        return;
    watchdog_disarm(d, *slot);
    s = &d->slots[*slot];
    word = atomic_load(&s->word);
    if (state_of(word) == SLOT_FIRING &&
        atomic_compare_exchange_strong(&s->word, &word, word_of(word, SLOT_LEFT)))
        *pidfd = -1;
    else
        atomic_store(&s->word, SLOT_FREE);
    d->unused[d->n_unused++] = *slot;
    *slot = WATCHDOG_NONE;
}

uint64_t watchdog_n_kills(const struct watchdog *d)
{
    return atomic_load(&d->n_kills);
}

uint64_t watchdog_n_scans(const struct watchdog *d)
{
    return atomic_load(&d->n_scans);
}
