#pragma once

/* The broker of one process of the program: it lives in a network namespace that has nothing but a
 * loopback interface, and puts what the program binds there. Connections to the program are made
 * by it alone, so that the port exists for nobody else: not for the machine's users, not for other
 * functions, and not from outside, whatever address the program binds. */

#include "base/def.h"

struct broker_options {
    int channel; /* to the zygote */
    int watched; /* from the program: its listener */
    uint16_t port;
    const char *readiness; /* a path, or "tcp" */
    bool own_network;      /* else the program's port is on the machine's loopback interface */
};

/* A helper's life (zygote_helper_start); arg is a struct broker_options. Does not return. */
void broker_run(void *arg);
