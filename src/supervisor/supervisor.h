#pragma once

/* The supervisor: starts and restarts the other programs, keeps what must outlive them (the
 * listening sockets, the snapshot), builds sandboxes and kills. It parses nothing foreign but the
 * typed messages of wire/, and is not on the path of a request.
 *
 *   STARTING --first snapshot--> RUNNING --signal--> DRAINING --drained, late--> STOPPING -->
 * (exit)
 *      \______________________signal, no snapshot_________________________________/
 */

#include "cgroup/cgroup.h"
#include "loop/loop.h"
#include "model/snapshot.h"
#include "os/pidref.h"
#include "sandbox/egress.h"
#include "sandbox/layers.h"
#include "wire/wire.h"

enum supervisor_state {
    SUPERVISOR_STARTING,
    SUPERVISOR_RUNNING,
    SUPERVISOR_DRAINING, /* the gateway finishes what it has */
    SUPERVISOR_STOPPING, /* control writes out what is left */
    _SUPERVISOR_STATE_MAX,
};

struct options {
    const char *project;
    const char *state_dir;
    const char *otlp;        /* control exports to this collector; or NULL */
    const char *secrets_dir; /* state folder with the secrets, if it is another one; or NULL */
    const char *listen;
    const char *admin_listen; /* NULL: none */
    const char *admin_hosts; /* names that it answers to beside its address, with commas; or NULL */
    const char *libexec;
    const char *lib;
    const char *workers_max; /* passed on as they are; NULL: not given */
    const char *head_max;
    const char *line_max;
    const char *body_max;
    const char *head_timeout;
    const char *idle_timeout;
    const char *body_timeout;
    const char *write_timeout;
    uint64_t drain_timeout_ms;
    char **env;          /* NAME=value for every function, NULL-terminated; owned */
    bool allow_degraded; /* start although layers of the sandbox are missing */
    bool dev;
    bool color;
    bool state_temporary;
};

/* Gateway and control: programs of ours that are started again whenever they die. */
struct peer {
    const struct role *role;
    struct supervisor *supervisor;
    struct pidref process;
    struct wire wire;
    struct loop_io io;      /* on the wire */
    struct loop_io exit_io; /* on the pidfd */
    struct loop_timer restart;
    uint64_t started_ns;
    unsigned n_quick_deaths; /* in a row */
};

enum zygote_state {
    ZYGOTE_LOADING,
    ZYGOTE_READY,
    ZYGOTE_ENDING, /* told or made to end; its exit has not been seen */
    ZYGOTE_DONE,
    _ZYGOTE_STATE_MAX,
};

struct zygote {
    struct list link;
    struct supervisor *supervisor;
    enum zygote_state state;
    uint64_t id;
    char *function;
    char version[FUNCTION_VERSION_LEN + 1];
    struct pidref process; /* of the sandbox's init; without one, of the zygote itself */
    pid_t pid;             /* of the zygote, when it is ready */
    uint32_t index;        /* no other living one has it */
    struct wire wire;
    struct loop_io io;
    struct loop_io exit_io;
    struct loop_timer init_timeout;
    int log_fd; /* the reading end of its stdout and stderr, kept for a new gateway */
    uint64_t started_ns;
    uint64_t init_ns;
    bool was_ready;
    bool has_program; /* of the author's beside it, which is asked to end before it is killed */
    struct loop_timer grace; /* until then */
    struct cgroup group;
    struct loop_timer lift; /* armed while the CPU quota is lifted for who is dying */
    struct list dying;
    uint64_t cpu_milli;    /* its quota; 0: none */
    uint64_t memory_bytes; /* of a slot */
    unsigned slots_max;
    unsigned n_slots_wanted; /* how often it asked for more */
    uid_t uid;               /* the zygote's, as the host sees it */
    char *failure;           /* what it said of a failed load, or what we say; NULL for none */
};

struct supervisor {
    struct options options;
    enum supervisor_state state;
    struct loop *loop;
    struct sandbox_report sandbox;
    enum sandbox_profile profile; /* the same as sandbox.profile */
    int init_fd;                  /* mayfly-init, the program */
    int listen_fd;                /* HTTP */
    int local_fd;                 /* STATE/mayfly.sock */
    int admin_fd;                 /* the admin interface by TCP, or -1 */
    char address[64];
    char admin_address[64]; /* empty: none */
    char *url;
    char *admin_url; /* NULL: none */
    int snapshot_fd; /* the last good one, as control published it */
    struct snapshot *snapshot;
    int secrets_fd; /* and the values of its functions' secrets, model/secret.h; never mapped long
                     */
    struct peer gateway;
    struct peer control;
    struct list zygotes;
    struct cgroups cgroups;
    struct sandbox_egress egress;
    struct list leftovers;   /* groups whose zygote is gone */
    struct loop_timer sweep; /* of what killed daemons left */
    unsigned n_sweeps;
    uint64_t next_zygote;
    uint32_t next_index;
    struct loop_timer deadline; /* of draining and stopping */
    uint64_t born_ns;           /* CLOCK_BOOTTIME */
    int result;
};

