#pragma once

/* The rules of a snapshot's sites, ready to be asked: which file, function or answer a request
 * comes to, and what is added on the way. No I/O, no clock; memory only for what is added.
 *
 * Order: clean URLs and slashes; the rules of the site in their order, files and functions of
 * exactly the path where the site's rules say so, else behind them; routes with [names]; the file
 * 404.html. A pattern may take only so many steps: no request makes us work for long. */

#include "http/http.h"
#include "model/snapshot.h"

struct rules;

/* Compiles the patterns; the snapshot is borrowed. A pattern that does not compile, which control
 * never lets pass, matches nothing. NULL without memory. */
struct rules *rules_new(const struct snapshot *s);
struct rules *rules_free(struct rules *r);

enum rules_outcome {
    RULES_NONE, /* no site has this path: it is for the routes alone */
    RULES_NOT_FOUND,
    RULES_METHOD,   /* the path is there, but not for this method */
    RULES_ROUTE,    /* match */
    RULES_FILE,     /* file, with status if it is not 0 */
    RULES_ANSWER,   /* status, and location if it is not empty */
    RULES_TOO_SLOW, /* a pattern has taken too many steps */
};

struct rules_plan {
    enum rules_outcome outcome;
    const struct site *site;
    struct route_match match; /* may point into path */
    const char *file;
    unsigned status;
    bool file_method;    /* of RULES_METHOD: it is a file, which takes GET and HEAD */
    bool rewritten;      /* the path is no longer the request's */
    struct buf path;     /* what was looked up at last, with the prefix */
    struct buf query;    /* "a=1&b=2": what destinations add in front of the request's own */
    struct buf headers;  /* "Name: value\r\n" for the answer */
    struct buf location; /* of a redirect */
};

/* Asks the rules. Returns 0, or -ENOMEM or -ENOBUFS; *plan is for rules_plan_deinit() in any case.
 */
int rules_ask(const struct rules *r, const struct http_head *head, struct rules_plan *plan);
void rules_plan_deinit(struct rules_plan *plan);

/* A header of that name is among the lines of plan->headers. */
bool rules_header_is_set(struct slice lines, struct slice name);

/* Writes the lines behind those of an answer: with win all of them, else those whose names the
 * answer does not have. Returns 0 or -errno. */
int rules_headers_write(struct buf *b, struct slice lines, const struct http_head *answer,
                        bool win);
