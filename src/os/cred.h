#pragma once

/* Who a process is and what it may. Each call can be told to fail (os/fault.h).
 * Context: async-signal-safe; of the calling thread, which must be the only one. */

#include "base/def.h"

#include <sys/types.h>

/* Becomes uid:gid with no other groups and no way back. Returns 0 or -errno. */
int cred_become(uid_t uid, gid_t gid);

/* The same for one that has no other groups already: two system calls. */
int cred_switch(uid_t uid, gid_t gid);

/* Keeps the capabilities over the next cred_become(). */
int cred_keep_capabilities(void);

/* Holds exactly the capabilities of the mask (1 << CAP_...), over an exec as well. */
int cred_hold(uint64_t mask);

/* Holds none, for good if no_new_privs is set. */
int cred_drop(void);

/* Maps `count` ids from `inside` on to the host's from `outside` on, in the user namespace of the
 * process whose folder in /proc this is ("/proc/2"); users and groups alike. Without `groups` the
 * process can never drop a group: what a user without privileges must promise. */
int cred_map(const char *proc, uint32_t inside, uint32_t outside_uid, uint32_t outside_gid,
             uint32_t count, bool groups);
