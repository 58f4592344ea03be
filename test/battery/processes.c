/* Other processes: the zygote, init, siblings, and one's own rank among them. */

#include "battery.h"

#include <dirent.h>
#include <linux/capability.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#define VICTIMS_MAX    512
#define NUMBERS_TRIED  2000
#define IOPRIO_RT      (1 << 13)
#define KCMP_FILES_    2
#define CAP_ALL        0xffffffffu
#define SECURITY_XATTR "security.capability"

/* Processes as /proc numbers them, which inside are numbers of another namespace than our own. */
static size_t seen_in_proc(pid_t pids[static VICTIMS_MAX])
{
    DIR *dir;
    size_t n = 0;
    long self = 0;
    char link[32] = "";

    if (battery.victim) {
        pids[0] = battery.victim;
        return 1;
    }
    if (readlink("/proc/self", link, sizeof(link) - 1) > 0)
        self = strtol(link, NULL, 10);
    dir = opendir("/proc");
    for (struct dirent *e = dir ? readdir(dir) : NULL; e && n < VICTIMS_MAX; e = readdir(dir)) {
        long pid = strtol(e->d_name, NULL, 10);

        if (pid > 0 && pid != self)
            pids[n++] = (pid_t)pid;
    }
    if (dir)
        (void)closedir(dir);
    /* What is not listed may be there all the same. */
    for (pid_t pid = 1; pid <= 64 && n < VICTIMS_MAX; pid++) {
        if (pid != self)
            pids[n++] = pid;
    }
    return n;
}

/* The worker that runs this act, as /proc numbers it: it is one's own, not a victim. */
static bool is_our_worker(pid_t pid)
{
    static long worker;
    char line[256];
    FILE *f;

    if (battery.victim)
        return false;
    f = worker ? NULL : fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof(line), f)) {
        if (strncmp(line, "PPid:", 5) == 0)
            worker = strtol(line + 5, NULL, 10);
    }
    if (f)
        (void)fclose(f);
    return pid == worker;
}

/* 0 if `file` of any other process can be opened. */
static int open_of_others(const char *file, int flags)
{
    pid_t pids[VICTIMS_MAX];
    size_t n = seen_in_proc(pids);
    char path[64];
    int r = ENOENT;

    for (size_t i = 0; i < n && r != 0; i++) {
        if (is_our_worker(pids[i]))
            continue;
        (void)snprintf(path, sizeof(path), "/proc/%d/%s", pids[i], file);
        r = opened(path, flags);
    }
    return r;
}

static int read_memory(void)
{
    return open_of_others("mem", O_RDONLY);
}

static int write_memory(void)
{
    return open_of_others("mem", O_RDWR);
}

static int read_environment(void)
{
    return open_of_others("environ", O_RDONLY);
}

static int read_maps(void)
{
    return open_of_others("maps", O_RDONLY);
}

static int read_arguments(void)
{
    return open_of_others("cmdline", O_RDONLY);
}

static int open_files(void)
{
    return open_of_others("fd/0", O_RDONLY);
}

static int enter_root(void)
{
    return open_of_others("root/etc", O_RDONLY);
}

static int enter_folder(void)
{
    return open_of_others("cwd/.", O_RDONLY);
}

static int open_program(void)
{
    return open_of_others("exe", O_RDONLY);
}

static int spare_others(void)
{
    return open_of_others("oom_score_adj", O_RDWR);
}

static int see_others(void)
{
    pid_t pids[VICTIMS_MAX];
    size_t n = seen_in_proc(pids);
    char path[32];
    struct stat st;

    for (size_t i = 0; i < n; i++) {
        (void)snprintf(path, sizeof(path), "/proc/%d", pids[i]);
        if (!is_our_worker(pids[i]) && stat(path, &st) == 0)
            return 0;
    }
    return ENOENT;
}

/* ---- by number ---- */

/* Calls f with every number that may be another process; 0 as soon as one is hit. */
static int any_number(int (*f)(pid_t))
{
    int r = ESRCH;

    if (battery.victim)
        return f(battery.victim);
    for (pid_t pid = 1; pid < NUMBERS_TRIED && r != 0; pid++) {
        if (pid != getpid() && pid != getppid()) /* the worker is one's own */
            r = f(pid);
    }
    return r;
}

static int trace(pid_t pid)
{
    return result(ptrace(PTRACE_SEIZE, pid, 0, 0));
}

static int trace_others(void)
{
    return any_number(trace);
}

/* Its own worker: what keeps the secrets of the request, but also what a debugger would start at.
 */
static int trace_worker(void)
{
    return result(ptrace(PTRACE_SEIZE, battery.victim ? battery.victim : getppid(), 0, 0));
}

