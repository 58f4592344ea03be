/* Groups with the machine's real hierarchies, each back-end through the same table; what a machine
 * or a user has not is skipped by name. */

#include "base/clock.h"
#include "cgroup/internal.h"
#include "os/clone.h"
#include "os/fault.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB          (1024ULL * 1024)
#define OTHER_UID    54321
#define WAIT_MS_MAX  20000
#define PATIENCE(ms) for (int waited = 0; waited < WAIT_MS_MAX; waited += (ms), usleep((ms)*1000))

static const enum cgroup_backend backends[] = {CGROUP_V1, CGROUP_V2, CGROUP_NONE};

/* ---- the real thing ---- */

static struct cgroups host;
static uint64_t next_number;

/* cmocka's skip() counts as a failure in TAP. */
#define SKIP_WITHOUT(there, what)                                                                  \
    do {                                                                                           \
        if (!(there)) {                                                                            \
            print_message("# skipped: %s\n", what);                                                \
            return;                                                                                \
        }                                                                                          \
    } while (0)

static bool has(enum cgroup_part part)
{
    return host.parts & 1u << part;
}

static int open_host(void **state)
{
    cgroups_open(1u << *(const enum cgroup_backend *)*state, &host);
    return 0;
}

/* Nothing of ours may be left in any hierarchy. */
static int close_host(void **state)
{
    struct cgroup_mounts mounts = {.n = 0};
    char name[CGROUP_NAME_MAX], path[PATH_MAX + CGROUP_NAME_MAX];
    char mountinfo[65536] = "", self[4096] = "";
    FILE *f;

    os_fault_arm(OS_CALL_CGROUP, 0, 0);
    memcpy(name, host.name, sizeof(name));
    cgroups_close(&host);
    cgroups_close(&host);
    f = fopen("/proc/self/mountinfo", "re");
    (void)!fread(mountinfo, 1, sizeof(mountinfo) - 1, f);
    (void)fclose(f);
    f = fopen("/proc/self/cgroup", "re");
    (void)!fread(self, 1, sizeof(self) - 1, f);
    (void)fclose(f);
    assert_null(strstr(self, "mayfly-"));
    cgroup_mounts_parse(mountinfo, self, &mounts);
    for (unsigned i = 0; i < mounts.n; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", mounts.list[i].path, name);
        assert_int_equal(access(path, F_OK), -1);
    }
    return 0;
}

/* Runs f in a process that is in the group before it does anything. */
static struct pidref run_in(const struct cgroup *g, void (*f)(void *ctx), void *ctx)
{
    struct cgroup_door door = CGROUP_DOOR_NULL;
    struct pidref child = PIDREF_NULL;
    int r;

    assert_int_equal(cgroup_door_open(g, &door), 0);
    r = cgroup_door_clone(&door, 0, &child);
    assert_true(r >= 0);
    if (r == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (cgroup_door_enter(&door) < 0)
            _exit(99);
        f(ctx);
        _exit(0);
    }
    cgroup_door_close(&door);
    return child;
}

/* Its wait status; a child that does not end is ended, and is 1 in the test's eyes. */
static int wait_for(struct pidref *child)
{
    int status = 1;

    PATIENCE(1)
    {
        if (pidref_reap(child, &status) != 0)
            break;
    }
    if (status == 1)
        (void)pidref_kill(child, SIGKILL);
    pidref_done(child);
    return status;
}

/* What has come to its pause() has entered. */
static void wait_until_entered(const struct pidref *child)
{
    char path[64], text[64] = "";

    (void)snprintf(path, sizeof(path), "/proc/%d/syscall", child->pid);
    PATIENCE(1)
    {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = read(fd, text, sizeof(text) - 1);

        fd_close(fd);
        text[n > 0 ? n : 0] = '\0';
        if (atoi(text) == SYS_pause)
            return;
    }
    fail_msg("the child does not come to its pause: %s", text);
}

