/* Which folder an event is about does not matter, only that it is not about a file that makes no
 * difference: everything is looked at again, and file hashes are cached. */

#include "control/watch.h"

#include "base/clock.h"
#include "control/target.h"
#include "control/tree.h"
#include "os/fd.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define EVENTS                                                                                     \
    (IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB |            \
     IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_DONT_FOLLOW)

int watch_init(struct watch *w, struct error *err)
{
    *w = (struct watch){.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), .due_ns = UINT64_MAX};
    if (w->fd < 0)
        return error_set_errno(err, -errno, "cannot watch files: inotify");
    return 0;
}

void watch_deinit(struct watch *w)
{
    w->fd = fd_close(w->fd);
}

struct scan {
    struct watch *watch;
    struct stat except;
    uint32_t n_dirs;
    struct error *err;
};

static int scan_dir(struct scan *s, const char *path, unsigned depth)
{
    struct dirent *e;
    struct stat st;
    int r = 0;
    DIR *d;

    if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode) || depth > TREE_DEPTH_MAX ||
        (st.st_ino == s->except.st_ino && st.st_dev == s->except.st_dev) || tree_is_venv(path))
        return 0;
    if (++s->n_dirs > WATCH_DIRS_MAX)
        return error_set(s->err, -E2BIG,
                         "more than %d folders to watch; those below %s are not watched any more",
                         WATCH_DIRS_MAX, path);
    if (inotify_add_watch(s->watch->fd, path, EVENTS) < 0 && errno == ENOSPC)
        return error_set(s->err, -ENOSPC,
                         "the system's limit of watched folders is reached at %s; raise it: sysctl "
                         "fs.inotify.max_user_watches=524288",
                         path);
    d = opendir(path);
    if (!d)
        return 0;
    while (r == 0 && (e = readdir(d))) {
        _cleanup_free_ char *below = NULL;

        if ((e->d_type != DT_DIR && e->d_type != DT_UNKNOWN) || tree_ignores(e->d_name))
            continue;
        below = path_join(path, e->d_name);
        r = below ? scan_dir(s, below, depth + 1) : error_set(s->err, -ENOMEM, "out of memory");
    }
    (void)closedir(d);
    return r;
}

int watch_scan(struct watch *w, const char *dir, const char *except, struct error *err)
{
    struct scan s = {.watch = w, .err = err};

    if (!except || stat(except, &s.except) < 0)
        s.except = (struct stat){0};
    return scan_dir(&s, dir, 0);
}

static bool is_ignored(const struct watch *w, const char *name)
{
    return w->any_name ? name[0] == '.' : tree_ignores(name);
}

void watch_read(struct watch *w, uint64_t now_ns)
{
    _Alignas(struct inotify_event) char events[16384];
    bool relevant = false;

    for (;;) {
        ssize_t n = read(w->fd, events, sizeof(events));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        for (char *p = events; p < events + n;) {
            const struct inotify_event *e = (const struct inotify_event *)p;

            if (e->mask & IN_Q_OVERFLOW)
                relevant = true;
            else if (!(e->mask & IN_IGNORED) && (e->len == 0 || !is_ignored(w, e->name)))
                /* A folder's own attributes change with each file in it; mode and owner of files
                 * do make a difference. */
                relevant = relevant || !(e->mask & IN_ATTRIB) || e->len > 0;
            p += sizeof(*e) + e->len;
        }
    }
    if (!relevant)
        return;
    if (w->due_ns == UINT64_MAX)
        w->latest_ns = now_ns + WATCH_LATEST_MS * NS_PER_MS;
    w->due_ns = MIN(now_ns + WATCH_QUIET_MS * NS_PER_MS, w->latest_ns);
}

bool watch_is_due(struct watch *w, uint64_t now_ns)
{
    if (w->due_ns > now_ns)
        return false;
    w->due_ns = UINT64_MAX;
    return true;
}
