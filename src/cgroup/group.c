/* A version's group, as one directory in each hierarchy. It is named, not held open: four thousand
 * versions would be twenty thousand descriptors. */

#include "cgroup/internal.h"

#include "os/clone.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LEAF             "zygote"
#define REMOVE_AT_ONCE   32
#define WEIGHT_ORDINARY  100
#define V1_SHARES        1024   /* an ordinary group's in v1, whose weights are called shares */
#define CPU_PERIOD_US    20000  /* short, so that a quota that is used up is a short wait, */
#define CPU_PERIOD_US_V  100000 /* but a quota is at least a millisecond */
#define CPU_SMALL_MILLI  50
#define CPU_LIFTED_MILLI (1024 * 1000)

/* ---- files and their texts ---- */

static const struct {
    const char *v1, *v2;
} item_files[_CGROUP_ITEM_MAX] = {
    [CGROUP_ITEM_MEMORY_MAX] = {"memory.limit_in_bytes", "memory.max"},
    [CGROUP_ITEM_SWAP_MAX] = {"memory.memsw.limit_in_bytes", "memory.swap.max"},
    [CGROUP_ITEM_PROCESSES_MAX] = {"pids.max", "pids.max"},
    [CGROUP_ITEM_CPU_MAX] = {"cpu.cfs_quota_us", "cpu.max"},
    [CGROUP_ITEM_CPU_PERIOD] = {"cpu.cfs_period_us", NULL},
    [CGROUP_ITEM_CPU_WEIGHT] = {"cpu.shares", "cpu.weight"},
};

static uint64_t period_us(uint64_t cpu_milli)
{
    return cpu_milli < CPU_SMALL_MILLI ? CPU_PERIOD_US_V : CPU_PERIOD_US;
}

static uint64_t weight_text_value(bool v2, uint64_t weight)
{
    weight = weight ? weight : WEIGHT_ORDINARY;
    return v2 ? weight : MAX(weight * V1_SHARES / WEIGHT_ORDINARY, 2);
}

const char *cgroup_item_text(enum cgroup_item item, bool v2, uint64_t value, char text[static 64])
{
    unsigned long long quota = value * period_us(value) / 1000, period = period_us(value);
    int n;

    if (item == CGROUP_ITEM_CPU_MAX && v2)
        n = value ? snprintf(text, 64, "%llu %llu", quota, period)
                  : snprintf(text, 64, "max %llu", period);
    else if (item == CGROUP_ITEM_CPU_MAX)
        n = value ? snprintf(text, 64, "%llu", quota) : snprintf(text, 64, "-1");
    else if (item == CGROUP_ITEM_CPU_PERIOD)
        n = snprintf(text, 64, "%llu", period);
    else if (item == CGROUP_ITEM_CPU_WEIGHT)
        n = snprintf(text, 64, "%llu", (unsigned long long)weight_text_value(v2, value));
    else if (item == CGROUP_ITEM_SWAP_MAX && v2)
        n = snprintf(text, 64, "0"); /* what lies in swap counts extra there */
    else
        n = snprintf(text, 64, "%llu", (unsigned long long)value);
    assert(n > 0 && n < 64);
    return v2 ? item_files[item].v2 : item_files[item].v1;
}

static int set(const struct cgroup_tree *t, const char *dir, enum cgroup_item item, uint64_t value)
{
    char text[64], path[2 * CGROUP_PATH_MAX];
    const char *file = cgroup_item_text(item, t->v2, value, text);

    if (!file)
        return 0;
    (void)snprintf(path, sizeof(path), "%s/%s", dir, file);
    return cgroup_file_write(t->base_fd, path, text);
}

int cgroup_set_weight(const struct cgroup_tree *t, const char *dir, uint64_t weight)
{
    return set(t, dir, CGROUP_ITEM_CPU_WEIGHT, weight);
}

