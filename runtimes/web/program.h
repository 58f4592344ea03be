#pragma once

/* The process in which the author's program is started: PID 1 of its sandbox. It passes SIGTERM on,
 * collects orphans, and ends as the program does. */

#include "base/def.h"

struct program_options {
    int watched; /* to the broker: who watches the program's calls */
    uint16_t port;
    const char *bin;    /* a folder that comes first in PATH; "" is none */
    char *const *words; /* the command, NULL-terminated */
};

/* A program's life (zygote_program_start); arg is a struct program_options. Does not return. */
void program_run(void *arg);
