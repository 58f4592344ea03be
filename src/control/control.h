#pragma once

/* The control process at work: what it holds, and the parts that serve.c's loop calls. */

#include "control/access.h"
#include "control/api.h"
#include "control/keep.h"
#include "control/otlp.h"
#include "control/printer.h"
#include "control/project.h"
#include "control/redactor.h"
#include "control/stream.h"
#include "control/watch.h"
#include "loop/loop.h"
#include "wire/wire.h"

struct control {
    struct project_options options;
    struct project *project;
    struct loop *loop; /* NULL in tests that hold the other ends themselves */
    struct wire supervisor;
    struct wire gateway;
    struct loop_io supervisor_io, gateway_io, watch_io, secrets_watch_io, output_io;
    struct loop_timer tick; /* when something of the below is due */
    struct output output;
    struct printer printer;
    struct watch watch;
    struct watch secrets_watch; /* of the folder of the secrets, once the project has some */
    struct redactor redactor;
    struct keep keep;
    struct api api;
    struct streams streams;
    struct access access;
    uint64_t started_us;
    struct otlp otlp;
    struct snapshot *last; /* the last that was published; NULL: none yet */
    uint64_t generation;
    char *warned;     /* the warnings that were printed last */
    bool load_failed; /* the last load */
    bool load_wanted;
    bool load_forced; /* publish even if nothing has changed */
    bool stopping;
    bool color;
};

/* Serves the project of `options` until the supervisor says that it is over. Returns 0, or -errno
 * if it could not begin. */
int control_run(const struct project_options *options, bool color);

/* Takes what has come on the channels, and sends what waits. Returns 0, or -ECANCELED when it is
 * time to end. */
int channels_serve(struct control *c);
int channels_serve_supervisor(struct control *c); /* that one alone */

/* To a gateway that may be gone: then its successor is told all that holds, anyway. */
void channels_send_gateway(struct control *c, struct wire_message *m);

/* What the store's keeper has to tell. */
void channels_on_taken(struct keep *k, uint64_t batch);
void channels_on_status(struct keep *k);

/* Reads the project and publishes it, or tells why not. */
void publish(struct control *c);
