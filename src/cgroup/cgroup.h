#pragma once

/* Control groups: what a version's processes may use together, what each of its workers may use,
 * and the end of all of them at once. One interface over what the machine has:
 *
 *   v2     one hierarchy, where it is delegated to us
 *   v1     a hierarchy a controller; often beside an empty v2, which then ends and freezes groups
 *   none   not mounted, read-only, or another's: every call below does nothing and says so
 *
 * In each hierarchy that we may write, below the group that we were started in:
 *
 *   mayfly-PID-NONCE/   the daemon's, locked (flock) as long as it lives
 *     daemon/           supervisor, gateway, control: a larger share of a busy CPU
 *     f1/               a version: its init, its zygote, workers without a slot
 *       zygote/         (v2 only, where a group with limited children may hold no process)
 *       s0/ s1/ ...     slots: one worker each, with what it started and its /tmp
 *
 * A daemon that is killed cannot remove its groups. The next one that starts in the same place
 * sweeps what nobody holds locked.
 *
 * Context: the supervisor, single-threaded, if nothing else is said. Never blocks for long: a group
 * is a few files of the kernel's. */

#include "base/buf.h"
#include "os/pidref.h"

#include <sys/types.h>

/* What can be had. Bits, as 1u << CGROUP_MEMORY. */
enum cgroup_part {
    CGROUP_CPU,     /* quota and weight */
    CGROUP_CPUACCT, /* how much CPU time was used */
    CGROUP_MEMORY,
    CGROUP_PIDS,
    CGROUP_UNIFIED, /* a v2 group: killed and frozen as one; network programs may be bound to it */
    _CGROUP_PART_MAX,
};

enum cgroup_backend {
    CGROUP_NONE,
    CGROUP_V1, /* with a v2 group beside it, where there is one */
    CGROUP_V2,
    _CGROUP_BACKEND_MAX,
};

#define CGROUP_NAME_MAX 32

/* Our group in one hierarchy. */
struct cgroup_tree {
    bool v2;
    unsigned parts;   /* bits: what this hierarchy gives */
    unsigned enabled; /* v2: the controllers that we passed on to our group, to be taken back */
    int own_fd;       /* the group that we were started in */
    int base_fd;      /* mayfly-PID-NONCE in it */
    bool in_leaf;     /* the daemon was moved to daemon/ */
};

struct cgroups {
    enum cgroup_backend backend;
    unsigned parts; /* of all trees together */
    char name[CGROUP_NAME_MAX];
    struct cgroup_tree trees[_CGROUP_PART_MAX];
    unsigned n_trees;
};

/* 0 is no limit. */
struct cgroup_limits {
    uint64_t memory_bytes;
    uint64_t processes;  /* threads included */
    uint64_t cpu_milli;  /* thousandths of a CPU */
    uint64_t cpu_weight; /* 1 to 10000 against other groups; 100 and 0 are ordinary */
};

/* 0 also where the hierarchy does not tell. */
struct cgroup_usage {
    uint64_t memory_bytes;
    uint64_t memory_peak_bytes;
    uint64_t oom_kills; /* v1: without those in slots */
    uint64_t cpu_us;
    uint64_t processes;
    uint64_t processes_refused; /* how often a fork met the limit */
};

/* A version's group. Plain data: the kernel knows it by its name. */
struct cgroup {
    struct cgroups *host; /* borrowed; NULL is no group */
    char name[CGROUP_NAME_MAX];
    unsigned n_slots;
    bool has_leaf; /* processes go into zygote/ */
};

#define CGROUP_NULL ((struct cgroup){.host = NULL})

/* ---- the daemon's place (host.c) ---- */

/* Finds out what may be used, makes our group there, and moves the calling process to daemon/. What
 * is not there is no failure: ret->parts says what is. `backends` are bits (1u << CGROUP_V1) of
 * what may be used. */
void cgroups_open(unsigned backends, struct cgroups *ret);

/* All back-ends, or what MAYFLY_CGROUPS=none, v1 or v2 asks for. */
unsigned cgroups_wanted(void);

/* Moves us back and removes our group with what is left in it. May be called twice. */
void cgroups_close(struct cgroups *h);