void supervisor_move(struct supervisor *s, enum supervisor_state to);

/* ---- peers.c ---- */

void peer_init(struct supervisor *s, struct peer *p, const struct role *role);

/* Starts the program. Returns 0, or -errno with *err. */
int peer_start(struct peer *p, struct error *err);

/* Ends it without a restart. */
void peer_kill(struct peer *p);

/* Sends, if the peer is there; a peer that cannot take messages any more is killed (and restarts).
 */
void peer_send(struct peer *p, struct wire_message *m);

extern const struct role gateway_role;
extern const struct role control_role;

/* Gives gateway and control a channel to each other. */
void peers_introduce(struct supervisor *s);

/* ---- zygotes.c ---- */

void zygotes_want(struct supervisor *s, struct slice function, struct slice version);
void zygotes_release(struct supervisor *s, uint64_t id);

/* Introduces all zygotes to a new gateway. */
void zygotes_introduce(struct supervisor *s);
void zygotes_kill_all(struct supervisor *s);

/* The same, but those with programs beside them are asked first; await() gives them the time. */
void zygotes_end_all(struct supervisor *s);
void zygotes_await(struct supervisor *s);

/* Takes the pidfd; kills the process if it is a child of a zygote. */
void zygotes_kill_worker(struct supervisor *s, int pidfd_consume, uint32_t signal);

/* ---- network.c ---- */

/* Finds out whether it can be held at all; after groups_open(). */
void network_probe(struct supervisor *s);

/* Holds what will run in the zygote's group to the function's network. Returns 0, or -errno with
 * *err: then it must not start. */
int network_bind(struct zygote *z, const struct function *f, struct error *err);

/* After a new snapshot: what names stand for may have changed. */
void network_update(struct supervisor *s, const struct snapshot *old);

/* Whether the function's network can be held here. Returns 0, or -EOPNOTSUPP with *err. */
int network_judge(const struct supervisor *s, const struct function *f, struct error *err);

/* Logs the functions of the snapshot that will not be started because of it. */
void network_announce(const struct supervisor *s);

/* ---- groups.c ---- */

void groups_open(struct supervisor *s);
void groups_close(struct supervisor *s);

/* Makes the group of a version, in which its zygote is to start. Returns 0 or -errno. */
int group_make(struct zygote *z, const struct function *f, uid_t zygote_uid);

/* Hands the zygote its first slots, if it may have any. Returns 0 or -errno. */
int group_send_slots(struct zygote *z);

/* The zygote has more workers than slots, or soon. */
void group_more_slots(struct zygote *z, uint32_t n);

/* Before a kill: who has used up his CPU time dies slowly. Lifts the quota until the worker is
 * gone, at most for a tenth of a second; without a worker, for good. */
void group_lift(struct zygote *z, const struct pidref *worker);

/* Takes the group from the zygote, and removes it as soon as the kernel lets it go. */
void group_bury(struct zygote *z);

/* ---- spawn.c ---- */

struct spawn {
    char *const *argv;
    char *const *env;                /* NULL: as ours */
    const char *dir;                 /* working directory, or NULL */
    const int *fds;                  /* become 3, 4, ...; borrowed */
    unsigned n_fds;                  /* at most 4 */
    int output_fd;                   /* becomes stdout and stderr, or -1: as ours */
    const struct sandbox_plan *plan; /* or NULL */
    struct cgroup_door *door;        /* into a group, or NULL */
    int init_fd;                     /* with a plan: see sandbox_enter() */
    int fd_first;                    /* the number that fds[0] gets */
    /* Called in the child with what went wrong, before it exits; may be NULL. */
    void (*on_failure)(const struct error *err);
};

/* Starts a program that dies with us. Returns 0 with *ret, or -errno. What fails behind the fork
 * shows as its exit status 127 and through on_failure. */
int spawn(const struct spawn *spawn, struct pidref *ret);

/* The environment of a function: what the system needs, then `extra`, then its own. Heap; one block
 * for free(). NULL without memory. */
char **spawn_environment(const struct sandbox_plan *plan, char *const *extra, char *const *own);

/* A command line with the host's paths as the sandbox has them. Heap; as above. */
char **spawn_words(const struct sandbox_plan *plan, char *const *argv);
