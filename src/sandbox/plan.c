#include "sandbox/sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

/* Host ids that no distribution gives out: 4096 ranges of 65536 that end at 2^31 - 1. */
#define IDS_FIRST 0x70000000u

/* Inside a range: 0 owns the sandbox, 1 is the zygote, from 2 on the slots of workers. */
#define ID_SLOTS 2

#define CODE_PATH_MAX 200 /* of a path of the project's that is shown beside the code */

#define CAP(name) (1ULL << (name))

static const char *const profile_names[_SANDBOX_PROFILE_MAX] = {
    [SANDBOX_ROOT] = "root",
    [SANDBOX_USER] = "user",
    [SANDBOX_DEGRADED] = "degraded",
};

const char *sandbox_profile_name(enum sandbox_profile profile)
{
    return profile_names[profile];
}

/* What the profiles differ in. */
static const struct {
    uint64_t init, zygote, worker; /* namespaces */
    uint64_t capabilities;
    bool ids;
} profiles[_SANDBOX_PROFILE_MAX] = {
    [SANDBOX_ROOT] = {.init = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS |
                              CLONE_NEWCGROUP,
                      .zygote = CLONE_NEWUSER | CLONE_NEWNS,
                      .worker = CLONE_NEWPID,
                      .capabilities =
                          CAP(CAP_SYS_ADMIN) | CAP(CAP_SETUID) | CAP(CAP_SETGID) | CAP(CAP_KILL),
                      .ids = true},
    [SANDBOX_USER] = {.init = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC |
                              CLONE_NEWUTS | CLONE_NEWCGROUP,
                      .zygote = CLONE_NEWUSER | CLONE_NEWNS,
                      .worker = CLONE_NEWPID,
                      .capabilities = CAP(CAP_SYS_ADMIN)},
};

