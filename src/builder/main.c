/* mayfly-build: carries out one command that runs foreign code (pip, npm and the scripts of what
 * they install) behind the same walls as a function, and keeps what it has made.
 *
 *   PLACE/tree      what is made; shown to the command at TARGET
 *   PLACE/scratch   its HOME and temporary files; removed at the end
 *   PLACE/complete  says that the tree is whole: nobody looks at one without it
 *
 * Where the sandbox has a file system of its own the command sees the system, the project and the
 * paths that it is given, all read-only, and nothing of the daemon's state; as root it is a user of
 * its own. Where there are no namespaces, Landlock alone keeps it from what it shall not touch.
 * Afterwards the tree is made root's (or the user's) again, readable by all, without set-user-id
 * bits. A lock beside PLACE lets one of several daemons build while the others wait. */

#include "base/def.h"
#include "base/error.h"
#include "base/slice.h"
#include "builder/tree.h"
#include "os/clone.h"
#include "os/cred.h"
#include "os/fd.h"
#include "os/pidref.h"
#include "sandbox/landlock.h"
#include "sandbox/layers.h"
#include "sandbox/sandbox.h"
#include "sandbox/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIST_MAX       100
#define EXIT_BROKEN    125 /* ours, not the command's */
#define FILES_OPEN_MAX 4096
#define FILE_BYTES_MAX (4ULL << 30)
#define PROCESSES_MAX  2048
#define CPU_SECONDS    1200
#define TMP_BYTES      (64 * MIB)

struct list_of {
    char *at[LIST_MAX + 1]; /* NULL-terminated; borrowed */
    unsigned n;
};

struct build {
    const char *place, *target, *project, *lib, *init;
    struct list_of reads, copies, env;
    char **command;
    char tree[PATH_MAX], scratch[PATH_MAX], complete[PATH_MAX];
    struct sandbox_plan plan;
};

static struct error err; /* what went wrong, for the end */

static _noreturn_ void fail(void)
{
    (void)fprintf(stderr, "mayfly-build: %s\n", err.text);
    exit(EXIT_BROKEN);
}

/* ---- arguments ---- */

static void list_add(struct list_of *l, char *text)
{
    if (l->n == LIST_MAX) {
        (void)error_set(&err, -E2BIG, "more than %d of one option", LIST_MAX);
        fail();
    }
    l->at[l->n++] = text;
}