static struct cgroup new_group(const struct cgroup_limits *limits)
{
    struct cgroup g = CGROUP_NULL;

    assert_int_equal(cgroup_new(&host, ++next_number, limits, &g), 0);
    return g;
}

static void remove_in_the_end(struct cgroup *g)
{
    int r = -EBUSY;

    PATIENCE(1)
    {
        r = cgroup_remove(g);
        if (r != -EBUSY && r != -EAGAIN)
            break;
    }
    assert_int_equal(r, 0);
    assert_int_equal(cgroup_remove(g), 0);
}

static void sleep_for_ever(void *ctx)
{
    for (;;)
        (void)pause();
}

static void a_back_end_is_what_was_asked_for(void **state)
{
    enum cgroup_backend wanted = *(const enum cgroup_backend *)*state;
    struct cgroups probed;
    struct buf b = BUF_INIT(4096);

    SKIP_WITHOUT(wanted == CGROUP_NONE || host.backend == wanted, "this user may not write any");
    assert_int_equal(host.backend, wanted);
    assert_int_equal(host.backend == CGROUP_NONE, host.parts == 0);
    assert_int_equal(cgroups_print(&host, &b), 0);
    print_message("# %s\n", buf_cstr(&b));
    cgroups_probe(1u << wanted, &probed);
    assert_int_equal(probed.backend, wanted);
    assert_int_equal(probed.parts & host.parts, host.parts);
    buf_deinit(&b);
}

static void a_group_comes_holds_processes_and_goes(void **state)
{
    struct cgroup_limits limits = {.memory_bytes = 256 * MIB, .processes = 100, .cpu_milli = 1500};
    struct cgroup g = new_group(&limits);
    struct pidref child = run_in(&g, sleep_for_ever, NULL);
    struct cgroup_usage usage;

    wait_until_entered(&child);
    if (host.backend != CGROUP_NONE)
        assert_int_equal(cgroup_remove(&g), -EBUSY);
    cgroup_read(&g, &usage);
    assert_int_equal(usage.processes, has(CGROUP_PIDS) && host.backend != CGROUP_NONE ? 1 : 0);
    assert_int_equal(pidref_kill(&child, SIGKILL), 0);
    assert_int_equal(wait_for(&child), SIGKILL);
    remove_in_the_end(&g);
}

static void eat_memory(void *ctx)
{
    size_t size = *(size_t *)ctx;
    char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    for (size_t i = 0; i < size; i += 4096)
        p[i] = 1;
    _exit(7);
}

static void memory_ends_at_the_limit(void **state)
{
    struct cgroup_limits limits = {.memory_bytes = 32 * MIB};
    size_t little = 8 * MIB, much = 64 * MIB;
    struct cgroup_usage usage;
    struct pidref child;
    struct cgroup g;

    SKIP_WITHOUT(has(CGROUP_MEMORY), "no memory controller");
    g = new_group(&limits);
    child = run_in(&g, eat_memory, &little);
    assert_int_equal(wait_for(&child), 7 << 8);
    cgroup_read(&g, &usage);
    assert_true(usage.memory_peak_bytes >= little && usage.memory_peak_bytes <= 32 * MIB);
    assert_int_equal(usage.oom_kills, 0);
    child = run_in(&g, eat_memory, &much);
    assert_int_equal(wait_for(&child), SIGKILL);
    cgroup_read(&g, &usage);
    assert_int_equal(usage.oom_kills, 1);
    remove_in_the_end(&g);
}

static void fork_much(void *ctx)
{
    struct pidref child;
    int n = 0, r;

    while (n < 50 && (r = os_clone(0, &child)) > 0)
        n++;
    if (r == 0) /* outlives its parent: the group's kill is what ends it */
        sleep_for_ever(NULL);
    _exit(r == -EAGAIN ? n : 98);
}

