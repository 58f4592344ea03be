#pragma once

/* Where things are: our own programs, the state folders of daemons, and which daemons run.
 *
 * A state folder holds mayfly.sock, the daemon's local interface. `mayfly dev` and `mayfly serve`
 * leave a note of each daemon in $XDG_RUNTIME_DIR/mayfly (else in ~/.local/state/mayfly/daemons):
 * a file named for the daemon's PID that holds the path of its state folder. */

#include "base/error.h"

#include <sys/types.h>

#define PATHS_SOCKET "/mayfly.sock"

/* Longest state folder whose socket still fits into a sockaddr_un. */
#define PATHS_STATE_MAX (107 - (sizeof PATHS_SOCKET - 1))

struct paths_home {
    char *libexec; /* mayfly-supervisor, mayfly-gateway, mayfly-control */
    char *lib;     /* python, native, exec, include */
};

/* $MAYFLY_HOME, the build tree, or the installed place, by where this program is. Returns 0, or
 * -errno with *err. */
int paths_home(struct paths_home *ret, struct error *err);

/* Makes a folder and those above it, where they are missing. Returns 0 or -errno with *err. */
int paths_make_folders(const char *path, mode_t mode, struct error *err);

/* Where `mayfly serve` keeps the state of a project. The folder need not exist. Never NULL. */
char *paths_state_default(const char *project);

/* A new folder for `mayfly dev`. Returns 0 or -errno with *err. */
int paths_state_temporary(char **ret, struct error *err);

/* Leaves the note that process `pid` serves from `state`. Returns 0 or -errno with *err. */
int paths_note_daemon(pid_t pid, const char *state, struct error *err);

/* Whether a daemon listens in this state folder. */
bool paths_daemon_is_live(const char *state);

/* The state folder of the daemon to talk to: `given` (--state) if not NULL, else $MAYFLY_STATE,
 * else the newest daemon that runs. Returns NULL if none does. */
char *paths_find_daemon(const char *given);