static bool arguments_read(struct build *b, int argc, char **argv)
{
    static const struct option options[] = {{"place", required_argument, NULL, 'p'},
                                            {"target", required_argument, NULL, 't'},
                                            {"project", required_argument, NULL, 'd'},
                                            {"lib", required_argument, NULL, 'l'},
                                            {"init", required_argument, NULL, 'i'},
                                            {"read", required_argument, NULL, 'r'},
                                            {"copy", required_argument, NULL, 'c'},
                                            {"env", required_argument, NULL, 'e'},
                                            {NULL}};
    int id;

    while ((id = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (id) {
        case 'p':
            b->place = optarg;
            break;
        case 't':
            b->target = optarg;
            break;
        case 'd':
            b->project = optarg;
            break;
        case 'l':
            b->lib = optarg;
            break;
        case 'i':
            b->init = optarg;
            break;
        case 'r':
            list_add(&b->reads, optarg);
            break;
        case 'c':
            list_add(&b->copies, optarg);
            break;
        case 'e':
            list_add(&b->env, optarg);
            break;
        default:
            return false;
        }
    }
    b->command = argv + optind;
    return b->place && b->place[0] == '/' && b->target && function_mount_is_valid(b->target) &&
           b->project && b->lib && b->init && b->command[0];
}

/* ---- the plan ---- */

static struct sandbox_bind *bind_writable(struct sandbox_plan *p, const char *source,
                                          const char *target)
{
    struct sandbox_bind *bind = &p->binds[p->n_binds++];

    *bind = (struct sandbox_bind){.source = source, .writable = true};
    (void)snprintf(bind->target, sizeof(bind->target), "%s", target);
    return bind;
}

static bool is_below(const char *path, const char *folder)
{
    size_t len = strlen(folder);

    return strncmp(path, folder, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* What is not there is left out, and what is seen anyway: it could not be mounted once more. */
static void reads_tidy(struct build *b)
{
    const char *const seen[] = {
        "/usr",     "/bin", "/sbin", "/lib", "/lib64", "/etc/ssl", "/etc/alternatives",
        b->project, b->lib};
    unsigned n = 0;

    for (unsigned i = 0; i < b->reads.n; i++) {
        char *path = b->reads.at[i];
        bool wanted = path[0] == '/' && access(path, F_OK) == 0;

        for (size_t k = 0; k < ARRAY_SIZE(seen) && wanted; k++)
            wanted = !is_below(path, seen[k]);
        for (unsigned k = 0; k < n && wanted; k++)
            wanted = !is_below(path, b->reads.at[k]);
        if (wanted)
            b->reads.at[n++] = path;
    }
    b->reads.at[n] = NULL;
    b->reads.n = n;
}

static void plan_make(struct build *b, enum sandbox_profile profile)
{
    static struct function f; /* the plan borrows from it */
    struct sandbox_request rq = {.profile = profile,
                                 .function = &f,
                                 .lib = b->lib,
                                 .uid = geteuid(),
                                 .gid = getegid(),
                                 .index = SANDBOX_INDEX_BUILD};

    f.code_dir = (char *)(uintptr_t)b->project;
    f.reads = b->reads.at;
    limits_init(&f.limits);
    f.limits.file_size = FILE_BYTES_MAX;
    f.limits.files = FILES_OPEN_MAX;
    f.limits.tmp_bytes = TMP_BYTES;
    sandbox_plan_build(&rq, &b->plan);
    b->plan.zygote_capabilities = 0;
    if (b->plan.own_root) {
        (void)bind_writable(&b->plan, b->tree, b->target);
        (void)bind_writable(&b->plan, b->scratch, "/var/build");
    }
}

/* Words that are paths of the host are told as they are inside. */
static char *inside(const struct build *b, const char *word)
{
    size_t name = strncmp(word, "/", 1) == 0 ? 0 : strcspn(word, "=") + 1;
    char path[PATH_MAX], *text;
    const char *seen;

    if (name > strlen(word) || word[name] != '/')
        return (char *)(uintptr_t)word;
    seen = sandbox_plan_path(&b->plan, word + name, path, sizeof(path));
    if (asprintf(&text, "%.*s%s", (int)name, word, seen) < 0) {
        (void)error_set(&err, -ENOMEM, "out of memory");
        fail();
    }
    return text;
}

/* ---- the command ---- */

static int limit(int resource, uint64_t max)
{
    struct rlimit l;

    if (getrlimit((__rlimit_resource_t)resource, &l) < 0)
        return -errno;
    l.rlim_cur = l.rlim_max = MIN((rlim_t)max, l.rlim_max);
    return setrlimit((__rlimit_resource_t)resource, &l) < 0 ? -errno : 0;
}

/* Without namespaces: rules for paths, which the plan of a function leaves to the mounts, and no
 * capabilities. It stays the daemon's user, as functions do there: another one could not enter the
 * state folder. */
static int confine_degraded(const struct build *b)
{
    const char *reads[LIST_MAX + 16] = {"/usr",   "/bin", "/sbin", "/lib",     "/lib64",
                                        "/lib32", "/etc", "/proc", b->project, b->lib};
    const char *writes[] = {b->tree, b->scratch, "/dev", NULL};
    unsigned n = 10;
    int fd = -1, r;

    for (unsigned i = 0; i < b->reads.n; i++)
        reads[n++] = b->reads.at[i];
    r = sandbox_landlock_prepare_for(MIN(sandbox_landlock_abi(), LANDLOCK_ABI_SCOPES - 1), reads,
                                     writes, &fd);
    if (r < 0)
        return r;
    r = fd >= 0 ? sandbox_landlock_worker(fd) : 0;
    if (fd >= 0)
        fd_close(fd);
    r = r < 0 ? r : sandbox_landlock_zygote();
    return r < 0 ? r : sandbox_seccomp_install();
}

static _noreturn_ void command_exec(const struct build *b)
{
    char *env[LIST_MAX + 1] = {NULL}, *argv[LIST_MAX + 1] = {NULL};
    char path[PATH_MAX];
    const char *dir = sandbox_plan_path(&b->plan, b->tree, path, sizeof(path));
    int r = limit(RLIMIT_CPU, CPU_SECONDS);

    for (unsigned i = 0; i < b->env.n; i++)
        env[i] = inside(b, b->env.at[i]);
    for (unsigned i = 0; i < LIST_MAX && b->command[i]; i++)
        argv[i] = inside(b, b->command[i]);
    if (r == 0 && !b->plan.own_root)
        r = confine_degraded(b);
    else if (r == 0)
        r = limit(RLIMIT_NPROC, PROCESSES_MAX);
    r = r < 0 ? r : cred_drop();
    if (r < 0) {
        (void)error_set_errno(&err, r, "cannot confine the command");
        fail();
    }
    if (chdir(dir) < 0)
        (void)error_set_errno(&err, -errno, "%s", dir);
    else if (execve(argv[0], argv, env) < 0)
        (void)error_set_errno(&err, -errno, "cannot start %s", argv[0]);
    fail();
}

/* In the sandbox, as its second process: the command's end is told to whoever waits outside by a
 * pipe that the command does not have, since what its first process says is not ours to choose. */
static _noreturn_ void command_run(const struct build *b, int tell_fd)
{
    struct pidref child = PIDREF_NULL;
    int status = 0, r = os_clone(0, &child);

    if (r == 0)
        command_exec(b);
    if (r > 0 && waitid(P_PIDFD, (id_t)child.fd, &(siginfo_t){0}, WEXITED | WNOWAIT) == 0)
        r = pidref_reap(&child, &status);
    if (r > 0)
        status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    else
        status = EXIT_BROKEN;
    r = write(tell_fd, &status, sizeof(status)) == sizeof(status) ? 0 : EXIT_BROKEN;
    _exit(r);
}

static int sandbox_run(struct build *b, int init_fd)
{
    struct pidref first = PIDREF_NULL;
    int fds[2], status = EXIT_BROKEN, r = fd_pipe(fds, 0);

    r = r < 0 ? r : os_clone(b->plan.init_namespaces, &first);
    if (r == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        r = sandbox_enter(&b->plan, init_fd, &err);
        if (r < 0)
            fail();
        command_run(b, fds[1]);
    }
    if (r < 0)
        return error_set_errno(&err, r, "cannot clone");
    fd_close(fds[1]);
    if (read(fds[0], &status, sizeof(status)) != sizeof(status))
        status = EXIT_BROKEN;
    fd_close(fds[0]);
    /* With it ends whatever the command has left running. */
    (void)waitid(P_PIDFD, (id_t)first.fd, &(siginfo_t){0}, WEXITED);
    return status;
}

/* ---- all ---- */

static int paths_make(struct build *b, char *lock, size_t size)
{
    (void)snprintf(b->tree, sizeof(b->tree), "%s/tree", b->place);
    (void)snprintf(b->scratch, sizeof(b->scratch), "%s/scratch", b->place);
    (void)snprintf(b->complete, sizeof(b->complete), "%s/complete", b->place);
    (void)snprintf(lock, size, "%s.lock", b->place);
    return strlen(b->place) + 16 < sizeof(b->tree) ? 0 : -ENAMETOOLONG;
}

static int lock_take(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return -errno;
    while (flock(fd, LOCK_EX) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return fd; /* until the end of the process */
}

static int place_prepare(const struct build *b)
{
    int r = builder_remove(b->place);

    if (r == 0 &&
        (mkdir(b->place, 0755) < 0 || mkdir(b->tree, 0755) < 0 || mkdir(b->scratch, 0755) < 0))
        r = -errno;
    for (unsigned i = 0; i < b->copies.n && r == 0; i++)
        r = builder_copy(b->copies.at[i], b->tree, b->scratch);
    if (r == 0 && b->plan.ids_first)
        r = builder_give(b->place, sandbox_plan_zygote_uid(&b->plan));
    return r < 0 ? error_set_errno(&err, r, "cannot prepare %s", b->place) : 0;
}

static int place_finish(const struct build *b)
{
    int fd, r = builder_remove(b->scratch);

    r = r < 0 ? r : builder_seal(b->place);
    if (r == 0) {
        fd = open(b->complete, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
        r = fd < 0 ? -errno : 0;
        fd_close(fd);
    }
    return r < 0 ? error_set_errno(&err, r, "cannot keep %s", b->place) : 0;
}

int main(int argc, char **argv)
{
    static struct build b;
    static struct sandbox_report report;
    char lock[PATH_MAX];
    struct stat st;
    int init_fd, result;

    if (!arguments_read(&b, argc, argv)) {
        (void)fprintf(stderr,
                      "usage: mayfly-build --place DIR --target DIR --project DIR --lib DIR "
                      "--init FILE\n"
                      "                    [--read PATH]... [--copy FILE=NAME]... "
                      "[--env NAME=VALUE]... -- COMMAND...\n"
                      "Is started by mayfly-control.\n");
        return EXIT_BROKEN;
    }
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || paths_make(&b, lock, sizeof(lock)) < 0)
        return EXIT_BROKEN;
    (void)umask(022);
    result = lock_take(lock);
    if (result < 0) {
        (void)error_set_errno(&err, result, "%s", lock);
        fail();
    }
    if (lstat(b.complete, &st) == 0)
        return EXIT_SUCCESS; /* somebody else was faster */
    init_fd = open(b.init, O_RDONLY | O_CLOEXEC);
    if (init_fd < 0) {
        (void)error_set_errno(&err, -errno, "%s", b.init);
        fail();
    }
    sandbox_probe(init_fd, &report);
    reads_tidy(&b);
    plan_make(&b, report.profile);
    if (place_prepare(&b) < 0)
        fail();
    result = sandbox_run(&b, init_fd);
    if (result == 0 && place_finish(&b) < 0)
        fail();
    if (result != 0)
        (void)builder_remove(b.place);
    return result < 0 ? EXIT_BROKEN : result;
}