static void processes_end_at_the_limit(void **state)
{
    struct cgroup_limits limits = {.processes = 10};
    struct cgroup_usage usage;
    struct pidref child;
    struct cgroup g;

    SKIP_WITHOUT(has(CGROUP_PIDS) && has(CGROUP_UNIFIED), "no pids controller, or no v2 to kill");
    g = new_group(&limits);
    child = run_in(&g, fork_much, NULL);
    assert_int_equal(wait_for(&child), 9 << 8);
    cgroup_read(&g, &usage);
    assert_int_equal(usage.processes, 9);
    assert_int_equal(usage.processes_refused, 1);
    assert_int_equal(cgroup_kill(&g), 0);
    remove_in_the_end(&g);
}

static void spin(void *ctx)
{
    for (;;)
        __asm__ volatile("" ::: "memory");
}

/* How many thousandths of a CPU the group uses, by the kernel's own account. */
static uint64_t rate_of(const struct cgroup *g, unsigned ms)
{
    struct cgroup_usage before, after;
    uint64_t start_ns = clock_now_ns();

    cgroup_read(g, &before);
    (void)usleep(ms * 1000);
    cgroup_read(g, &after);
    return (after.cpu_us - before.cpu_us) * 1000 / ((clock_now_ns() - start_ns) / 1000);
}

static void cpu_time_stays_below_the_quota_until_it_is_lifted(void **state)
{
    struct cgroup_limits limits = {.cpu_milli = 100};
    struct pidref child;
    struct cgroup g;
    uint64_t rate = 0;

    SKIP_WITHOUT(has(CGROUP_CPU) && (has(CGROUP_CPUACCT) || has(CGROUP_UNIFIED)),
                 "no cpu controller");
    g = new_group(&limits);
    child = run_in(&g, spin, NULL);
    rate = rate_of(&g, 600);
    print_message("# a quota of 100: %llu\n", (unsigned long long)rate);
    assert_in_range(rate, 1, 180);
    assert_int_equal(cgroup_set_cpu(&g, 0), 0);
    for (int i = 0; i < 50 && (rate = rate_of(&g, 200)) <= 180; i++)
        ; /* a busy machine may leave it less for a while */
    assert_true(rate > 180);
    assert_int_equal(cgroup_set_cpu(&g, 100), 0);
    assert_int_equal(pidref_kill(&child, SIGKILL), 0);
    assert_int_equal(wait_for(&child), SIGKILL);
    remove_in_the_end(&g);
}

static void count(void *ctx)
{
    volatile uint64_t *counter = ctx;

    for (;;)
        (*counter)++;
}

static void a_frozen_group_stands_still(void **state)
{
    volatile uint64_t *counter, seen;
    struct cgroup_limits limits = {0};
    struct pidref child;
    struct cgroup g;
    char text[CGROUP_TEXT_MAX] = "";
    int fd;

    SKIP_WITHOUT(has(CGROUP_UNIFIED), "no v2 group");
    counter = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    g = new_group(&limits);
    child = run_in(&g, count, (void *)counter);
    PATIENCE(1)
    {
        if (*counter > 0)
            break;
    }
    assert_int_equal(cgroup_freeze(&g, true), 0);
    fd = cgroup_open_unified(&g);
    PATIENCE(1)
    {
        assert_true(cgroup_file_read(fd, "cgroup.events", text) > 0);
        if (cgroup_text_number(text, "frozen") == 1)
            break;
    }
    seen = *counter;
    (void)usleep(20000);
    assert_true(*counter == seen);
    assert_int_equal(cgroup_freeze(&g, false), 0);
    PATIENCE(1)
    {
        if (*counter > seen)
            break;
    }
    assert_true(*counter > seen);
    assert_int_equal(cgroup_kill(&g), 0);
    assert_int_equal(wait_for(&child), SIGKILL);
    fd_close(fd);
    remove_in_the_end(&g);
    (void)munmap((void *)counter, 4096);
}

