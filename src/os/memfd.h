#pragma once

/* Bytes that are handed between processes: a sealed memory file cannot change under its reader. */

#include "base/slice.h"

/* Makes a sealed memfd of the bytes. Returns the fd or -errno. */
int memfd_new(const char *name, struct slice bytes);

/* Maps a memfd from a peer for reading, if it is sealed against writing and shrinking and not
 * larger than max. Returns 0, -EPERM if it is not sealed, -EFBIG, or -errno. */
int memfd_map(int fd, size_t max, struct slice *ret);
void memfd_unmap(struct slice *bytes); /* may be called twice */
