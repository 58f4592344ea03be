#pragma once

/* The control process at work: what it holds, and the parts that main.c's loop calls. */

#include "control/printer.h"
#include "control/project.h"
#include "control/redactor.h"
#include "control/watch.h"
#include "wire/wire.h"

struct control {
    struct project_options options;
    struct project *project;
    struct wire supervisor;
    struct wire gateway;
    struct output output;
    struct printer printer;
    struct watch watch;
    struct watch secrets_watch; /* of the folder of the secrets, once the project has some */
    struct redactor redactor;
    struct snapshot *last; /* the last that was published; NULL: none yet */
    uint64_t generation;
    char *warned;     /* the warnings that were printed last */
    bool load_failed; /* the last load */
    bool load_wanted;
    bool load_forced; /* publish even if nothing has changed */
    bool stopping;
    bool color;
};

/* Takes what has come on the channels, and sends what waits. Returns 0, or -ECANCELED when it is
 * time to end. */
int channels_serve(struct control *c);

/* Reads the project and publishes it, or tells why not. */
void publish(struct control *c);
