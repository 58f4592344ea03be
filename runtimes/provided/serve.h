#pragma once

/* The worker: starts the program, speaks the Runtime API to it, and answers the request with what
 * it answers. */

#include "zygote/worker.h"

struct serve_setup {
    char **argv;          /* what is executed; NULL-terminated */
    const char *name;     /* of the program, for messages */
    const char *function; /* its name and version */
    const char *version;
    const char *arn;
    bool is_instance;
};

/* Strings must live as long as the process. */
void serve_init(const struct serve_setup *setup);

/* Starts the program ahead of the request. */
void serve_prepare(void);

int serve_request(struct worker *w);

/* At the deadline: reports, and ends the process. Context: a signal handler. */
void serve_on_deadline(int signal);
