#pragma once

/* File systems as one process sees them. Each call can be told to fail (os/fault.h).
 * Context: async-signal-safe; mount_place() and what it makes stay behind on failure. */

#include "base/def.h"

#include <sys/types.h>

/* mount(2). Returns 0 or -errno. */
int mount_new(const char *type, const char *target, unsigned long flags, const char *options);

/* Nothing that is mounted from here on goes to the host, and nothing of the host's comes here. */
int mount_make_private(void);

/* What is at `source`, with all that is mounted below it, is at `target`, too: without set-user-id
 * programs and devices, and read-only if asked. Both must be there. */
int mount_bind(const char *source, const char *target, bool writable);

/* The same where others can change what stands on the way: -ELOOP if a symbolic link is, on the one
 * side or the other. */
int mount_bind_exact(const char *source, const char *target, bool writable);

/* Puts only the file system at `target` under other rules: read-only. */
int mount_read_only(const char *target);

/* pivot_root(2) and the step into the new root. */
int mount_pivot(const char *new_root, const char *put_old);

/* umount2(2) with MNT_DETACH. */
int mount_detach(const char *target);

/* Makes all folders of an absolute path that are missing, mode 0755; with `is_file` the last part
 * is an empty file. Returns 0 or -errno. */
int mount_place(const char *path, bool is_file);
