/* The daemon's place in the hierarchies: found, locked, given back.
 *
 * v2 has a rule that v1 has not: a group whose children are limited may hold no process itself. The
 * group that we were started in must therefore be empty before its controllers reach ours, which it
 * is after we have left it for daemon/ if it was made for us (systemd: Delegate=yes), and is not in
 * a login session. Then v2 serves to kill and to freeze, and nothing more. */

#include "cgroup/internal.h"

#include "base/clock.h"
#include "os/fd.h"
#include "os/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX        "mayfly-"
#define LEAF          "daemon"
#define MOUNTINFO_MAX (1024 * 1024)
#define MAKE_TRIES    3
#define DEPTH_MAX     4 /* of groups below ours */
#define DAEMON_WEIGHT                                                                              \
    1000 /* ten times a version's: who hands out work is not kept waiting by it                    \
          */

static const char *const backend_names[_CGROUP_BACKEND_MAX] = {
    [CGROUP_NONE] = "none",
    [CGROUP_V1] = "v1",
    [CGROUP_V2] = "v2",
};

static const struct {
    const char *name;
    enum cgroup_part part;
} v2_controllers[] = {
    {"cpu", CGROUP_CPU},
    {"memory", CGROUP_MEMORY},
    {"pids", CGROUP_PIDS},
};

const char *cgroup_backend_name(enum cgroup_backend backend)
{
    return backend_names[backend];
}

unsigned cgroups_wanted(void)
{
    const char *wanted = getenv("MAYFLY_CGROUPS");

    for (unsigned i = 0; wanted && i < _CGROUP_BACKEND_MAX; i++) {
        if (strcmp(wanted, backend_names[i]) == 0)
            return 1u << i;
    }
    return 1u << CGROUP_V1 | 1u << CGROUP_V2;
}

const struct cgroup_tree *cgroups_tree(const struct cgroups *h, enum cgroup_part part)
{
    for (unsigned i = 0; h && i < h->n_trees; i++) {
        if (h->trees[i].parts & 1u << part)
            return &h->trees[i];
    }
    return NULL;
}

/* ---- removing ---- */

/* Calls f for each group right below dir. */
static void each_group(int dir, void (*f)(void *ctx, int dir, const char *name), void *ctx)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dirent *entry;
    DIR *list;

    if (copy < 0)
        return;
    list = fdopendir(copy);
    if (!list) {
        fd_close(copy);
        return;
    }
    while ((entry = readdir(list))) {
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
            f(ctx, dir, entry->d_name);
    }
    (void)closedir(list);
}

struct removal {
    unsigned depth;
    unsigned n_left;
};

static void remove_group(void *ctx, int dir, const char *name)
{
    struct removal *removal = ctx;
    _cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int r;

    removal->depth++;
    if (fd >= 0 && removal->depth <= DEPTH_MAX)
        each_group(fd, remove_group, removal);
    removal->depth--;
    r = cgroup_file_rmdir(dir, name);
    removal->n_left += r < 0 && r != -ENOENT;
}

struct sweep {
    const struct cgroups *host;
    unsigned n_left;
};

/* "mayfly-PID-NONCE" and nothing else: a group of any other name is somebody's. */
static bool is_ours(const char *name)
{
    unsigned pid, nonce;
    int end = 0;

    return sscanf(name, PREFIX "%u-%8x%n", &pid, &nonce, &end) == 2 && name[end] == '\0' &&
           strlen(strrchr(name, '-')) == 9;
}

/* A child that has not come to its exec yet may hold the lock a little longer than its daemon. */
static bool is_alive(const char *name)
{
    struct proc_stat stat;
    int pid;

    return sscanf(name, PREFIX "%d-", &pid) == 1 && proc_stat_read(pid, &stat) == 0 &&
           stat.state != 'Z';
}

/* Of a daemon that is gone: only it held the lock. What it started dies with it by itself, unless
 * somebody stopped that, which the kill ends. */