static int set_memory(const struct cgroup_tree *t, const char *dir, uint64_t bytes)
{
    int r = set(t, dir, CGROUP_ITEM_MEMORY_MAX, bytes);

    if (r == 0)
        r = set(t, dir, CGROUP_ITEM_SWAP_MAX, bytes);
    return r == -ENOENT ? 0 : r; /* a kernel without swap has no such file */
}

static const struct cgroup_tree *tree_of(const struct cgroup *g, enum cgroup_part part)
{
    return cgroups_tree(g->host, part);
}

/* ---- life ---- */

/* A v2 group with slots holds no process itself. */
static int make_leaf(const struct cgroup_tree *t, struct cgroup *g)
{
    char path[CGROUP_PATH_MAX];
    int r;

    (void)snprintf(path, sizeof(path), "%s/cgroup.subtree_control", g->name);
    r = cgroup_file_write(t->base_fd, path, "+memory");
    if (r < 0)
        return r;
    (void)snprintf(path, sizeof(path), "%s/" LEAF, g->name);
    r = cgroup_file_mkdir(t->base_fd, path);
    g->has_leaf = r == 0;
    return r;
}

static int apply(const struct cgroup *g, const struct cgroup_limits *l)
{
    const struct cgroup_tree *memory = tree_of(g, CGROUP_MEMORY), *pids = tree_of(g, CGROUP_PIDS),
                             *cpu = tree_of(g, CGROUP_CPU);
    int r = 0;

    if (memory && l->memory_bytes)
        r = set_memory(memory, g->name, l->memory_bytes);
    if (r == 0 && pids && l->processes)
        r = set(pids, g->name, CGROUP_ITEM_PROCESSES_MAX, l->processes);
    if (r == 0 && cpu)
        r = cgroup_set_weight(cpu, g->name, l->cpu_weight);
    if (r == 0 && cpu && l->cpu_milli)
        r = cgroup_set_cpu(g, l->cpu_milli);
    return r;
}

int cgroup_new(struct cgroups *h, uint64_t number, const struct cgroup_limits *limits,
               struct cgroup *ret)
{
    struct cgroup g = {.host = h};
    const struct cgroup_tree *memory = cgroups_tree(h, CGROUP_MEMORY);
    int r = 0;

    (void)snprintf(g.name, sizeof(g.name), "f%llu", (unsigned long long)number);
    for (unsigned i = 0; i < h->n_trees && r == 0; i++)
        r = cgroup_file_mkdir(h->trees[i].base_fd, g.name);
    if (r == 0 && memory && memory->v2)
        r = make_leaf(memory, &g);
    if (r == 0)
        r = apply(&g, limits);
    if (r < 0) {
        (void)cgroup_remove(&g);
        return r;
    }
    *ret = g;
    return 0;
}

static int remove_at(const struct cgroup_tree *t, const char *path)
{
    int r = cgroup_file_rmdir(t->base_fd, path);

    return r == -ENOENT ? 0 : r;
}

int cgroup_remove(struct cgroup *g)
{
    const struct cgroup_tree *memory = tree_of(g, CGROUP_MEMORY);
    char path[CGROUP_PATH_MAX];
    int r = 0;

    for (unsigned i = 0; memory && g->n_slots > 0; i++) {
        if (i == REMOVE_AT_ONCE)
            return -EAGAIN;
        (void)snprintf(path, sizeof(path), "%s/s%u", g->name, g->n_slots - 1);
        r = remove_at(memory, path);
        if (r < 0)
            return r;
        g->n_slots--;
    }
    if (g->has_leaf) {
        (void)snprintf(path, sizeof(path), "%s/" LEAF, g->name);
        r = remove_at(memory, path);
        if (r < 0)
            return r;
        g->has_leaf = false;
    }
    for (unsigned i = 0; g->host && i < g->host->n_trees; i++) {
        int removed = remove_at(&g->host->trees[i], g->name);

        r = r < 0 ? r : removed;
    }
    if (r == 0)
        g->host = NULL;
    return r;
}