static bool is_below(const char *path, const char *folder)
{
    size_t len = strlen(folder);

    return strncmp(path, folder, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* ---- the file system ---- */

static struct sandbox_bind *bind_add(struct sandbox_plan *p, const char *source, const char *target)
{
    struct sandbox_bind *b = &p->binds[p->n_binds++];

    assert(p->n_binds <= SANDBOX_BINDS_MAX);
    *b = (struct sandbox_bind){.source = source};
    if (target)
        (void)snprintf(b->target, sizeof(b->target), "%s", target);
    return b;
}

/* Places that the sandbox has for itself: a path of the host below them is moved. */
static bool keeps_its_place(const char *path)
{
    static const char *const taken[] = {"/tmp", "/proc", "/dev", "/run/mayfly", SANDBOX_CODE};

    for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
        if (is_below(path, taken[i]) || is_below(taken[i], path))
            return false;
    }
    return true;
}

static bool is_seen(const struct sandbox_plan *p, const char *path)
{
    for (unsigned i = 0; i < p->n_binds; i++) {
        const struct sandbox_bind *b = &p->binds[i];

        if (is_below(path, b->source) || (b->target[0] && is_below(path, b->target)))
            return true;
    }
    return is_below(path, "/bin") || is_below(path, "/lib") || is_below(path, "/lib64");
}

/* What of the path is below the folder, with its '/'; or NULL. */
static const char *part_below(const char *path, const char *folder)
{
    const char *part = is_below(path, folder) ? path + strlen(folder) : "";

    return *part == '/' && strlen(part) < CODE_PATH_MAX ? part : NULL;
}

static void bind_exact(struct sandbox_plan *p, const char *path, const char *target, bool writable)
{
    struct sandbox_bind *b = bind_add(p, path, target);

    b->writable = writable;
    b->exact = true;
}

/* A path of the project's is also where the code is, which knows it by that; and nowhere else, if
 * it cannot keep its place. */
static void bind_paths(struct sandbox_plan *p, const char *code, char *const *paths, bool writable)
{
    for (; paths && *paths && p->n_binds < SANDBOX_BINDS_MAX - 2; paths++) {
        const char *part = part_below(*paths, code);
        char target[CODE_PATH_MAX + sizeof(SANDBOX_CODE)];

        if (part) {
            (void)snprintf(target, sizeof(target), SANDBOX_CODE "%s", part);
            bind_exact(p, *paths, target, writable);
        }
        if (keeps_its_place(*paths)) {
            bind_exact(p, *paths, NULL, writable);
        } else if (!part) {
            (void)snprintf(target, sizeof(target), SANDBOX_OTHER "%u", p->n_binds);
            bind_exact(p, *paths, target, writable);
        }
    }
}

static void plan_binds(struct sandbox_plan *p, const struct sandbox_request *rq)
{
    const struct function *f = rq->function;

    bind_add(p, "/usr", NULL);
    bind_add(p, "/etc/ssl", NULL)->optional = true;
    bind_add(p, "/etc/alternatives", NULL)->optional = true;
    if (f)
        bind_add(p, f->code_dir, SANDBOX_CODE);
    if (rq->lib)
        bind_add(p, rq->lib, SANDBOX_LIB);
    if (!f)
        return;
    bind_paths(p, f->code_dir, f->reads, false);
    bind_paths(p, f->code_dir, f->writes, true);
    for (char *const *m = f->mounts; m && m[0] && p->n_binds < SANDBOX_BINDS_MAX - 1; m += 2)
        bind_add(p, m[0], m[1]);
    if (f->argv && f->argv[0] && !is_seen(p, f->argv[0]))
        bind_add(p, f->argv[0], SANDBOX_PROGRAM);
}

const char *sandbox_plan_path(const struct sandbox_plan *p, const char *path, char *dst,
                              size_t dst_size)
{
    const struct sandbox_bind *best = NULL;

    for (unsigned i = 0; i < p->n_binds; i++) {
        const struct sandbox_bind *b = &p->binds[i];

        if (is_below(path, b->source) && (!best || strlen(b->source) >= strlen(best->source)))
            best = b;
    }
    if (!p->own_root || !best || best->target[0] == '\0')
        return path;
    (void)snprintf(dst, dst_size, "%s%s", best->target, path + strlen(best->source));
    return dst;
}

/* ---- the plan ---- */

static uint64_t whole_seconds(uint64_t ms)
{
    return (ms + 999) / 1000;
}

static void plan_writes(struct sandbox_plan *p)
{
    unsigned n = 0;

    for (unsigned i = 0; i < p->n_binds && n < SANDBOX_WRITES_MAX; i++) {
        const struct sandbox_bind *b = &p->binds[i];

        if (b->writable)
            p->worker.writes[n++] = b->target[0] ? b->target : b->source;
    }
}

static void plan_worker(struct sandbox_plan *p, const struct function *f)
{
    const struct limits *l = f ? &f->limits : NULL;
    struct sandbox_worker *w = &p->worker;

    w->namespaces = profiles[p->profile].worker;
    w->slot_uid = profiles[p->profile].ids ? ID_SLOTS : 0;
    w->drop_capabilities = profiles[p->profile].capabilities != 0;
    w->landlock = p->landlock;
    plan_writes(p);
    if (!l)
        return;
    w->memory_bytes = l->memory_bytes;
    /* An instance has so much for each request; only the gateway can tell those apart. */
    w->cpu_seconds = f->isolation == ISOLATION_REQUEST ? whole_seconds(l->cpu_time_ms) : 0;
    if (p->profile == SANDBOX_DEGRADED)
        return; /* one user's processes cannot be counted apart there, nor has anybody a /tmp */
    w->processes = l->processes;
    w->tmp_bytes = l->tmp_bytes;
    w->tmp_inodes = l->tmp_inodes;
    if (w->tmp_bytes > 0)
        w->namespaces |= CLONE_NEWNS;
}

/* A runtime that stands between mayfly and a server of the author's: in its zygote and workers runs
 * mayfly's code only. It sees which socket a system call of that server is about, and, for a server
 * that listens, makes a network of its own for it. */
static void plan_endpoint(struct sandbox_plan *p, const struct function *f)
{
    bool provided = f && f->runtime == RUNTIME_PROVIDED; /* needs no right but to watch */

    if (p->profile == SANDBOX_DEGRADED)
        p->endpoint = provided;
    if (!f || p->profile == SANDBOX_DEGRADED)
        return;
    p->endpoint = f->runtime == RUNTIME_WEB || provided;
    if (p->endpoint)
        p->zygote_capabilities |= CAP(CAP_SYS_PTRACE);
    if (f->runtime == RUNTIME_WEB)
        p->zygote_capabilities |= CAP(CAP_NET_ADMIN) | CAP(CAP_DAC_READ_SEARCH);
}

void sandbox_plan_build(const struct sandbox_request *rq, struct sandbox_plan *ret)
{
    const struct limits *l = rq->function ? &rq->function->limits : NULL;
    bool whole = rq->profile != SANDBOX_DEGRADED;

    *ret = (struct sandbox_plan){
        .profile = rq->profile,
        .init_namespaces = profiles[rq->profile].init,
        .zygote_namespaces = profiles[rq->profile].zygote,
        .uid = rq->uid,
        .gid = rq->gid,
        .ids_first = profiles[rq->profile].ids ? IDS_FIRST + rq->index * SANDBOX_UIDS : 0,
        .zygote_capabilities = profiles[rq->profile].capabilities,
        .tmp_bytes = l ? l->tmp_bytes : 0,
        .tmp_inodes = l ? l->tmp_inodes : 0,
        /* Too small for a file, and the one number at which the kernel starts no program that
         * collects dumps (core_pattern "|..."), which it does at 0. */
        .core_bytes_max = 1,
        .memlock_bytes_max = 64 * 1024,
        .file_bytes_max = l ? l->file_size : 0,
        .files_max = l ? l->files : 0,
        .oom_score_adj = SANDBOX_OOM_SCORE,
        .own_root = whole,
        .filter = whole,
        .landlock = whole,
    };
    assert(rq->index <= SANDBOX_INDEX_BUILD);
    if (whole && rq->function && rq->function->network == NETWORK_NONE)
        ret->init_namespaces |= CLONE_NEWNET;
    if (whole)
        plan_binds(ret, rq);
    plan_endpoint(ret, rq->function);
    plan_worker(ret, rq->function);
}

uid_t sandbox_plan_zygote_uid(const struct sandbox_plan *p)
{
    return p->ids_first ? p->ids_first + SANDBOX_ID_ZYGOTE : p->uid;
}

/* ---- as text ---- */

int sandbox_plan_print(const struct sandbox_plan *p, struct buf *b)
{
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"uid", p->uid},
        {"gid", p->gid},
        {"ids_first", p->ids_first},
        {"tmp_bytes", p->tmp_bytes},
        {"tmp_inodes", p->tmp_inodes},
        {"core_bytes_max", p->core_bytes_max},
        {"memlock_bytes_max", p->memlock_bytes_max},
        {"file_bytes_max", p->file_bytes_max},
        {"files_max", p->files_max},
        {"oom_score_adj", (uint64_t)p->oom_score_adj},
        {"own_root", p->own_root},
        {"filter", p->filter},
        {"endpoint", p->endpoint},
        {"landlock", p->landlock},
        {"worker.tmp_bytes", p->worker.tmp_bytes},
        {"worker.tmp_inodes", p->worker.tmp_inodes},
        {"worker.slot_uid", p->worker.slot_uid},
        {"worker.drop_capabilities", p->worker.drop_capabilities},
        {"worker.landlock", p->worker.landlock},
        {"worker.processes", p->worker.processes},
        {"worker.memory_bytes", p->worker.memory_bytes},
        {"worker.cpu_seconds", p->worker.cpu_seconds},
    };
    int r = buf_printf(b,
                       "profile=%s\ninit_namespaces=%#llx\nzygote_namespaces=%#llx\n"
                       "worker_namespaces=%#llx\nzygote_capabilities=%#llx\n",
                       sandbox_profile_name(p->profile), (unsigned long long)p->init_namespaces,
                       (unsigned long long)p->zygote_namespaces,
                       (unsigned long long)p->worker.namespaces,
                       (unsigned long long)p->zygote_capabilities);

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(rows); i++)
        r = buf_printf(b, "%s=%llu\n", rows[i].name, (unsigned long long)rows[i].value);
    for (unsigned i = 0; r == 0 && i < p->n_binds; i++) {
        const struct sandbox_bind *m = &p->binds[i];

        r = buf_printf(b, "bind=%s %s%s%s%s\n", m->source, m->target[0] ? m->target : m->source,
                       m->writable ? " writable" : "", m->optional ? " optional" : "",
                       m->exact ? " exact" : "");
    }
    return r;
}

