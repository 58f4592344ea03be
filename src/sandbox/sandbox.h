#pragma once

/* Confinement of one function version.
 *
 *   supervisor --clone--> init            PID 1 of a namespace of its own; builds the file system
 *                          \--clone-->    zygote   a second user namespace: what is mounted is
 *                                          |       locked for whoever is in there
 *                                          \--clone--> worker   PID 1 of its own namespace,
 *                                                               no capabilities, its own /tmp
 *
 * A plan is pure data: it can be compared, printed and tested without privilege. Entering it is a
 * flat list of steps. What is built once around the zygote, every worker inherits by fork for
 * nothing; only what must be each worker's own is done again (struct sandbox_worker). */

#include "base/buf.h"
#include "base/error.h"
#include "base/pack.h"
#include "model/function.h"
#include "os/pidref.h"

#include <sys/types.h>

#define SANDBOX_CODE       "/var/task"           /* where a function finds its code */
#define SANDBOX_LIB        "/run/mayfly/lib"     /* mayfly's own part of the runtimes */
#define SANDBOX_PROGRAM    "/run/mayfly/program" /* a compiled function */
#define SANDBOX_WRITES_MAX 64                    /* paths of the host that a function may write */
#define SANDBOX_OTHER      "/run/mayfly/path" /* and a number: a path that cannot keep its place */

/* What the supervisor may do, found out once at its start (layers.h). */
enum sandbox_profile {
    SANDBOX_ROOT,     /* everything, with user ids of its own for each version and worker */
    SANDBOX_USER,     /* the same by one user without privileges, in a user namespace of one id */
    SANDBOX_DEGRADED, /* no namespaces: what a request leaves behind is hunted down */
    _SANDBOX_PROFILE_MAX,
};

const char *sandbox_profile_name(enum sandbox_profile profile);

/* ---- worker ---- */

/* What is each worker's own. Travels to the zygote as bytes. */
struct sandbox_worker {
    uint64_t namespaces; /* CLONE_NEW... flags of its clone */
    uint64_t tmp_bytes;  /* of a /tmp of its own; 0: none is made */
    uint64_t tmp_inodes;
    uint32_t slot_uid; /* the uid and gid of slot 0; 0: it keeps the zygote's */
    bool drop_capabilities;
    bool landlock;
    uint64_t processes; /* rlimits; 0: as the zygote's */
    uint64_t memory_bytes;
    uint64_t cpu_seconds;
    const char *writes[SANDBOX_WRITES_MAX + 1]; /* folders beside /tmp, as they are inside; NULL-
                                                   terminated, borrowed */
};

int sandbox_worker_encode(const struct sandbox_worker *w, struct buf *b);
/* The strings are copied and live as long as the process. */
int sandbox_worker_decode(struct slice bytes, struct sandbox_worker *ret);

/* What the zygote prepares once for all its workers; the worker's steps then allocate nothing. */
struct sandbox_fork {
    struct sandbox_worker worker;
    uint64_t data_bytes; /* RLIMIT_DATA; 0: as it is */
    int landlock_abi;    /* the kernel's; 0: none is used */
    int rules_fd;        /* Landlock's for all workers; -1: each makes its own */
    const char *writable[SANDBOX_WRITES_MAX + 3];
};

/* In the zygote, when the function is loaded. Returns 0 or -errno. */
int sandbox_fork_prepare(struct sandbox_fork *f, const struct sandbox_worker *w);

/* In the new worker: `slot` is a number that no other living worker has, n_alive how many there
 * are. No way back: on -errno, with the name of the step, the worker must end.
 * Context: async-signal-safe. */
int sandbox_worker_enter(const struct sandbox_fork *f, uint32_t slot, uint32_t n_alive,
                         const char **ret_step);

/* ---- zygote ---- */

struct sandbox_bind {
    const char *source; /* of the host, absolute */
    char target[256];   /* where it is inside; empty: at the same path */
    bool writable;
    bool optional; /* left out where the host has none */
    bool exact;    /* of a place that functions may change: no symbolic link is followed */
};

#define SANDBOX_BINDS_MAX (8 + 2 * 64 + 8)
#define SANDBOX_UIDS      65536 /* of one version */
#define SANDBOX_ID_ZYGOTE 1     /* among them; 0 owns what is mounted */

struct sandbox_plan {
    enum sandbox_profile profile;
    uint64_t init_namespaces;
    uint64_t zygote_namespaces;
    uid_t uid; /* who the supervisor is */
    gid_t gid;
    uint32_t ids_first;           /* root: the host's ids that are 0 and up inside */
    uint64_t zygote_capabilities; /* over its own user namespace */
    struct sandbox_bind binds[SANDBOX_BINDS_MAX];
    unsigned n_binds;
    uint64_t tmp_bytes;
    uint64_t tmp_inodes;
    uint64_t core_bytes_max;
    uint64_t memlock_bytes_max;
    uint64_t file_bytes_max;
    uint64_t files_max;
    int oom_score_adj; /* a function goes before the daemon does, a worker before its zygote */
    bool own_root;     /* a file system of its own */
    bool filter;       /* system calls */
    bool endpoint;     /* with those of syscalls-endpoint.tbl.h */
    bool landlock;
    struct sandbox_worker worker;
};

struct sandbox_request {
    enum sandbox_profile profile;
    const struct function *function; /* borrowed as long as the plan */
    const char *lib;                 /* mayfly's lib folder; borrowed */
    uid_t uid;
    gid_t gid;
    uint32_t index; /* of the version among those that live: picks its range of ids */
};

/* Comes open into the zygote: its own oom_score_adj. */
#define SANDBOX_FD_OOM 7

#define SANDBOX_VERSIONS_MAX 4095
#define SANDBOX_INDEX_BUILD  4095 /* the range of ids of those that install dependencies */
#define SANDBOX_OOM_SCORE    500  /* of init and zygote; workers have 1000 */

/* Who the zygote is, as the host sees it. */
uid_t sandbox_plan_zygote_uid(const struct sandbox_plan *plan);

/* Never touches the kernel. */
void sandbox_plan_build(const struct sandbox_request *request, struct sandbox_plan *ret);

/* The plan as text, one `name=value` a line: for golden tests and for people. */
int sandbox_plan_print(const struct sandbox_plan *plan, struct buf *b);

/* Where a path of the host is inside: path itself if it is not seen there or the same. Writes to
 * dst if it is another. */
const char *sandbox_plan_path(const struct sandbox_plan *plan, const char *path, char *dst,
                              size_t dst_size);

/* Builds the sandbox around the calling process, clones the zygote into it and returns in it:
 * whoever was cloned with plan->init_namespaces calls this, and goes on as the zygote, ready for an
 * exec of foreign code's host. The calling process itself becomes the namespace's init: it executes
 * the program behind init_fd (mayfly-init) and never returns. Without namespaces there is no init,
 * and the caller is the zygote.
 *
 * Descriptors from 3 on stay as they are in the zygote and are closed in init.
 * Context: child after os_clone(), before exec. Returns 0 in the zygote, or -errno with *err
 * naming the step; then the caller must _exit(). */
int sandbox_enter(const struct sandbox_plan *plan, int init_fd, struct error *err);
