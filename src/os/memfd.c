#include "os/memfd.h"

#include "os/fault.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS_WANTED (F_SEAL_SHRINK | F_SEAL_WRITE)
#define SEALS_SET    (SEALS_WANTED | F_SEAL_GROW | F_SEAL_SEAL)

int memfd_new(const char *name, struct slice bytes)
{
    _cleanup_close_ int fd = -1;
    int r = os_fault(OS_CALL_MEMFD);

    if (r < 0)
        return r;
    fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    for (size_t done = 0; done < bytes.len;) {
        ssize_t n = write(fd, bytes.base + done, bytes.len - done);

        if (n < 0)
            return -errno;
        done += (size_t)n;
    }
    if (fcntl(fd, F_ADD_SEALS, SEALS_SET) < 0)
        return -errno;
    return take_fd(&fd);
}

int memfd_map(int fd, size_t max, struct slice *ret)
{
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat st;
    void *p;

    if (seals < 0 || (seals & SEALS_WANTED) != SEALS_WANTED)
        return -EPERM;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size <= 0 || (uint64_t)st.st_size > max)
        return -EFBIG;
    p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    *ret = slice(p, (size_t)st.st_size);
    return 0;
}

void memfd_unmap(struct slice *bytes)
{
    if (bytes->base)
        (void)munmap((void *)(uintptr_t)bytes->base, bytes->len);
    *bytes = SLICE_NULL;
}
