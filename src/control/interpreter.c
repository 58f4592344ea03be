#include "control/interpreter.h"

#include "base/buf.h"
#include "base/clock.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MAX       16384
#define TRIES_MAX        3
#define ANSWER_TIMEOUT_S 10
#define QUESTION                                                                                   \
    "import sys\n"                                                                                 \
    "print('\\n'.join([sys.executable, sys.base_prefix, sys.base_exec_prefix, sys.prefix]))"

void interpreter_deinit(struct interpreter *i)
{
    free(i->program);
    for (unsigned k = 0; k < i->n_paths; k++)
        free(i->paths[k]);
    *i = (struct interpreter){0};
}

static bool is_below(const char *path, const char *folder)
{
    size_t len = strlen(folder);

    return strncmp(path, folder, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* One of the system, that is no virtual environment's: there is nothing to ask. */
static bool is_of_the_system(const char *path)
{
    char *real = realpath(path, NULL);
    bool is = real && is_below(real, "/usr") && is_below(path, "/usr");

    free(real);
    return is;
}

/* Reads to the end, or what comes before the deadline. */
static int read_answer(int fd, unsigned timeout_s, struct buf *b)
{
    uint64_t deadline = clock_now_ns() + timeout_s * NS_PER_S;

    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        uint64_t now = clock_now_ns();
        ssize_t n;
        int r;

        if (now >= deadline)
            return -ETIMEDOUT;
        r = poll(&p, 1, (int)((deadline - now) / NS_PER_MS) + 1);
        if (r < 0 && errno != EINTR)
            return -errno;
        if (r <= 0)
            continue;
        r = buf_reserve(b, 1024);
        if (r < 0)
            return r;
        n = read(fd, buf_tail(b), 1024);
        if (n <= 0)
            return n < 0 ? -errno : 0;
        buf_commit(b, (size_t)n);
    }
}

static int start(char *const *argv, int out, pid_t *ret)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, usual;
    int r;

    (void)sigemptyset(&none);
    (void)sigfillset(&usual);
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawnattr_init(&attr);
    r = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    r = r ? r : posix_spawn_file_actions_adddup2(&actions, out, 1);
    r = r ? r : posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    r = r ? r : posix_spawnattr_setsigmask(&attr, &none);
    r = r ? r : posix_spawnattr_setsigdefault(&attr, &usual);
    r = r ? r
          : posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                POSIX_SPAWN_SETSIGDEF);
    r = r ? r : posix_spawn(ret, argv[0], &actions, &attr, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attr);
    return -r;
}

int interpreter_run(char *const *argv, unsigned timeout_s, struct buf *b)
{
    int out[2], status = 0, r;
    pid_t pid;

    r = fd_pipe(out, 0);
    if (r < 0)
        return r;
    r = start(argv, out[1], &pid);
    fd_close(out[1]);
    if (r == 0) {
        r = read_answer(out[0], timeout_s, b);
        if (r < 0)
            (void)killpg(pid, SIGKILL); /* not reaped yet: the number is still its own */
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        if (r == 0 && WIFSIGNALED(status))
            r = -EINTR; /* somebody killed it: that says nothing of the interpreter */
        else if (r == 0 && WEXITSTATUS(status) != 0)
            r = -ENOEXEC;
    }
    fd_close(out[0]);
    return r;
}

static bool is_known(const struct interpreter *i, const char *path)
{
    for (unsigned k = 0; k < i->n_paths; k++) {
        if (is_below(path, i->paths[k]))
            return true;
    }
    return false;
}

int interpreter_path_add(struct interpreter *i, const char *path)
{
    if (path[0] != '/' || !path[1] || is_below(path, "/usr") || is_known(i, path) ||
        i->n_paths == INTERPRETER_PATHS_MAX)
        return 0;
    i->paths[i->n_paths] = slice_dup(slice_str(path));
    return i->paths[i->n_paths++] ? 0 : -ENOMEM;
}

/* The first line is the program, the others are folders. */
static int take_answer(struct buf *b, struct interpreter *ret)
{
    struct slice rest = buf_slice(b);
    char *line = NULL;

    while (rest.len > 0 && ret->n_paths < INTERPRETER_PATHS_MAX) {
        const char *end = memchr(rest.base, '\n', rest.len);
        size_t len = end ? (size_t)(end - rest.base) : rest.len;

        line = slice_dup(slice(rest.base, len));
        if (!line)
            return -ENOMEM;
        rest = slice(rest.base + len + (end ? 1 : 0), rest.len - len - (end ? 1 : 0));
        if (!ret->program)
            ret->program = line;
        else if (line[0] == '/' && line[1] && !is_below(line, "/usr") && !is_known(ret, line))
            ret->paths[ret->n_paths++] = line;
        else
            free(line);
    }
    return ret->program && ret->program[0] == '/' ? 0 : -ENOEXEC;
}

int interpreter_ask_python(const char *path, struct interpreter *ret, struct error *err)
{
    char *const argv[] = {(char *)(uintptr_t)path, "-c", QUESTION, NULL};
    struct buf b = BUF_INIT(ANSWER_MAX);
    int r = 0;

    *ret = (struct interpreter){.program = NULL};
    if (is_of_the_system(path)) {
        ret->program = slice_dup(slice_str(path));
        return ret->program ? 0 : -ENOMEM;
    }
    for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
        buf_clear(&b);
        r = interpreter_run(argv, ANSWER_TIMEOUT_S, &b);
        if (r != -EINTR)
            break;
    }
    r = r < 0 ? r : take_answer(&b, ret);
    buf_deinit(&b);
    if (r < 0) {
        interpreter_deinit(ret);
        return error_set_errno(err, r, "the Python interpreter %s does not run", path);
    }
    return 0;
}