static int read_of(pid_t pid)
{
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)(uintptr_t)&battery, 1};

    return past_the_gate(process_vm_readv(pid, &here, 1, &there, 1, 0));
}

static int vm_read(void)
{
    return read_of(battery.victim ? battery.victim : getppid());
}

/* No bytes: whether one may is found out before. */
static int vm_write(void)
{
    struct iovec here = {NULL, 0}, there = {(void *)(uintptr_t)&battery, 0};

    return past_the_gate(
        process_vm_writev(battery.victim ? battery.victim : getppid(), &here, 1, &there, 1, 0));
}

static int get_file(void)
{
    pid_t pid = battery.victim ? battery.victim : getppid();
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    return fd < 0 ? errno : result(syscall(SYS_pidfd_getfd, fd, 0, 0));
}

static int compare(void)
{
    return result(syscall(SYS_kcmp, getpid(), battery.victim ? battery.victim : getppid(),
                          KCMP_FILES_, 0, 0));
}

static int move_memory(void)
{
    return result(
        syscall(SYS_move_pages, battery.victim ? battery.victim : getppid(), 0, 0, 0, 0, 0));
}

static int signal_one(pid_t pid)
{
    return result(kill(pid, 0));
}

static int signal_others(void)
{
    return any_number(signal_one);
}

static int signal_all(void)
{
    return result(kill(-1, 0));
}

/* A folder of /proc is as good as a pidfd, and reaches into another namespace. */
static int signal_by_proc(void)
{
    pid_t pids[VICTIMS_MAX];
    size_t n = seen_in_proc(pids);
    char path[32];
    int r = ENOENT;

    for (size_t i = 0; i < n && r != 0; i++) {
        int fd;

        if (is_our_worker(pids[i]))
            continue;
        (void)snprintf(path, sizeof(path), "/proc/%d", pids[i]);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = fd < 0 ? errno : result(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
        if (fd >= 0)
            (void)close(fd);
    }
    return r;
}

static int limit_of(pid_t pid)
{
    struct rlimit l;

    return result(prlimit(pid, RLIMIT_NOFILE, NULL, &l));
}

static int limit_others(void)
{
    return any_number(limit_of);
}

static int schedule_of(pid_t pid)
{
    cpu_set_t set;

    if (sched_getaffinity(pid, sizeof(set), &set) < 0)
        return errno;
    return result(sched_setaffinity(pid, sizeof(set), &set));
}

static int schedule_others(void)
{
    return any_number(schedule_of);
}

/* ---- rank ---- */

static const unsigned ids[] = {0, 1, 2, 3, 1000, 65534, 100000};

static int become_another_user(void)
{
    int r = 0;

    for (size_t i = 0; i < COUNT(ids); i++) {
        if (ids[i] == getuid())
            continue;
        if (setresuid(ids[i], ids[i], ids[i]) == 0)
            return 0;
        r = errno;
    }
    return r;
}

static int become_another_group(void)
{
    int r = 0;

    for (size_t i = 0; i < COUNT(ids); i++) {
        if (ids[i] == getgid())
            continue;
        if (setresgid(ids[i], ids[i], ids[i]) == 0)
            return 0;
        r = errno;
    }
    return r;
}

static int join_groups(void)
{
    const gid_t groups[] = {0, 6}; /* root, disk */

    return result(syscall(SYS_setgroups, COUNT(groups), groups));
}

static int file_user(void)
{
    (void)syscall(SYS_setfsuid, getuid() == 0 ? 1 : 0);
    return syscall(SYS_setfsuid, -1) == (long)getuid() ? EPERM : 0;
}

/* The last capability that there is, so that root outside does not lose what it has. */
static int raise_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[2];

    if (syscall(SYS_capget, &header, caps) < 0)
        return errno;
    caps[0].effective = caps[0].permitted |= 1u << CAP_SETUID;
    return result(syscall(SYS_capset, &header, caps));
}

static int ambient_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[2];

    if (syscall(SYS_capget, &header, caps) == 0) {
        caps[0].inheritable |= 1u << CAP_SETUID;
        (void)syscall(SYS_capset, &header, caps);
    }
    return result(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SETUID, 0, 0));
}

/* Whether a program's set-uid bit would count. */
static int set_uid_programs(void)
{
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? EPERM : 0;
}

static int file_capabilities(void)
{
    static const unsigned char all[20] = {0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff};
    const char *path = "/tmp/battery-capable";
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700), r;

    if (fd < 0)
        return errno;
    r = result(fsetxattr(fd, SECURITY_XATTR, all, sizeof(all), 0));
    (void)close(fd);
    (void)unlink(path);
    return r;
}

