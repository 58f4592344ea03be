/* Room that is kept for the day on which the disk is full: to delete something, SQLite has to write
 * into its journal first, and what stands there into the file. The reserve is a file without
 * contents beside it; it is given up for forgetting alone, and made again when there is room. */

#include "store/store-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char *reserve_path(const struct store *s)
{
    char *path;

    return asprintf(&path, "%s.reserve", s->path) < 0 ? NULL : path;
}

void reserve_hold(struct store *s)
{
    _cleanup_free_ char *path = s->has_reserve ? NULL : reserve_path(s);
    struct stat st;
    int fd;

    if (!path)
        return;
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    s->has_reserve = (fstat(fd, &st) == 0 && st.st_blocks * 512 >= (blkcnt_t)RESERVE_BYTES) ||
                     posix_fallocate(fd, 0, RESERVE_BYTES) == 0;
    if (!s->has_reserve)
        (void)unlink(path);
    (void)close(fd);
}

int reserve_give_up(struct store *s)
{
    _cleanup_free_ char *path = reserve_path(s);

    if (path && s->has_reserve)
        (void)unlink(path);
    s->has_reserve = false;
    /* First of all what is in the journal goes into the file, so that the journal begins anew. */
    return store_exec(s, "PRAGMA wal_checkpoint(TRUNCATE)");
}