static void sweep_group(void *ctx, int dir, const char *name)
{
    struct sweep *sweep = ctx;
    struct removal removal = {0};
    _cleanup_close_ int fd = -1;

    if (!is_ours(name) || strcmp(name, sweep->host->name) == 0)
        return;
    fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        sweep->n_left += !is_alive(name);
        return;
    }
    (void)cgroup_file_write(fd, "cgroup.kill", "1");
    remove_group(&removal, dir, name);
    sweep->n_left += removal.n_left > 0;
}

unsigned cgroups_sweep(const struct cgroups *h)
{
    struct sweep sweep = {.host = h};

    for (unsigned i = 0; i < h->n_trees; i++)
        each_group(h->trees[i].own_fd, sweep_group, &sweep);
    return sweep.n_left;
}

/* ---- finding ---- */

static int read_whole(const char *path, struct buf *b)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;
    int r;

    if (fd < 0)
        return -errno;
    do {
        r = buf_reserve(b, 4096);
        if (r < 0)
            return r;
        n = read(fd, buf_tail(b), 4096);
        if (n < 0)
            return -errno;
        buf_commit(b, (size_t)n);
    } while (n > 0);
    return buf_cstr(b) ? 0 : -ENOMEM;
}

static int find_mounts(struct cgroup_mounts *ret)
{
    struct buf mountinfo = BUF_INIT(MOUNTINFO_MAX), self = BUF_INIT(MOUNTINFO_MAX);
    int r = read_whole("/proc/self/mountinfo", &mountinfo);

    if (r == 0)
        r = read_whole("/proc/self/cgroup", &self);
    if (r == 0)
        cgroup_mounts_parse(buf_cstr(&mountinfo), buf_cstr(&self), ret);
    buf_deinit(&mountinfo);
    buf_deinit(&self);
    return r;
}

/* Makes our group and locks it. Between the two a sweeping daemon may take it for a leftover. */
static int make_base(const char *name, struct cgroup_tree *t)
{
    struct stat there, ours;
    int r;

    for (int i = 0; i < MAKE_TRIES; i++) {
        r = cgroup_file_mkdir(t->own_fd, name);
        if (r < 0)
            return r;
        t->base_fd = openat(t->own_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (t->base_fd >= 0 && flock(t->base_fd, LOCK_EX | LOCK_NB) == 0 &&
            fstatat(t->own_fd, name, &there, 0) == 0 && fstat(t->base_fd, &ours) == 0 &&
            there.st_ino == ours.st_ino)
            return 0;
        t->base_fd = fd_close(t->base_fd);
        (void)cgroup_file_rmdir(t->own_fd, name);
    }
    return -EBUSY;
}

/* Moves this process, which has one thread. v1's `tasks` spares the wait that `cgroup.procs` has.
 */
static int move_self(const struct cgroup_tree *t, int dir, const char *group)
{
    char path[CGROUP_PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/%s", group, t->v2 ? "cgroup.procs" : "tasks");
    return cgroup_file_write(dir, path, "0");
}

/* v1 may share out the time of real-time priorities, too (CONFIG_RT_GROUP_SCHED): a group that is
 * given none has none, and nobody in it gets such a priority. All groups together have 0.95 s of a
 * second, so where there is not much left, a little has to do. */
static void share_realtime(struct cgroup_tree *t)
{
    static const char *const shares_us[] = {"20000", "1000"};

    for (size_t i = 0; i < ARRAY_SIZE(shares_us); i++) {
        if (cgroup_file_write(t->base_fd, "cpu.rt_runtime_us", shares_us[i]) == 0) {
            (void)cgroup_file_write(t->base_fd, LEAF "/cpu.rt_runtime_us", shares_us[i]);
            return;
        }
    }
}

static int enter_leaf(struct cgroup_tree *t)
{
    int r = cgroup_file_mkdir(t->base_fd, LEAF);

    if (!t->v2 && (t->parts & 1u << CGROUP_CPU))
        share_realtime(t);
    if (r == 0)
        r = move_self(t, t->base_fd, LEAF);
    if (r < 0)
        (void)cgroup_file_rmdir(t->base_fd, LEAF);
    t->in_leaf = r == 0;
    return r;
}

static void leave_leaf(struct cgroup_tree *t)
{
    if (t->in_leaf && move_self(t, t->own_fd, ".") == 0) {
        (void)cgroup_file_rmdir(t->base_fd, LEAF);
        t->in_leaf = false;
    }
}

/* Passes a controller on from our own group to the daemon's, and from there to the versions'. */
static bool enable(struct cgroup_tree *t, const char *name, enum cgroup_part part)
{
    char text[CGROUP_TEXT_MAX], plus[16];

    (void)snprintf(plus, sizeof(plus), "+%s", name);
    if (cgroup_file_read(t->own_fd, "cgroup.subtree_control", text) < 0)
        return false;
    if (!cgroup_text_has(text, name)) {
        if (cgroup_file_write(t->own_fd, "cgroup.subtree_control", plus) < 0)
            return false;
        t->enabled |= 1u << part;
    }
    return cgroup_file_write(t->base_fd, "cgroup.subtree_control", plus) == 0;
}

static void open_v2(struct cgroup_tree *t, unsigned taken)
{
    char text[CGROUP_TEXT_MAX];
    unsigned wanted = 0;

    if (cgroup_file_read(t->own_fd, "cgroup.controllers", text) < 0)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(v2_controllers); i++) {
        if (cgroup_text_has(text, v2_controllers[i].name))
            wanted |= 1u << v2_controllers[i].part & ~taken;
    }
    if (wanted == 0 || enter_leaf(t) < 0)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(v2_controllers); i++) {
        if ((wanted & 1u << v2_controllers[i].part) &&
            enable(t, v2_controllers[i].name, v2_controllers[i].part))
            t->parts |= 1u << v2_controllers[i].part;
    }
    if (t->parts == 1u << CGROUP_UNIFIED)
        leave_leaf(t); /* others live in our own group: see above */
    else
        t->parts |= 1u << CGROUP_CPUACCT; /* cpu.stat is there without the controller, too */
}

