#pragma once

/* Where an interpreter really is and what it needs to run: a shim or a link says little, so it is
 * asked itself. */

#include "base/buf.h"
#include "base/error.h"

#define INTERPRETER_PATHS_MAX 4

struct interpreter {
    char *program;                      /* the executable itself */
    char *paths[INTERPRETER_PATHS_MAX]; /* folders with its libraries, outside /usr */
    unsigned n_paths;
    char version[32]; /* "3.12.1"; empty: it was not asked */
};

/* Asks the Python at `path`. Returns 0, or -errno with *err: it does not start, or does not answer
 * within some seconds. */
int interpreter_ask_python(const char *path, struct interpreter *ret, struct error *err);

/* Adds a folder unless it is below /usr or known. Returns 0 or -ENOMEM. */
int interpreter_path_add(struct interpreter *i, const char *path);

/* Runs a program (argv[0] is a path) and gathers what it prints; what it says on stderr is lost.
 * Returns 0, -ETIMEDOUT, -EINTR if it was killed, -ENOEXEC if it says that it failed, -ENOBUFS, or
 * -errno. */
int interpreter_run(char *const *argv, unsigned timeout_s, struct buf *b);

void interpreter_deinit(struct interpreter *i);