/* ---- the worker's part as bytes ---- */

int sandbox_worker_encode(const struct sandbox_worker *w, struct buf *b)
{
    const uint64_t values[] = {w->namespaces, w->tmp_bytes,         w->tmp_inodes,
                               w->slot_uid,   w->drop_capabilities, w->landlock,
                               w->processes,  w->memory_bytes,      w->cpu_seconds};
    uint32_t n = 0;
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(values); i++)
        r = pack_u64(b, values[i]);
    while (w->writes[n])
        n++;
    r = r < 0 ? r : pack_u32(b, n);
    for (uint32_t i = 0; r == 0 && i < n; i++)
        r = pack_str(b, slice_str(w->writes[i]));
    return r;
}

int sandbox_worker_decode(struct slice bytes, struct sandbox_worker *ret)
{
    struct unpack u;
    uint32_t n;

    *ret = (struct sandbox_worker){.namespaces = 0};
    unpack_init(&u, bytes);
    ret->namespaces = unpack_u64(&u);
    ret->tmp_bytes = unpack_u64(&u);
    ret->tmp_inodes = unpack_u64(&u);
    ret->slot_uid = (uint32_t)unpack_u64(&u);
    ret->drop_capabilities = unpack_u64(&u) != 0;
    ret->landlock = unpack_u64(&u) != 0;
    ret->processes = unpack_u64(&u);
    ret->memory_bytes = unpack_u64(&u);
    ret->cpu_seconds = unpack_u64(&u);
    n = unpack_count(&u, sizeof(uint32_t));
    if (n > SANDBOX_WRITES_MAX)
        return -EBADMSG;
    for (uint32_t i = 0; i < n; i++) {
        ret->writes[i] = slice_dup(unpack_str(&u));
        if (!ret->writes[i])
            return -ENOMEM;
    }
    return unpack_end(&u);
}
