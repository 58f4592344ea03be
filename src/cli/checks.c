/* What mayfly needs of a machine, tried out rather than looked up: a kernel may know a facility and
 * refuse it to this user. */

#include "cli/cli.h"
#include "cli/doctor.h"

#include "base/clock.h"
#include "os/fd.h"
#include "os/pidref.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM_SECONDS 5 /* longest wait for a program to tell its version */

#define SAY(...) ((void)snprintf(detail, DOCTOR_DETAIL_MAX, __VA_ARGS__))

/* The first "N.N" in a text. */
static bool find_version(const char *text, unsigned *ret_major, unsigned *ret_minor)
{
    for (const char *p = text; *p; p++) {
        if (*p >= '0' && *p <= '9' && sscanf(p, "%3u.%4u", ret_major, ret_minor) == 2) {
            return true;
        }
        while (*p >= '0' && *p <= '9' && p[1] >= '0' && p[1] <= '9') {
            p++;
        }
    }
    return false;
}

static bool is_at_least(const struct check *check, const char *text)
{
    unsigned major, minor;

    return find_version(text, &major, &minor) &&
           (major > check->major || (major == check->major && minor >= check->minor));
}

static enum health check_kernel(const struct check *check, char detail[static DOCTOR_DETAIL_MAX])
{
    struct utsname name;

    if (uname(&name) < 0) {
        SAY("uname: %s", strerror(errno));
        return HEALTH_BROKEN;
    }
    SAY("Linux %.100s", name.release);
    return is_at_least(check, name.release) ? HEALTH_OK : HEALTH_BROKEN;
}

static enum health check_pidfd(const struct check *check, char detail[static DOCTOR_DETAIL_MAX])
{
    _cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

    SAY("%s", fd >= 0 ? "works" : strerror(errno));
    return fd >= 0 ? HEALTH_OK : HEALTH_BROKEN;
}

static enum health check_files(const struct check *check, char detail[static DOCTOR_DETAIL_MAX])
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        SAY("%s", strerror(errno));
        return HEALTH_WARN;
    }
    SAY("%llu open files", (unsigned long long)limit.rlim_max);
    return limit.rlim_max >= 8192 ? HEALTH_OK : HEALTH_WARN;
}

static enum health check_processes(const struct check *check, char detail[static DOCTOR_DETAIL_MAX])
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NPROC, &limit) < 0) {
        SAY("%s", strerror(errno));
        return HEALTH_WARN;
    }
    if (limit.rlim_cur == RLIM_INFINITY) {
        SAY("no limit");
        return HEALTH_OK;
    }
    SAY("%llu processes", (unsigned long long)limit.rlim_cur);
    return limit.rlim_cur >= 2048 ? HEALTH_OK : HEALTH_WARN;
}

/* Starts a program with both outputs to `out`. Returns 0 or an errno. */
static int start_program(const char *program, const char *option, int out, struct pidref *ret)
{
    char *argv[] = {(char *)program, (char *)option, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int r;

    r = posix_spawn_file_actions_init(&actions);
    r = r ?: posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    r = r ?: posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
    r = r ?: posix_spawnp(&pid, program, &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (r != 0) {
        return r;
    }
    return -pidref_from_fd_take((int)syscall(SYS_pidfd_open, pid, 0), ret, NULL);
}

/* What a program prints, up to size - 1 bytes within some seconds; then it is ended. Returns 0 or
 * an errno. */
static int output_of(const char *program, const char *option, char *dst, size_t size)
{
    uint64_t end_ns = clock_now_ns() + PROGRAM_SECONDS * NS_PER_S;
    struct pidref process = PIDREF_NULL;
    struct pollfd pollfd = {.events = POLLIN};
    size_t len = 0;
    ssize_t n = 1;
    int fds[2];
    int r;

    r = -fd_pipe(fds, 0);
    if (r != 0) {
        return r;
    }
    r = start_program(program, option, fds[1], &process);
    (void)fd_close(fds[1]);
    pollfd.fd = fds[0];
    while (r == 0 && len < size - 1 && n > 0 && clock_now_ns() < end_ns &&
           poll(&pollfd, 1, PROGRAM_SECONDS * 1000) == 1) {
        n = read(fds[0], dst + len, size - 1 - len);
        len += n > 0 ? (size_t)n : 0;
    }
    dst[len] = '\0';
    (void)fd_close(fds[0]);
    if (r == 0) {
        (void)pidref_kill(&process, SIGKILL); /* most have ended already */
        while (waitpid(process.pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    pidref_done(&process);
    return r;
}

static enum health check_program(const struct check *check, char detail[static DOCTOR_DETAIL_MAX])
{
    char text[512];
    int e = output_of(check->program, check->version_option, text, sizeof text);
    char *line = text;

    if (e != 0) {
        SAY("%s: %s", check->program, e == ENOENT ? "not found" : strerror(e));
        return HEALTH_MISSING;
    }
    while (*line == '\n') { /* perl begins with an empty line */
        line++;
    }
    line[strcspn(line, "\n")] = '\0';
    SAY("%.120s", line);
    return is_at_least(check, line) ? HEALTH_OK : HEALTH_WARN;
}

const struct check doctor_checks[] = {
    {"kernel", "pidfds, clone3, close_range", "a kernel of 5.10 or newer is needed", check_kernel,
     .major = 5, .minor = 10},
    {"pidfd", "a process is ended, never its number's next owner", "use a newer kernel",
     check_pidfd},
    {"open files", "a few for each request at work", "raise the hard limit: ulimit -Hn 65536",
     check_files},
    {"processes", "one for each request at work", "raise it: ulimit -u 65536", check_processes},
    {"cc", "compiles functions in C", "apt-get install gcc libc6-dev", check_program, "cc",
     "--version", 8, 0},
    {"python3", "functions in Python", "apt-get install python3 (3.8 or newer)", check_program,
     "python3", "--version", 3, 8},
    {"node", "functions in JavaScript", "apt-get install nodejs (18 or newer)", check_program,
     "node", "--version", 18, 0},
    {"venv", "Python packages of requirements.txt and the like",
     "apt-get install python3-venv python3-pip", check_program, "python3",
     "-cimport venv, ensurepip; print('pip', ensurepip.version())", 0, 0},
    {"npm", "npm packages of package-lock.json", "apt-get install npm (7 or newer)", check_program,
     "npm", "--version", 7, 0},
    {"ruby", "functions in Ruby, if mayfly was built with it", "apt-get install ruby ruby-dev",
     check_program, "ruby", "--version", 3, 0},
    {"php", "functions in PHP, if mayfly was built with it",
     "apt-get install php-cli php-dev libphp-embed", check_program, "php", "--version", 8, 0},
    {"perl", "functions in Perl, if mayfly was built with it", "apt-get install perl libperl-dev",
     check_program, "perl", "-v", 5, 0},
};

const size_t n_doctor_checks = ARRAY_SIZE(doctor_checks);