static void fork_away(void *ctx)
{
    struct pidref child;

    for (int i = 0; i < 20; i++) {
        if (os_clone(0, &child) == 0) {
            (void)setsid();
            sleep_for_ever(NULL);
        }
    }
    (void)!write(*(int *)ctx, "x", 1);
    sleep_for_ever(NULL);
}

static void a_kill_leaves_nobody(void **state)
{
    struct cgroup_limits limits = {0};
    struct pidref child;
    struct cgroup g;
    int pipe[2];
    char byte;

    SKIP_WITHOUT(has(CGROUP_UNIFIED), "no v2 group");
    assert_int_equal(fd_pipe(pipe, 0), 0);
    g = new_group(&limits);
    child = run_in(&g, fork_away, &pipe[1]);
    fd_close(pipe[1]);
    assert_int_equal(read(pipe[0], &byte, 1), 1);
    assert_int_equal(cgroup_kill(&g), 0);
    assert_int_equal(read(pipe[0], &byte, 1), 0); /* who held the other end is gone */
    fd_close(pipe[0]);
    assert_int_equal(wait_for(&child), SIGKILL);
    remove_in_the_end(&g);
}

static void nothing_can_be_steered_where_there_is_nothing(void **state)
{
    struct cgroup_usage usage;
    struct cgroup g;

    SKIP_WITHOUT(host.backend == CGROUP_NONE, "of the other back-ends");
    g = new_group(&(struct cgroup_limits){.memory_bytes = MIB, .cpu_milli = 1});
    assert_int_equal(cgroup_set_cpu(&g, 100), -EOPNOTSUPP);
    assert_int_equal(cgroup_freeze(&g, true), -EOPNOTSUPP);
    assert_int_equal(cgroup_kill(&g), -EOPNOTSUPP);
    assert_int_equal(cgroup_open_unified(&g), -EOPNOTSUPP);
    assert_int_equal(cgroup_slots_grow(&g, 4, MIB, 0), -EOPNOTSUPP);
    assert_int_equal(cgroup_slots_open(&g), -EOPNOTSUPP);
    cgroup_read(&g, &usage);
    assert_int_equal(usage.memory_bytes + usage.cpu_us + usage.processes, 0);
    assert_int_equal(cgroups_sweep(&host), 0);
    remove_in_the_end(&g);
}

/* ---- slots ---- */

struct in_slot {
    int fd;
    uid_t uid;
    size_t eat;
    unsigned slot;
};

/* In a worker's place: exits with 7 when it has eaten its fill, or with what hindered it. */
static void work_in_slot(void *ctx)
{
    const struct in_slot *in = ctx;
    size_t size = in->eat;
    int r;

    if (setresuid(in->uid, in->uid, in->uid) < 0)
        _exit(97);
    r = cgroup_slot_join(in->fd, host.backend == CGROUP_V2, in->slot);
    if (r < 0)
        _exit(-r);
    eat_memory(&size);
}

static struct cgroup group_with_slots(unsigned n, int *ret_fd)
{
    struct cgroup g = new_group(&(struct cgroup_limits){.memory_bytes = 256 * MIB});

    assert_int_equal(cgroup_slots_grow(&g, n, 32 * MIB, OTHER_UID), 0);
    assert_int_equal(g.n_slots, n);
    *ret_fd = cgroup_slots_open(&g);
    assert_true(*ret_fd >= 0);
    return g;
}

/* As the zygote does it, with its rights. */
static int end_of_slot(int fd, unsigned slot, uint64_t *seen, struct cgroup_slot_report *ret)
{
    int r;

    assert_int_equal(seteuid(OTHER_UID), 0);
    r = cgroup_slot_end(fd, host.backend == CGROUP_V2, slot, seen, ret);
    assert_int_equal(seteuid(0), 0);
    return r;
}

