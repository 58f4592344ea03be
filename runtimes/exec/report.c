/* The PIDs in /proc are those of the zygote's namespace, not of the worker's own. The kernel
 * translates: it shows a pidfd's PID as the reader's /proc knows it. */

#include "report.h"

#include "base/slice.h"
#include "os/fd.h"
#include "os/proc.h"
#include "zygote/worker.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define LINES_MAX    16
#define COMMAND_MAX  120
#define DEPTH_MAX    8
#define FILE_MAX     4096
#define US_PER_CENTI 10000

static size_t read_file(const char *path, char dst[static FILE_MAX])
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, dst, FILE_MAX - 1);

    dst[MAX(n, 0)] = '\0';
    return (size_t)MAX(n, 0);
}

static long read_number(const char **text)
{
    long number = 0;

    *text += strspn(*text, " \t");
    for (; **text >= '0' && **text <= '9' && number < INT32_MAX; (*text)++)
        number = 10 * number + (**text - '0');
    return number;
}

static pid_t pid_in_proc(const struct pidref *child)
{
    char path[64], text[FILE_MAX];
    const char *pid;

    (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", child->fd);
    (void)read_file(path, text);
    pid = strstr(text, "Pid:");
    if (!pid)
        return 0;
    pid += strlen("Pid:");
    return (pid_t)read_number(&pid);
}

static const char *state_name(char state)
{
    switch (state) {
    case 'R':
        return "running";
    case 'S':
        return "waiting";
    case 'D':
        return "waiting for a disk";
    case 'T':
    case 't':
        return "stopped";
    case 'Z':
        return "ended";
    default:
        return "in an unknown state";
    }
}

/* The command line, with blanks between the words and without control bytes. */
static void read_command(pid_t pid, char dst[static FILE_MAX])
{
    char path[64];
    size_t len;

    (void)snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
    len = MIN(read_file(path, dst), (size_t)COMMAND_MAX);
    while (len > 0 && dst[len - 1] == '\0')
        len--;
    dst[len] = '\0';
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)dst[i] < ' ' || dst[i] == 0x7f)
            dst[i] = ' ';
    }
}

static void report_process(pid_t pid, int depth, int *n_lines)
{
    char path[64], text[FILE_MAX];
    struct proc_stat stat;
    const char *next = text;
    pid_t child;

    if (*n_lines == LINES_MAX || depth == DEPTH_MAX || proc_stat_read(pid, &stat) < 0)
        return;
    (*n_lines)++;
    read_command(pid, text);
    (void)dprintf(STDERR_FILENO, "    %*s%s (pid %d): %s, after %llu.%02llu s of CPU time\n",
                  2 * depth, "", text, pid, state_name(stat.state),
                  (unsigned long long)((stat.user_us + stat.system_us) / 1000000),
                  (unsigned long long)((stat.user_us + stat.system_us) / US_PER_CENTI % 100));
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
    (void)read_file(path, text);
    while ((child = (pid_t)read_number(&next)) > 0)
        report_process(child, depth + 1, n_lines);
}

void report_processes(const char *program, const struct pidref *child)
{
    int n_lines = 0;
    pid_t pid;

    (void)dprintf(STDERR_FILENO,
                  WORKER_STACK_MARK "SIGQUIT: %s was still running at the deadline\n",
                  program ? program : "a program");
    pid = pidref_is_set(child) ? pid_in_proc(child) : 0;
    if (pid > 0)
        report_process(pid, 0, &n_lines);
}
