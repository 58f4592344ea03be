#include "sandbox/egress.h"

#include "model/snapshot.h"
#include "os/bpf.h"
#include "os/fd.h"

#include <errno.h>
#include <string.h>

static const struct {
    const char *name;
    enum bpf_prog_type type;
    enum bpf_attach_type attach;
    bool list_only;
} hooks[_EGRESS_HOOK_MAX] = {
    [EGRESS_CONNECT4] = {"mayfly_connect4", BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
                         BPF_CGROUP_INET4_CONNECT, false},
    [EGRESS_CONNECT6] = {"mayfly_connect6", BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
                         BPF_CGROUP_INET6_CONNECT, false},
    [EGRESS_SENDMSG4] = {"mayfly_sendmsg4", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_UDP4_SENDMSG,
                         false},
    [EGRESS_SENDMSG6] = {"mayfly_sendmsg6", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_UDP6_SENDMSG,
                         false},
    [EGRESS_SOCKET] = {"mayfly_socket", BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_CREATE,
                       false},
    [EGRESS_PACKET] = {"mayfly_packet", BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS, true},
};

/* ---- policies ---- */

int egress_policy_init(struct egress_policy *p, const struct function *f)
{
    size_t n = 0;

    while (f->egress && f->egress[n])
        n++;
    *p = (struct egress_policy){.list = f->network == NETWORK_LIST};
    if (n > SNAPSHOT_EGRESS_MAX)
        return -EINVAL;
    p->rules = calloc(n + 1, sizeof(*p->rules));
    if (!p->rules)
        return -ENOMEM;
    for (; p->n_rules < n; p->n_rules++) {
        struct slice name;

        if (egress_parse(slice_str(f->egress[p->n_rules]), &p->rules[p->n_rules], &name, NULL) <
                0 ||
            name.len > 0) {
            egress_policy_deinit(p);
            return -EINVAL;
        }
    }
    return 0;
}

void egress_policy_deinit(struct egress_policy *p)
{
    free(p->rules);
    *p = (struct egress_policy){.list = false};
}

/* A rule has no padding. */
static bool policies_are_equal(const struct egress_policy *a, const struct egress_policy *b)
{
    return a->list == b->list && a->n_rules == b->n_rules &&
           memcmp(a->rules, b->rules, a->n_rules * sizeof(*a->rules)) == 0;
}

/* ---- programs in the kernel ---- */

static void close_all(int fds[static _EGRESS_HOOK_MAX])
{
    for (int i = 0; i < _EGRESS_HOOK_MAX; i++)
        fds[i] = fd_close(fds[i]);
}

static int load_one(const struct egress_policy *policy, enum egress_hook hook, struct error *err)
{
    struct egress_program program;
    int r = egress_program_build(policy, hook, &program);

    if (r < 0)
        return error_set_errno(err, r, "network: %s", hooks[hook].name);
    r = bpf_load(hooks[hook].type, hooks[hook].attach, hooks[hook].name, program.insns, program.n,
                 err);
    egress_program_deinit(&program);
    return r;
}

static int load_all(const struct egress_policy *policy, int fds[static _EGRESS_HOOK_MAX],
                    struct error *err)
{
    for (int i = 0; i < _EGRESS_HOOK_MAX; i++)
        fds[i] = -1;
    for (int i = 0; i < _EGRESS_HOOK_MAX; i++) {
        if (hooks[i].list_only && !policy->list)
            continue;
        fds[i] = load_one(policy, (enum egress_hook)i, err);
        if (fds[i] < 0) {
            int r = fds[i];

            fds[i] = -1;
            close_all(fds);
            return r;
        }
    }
    return 0;
}

static int attach_all(const int fds[static _EGRESS_HOOK_MAX], int group_fd, struct error *err)
{
    for (int i = 0; i < _EGRESS_HOOK_MAX; i++) {
        int r = fds[i] < 0 ? 0 : bpf_attach(fds[i], group_fd, hooks[i].attach);

        if (r < 0)
            return error_set_errno(err, r, "network: bind %s to the group", hooks[i].name);
    }
    return 0;
}

void sandbox_egress_deinit(struct sandbox_egress *cache)
{
    if (cache->loaded)
        close_all(cache->fds);
    egress_policy_deinit(&cache->policy);
    cache->loaded = false;
}

/* Makes the cache hold this policy (taken). */
static int cache_fill(struct sandbox_egress *cache, struct egress_policy *policy, struct error *err)
{
    int r = 0;

    if (!cache->loaded || !policies_are_equal(&cache->policy, policy)) {
        sandbox_egress_deinit(cache);
        r = load_all(policy, cache->fds, err);
        if (r == 0) {
            cache->loaded = true;
            cache->policy = *policy;
            *policy = (struct egress_policy){.list = false};
        }
    }
    egress_policy_deinit(policy);
    return r;
}

int sandbox_egress_attach(struct sandbox_egress *cache, const struct function *f, int group_fd,
                          struct error *err)
{
    struct egress_policy policy;
    int fds[_EGRESS_HOOK_MAX], r;

    r = egress_policy_init(&policy, f);
    if (r < 0)
        return error_set_errno(err, r, "network: rules");
    if (!policy.list) {
        r = cache_fill(cache, &policy, err);
        return r < 0 ? r : attach_all(cache->fds, group_fd, err);
    }
    r = load_all(&policy, fds, err);
    egress_policy_deinit(&policy);
    if (r < 0)
        return r;
    r = attach_all(fds, group_fd, err);
    close_all(fds);
    return r;
}

void sandbox_egress_probe(struct sandbox_report *report, bool unified, int group_fd)
{
    static const struct function any = {.network = NETWORK_HOST};
    struct egress_policy policy = {.list = false};
    struct error err = ERROR_NULL;
    int fds[_EGRESS_HOOK_MAX], r;

    /* Whoever is not kept from the groups' folders leaves his own. */
    if (report->profile == SANDBOX_DEGRADED)
        return;
    if (!unified) {
        layer_judge(report, LAYER_METADATA, false, "there is no v2 hierarchy of control groups");
        return;
    }
    (void)egress_policy_init(&policy, &any);
    r = load_all(&policy, fds, &err);
    if (r == 0) {
        r = group_fd >= 0 ? attach_all(fds, group_fd, &err) : 0;
        close_all(fds);
    }
    egress_policy_deinit(&policy);
    layer_judge(report, LAYER_METADATA, r == 0, err.text);
}