static void close_tree(struct cgroups *h, struct cgroup_tree *t)
{
    struct removal removal = {0};
    char minus[16];

    for (size_t i = 0; i < ARRAY_SIZE(v2_controllers) && t->base_fd >= 0; i++) {
        if (!(t->enabled & 1u << v2_controllers[i].part))
            continue;
        (void)snprintf(minus, sizeof(minus), "-%s", v2_controllers[i].name);
        (void)cgroup_file_write(t->base_fd, "cgroup.subtree_control", minus);
        (void)cgroup_file_write(t->own_fd, "cgroup.subtree_control", minus);
    }
    if (t->base_fd >= 0) {
        leave_leaf(t);
        remove_group(&removal, t->own_fd, h->name);
    }
    t->base_fd = fd_close(t->base_fd);
    t->own_fd = fd_close(t->own_fd);
}

static void open_tree_at(struct cgroups *h, const struct cgroup_mount *m)
{
    struct cgroup_tree *t = &h->trees[h->n_trees];

    *t = (struct cgroup_tree){.v2 = m->v2, .parts = m->parts, .own_fd = -1, .base_fd = -1};
    t->own_fd = open(m->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->own_fd < 0 || make_base(h->name, t) < 0) {
        t->own_fd = fd_close(t->own_fd);
        return;
    }
    if (t->v2)
        open_v2(t, h->parts);
    else if (t->parts & 1u << CGROUP_CPU)
        (void)enter_leaf(t);
    /* Where single processes compete with whole groups, ours is many. */
    if (!t->v2 && (t->parts & 1u << CGROUP_CPU))
        (void)cgroup_set_weight(t, ".", DAEMON_WEIGHT);
    if (t->in_leaf && (t->parts & 1u << CGROUP_CPU))
        (void)cgroup_set_weight(t, LEAF, DAEMON_WEIGHT);
    h->parts |= t->parts;
    h->n_trees++;
}