static void a_worker_that_eats_too_much_ends_alone_and_its_slot_tells(void **state)
{
    struct cgroup_slot_report report;
    uint64_t seen[2] = {0};
    struct in_slot in = {.uid = OTHER_UID, .eat = 16 * MIB};
    struct pidref child, other;
    struct cgroup g;

    SKIP_WITHOUT(has(CGROUP_MEMORY) && geteuid() == 0, "no memory controller, or not root");
    g = group_with_slots(2, &in.fd);
    other = run_in(&g, sleep_for_ever, NULL);
    for (int round = 0; round < 3; round++) {
        in.slot = 0;
        in.eat = 16 * MIB;
        child = run_in(&g, work_in_slot, &in);
        assert_int_equal(wait_for(&child), 7 << 8);
        assert_int_equal(end_of_slot(in.fd, 0, &seen[0], &report), 0);
        assert_false(report.out_of_memory);
        in.slot = 1;
        in.eat = 64 * MIB;
        child = run_in(&g, work_in_slot, &in);
        assert_int_equal(wait_for(&child), SIGKILL);
        assert_int_equal(end_of_slot(in.fd, 1, &seen[1], &report), 0);
        assert_true(report.out_of_memory);
        assert_in_range(report.peak_bytes, 30 * MIB, 32 * MIB);
        assert_int_equal(pidref_kill(&other, 0), 0);
    }
    assert_int_equal(end_of_slot(in.fd, 2, &seen[0], &report), -ENOENT);
    assert_int_equal(pidref_kill(&other, SIGKILL), 0);
    assert_int_equal(wait_for(&other), SIGKILL);
    fd_close(in.fd);
    remove_in_the_end(&g);
}

static void only_the_owner_joins_and_may_do_nothing_else(void **state)
{
    struct in_slot in = {.uid = OTHER_UID + 1, .eat = 0};
    struct stat inside, above;
    struct pidref child;
    struct cgroup g;

    SKIP_WITHOUT(has(CGROUP_MEMORY) && geteuid() == 0, "no memory controller, or not root");
    g = group_with_slots(1, &in.fd);
    child = run_in(&g, work_in_slot, &in);
    assert_int_equal(wait_for(&child), EACCES << 8);
    in.uid = OTHER_UID;
    child = run_in(&g, work_in_slot, &in);
    assert_int_equal(wait_for(&child), 7 << 8);
    /* The descriptor is a world of its own: ".." is where it began. */
    assert_int_equal(fstat(in.fd, &inside), 0);
    assert_int_equal(fstatat(in.fd, "../../..", &above, 0), 0);
    assert_true(inside.st_ino == above.st_ino && inside.st_dev == above.st_dev);
    child = PIDREF_NULL;
    if (os_clone(0, &child) == 0) {
        int failed = setresuid(OTHER_UID, OTHER_UID, OTHER_UID);

        failed |= mkdirat(in.fd, "more", 0755) == 0;
        failed |= mkdirat(in.fd, "s0/more", 0755) == 0;
        failed |= unlinkat(in.fd, "s0", AT_REMOVEDIR) == 0;
        failed |= cgroup_file_write(in.fd, "s0/memory.limit_in_bytes", "-1") == 0;
        failed |= cgroup_file_write(in.fd, "memory.limit_in_bytes", "-1") == 0;
        failed |= cgroup_file_write(in.fd, "s0/memory.max", "max") == 0;
        _exit(failed);
    }
    assert_int_equal(wait_for(&child), 0);
    fd_close(in.fd);
    remove_in_the_end(&g);
}

static void slots_grow_and_go_however_many(void **state)
{
    struct cgroup g;
    int fd;

    SKIP_WITHOUT(has(CGROUP_MEMORY), "no memory controller");
    g = group_with_slots(3, &fd);
    assert_int_equal(cgroup_slots_grow(&g, 2, MIB, OTHER_UID), 0);
    assert_int_equal(g.n_slots, 3);
    assert_int_equal(cgroup_slots_grow(&g, 100, 32 * MIB, OTHER_UID), 0);
    assert_int_equal(g.n_slots, 100);
    assert_int_equal(faccessat(fd, "s99", F_OK, 0), 0);
    assert_int_equal(cgroup_remove(&g), -EAGAIN);
    remove_in_the_end(&g);
    assert_int_equal(faccessat(fd, "s0", F_OK, 0), -1);
    fd_close(fd);
}