/* ---- the way in ---- */

int cgroup_door_open(const struct cgroup *g, struct cgroup_door *ret)
{
    struct cgroup_door door = CGROUP_DOOR_NULL;
    char path[CGROUP_PATH_MAX];

    for (unsigned i = 0; g->host && i < g->host->n_trees; i++) {
        const struct cgroup_tree *t = &g->host->trees[i];
        bool leaf = g->has_leaf && t == tree_of(g, CGROUP_MEMORY);
        int fd;

        (void)snprintf(path, sizeof(path), "%s%s%s", g->name, leaf ? "/" LEAF : "",
                       t->v2 ? "" : "/tasks");
        fd = openat(t->base_fd, path, (t->v2 ? O_RDONLY | O_DIRECTORY : O_WRONLY) | O_CLOEXEC);
        if (fd < 0) {
            int r = -errno;

            cgroup_door_close(&door);
            return r;
        }
        if (t->v2)
            door.birth_fd = fd;
        else
            door.fds[door.n++] = fd;
    }
    *ret = door;
    return 0;
}

int cgroup_door_clone(struct cgroup_door *door, uint64_t flags, struct pidref *ret)
{
    int r;

    if (door->birth_fd < 0)
        return os_clone(flags, ret);
    r = os_clone_into(flags, door->birth_fd, ret);
    if (r != -ENOSYS && r != -EPERM)
        return r;
    door->late = true; /* a container's filter that knows no clone3() */
    return os_clone(flags, ret);
}

int cgroup_door_enter(const struct cgroup_door *door)
{
    int r = door->late ? cgroup_file_write(door->birth_fd, "cgroup.procs", "0") : 0;

    if (r < 0)
        return r;
    for (unsigned i = 0; i < door->n; i++) {
        if (write(door->fds[i], "0", 1) < 0)
            return -errno;
    }
    return 0;
}

void cgroup_door_close(struct cgroup_door *door)
{
    for (unsigned i = 0; i < door->n; i++)
        fd_close(door->fds[i]);
    door->n = 0;
    door->birth_fd = fd_close(door->birth_fd);
}

/* ---- reading and steering ---- */

static uint64_t get(const struct cgroup *g, enum cgroup_part part, const char *v1, const char *v2,
                    const char *key)
{
    const struct cgroup_tree *t = tree_of(g, part);
    char text[CGROUP_TEXT_MAX], path[CGROUP_PATH_MAX];

    if (!t)
        return 0;
    (void)snprintf(path, sizeof(path), "%s/%s", g->name, t->v2 ? v2 : v1);
    return cgroup_file_read(t->base_fd, path, text) < 0 ? 0 : cgroup_text_number(text, key);
}

void cgroup_read(const struct cgroup *g, struct cgroup_usage *ret)
{
    const struct cgroup_tree *acct = tree_of(g, CGROUP_CPUACCT);

    *ret = (struct cgroup_usage){
        .memory_bytes = get(g, CGROUP_MEMORY, "memory.usage_in_bytes", "memory.current", NULL),
        .memory_peak_bytes =
            get(g, CGROUP_MEMORY, "memory.max_usage_in_bytes", "memory.peak", NULL),
        .oom_kills = get(g, CGROUP_MEMORY, "memory.oom_control", "memory.events", "oom_kill"),
        .processes = get(g, CGROUP_PIDS, "pids.current", "pids.current", NULL),
        .processes_refused = get(g, CGROUP_PIDS, "pids.events", "pids.events", "max"),
    };
    if (acct && !acct->v2)
        ret->cpu_us = get(g, CGROUP_CPUACCT, "cpuacct.usage", NULL, NULL) / 1000;
    else /* there in every v2 group, controller or not */
        ret->cpu_us = get(g, CGROUP_UNIFIED, NULL, "cpu.stat", "usage_usec");
}

