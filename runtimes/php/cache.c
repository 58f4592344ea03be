/* opcache keeps compiled scripts in memory that all forks share and may write to, and has a lock in
 * a file that they share. That is right for a server whose processes trust each other. Here a
 * worker is not to reach any other: once all is compiled, the memory becomes private, so that a
 * fork copies what is written to, and each worker gets a lock of its own. */

#include "server.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE_BYTES   4096
#define MAPPINGS_MAX 16

static int lock_fd = -1;

/* Only what has been touched is copied. */
static int make_private(char *base, size_t len)
{
    size_t n_pages = len / PAGE_BYTES, n = 0;
    unsigned char *resident = malloc(n_pages);
    char *copy = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int r = -1;

    if (!resident || copy == MAP_FAILED || mincore(base, len, resident) < 0)
        goto out;
    for (; n < n_pages; n++) {
        if (resident[n] & 1)
            memcpy(copy + n * PAGE_BYTES, base + n * PAGE_BYTES, PAGE_BYTES);
    }
    if (mremap(copy, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, base) == MAP_FAILED)
        goto out;
    copy = MAP_FAILED;
    r = 0;
out:
    free(resident);
    if (copy != MAP_FAILED)
        (void)munmap(copy, len);
    return r;
}

static void find_lock(void)
{
    DIR *dir = opendir("/proc/self/fd");
    const struct dirent *entry;
    char path[300], target[256];

    while (dir && (entry = readdir(dir))) {
        ssize_t n;

        (void)snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
        n = readlink(path, target, sizeof(target) - 1);
        target[n < 0 ? 0 : n] = '\0';
        if (strstr(target, "opcache_lock") || strstr(target, ".ZendSem."))
            (void)sscanf(entry->d_name, "%9d", &lock_fd);
    }
    if (dir)
        (void)closedir(dir);
}

void cache_make_private(void)
{
    struct {
        char *base;
        size_t len;
    } found[MAPPINGS_MAX];
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    size_t n = 0;

    while (maps && n < MAPPINGS_MAX && fgets(line, sizeof(line), maps)) {
        unsigned long start, end;
        char rights[5];

        if (sscanf(line, "%lx-%lx %4s", &start, &end, rights) == 3 && rights[3] == 's' &&
            strstr(line, "/dev/zero"))
            found[n++].base = (char *)start, found[n - 1].len = end - start;
    }
    if (maps)
        (void)fclose(maps);
    for (size_t i = 0; i < n; i++) {
        if (make_private(found[i].base, found[i].len) < 0) {
            (void)fprintf(stderr, "mayfly: PHP's compiled scripts stay shared: %m\n");
            _exit(EXIT_FAILURE); /* rather none than a shared one */
        }
    }
    find_lock();
}

void cache_after_fork(void)
{
    int fd = lock_fd < 0 ? -1 : memfd_create("opcache_lock", MFD_CLOEXEC);

    if (fd < 0)
        return;
    (void)dup3(fd, lock_fd, O_CLOEXEC);
    (void)close(fd);
}
