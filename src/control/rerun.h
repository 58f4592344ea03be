#pragma once

/* A request that is carried out again: sent to the gateway on a connection of its own, for the
 * function that it was for. */

#include "http/http.h"
#include "loop/loop.h"
#include "model/record.h"

#define RERUN_BODY_MAX (1024UL * 1024) /* of the answer; what is beyond is dropped */

struct control;
struct rerun;

struct rerun_request {
    struct slice function;
    enum trigger trigger;
    struct slice head; /* request line and headers, as they were recorded */
    struct slice body;
};

struct rerun_answer {
    const char *error; /* for people: there is no answer; or NULL */
    unsigned status;
    struct slice head; /* lines */
    struct slice body;
    bool is_cut;
};

/* done is called once, in a later round, unless rerun_cancel() comes first; then it is freed. NULL:
 * there is no gateway, or no memory. */
struct rerun *rerun_start(struct control *c, const struct rerun_request *request,
                          void (*done)(void *ctx, const struct rerun_answer *a), void *ctx);
void rerun_cancel(struct rerun *r);
