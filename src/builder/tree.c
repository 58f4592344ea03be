#include "builder/tree.h"

#include "base/slice.h"
#include "os/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 200
#define COPY_MAX  (64 * 1024 * 1024)

/* What is to be done with each entry: folders when they are left. fd is the folder's that it is in.
 */
typedef int (*tree_visit)(int fd, const char *name, const struct stat *st, uid_t uid);

static int walk(int parent, const char *name, tree_visit visit, uid_t uid, unsigned depth);

static int walk_below(int fd, tree_visit visit, uid_t uid, unsigned depth)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3), r = 0;
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *e;

    if (!d) {
        r = -errno;
        fd_close(copy);
        return r;
    }
    while (r == 0 && (e = readdir(d))) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            r = walk(fd, e->d_name, visit, uid, depth + 1);
    }
    (void)closedir(d);
    return r;
}

static int walk(int parent, const char *name, tree_visit visit, uid_t uid, unsigned depth)
{
    _cleanup_close_ int fd = -1;
    struct stat st;
    int r = 0;

    if (depth > DEPTH_MAX)
        return -ELOOP;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode)) {
        /* A folder that its owner may not enter, as foreign code leaves them behind. */
        if ((st.st_mode & 0700) != 0700)
            (void)fchmodat(parent, name, 0700, 0);
        fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        r = fd < 0 ? -errno : walk_below(fd, visit, uid, depth);
    }
    return r < 0 ? r : visit(parent, name, &st, uid);
}

static int remove_one(int fd, const char *name, const struct stat *st, uid_t uid)
{
    return unlinkat(fd, name, S_ISDIR(st->st_mode) ? AT_REMOVEDIR : 0) < 0 ? -errno : 0;
}

int builder_remove(const char *path)
{
    int r = walk(AT_FDCWD, path, remove_one, 0, 0);

    return r == -ENOENT ? 0 : r;
}

static int give_one(int fd, const char *name, const struct stat *st, uid_t uid)
{
    return fchownat(fd, name, uid, uid, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int builder_give(const char *path, uid_t uid)
{
    return walk(AT_FDCWD, path, give_one, uid, 0);
}

/* A file with several names is no more trusted than one with a single name: nothing outside of the
 * tree can be linked into it, since it is a mount of its own, or the kernel protects what is not
 * the linker's. Links are left as they are: they show what the one who follows them may see. */
static int seal_one(int fd, const char *name, const struct stat *st, uid_t uid)
{
    mode_t mode = S_ISDIR(st->st_mode) || (st->st_mode & 0111) ? 0755 : 0644;

    if (!S_ISDIR(st->st_mode) && !S_ISREG(st->st_mode) && !S_ISLNK(st->st_mode))
        return unlinkat(fd, name, 0) < 0 ? -errno : 0;
    if (geteuid() == 0 && fchownat(fd, name, 0, 0, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (!S_ISLNK(st->st_mode) && fchmodat(fd, name, mode, 0) < 0)
        return -errno;
    return 0;
}

int builder_seal(const char *path)
{
    return walk(AT_FDCWD, path, seal_one, 0, 0);
}

static int copy_bytes(int from, int to)
{
    char bytes[16384];
    size_t total = 0;
    ssize_t n;

    while ((n = read(from, bytes, sizeof(bytes))) > 0) {
        total += (size_t)n;
        if (total > COPY_MAX)
            return -EFBIG;
        if (write(to, bytes, (size_t)n) != n)
            return -EIO;
    }
    return n < 0 ? -errno : 0;
}

int builder_copy(const char *what, const char *tree, const char *scratch)
{
    static const char prefix[] = "scratch/";
    const char *equals = strrchr(what, '='), *name = equals ? equals + 1 : "";
    bool to_scratch = strncmp(name, prefix, strlen(prefix)) == 0;
    _cleanup_free_ char *source = equals ? slice_dup(slice(what, (size_t)(equals - what))) : NULL;
    _cleanup_close_ int from = -1, to = -1;
    char path[PATH_MAX];
    struct stat st;

    if (!source)
        return -EINVAL;
    (void)snprintf(path, sizeof(path), "%s/%s", to_scratch ? scratch : tree,
                   to_scratch ? name + strlen(prefix) : name);
    from = open(source, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (from < 0)
        return errno == ENOENT ? 0 : -errno;
    if (fstat(from, &st) < 0 || !S_ISREG(st.st_mode))
        return -EINVAL;
    to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    return to < 0 ? -errno : copy_bytes(from, to);
}