/* ---- when things go wrong ---- */

static void a_group_that_cannot_be_made_leaves_nothing(void **state)
{
    struct cgroup_limits limits = {.memory_bytes = 64 * MIB, .processes = 5, .cpu_milli = 500};
    struct cgroup g = CGROUP_NULL;
    unsigned n_failed = 0;

    SKIP_WITHOUT(host.backend != CGROUP_NONE, "nothing that could fail");
    for (unsigned n = 1; n <= 16; n++) {
        char name[CGROUP_NAME_MAX];
        int r;

        os_fault_arm(OS_CALL_CGROUP, n, ENOMEM);
        r = cgroup_new(&host, ++next_number, &limits, &g);
        os_fault_arm(OS_CALL_CGROUP, 0, 0);
        if (r == 0) {
            remove_in_the_end(&g);
            continue;
        }
        assert_int_equal(r, -ENOMEM);
        assert_null(g.host);
        n_failed++;
        (void)snprintf(name, sizeof(name), "f%llu", (unsigned long long)next_number);
        for (unsigned i = 0; i < host.n_trees; i++)
            assert_int_equal(faccessat(host.trees[i].base_fd, name, F_OK, 0), -1);
    }
    print_message("# %u calls failed in turn\n", n_failed);
    assert_true(n_failed >= host.n_trees);
}

static void slots_that_cannot_be_made_are_not_counted(void **state)
{
    struct cgroup g;

    SKIP_WITHOUT(has(CGROUP_MEMORY), "no memory controller");
    g = new_group(&(struct cgroup_limits){0});
    os_fault_arm(OS_CALL_CGROUP, 5, ENOSPC);
    assert_int_equal(cgroup_slots_grow(&g, 8, 32 * MIB, OTHER_UID), -ENOSPC);
    os_fault_arm(OS_CALL_CGROUP, 0, 0);
    assert_true(g.n_slots < 8);
    assert_int_equal(cgroup_slots_grow(&g, 8, 32 * MIB, OTHER_UID), 0);
    assert_int_equal(g.n_slots, 8);
    remove_in_the_end(&g);
}

/* In any hierarchy. */
static bool is_there(const char *name)
{
    for (unsigned i = 0; i < host.n_trees; i++) {
        if (faccessat(host.trees[i].own_fd, name, F_OK, 0) == 0)
            return true;
    }
    return false;
}

/* A daemon that is killed with a group, slots and a process in it. */
static void what_a_killed_daemon_left_is_swept_and_a_living_ones_is_not(void **state)
{
    enum cgroup_backend backend = *(const enum cgroup_backend *)*state;
    struct cgroups dead;
    struct pidref child = PIDREF_NULL;
    int ready[2], r;

    SKIP_WITHOUT(host.backend != CGROUP_NONE, "no groups to sweep");
    assert_int_equal(fd_pipe(ready, 0), 0);
    cgroups_close(&host);
    r = os_clone(0, &child);
    if (r == 0) {
        struct pidref inside;
        struct cgroup g;

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        cgroups_open(1u << backend, &dead);
        if (cgroup_new(&dead, 1, &(struct cgroup_limits){0}, &g) < 0)
            _exit(1);
        (void)cgroup_slots_grow(&g, 3, 32 * MIB, OTHER_UID);
        inside = run_in(&g, sleep_for_ever, NULL);
        wait_until_entered(&inside);
        (void)!write(ready[1], dead.name, sizeof(dead.name));
        sleep_for_ever(NULL);
    }
    assert_int_equal(read(ready[0], dead.name, sizeof(dead.name)), sizeof(dead.name));
    cgroups_open(1u << backend, &host);
    (void)cgroups_sweep(&host); /* other daemons' leftovers are none of this test's business */
    assert_true(is_there(dead.name));
    assert_int_equal(pidref_kill(&child, SIGKILL), 0);
    assert_int_equal(wait_for(&child), SIGKILL);
    PATIENCE(1)
    {
        (void)cgroups_sweep(&host);
        if (!is_there(dead.name))
            break;
    }
    assert_false(is_there(dead.name));
    fd_close(ready[0]);
    fd_close(ready[1]);
}

