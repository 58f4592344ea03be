#pragma once

/* Where an interpreter really is and what it needs to run: a shim or a link says little, so it is
 * asked itself. */

#include "base/error.h"

#define INTERPRETER_PATHS_MAX 4

struct interpreter {
    char *program;                      /* the executable itself */
    char *paths[INTERPRETER_PATHS_MAX]; /* folders with its libraries, outside /usr */
    unsigned n_paths;
};

/* Asks the Python at `path`. Returns 0, or -errno with *err: it does not start, or does not answer
 * within some seconds. */
int interpreter_ask_python(const char *path, struct interpreter *ret, struct error *err);

void interpreter_deinit(struct interpreter *i);
