/* The kernel tells a thread's number in every namespace from that of /proc inwards (NSpid in its
 * status), but not the way back: so the caller's descendants are walked through. */

#include "os/thread.h"

#include "base/parse.h"
#include "os/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_SIZE     4096
#define LEVELS_MAX    32 /* of PID namespaces, the kernel's own ceiling */
#define PROCESSES_MAX 4096

struct ids {
    pid_t pids[LEVELS_MAX]; /* NSpid */
    pid_t processes[LEVELS_MAX];
    unsigned n;
};

static ssize_t read_text(const char *path, char dst[static TEXT_SIZE])
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, dst, TEXT_SIZE - 1);

    if (n < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    dst[n] = '\0';
    return n;
}

static unsigned read_list(const char *text, const char *name, pid_t dst[static LEVELS_MAX])
{
    const char *line = strstr(text, name);
    unsigned n = 0;

    if (!line)
        return 0;
    for (line += strlen(name); *line == '\t' && n < LEVELS_MAX; n++) {
        char *end;

        dst[n] = (pid_t)strtol(line + 1, &end, 10);
        line = end;
    }
    return n;
}

static int ids_read(const char *path, struct ids *ret)
{
    char text[TEXT_SIZE];
    ssize_t n = read_text(path, text);

    if (n < 0)
        return (int)n;
    ret->n = read_list(text, "\nNSpid:", ret->pids);
    return ret->n > 0 && read_list(text, "\nNStgid:", ret->processes) == ret->n ? 0 : -ESRCH;
}

/* ---- the walk ---- */

struct walk {
    pid_t tid;
    unsigned level; /* of the caller's namespace, counted from that of /proc */
    pid_t todo[PROCESSES_MAX];
    unsigned n, next;
};

static void add_children(struct walk *w, const char *task)
{
    char path[128], text[TEXT_SIZE], *at = text;

    (void)snprintf(path, sizeof(path), "%s/children", task);
    if (read_text(path, text) < 0)
        return;
    while (w->n < PROCESSES_MAX) {
        char *end;
        pid_t pid = (pid_t)strtol(at, &end, 10);

        if (end == at)
            return;
        w->todo[w->n++] = pid;
        at = end;
    }
}

/* Returns 1 if it is this thread, else 0. */
static int look_at(struct walk *w, const char *task, struct thread_place *ret)
{
    char path[128];
    struct ids ids;

    (void)snprintf(path, sizeof(path), "%s/status", task);
    if (ids_read(path, &ids) < 0 || ids.n <= w->level || ids.pids[w->level] != w->tid)
        return 0;
    *ret = (struct thread_place){.in_proc = ids.pids[0], .pid = ids.processes[w->level]};
    return 1;
}

static int look_through(struct walk *w, pid_t process, struct thread_place *ret)
{
    char path[96];
    struct dirent *entry;
    int found = 0;
    DIR *dir;

    (void)snprintf(path, sizeof(path), "/proc/%d/task", process);
    dir = opendir(path);
    while (dir && found == 0 && (entry = readdir(dir)) != NULL) {
        uint64_t number;

        if (parse_u64(slice_str(entry->d_name), INT32_MAX, &number) < 0)
            continue;
        (void)snprintf(path, sizeof(path), "/proc/%d/task/%d", process, (int)number);
        found = look_at(w, path, ret);
        add_children(w, path);
    }
    if (dir)
        (void)closedir(dir);
    return found;
}

int thread_find(pid_t tid, struct thread_place *ret)
{
    char path[64];
    struct walk *w;
    struct ids ids;
    int r = ids_read("/proc/self/status", &ids), found = 0;

    if (r < 0)
        return r;
    if (ids.n == 1) {
        (void)snprintf(path, sizeof(path), "/proc/%d/status", tid);
        r = ids_read(path, &ids);
        if (r == 0)
            *ret = (struct thread_place){.in_proc = tid, .pid = ids.processes[0]};
        return r;
    }
    w = malloc(sizeof(*w));
    if (!w)
        return -ENOMEM;
    w->tid = tid;
    w->level = ids.n - 1;
    w->todo[0] = ids.processes[0];
    w->n = 1;
    for (w->next = 0; w->next < w->n && found == 0; w->next++)
        found = look_through(w, w->todo[w->next], ret);
    free(w);
    return found ? 0 : -ESRCH;
}
