#pragma once

/* Confinement of one function version. A plan is pure data: it can be compared, printed and tested
 * without privilege. Entering it is a flat list of steps in the new zygote, before its exec; what
 * it builds once, every worker inherits by fork for nothing. */

#include "base/error.h"
#include "model/function.h"

#include <sys/types.h>

/* What the supervisor may do, found out once at its start. */
enum sandbox_profile {
    SANDBOX_ROOT,     /* PID namespaces by privilege */
    SANDBOX_USER,     /* the same inside a user namespace of one id */
    SANDBOX_DEGRADED, /* no namespaces: what a request leaves behind is hunted down */
    _SANDBOX_PROFILE_MAX,
};

const char *sandbox_profile_name(enum sandbox_profile profile);

/* Tries out in a child what the kernel allows. MAYFLY_SANDBOX=degraded asks for less. */
enum sandbox_profile sandbox_probe(void);

struct sandbox_plan {
    bool user_namespace;
    bool pid_namespace;
    uid_t uid; /* who we are: what the user namespace maps to itself */
    gid_t gid;
    uint64_t core_bytes_max;
    uint64_t memlock_bytes_max;
    int oom_score_adj; /* a worker goes before the daemon does */
    bool no_new_privileges;
};

/* Never touches the kernel. */
void sandbox_plan_build(enum sandbox_profile profile, const struct limits *limits, uid_t uid,
                        gid_t gid, struct sandbox_plan *ret);

/* The plan as text, one `name=value` a line: for `doctor` and for golden tests. */
int sandbox_plan_print(const struct sandbox_plan *plan, struct buf *b);

/* The CLONE_NEW... flags with which the zygote is cloned. */
uint64_t sandbox_clone_flags(const struct sandbox_plan *plan);

/* Confines the calling process for good; there is no way back, not even on failure.
 *
 * Context: child after os_clone(sandbox_clone_flags()), before exec. Returns 0, or -errno with *err
 * naming the step; then the caller must _exit(). */
int sandbox_enter(const struct sandbox_plan *plan, struct error *err);