int cgroup_set_cpu(const struct cgroup *g, uint64_t cpu_milli)
{
    const struct cgroup_tree *t = tree_of(g, CGROUP_CPU);
    int r;

    if (!t)
        return -EOPNOTSUPP;
    if (cpu_milli == 0) {
        /* A very large quota rather than none: to and fro between quotas is cheap, while the first
         * and the last group with one make the kernel patch itself. */
        r = set(t, g->name, CGROUP_ITEM_CPU_MAX, CPU_LIFTED_MILLI);
        return r < 0 ? set(t, g->name, CGROUP_ITEM_CPU_MAX, 0) : 0;
    }
    r = set(t, g->name, CGROUP_ITEM_CPU_PERIOD, cpu_milli);
    if (r == 0)
        r = set(t, g->name, CGROUP_ITEM_CPU_MAX, cpu_milli);
    return r == -EINVAL ? 0 : r; /* v1: a group further up has a smaller one, which holds */
}

static int set_unified(const struct cgroup *g, const char *file, const char *text)
{
    const struct cgroup_tree *t = tree_of(g, CGROUP_UNIFIED);
    char path[CGROUP_PATH_MAX];
    int r;

    if (!t)
        return -EOPNOTSUPP;
    (void)snprintf(path, sizeof(path), "%s/%s", g->name, file);
    r = cgroup_file_write(t->base_fd, path, text);
    return r == -ENOENT ? -EOPNOTSUPP : r; /* cgroup.kill is Linux 5.14's, freeze 5.2's */
}

int cgroup_freeze(const struct cgroup *g, bool frozen)
{
    return set_unified(g, "cgroup.freeze", frozen ? "1" : "0");
}

int cgroup_kill(const struct cgroup *g)
{
    return set_unified(g, "cgroup.kill", "1");
}

int cgroup_open_unified(const struct cgroup *g)
{
    const struct cgroup_tree *t = tree_of(g, CGROUP_UNIFIED);
    int fd;

    if (!t)
        return -EOPNOTSUPP;
    fd = openat(t->base_fd, g->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* ---- slots ---- */

static int hand_over(const struct cgroup_tree *t, const char *dir, uid_t owner)
{
    char path[2 * CGROUP_PATH_MAX];

    if (owner == geteuid())
        return 0;
    (void)snprintf(path, sizeof(path), "%s/%s", dir, t->v2 ? "cgroup.procs" : "tasks");
    return fchownat(t->base_fd, path, owner, (gid_t)-1, 0) < 0 ? -errno : 0;
}

int cgroup_slots_grow(struct cgroup *g, unsigned n, uint64_t memory_bytes, uid_t owner)
{
    const struct cgroup_tree *t = tree_of(g, CGROUP_MEMORY);
    char path[CGROUP_PATH_MAX];
    int r = 0;

    if (!t)
        return -EOPNOTSUPP;
    if (t->v2 && g->n_slots == 0)
        r = hand_over(t, g->name, owner); /* who moves needs the group above both, too */
    while (r == 0 && g->n_slots < MIN(n, CGROUP_SLOTS_MAX)) {
        (void)snprintf(path, sizeof(path), "%s/s%u", g->name, g->n_slots);
        r = cgroup_file_mkdir(t->base_fd, path);
        if (r < 0)
            break;
        g->n_slots++; /* from here on cgroup_remove() knows it */
        r = set_memory(t, path, memory_bytes);
        if (r == 0)
            r = hand_over(t, path, owner);
        if (r < 0) {
            (void)remove_at(t, path);
            g->n_slots--;
        }
    }
    return r;
}

int cgroup_slots_open(const struct cgroup *g)
{
    const struct cgroup_tree *t = tree_of(g, CGROUP_MEMORY);
    long fd;

    if (!t)
        return -EOPNOTSUPP;
    fd = syscall(SYS_open_tree, t->base_fd, g->name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    return fd < 0 ? -errno : (int)fd;
}
