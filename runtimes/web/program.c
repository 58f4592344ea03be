#include "program.h"

#include "packets.h"

#include "os/fd.h"
#include "os/notify.h"
#include "os/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATH_DEFAULT  "/usr/local/bin:/usr/bin:/bin"
#define MODULES       "/node_modules/.bin"
#define EXIT_NO_START 127
#define EXIT_SIGNAL   128 /* and the signal, as a shell says it */
#define BEGIN_BYTES   256

static _noreturn_ void fail(const char *what, int error)
{
    (void)dprintf(STDERR_FILENO, "mayfly: cannot start %s: %s\n", what, strerrordesc_np(error));
    _exit(EXIT_NO_START);
}

/* The folders of the project's own packages come first, so that "gunicorn" or "next" is the one
 * that the project has. */
static void set_environment(const struct program_options *o)
{
    const char *path = getenv("PATH");
    char text[32], folder[PATH_MAX], *all, *slash;
    size_t above;

    (void)snprintf(text, sizeof(text), "%u", o->port);
    if (!getcwd(folder, sizeof(folder)))
        folder[0] = '\0';
    slash = strrchr(folder, '/');
    above = slash ? (size_t)(slash - folder) : 0; /* where mayfly installs what Node wants */
    if (asprintf(&all, "%s%s%s" MODULES ":%.*s" MODULES ":%s", o->bin, *o->bin ? ":" : "", folder,
                 (int)above, folder, path && *path ? path : PATH_DEFAULT) < 0 ||
        setenv("PORT", text, 1) < 0 || setenv("PATH", all, 1) < 0)
        fail(o->words[0], ENOMEM);
}

/* From here on each bind() and connect() of the program is seen by the broker. */
static void be_watched(const struct program_options *o)
{
    static const int calls[] = {SYS_bind, SYS_connect};
    const char letter = WEB_LISTENS;
    int fd = notify_listen(calls, ARRAY_SIZE(calls));

    if (sock_send(o->watched, slice(&letter, 1), &fd, fd >= 0) != 1)
        _exit(EXIT_FAILURE);
    fd_close(fd);
    (void)close_range(STDERR_FILENO + 1, ~0U, 0);
}

static int spawn(char *const *words, pid_t *ret)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int r;

    sigemptyset(&none);
    sigfillset(&all);
    (void)posix_spawn_file_actions_init(&actions); /* these only allocate */
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setsigdefault(&attributes, &all);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                    POSIX_SPAWN_SETPGROUP);
    r = posix_spawnp(ret, words[0], &actions, &attributes, words, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    return -r;
}

static int exit_code(int status)
{
    return WIFSIGNALED(status) ? EXIT_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

void program_run(void *arg)
{
    const struct program_options *o = arg;
    sigset_t awaited;
    pid_t pid, ended;
    int r, status, signal = 0;

    sigemptyset(&awaited);
    sigaddset(&awaited, SIGTERM);
    sigaddset(&awaited, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &awaited, NULL);
    set_environment(o);
    be_watched(o);
    r = spawn(o->words, &pid);
    if (r < 0)
        fail(o->words[0], -r);
    for (;;) {
        while ((ended = waitpid(-1, &status, WNOHANG)) > 0) {
            if (ended == pid)
                _exit(exit_code(status));
        }
        signal = sigwaitinfo(&awaited, NULL);
        if (signal == SIGTERM)
            (void)killpg(pid, SIGTERM);
    }
}
