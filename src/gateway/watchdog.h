#pragma once

/* Deadlines that hold while every CPU is busy: a thread of real-time priority that kills the
 * workers which the event loop did not come to kill in time. It does nothing else: it sleeps until
 * the earliest deadline it knows, sends SIGKILL by pidfd, and sleeps on. It allocates nothing,
 * takes no lock, calls nothing of the gateway's.
 *
 * The loop tells it by writing into an array that both see: no system call for a request, save the
 * one that wakes the thread when a deadline is earlier than all that it sleeps for. A gateway that
 * has nothing to do has a thread that sleeps without an end.
 *
 * Context: all functions are for the one thread of the event loop; watchdog_scan() is the thread's.
 */

#include "os/pidref.h"

#define WATCHDOG_NONE    UINT32_MAX /* no slot */
#define WATCHDOG_FOREVER UINT64_MAX

struct watchdog;

/* Makes one for n_slots workers, without its thread. Lives as long as the process, unless freed
 * before watchdog_start(). Returns 0 or -ENOMEM. */
int watchdog_new(uint32_t n_slots, struct watchdog **ret);
void watchdog_free(struct watchdog *d); /* NULL is nothing */

/* Starts the thread. Returns 0, -errno, or 1: it runs, but with no better priority than others
 * have, because the system refuses (*ret_refused is that errno). */
int watchdog_start(struct watchdog *d, int *ret_refused);

/* The process is to be killed at at_ns (CLOCK_MONOTONIC) unless disarmed. The pidfd is borrowed
 * until watchdog_release(). *slot is WATCHDOG_NONE at first and then kept by the caller; arming one
 * that is armed moves it. Returns 0, -EBUSY if the process is being killed already, or -ENOBUFS:
 * more processes than slots, nobody watches. */
int watchdog_arm(struct watchdog *d, uint32_t *slot, int pidfd, uint64_t at_ns);

/* Keeps the slot, but nothing will be killed any more, unless it has been already. */
void watchdog_disarm(struct watchdog *d, uint32_t slot);

/* Whether the process has been killed, or is at this moment. */
bool watchdog_fired(const struct watchdog *d, uint32_t slot);

/* Gives the slot back. If the thread is at this process right now, it takes the pidfd over and
 * closes it: *pidfd is -1 then, else untouched. */
void watchdog_release(struct watchdog *d, uint32_t *slot, int *pidfd);

/* How many have been killed so far. */
uint64_t watchdog_n_kills(const struct watchdog *d);

/* How often the thread has looked: an idle gateway's does not. */
uint64_t watchdog_n_scans(const struct watchdog *d);

/* Kills what is due and returns when to look again, or WATCHDOG_FOREVER. For the thread and for
 * tests, which have a time of their own. */
uint64_t watchdog_scan(struct watchdog *d, uint64_t now_ns);
