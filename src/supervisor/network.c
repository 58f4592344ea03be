/* What a function may reach is held by different means, and not everywhere by any: what cannot be
 * held is not started. */

#include "base/log.h"
#include "os/fd.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <string.h>

static bool is_held(const struct supervisor *s)
{
    return s->profile != SANDBOX_DEGRADED && s->sandbox.layers[LAYER_METADATA].state == LAYER_ON;
}

void network_probe(struct supervisor *s)
{
    const struct cgroup_limits none = {.memory_bytes = 0};
    bool unified = s->cgroups.parts & 1u << CGROUP_UNIFIED;
    _cleanup_close_ int fd = -1;
    struct cgroup group = CGROUP_NULL;

    if (unified && cgroup_new(&s->cgroups, 0, &none, &group) == 0)
        fd = cgroup_open_unified(&group);
    sandbox_egress_probe(&s->sandbox, unified && fd >= 0, fd);
    (void)cgroup_remove(&group);
}

int network_judge(const struct supervisor *s, const struct function *f, struct error *err)
{
    if (f->network == NETWORK_NONE && s->profile == SANDBOX_DEGRADED)
        return error_set(err, -EOPNOTSUPP,
                         "its \"network\" is \"none\", and the sandbox is degraded here: nothing "
                         "would keep it from the machine's network (see `mayfly doctor`)");
    if (f->network == NETWORK_LIST && !is_held(s))
        return error_set(err, -EOPNOTSUPP,
                         "its \"network\" lists what it may reach, and nothing would hold it to "
                         "that here: it takes a daemon that runs as root and a v2 hierarchy of "
                         "control groups (see `mayfly doctor`); \"none\" and \"host\" go without");
    return 0;
}

int network_bind(struct zygote *z, const struct function *f, struct error *err)
{
    struct supervisor *s = z->supervisor;
    _cleanup_close_ int fd = -1;

    if (f->network == NETWORK_NONE || !is_held(s))
        return 0;
    fd = cgroup_open_unified(&z->group);
    if (fd < 0)
        return error_set_errno(err, fd, "network: open the control group");
    return sandbox_egress_attach(&s->egress, f, fd, err);
}

static bool egress_is_equal(const struct function *a, const struct function *b)
{
    size_t i = 0;

    while (a->egress[i] && b->egress[i] && strcmp(a->egress[i], b->egress[i]) == 0)
        i++;
    return !a->egress[i] && !b->egress[i];
}

void network_update(struct supervisor *s, const struct snapshot *old)
{
    struct list *i;

    list_for_each (i, &s->zygotes) {
        struct zygote *z = list_entry(i, struct zygote, link);
        const struct function *before = snapshot_find(old, slice_str(z->function));
        const struct function *now = snapshot_find(s->snapshot, slice_str(z->function));
        struct error err = ERROR_NULL;

        if (z->state == ZYGOTE_ENDING || !before || !now || strcmp(now->version, z->version) != 0 ||
            strcmp(before->version, z->version) != 0 || egress_is_equal(before, now))
            continue;
        if (network_bind(z, now, &err) < 0) {
            log_error("network.update", "function=%s error=%s", z->function, err.text);
            zygotes_release(s, z->id);
        }
    }
}

void network_announce(const struct supervisor *s)
{
    for (uint32_t i = 0; i < s->snapshot->n_functions; i++) {
        const struct function *f = &s->snapshot->functions[i];
        struct error err = ERROR_NULL;

        if (!f->broken && network_judge(s, f, &err) < 0)
            log_error("function.refused", "function=%s reason=%s", f->name, err.text);
    }
}
