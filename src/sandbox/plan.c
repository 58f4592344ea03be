#include "sandbox/sandbox.h"

#include <sched.h>

static const char *const profile_names[_SANDBOX_PROFILE_MAX] = {
    [SANDBOX_ROOT] = "root",
    [SANDBOX_USER] = "user",
    [SANDBOX_DEGRADED] = "degraded",
};

const char *sandbox_profile_name(enum sandbox_profile profile)
{
    return profile_names[profile];
}

void sandbox_plan_build(enum sandbox_profile profile, const struct limits *limits, uid_t uid,
                        gid_t gid, struct sandbox_plan *ret)
{
    (void)limits; /* the resource limits become enforced with the cgroup back-ends */
    *ret = (struct sandbox_plan){
        .user_namespace = profile == SANDBOX_USER,
        .pid_namespace = profile != SANDBOX_DEGRADED,
        .uid = uid,
        .gid = gid,
        .core_bytes_max = 0,
        .memlock_bytes_max = 64 * 1024,
        .oom_score_adj = 1000,
        .no_new_privileges = true,
    };
}

int sandbox_plan_print(const struct sandbox_plan *p, struct buf *b)
{
    return buf_printf(
        b,
        "user_namespace=%d\npid_namespace=%d\nuid=%u\ngid=%u\ncore_bytes_max=%llu\n"
        "memlock_bytes_max=%llu\noom_score_adj=%d\nno_new_privileges=%d\n",
        p->user_namespace, p->pid_namespace, p->uid, p->gid, (unsigned long long)p->core_bytes_max,
        (unsigned long long)p->memlock_bytes_max, p->oom_score_adj, p->no_new_privileges);
}

uint64_t sandbox_clone_flags(const struct sandbox_plan *p)
{
    return (p->user_namespace ? CLONE_NEWUSER : 0) | (p->pid_namespace ? CLONE_NEWPID : 0);
}