static void a_group_of_another_name_is_not_swept(void **state)
{
    static const char *const names[] = {"mayfly", "mayfly-bench-1-a", "mayfly-1-12345678-x",
                                        "mayfly-1-1234567", "mayfly-x-12345678"};

    SKIP_WITHOUT(host.backend != CGROUP_NONE, "no groups to sweep");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        (void)cgroup_file_mkdir(host.trees[0].own_fd, names[i]);
    (void)cgroups_sweep(&host);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_true(is_there(names[i]));
        (void)cgroup_file_rmdir(host.trees[0].own_fd, names[i]);
    }
}

static void a_user_who_may_nothing_gets_nothing_and_no_failure(void **state)
{
    struct pidref child = PIDREF_NULL;
    struct cgroups none;

    if (os_clone(0, &child) == 0) {
        (void)!setresuid(OTHER_UID, OTHER_UID, OTHER_UID);
        cgroups_open(cgroups_wanted(), &none);
        _exit(none.backend == CGROUP_NONE && none.n_trees == 0 ? 0 : 1);
    }
    assert_int_equal(wait_for(&child), 0);
}

static void less_can_be_asked_for(void **state)
{
    assert_int_equal(setenv("MAYFLY_CGROUPS", "none", 1), 0);
    assert_int_equal(cgroups_wanted(), 1u << CGROUP_NONE);
    assert_int_equal(setenv("MAYFLY_CGROUPS", "v2", 1), 0);
    assert_int_equal(cgroups_wanted(), 1u << CGROUP_V2);
    assert_int_equal(unsetenv("MAYFLY_CGROUPS"), 0);
    assert_int_equal(cgroups_wanted(), 1u << CGROUP_V1 | 1u << CGROUP_V2);
}

#define WITH(test, backend)                                                                        \
    {                                                                                              \
#test " (" #backend ")", test, open_host, close_host, (void *)&backends[backend##_AT]      \
    }
#define V1_AT           0
#define V2_AT           1
#define NONE_AT         2
#define WITH_EACH(test) WITH(test, V1), WITH(test, V2), WITH(test, NONE)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(less_can_be_asked_for),
        cmocka_unit_test(a_user_who_may_nothing_gets_nothing_and_no_failure),
        WITH_EACH(a_back_end_is_what_was_asked_for),
        WITH_EACH(a_group_comes_holds_processes_and_goes),
        WITH_EACH(memory_ends_at_the_limit),
        WITH_EACH(processes_end_at_the_limit),
        WITH_EACH(cpu_time_stays_below_the_quota_until_it_is_lifted),
        WITH_EACH(a_frozen_group_stands_still),
        WITH_EACH(a_kill_leaves_nobody),
        WITH_EACH(nothing_can_be_steered_where_there_is_nothing),
        WITH_EACH(a_worker_that_eats_too_much_ends_alone_and_its_slot_tells),
        WITH_EACH(only_the_owner_joins_and_may_do_nothing_else),
        WITH_EACH(slots_grow_and_go_however_many),
        WITH_EACH(a_group_that_cannot_be_made_leaves_nothing),
        WITH_EACH(slots_that_cannot_be_made_are_not_counted),
        WITH_EACH(a_group_of_another_name_is_not_swept),
        WITH_EACH(what_a_killed_daemon_left_is_swept_and_a_living_ones_is_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
