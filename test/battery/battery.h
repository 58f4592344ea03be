#pragma once

/* The battery: acts that no function may carry out, tried from inside one. Each runs in a process
 * of its own and says by its result how far it came: 0, it is done; or the errno that stopped it.
 *
 * battery.c is a mayfly function, standalone.c the same acts as an ordinary program, to see that
 * they are possible at all: as root most must succeed there. So each must be safe to carry out on a
 * machine in use: mounts in a mount namespace of their own, signal 0, files that are removed again,
 * and where success would do harm, arguments that the kernel finds fault with only after it has
 * found that the caller has the right (see past_the_gate()). */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct act {
    const char *name;
    const char *what;
    int (*run)(void);
    bool
        ordinary; /* a function may do this: proof that the others are not denied for want of air */
};

/* What the test that runs the battery tells it. */
static struct {
    bool inside;                 /* in a sandbox: only what is inside can be harmed */
    pid_t victim;                /* outside: a process that was started to be attacked; else 0 */
    const char *secret;          /* a file of the host, or of another function; or NULL */
    const char *mayfly_socket;   /* the daemon's unix socket; or NULL */
    const char *abstract_socket; /* name of one that somebody outside listens on; or NULL */
} battery;

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int result(long r)
{
    return r < 0 ? errno : 0;
}

/* For calls whose arguments are wrong on purpose: whoever may not make them is told so first, so
 * any other error means that the caller would have been let through. */
static int past_the_gate(long r)
{
    bool refused =
        r < 0 && (errno == EPERM || errno == EACCES || errno == ENOSYS || errno == EROFS);

    return refused ? errno : 0;
}

static int opened(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);

    if (fd < 0)
        return errno;
    (void)close(fd);
    return 0;
}

/* The first that can be opened decides; else the last error. */
static int opened_one(const char *const *paths, size_t n, int flags)
{
    int r = ENOENT;

    for (size_t i = 0; i < n && r != 0; i++)
        r = opened(paths[i], flags);
    return r;
}

/* Whether a file may be changed, tried by giving it the mode that it has: opening a program for
 * writing would fail while it runs, and where it does not, be one step from harm. */
static int changed(const char *path)
{
    struct stat st;

    return stat(path, &st) < 0 ? errno : result(chmod(path, st.st_mode & 07777));
}

/* Makes a file and removes it again. */
static int made(const char *path)
{
    int r = opened(path, O_WRONLY | O_CREAT | O_EXCL);

    if (r == 0)
        (void)unlink(path);
    return r;
}

/* Waits for a child; its exit code, or 128 + the signal. */
static int exit_of(pid_t pid)
{
    int status = 0;

    if (pid < 0)
        return errno;
    if (waitpid(pid, &status, 0) != pid)
        return errno;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* How an act ended: "done", the name of an errno, or of a signal. Returns whether it was prevented.
 */
static bool carry_out(const struct act *act, const char **ret_got)
{
    pid_t pid = fork();
    int status = 0;

    *ret_got = "?";
    if (pid == 0) {
        (void)alarm(10);
        _exit(act->run());
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return false; /* nothing is known */
    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));

        *ret_got = name ? name : "signal";
        return WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGKILL;
    }
    if (WEXITSTATUS(status) == 0)
        *ret_got = "done";
    else if (strerrorname_np(WEXITSTATUS(status)))
        *ret_got = strerrorname_np(WEXITSTATUS(status));
    return WEXITSTATUS(status) != 0;
}
