#pragma once

/* What stands between a function and the machine, layer by layer, as tried out here. A layer that
 * the profile requires and that does not hold is missing: the daemon then does not start unless it
 * is told to. */

#include "base/buf.h"
#include "base/error.h"
#include "sandbox/sandbox.h"

#include <sys/socket.h>
#include <sys/un.h>

enum sandbox_layer {
#define LAYER(NAME, ...) LAYER_##NAME,
#include "sandbox/layers.tbl.h"
#undef LAYER
    _LAYER_MAX,
};

enum layer_state {
    LAYER_ON,
    LAYER_OFF,    /* should hold in this profile, and does not */
    LAYER_ABSENT, /* not part of this profile */
    _LAYER_STATE_MAX,
};

#define LAYER_REASON_MAX 200
#define LAYER_NAMES_MAX  (_LAYER_MAX * 32) /* holds the names of all */

struct sandbox_report {
    enum sandbox_profile wanted;  /* what this user should get: root or user */
    enum sandbox_profile profile; /* what can be entered */
    struct {
        enum layer_state state;
        char reason[LAYER_REASON_MAX]; /* why it is not on; empty if it is */
    } layers[_LAYER_MAX];
};

const char *layer_name(enum sandbox_layer layer);
const char *layer_protects(enum sandbox_layer layer);
const char *layer_mend(enum sandbox_layer layer);
const char *layer_state_name(enum layer_state state);

/* Tries out in children what the kernel allows: the best profile that can be entered as a whole,
 * and in it each layer, from the inside. init_fd is as for sandbox_enter(). MAYFLY_SANDBOX=user or
 * =degraded asks for less; what is less then is missing. Takes some milliseconds. */
void sandbox_probe(int init_fd, struct sandbox_report *ret);

/* Again for the watchdog's priority, which depends on the control group that the caller is in. */
void sandbox_probe_realtime(struct sandbox_report *report);

/* The layers that are control groups, by what was found of them. */
struct cgroups;
void sandbox_report_groups(struct sandbox_report *report, const struct cgroups *groups);

/* How many layers are missing. */
unsigned sandbox_report_missing(const struct sandbox_report *report);

/* The names of those that are missing into dst, cut to fit. Returns dst. */
char *sandbox_report_names(const struct sandbox_report *report, const char *between, char *dst,
                           size_t dst_size);

/* {"profile": ..., "layers": {name: state}, "missing": {name: reason}}. Returns 0 or -errno. */
int sandbox_report_json(const struct sandbox_report *report, struct buf *b);

/* ---- inside src/sandbox only ---- */

/* What a process outside finds, to be compared with. */
struct layer_outside {
    uint64_t namespaces[_LAYER_MAX]; /* for those layers that are namespaces: its number */
    uint64_t root_device;
    struct sockaddr_un socket; /* abstract, of a socket that listens */
    socklen_t socket_len;      /* 0: there is none */
};

#define LAYER_NOT_TRIED (-1)

void layers_look(struct layer_outside *ret);

/* Makes a socket that nobody behind the sandbox may reach. In its network namespace: abstract names
 * belong to one. It stays open. */
void layers_listen(struct layer_outside *ret);

/* In a worker: tries each layer. 0: it holds, LAYER_NOT_TRIED, or an errno that tells why not.
 * Context: async-signal-safe. */
void layers_inspect(const struct layer_outside *outside, const struct sandbox_plan *plan,
                    int ret_errors[static _LAYER_MAX]);

/* The flag of clone() that makes this layer, or 0. */
uint64_t layer_namespace(enum sandbox_layer layer);

/* Sets a layer by what came of a trial and whether the profile wants it. */
void layer_judge(struct sandbox_report *report, enum sandbox_layer layer, bool holds,
                 const char *reason);