static int give_away(void)
{
    const char *path = "/tmp/battery-given";
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700), r;

    if (fd < 0)
        return errno;
    r = result(fchown(fd, getuid() == 0 ? 1 : 0, (gid_t)-1));
    (void)close(fd);
    (void)unlink(path);
    return r;
}

/* On a unix socket a peer is told who one is. */
static int forge_credentials(void)
{
    struct ucred somebody = {.pid = 1, .uid = 1, .gid = 1};
    union {
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec iov = {&somebody, 1};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
        return errno;
    *c = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                          .cmsg_type = SCM_CREDENTIALS,
                          .cmsg_len = CMSG_LEN(sizeof(somebody))};
    memcpy(CMSG_DATA(c), &somebody, sizeof(somebody));
    return result(sendmsg(pair[0], &msg, 0));
}

static int be_nicer_to_oneself(void)
{
    return result(setpriority(PRIO_PROCESS, 0, -20));
}

static int real_time(void)
{
    const struct sched_param p = {.sched_priority = 1};

    return result(sched_setscheduler(0, SCHED_FIFO, &p));
}

static int real_time_disk(void)
{
    return result(syscall(SYS_ioprio_set, 1, 0, IOPRIO_RT));
}

static int write_number(const char *path, const char *number)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC), r;

    if (fd < 0)
        return errno;
    r = result(write(fd, number, strlen(number)));
    (void)close(fd);
    return r;
}

/* Outside, down to what it is: even root may lack the right to less. */
static int be_spared(void)
{
    return write_number("/proc/self/oom_score_adj", battery.inside ? "0" : "1");
}

static int raised(__rlimit_resource_t which)
{
    struct rlimit l;

    if (getrlimit(which, &l) < 0)
        return errno;
    if (l.rlim_max == RLIM_INFINITY)
        return 0; /* nothing to be raised */
    l.rlim_cur = l.rlim_max = l.rlim_max + 1;
    return result(setrlimit(which, &l));
}

static int more_files(void)
{
    return raised(RLIMIT_NOFILE);
}

static int more_processes(void)
{
    return raised(RLIMIT_NPROC);
}

static int core_dumps(void)
{
    return raised(RLIMIT_CORE);
}

static int more_locked_memory(void)
{
    return raised(RLIMIT_MEMLOCK);
}

static const struct act process_acts[] = {
    {"read-memory", "read the memory of another process by /proc", read_memory},
    {"write-memory", "write the memory of another process by /proc", write_memory},
    {"read-environment", "read the environment of another process", read_environment},
    {"read-maps", "read where another process has what", read_maps},
    {"read-arguments", "read the command line of another process", read_arguments},
    {"open-files", "open what another process has open", open_files},
    {"enter-root", "enter the root of another process", enter_root},
    {"enter-folder", "enter the folder of another process", enter_folder},
    {"open-program", "open the program of another process", open_program},
    {"spare-others", "change whom the kernel kills first", spare_others},
    {"see-others", "see that there are other processes", see_others},
    {"ptrace", "trace another process", trace_others},
    {"ptrace-own", "trace one's own worker", trace_worker},
    {"vm-readv", "read another process by a system call", vm_read},
    {"vm-writev", "write another process by a system call", vm_write},
    {"pidfd-getfd", "take a descriptor out of another process", get_file},
    {"kcmp", "compare processes", compare},
    {"move-pages", "move the memory of another process", move_memory},
    {"kill-by-number", "signal processes by all numbers", signal_others},
    {"kill-all", "signal everybody", signal_all},
    {"kill-by-proc", "signal processes by their folder in /proc", signal_by_proc},
    {"prlimit-others", "see and set limits of others", limit_others},
    {"schedule-others", "say where others run", schedule_others},
    {"setuid", "become another user", become_another_user},
    {"setgid", "become another group", become_another_group},
    {"setgroups", "join groups", join_groups},
    {"setfsuid", "open files as another user", file_user},
    {"capset", "get a capability", raise_capabilities},
    {"ambient", "get a capability for programs one executes", ambient_capabilities},
    {"set-uid-programs", "gain by executing su", set_uid_programs},
    {"file-capabilities", "make a program with capabilities", file_capabilities},
    {"chown", "give a file to root", give_away},
    {"forge-credentials", "pass for another on a unix socket", forge_credentials},
    {"nice", "go before everybody", be_nicer_to_oneself},
    {"real-time", "go before everybody, in real time", real_time},
    {"real-time-disk", "go before everybody, to the disk", real_time_disk},
    {"oom-score", "be killed last when memory is short", be_spared},
    {"more-files", "raise the limit of open files", more_files},
    {"more-processes", "raise the limit of processes", more_processes},
    {"core-dumps", "leave core dumps", core_dumps},
    {"more-locked-memory", "raise the limit of locked memory", more_locked_memory},
};