/* Ends and removes groups that daemons left behind. Returns how many could not be removed yet:
 * what is in them is still dying, so try again later. */
unsigned cgroups_sweep(const struct cgroups *h);

const char *cgroup_backend_name(enum cgroup_backend backend);

/* "v1: memory, processes, CPU; v2: kill and freeze", or why there is nothing. */
int cgroups_print(const struct cgroups *h, struct buf *b);

/* What cgroups_open() would find, without moving anybody: for `doctor`. */
void cgroups_probe(unsigned backends, struct cgroups *ret);

/* ---- a version's group (group.c) ---- */

/* Makes the group `f<number>` with its limits. Where there are no cgroups *ret is a group that does
 * nothing. Returns 0, or -errno with nothing left behind. */
int cgroup_new(struct cgroups *h, uint64_t number, const struct cgroup_limits *limits,
               struct cgroup *ret);

/* Removes slots and group, some at a time. Returns 0 when nothing is left, -EAGAIN to be called
 * again at once, -EBUSY while processes are in it, or -errno. */
int cgroup_remove(struct cgroup *g);

/* The way into a group for a process to be cloned: opened before; into a v2 group it is born, into
 * those of v1 it goes by itself, behind any namespace (the kernel judges by who opened). */
struct cgroup_door {
    int birth_fd; /* the v2 group's folder, or -1 */
    bool late;    /* the kernel, or who filters its calls, does not let it be born there */
    int fds[_CGROUP_PART_MAX];
    unsigned n;
};

#define CGROUP_DOOR_NULL ((struct cgroup_door){.birth_fd = -1})

int cgroup_door_open(const struct cgroup *g, struct cgroup_door *ret);

/* As os_clone(). */
int cgroup_door_clone(struct cgroup_door *door, uint64_t flags, struct pidref *ret);

/* Context: the child, single-threaded; async-signal-safe. Returns 0 or -errno. */
int cgroup_door_enter(const struct cgroup_door *door);
void cgroup_door_close(struct cgroup_door *door); /* may be called twice */

/* What is there of the usage. */
void cgroup_read(const struct cgroup *g, struct cgroup_usage *ret);

/* Each returns 0, -EOPNOTSUPP where there is no such thing, or -errno. A quota of 0 is none; a
 * quota above one that holds further up counts as none. */
int cgroup_set_cpu(const struct cgroup *g, uint64_t cpu_milli);
int cgroup_freeze(const struct cgroup *g, bool frozen);
int cgroup_kill(const struct cgroup *g);

/* Opens the v2 group for binding programs to it. Returns the descriptor or -EOPNOTSUPP, -errno. */
int cgroup_open_unified(const struct cgroup *g);

/* ---- slots: made by the supervisor, joined by workers ---- */

#define CGROUP_SLOTS_MAX 1024

/* Makes slots until there are `n` (at most CGROUP_SLOTS_MAX), each with the memory limit, which
 * `owner`, and nobody else but root, may join. Returns 0, -EOPNOTSUPP or -errno; g->n_slots says
 * how many there are. */
int cgroup_slots_grow(struct cgroup *g, unsigned n, uint64_t memory_bytes, uid_t owner);

/* A descriptor for cgroup_slot_join() and its like: a mount of its own of the version's group, so
 * that no ".." leads from it into the host's files. Needs CAP_SYS_ADMIN. Returns it or -errno. */
int cgroup_slots_open(const struct cgroup *g);

/* ---- slots as the zygote and its workers see them (slot.c) ---- */

struct cgroup_slot_report {
    bool out_of_memory;  /* the kernel ended a process in it */
    uint64_t peak_bytes; /* then, the most that was charged at once, cached files included */
};

/* Puts the calling thread into the slot. Returns 0 or -errno.
 * Context: a process with one thread, the owner's uid; async-signal-safe. */
int cgroup_slot_join(int slots_fd, bool v2, unsigned slot);

/* What became of the worker that was in it. *seen is the caller's memory of the slot's count of
 * kills, 0 at first. Returns 0 or -errno.
 * Context: the zygote, when nobody is in the slot any more; async-signal-safe. */
int cgroup_slot_end(int slots_fd, bool v2, unsigned slot, uint64_t *seen,
                    struct cgroup_slot_report *ret);
