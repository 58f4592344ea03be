#pragma once

/* Landlock: a process gives up, for itself and what it starts, rights that no other layer of the
 * sandbox can take back from it. Domains nest; a process may only trace, look at in /proc, or (with
 * the scopes below) signal one in its own domain or below it, never beside or above. So workers of
 * one user that each have a domain cannot touch each other, and the zygote can still end them.
 * (PR_SET_PDEATHSIG is a signal of the parent that ends: it comes from above or not at all.)
 *
 * What the kernel does not have is left out: see the ABI. Every function works by system calls
 * alone. Context: async-signal-safe, after fork too; one thread only. */

#include "base/def.h"

enum {
    LANDLOCK_E_OK,
    LANDLOCK_E_NONE, /* the kernel has no Landlock, or is too old for the scopes: nothing changed */
};

#define LANDLOCK_ABI_SCOPES 6 /* from here on rules are scopes, and name no paths */

/* The ABI version of the kernel: 1 file system, 2 + rename across folders, 3 + truncate, 4 + TCP,
 * 5 + ioctl on devices, 6 + scopes; 0: none. */
int sandbox_landlock_abi(void);

/* For the zygote: no signals and no abstract unix sockets to processes outside its domain. It
 * handles no file system rights, because such a domain forbids every mount(), and workers mount
 * their /tmp. Needs no_new_privs or CAP_SYS_ADMIN. Returns 0, LANDLOCK_E_NONE (ABI < 6) or -errno.
 */
int sandbox_landlock_zygote(void);

/* Makes the rules for a worker. With ABI 6 they are the zygote's scopes again, one domain further
 * down. Before that, below the read paths files and folders may be read and executed, below the
 * write paths also written, made, removed and renamed (no device nodes), devices used. Lists end
 * with NULL; a path that is not there is passed over.
 *
 * Not both: a domain that handles the file system refuses to rename or link from one folder to
 * another where any domain above it says nothing about that, and the zygote's cannot say anything.
 * A read-only file system is the mounts' affair, the scopes are nobody else's.
 *
 * A path means what is mounted there now: a file system that is mounted on it later is not below
 * it. A worker with a private /tmp therefore makes its rules itself, after the mount; where nothing
 * is mounted any more, the zygote can make them once for all. Returns 0 and the rules as *ret_fd
 * (CLOEXEC, the caller's), LANDLOCK_E_NONE, or -errno. */
int sandbox_landlock_prepare(const char *const *read_paths, const char *const *write_paths,
                             int *ret_fd);

/* The same for a kernel of that ABI, which must not be above the real one. For tests. */
int sandbox_landlock_prepare_for(int abi, const char *const *read_paths,
                                 const char *const *write_paths, int *ret_fd);

/* Applies the rules to the calling process; rules_fd stays open and can serve many. Needs
 * no_new_privs or CAP_SYS_ADMIN. Returns 0 or -errno. */
int sandbox_landlock_worker(int rules_fd);

/* How many domains the calling process is in, one in the other. It then is in as many as there can
 * be: only for a process that does nothing after it. Returns -errno if it cannot be found out. */
int sandbox_landlock_depth(void);