static void clear(struct cgroups *h)
{
    uint32_t nonce = 0;

    (void)!getrandom(&nonce, sizeof(nonce), GRND_NONBLOCK);
    *h = (struct cgroups){.backend = CGROUP_NONE};
    (void)snprintf(h->name, sizeof(h->name), PREFIX "%d-%08x", (int)getpid(), nonce);
}

static bool is_wanted(const struct cgroup_mount *m, unsigned backends)
{
    /* A v2 group beside v1's controllers belongs to that back-end, too. */
    return m->v2 ? backends & (1u << CGROUP_V1 | 1u << CGROUP_V2) : backends & 1u << CGROUP_V1;
}

static void choose_backend(struct cgroups *h)
{
    if (h->n_trees == 0)
        return;
    h->backend = CGROUP_V2;
    for (unsigned i = 0; i < h->n_trees; i++) {
        if (!h->trees[i].v2)
            h->backend = CGROUP_V1;
    }
}

void cgroups_open(unsigned backends, struct cgroups *ret)
{
    struct cgroup_mounts mounts;

    clear(ret);
    if (find_mounts(&mounts) < 0)
        return;
    for (unsigned v2 = 0; v2 < 2; v2++) { /* v1 first: what it has, v2 cannot */
        for (unsigned i = 0; i < mounts.n; i++) {
            if (mounts.list[i].v2 == v2 && is_wanted(&mounts.list[i], backends))
                open_tree_at(ret, &mounts.list[i]);
        }
    }
    choose_backend(ret);
}

/* What could be had of one hierarchy: makes a group there and removes it. */
static unsigned probe_mount(const struct cgroup_mount *m, const char *name)
{
    struct cgroup_tree t = {.own_fd = -1, .base_fd = -1};
    char text[CGROUP_TEXT_MAX];
    unsigned parts = 0;

    t.own_fd = open(m->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t.own_fd >= 0 && make_base(name, &t) == 0) {
        parts = m->parts;
        for (size_t i = 0; m->v2 && i < ARRAY_SIZE(v2_controllers); i++) {
            if (cgroup_file_read(t.own_fd, "cgroup.controllers", text) > 0 &&
                cgroup_text_has(text, v2_controllers[i].name))
                parts |= 1u << v2_controllers[i].part;
        }
        (void)cgroup_file_rmdir(t.own_fd, name);
    }
    fd_close(t.base_fd);
    fd_close(t.own_fd);
    return parts;
}

void cgroups_probe(unsigned backends, struct cgroups *ret)
{
    struct cgroup_mounts mounts;

    clear(ret);
    if (find_mounts(&mounts) < 0)
        return;
    for (unsigned i = 0; i < mounts.n; i++) {
        unsigned parts =
            is_wanted(&mounts.list[i], backends) ? probe_mount(&mounts.list[i], ret->name) : 0;

        if (parts && (!mounts.list[i].v2 || ret->backend == CGROUP_NONE))
            ret->backend = mounts.list[i].v2 ? CGROUP_V2 : CGROUP_V1;
        ret->parts |= parts;
    }
}

void cgroups_close(struct cgroups *h)
{
    for (unsigned i = h->n_trees; i > 0; i--)
        close_tree(h, &h->trees[i - 1]);
    h->n_trees = 0;
    h->parts = 0;
    h->backend = CGROUP_NONE;
}

int cgroups_print(const struct cgroups *h, struct buf *b)
{
    static const char *const words[_CGROUP_PART_MAX] = {
        [CGROUP_CPU] = "CPU",
        [CGROUP_CPUACCT] = NULL,
        [CGROUP_MEMORY] = "memory",
        [CGROUP_PIDS] = "processes",
        [CGROUP_UNIFIED] = "kill and freeze",
    };
    const char *separator = ": ";
    int r;

    if (h->backend == CGROUP_NONE)
        return buf_append_str(b, "none that this user may write");
    r = buf_append_str(b, backend_names[h->backend]);
    for (unsigned i = 0; i < _CGROUP_PART_MAX && r == 0; i++) {
        if (!words[i] || !(h->parts & 1u << i))
            continue;
        r = buf_printf(b, "%s%s", separator, words[i]);
        separator = ", ";
    }
    return r;
}
