#pragma once

/* A program on disk: whether it can be started, and starting it. */

#include "base/error.h"
#include "os/pidref.h"

/* Looks at the file as execve() would, and further: the right to execute it, the interpreter that
 * its first line or its ELF header names, and the program that "#!/usr/bin/env NAME" looks for.
 * Returns 0, or a negative errno with an *err that says what to do about it. */
int program_check(const char *path, struct error *err);

/* Starts it, in a process group of its own, with `in` and `out` as stdin and stdout, this process's
 * stderr, and no other descriptor. Returns 0 or -errno. */
int program_start(const char *path, char *const *environment, int in, int out, struct pidref *ret);

/* An executable of that name in PATH, as a shell would look for it. A new string, or NULL. */
char *program_search(const char *name);
