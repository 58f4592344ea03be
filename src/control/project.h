#pragma once

/* A project's folder becomes a snapshot: mayfly.json and the files below api/ are read, included
 * projects too, C files compiled, versions computed. What is wrong with one function makes only
 * that one broken; what is wrong with a file, or between two, refuses the load.
 *
 * Context: blocks while it reads and compiles; see idle. */

#include "base/error.h"
#include "model/snapshot.h"

#define PROJECT_WARNINGS_MAX 65536 /* bytes */
#define PROJECT_UNITS_MAX    64    /* the project and what it includes */

/* Borrowed for the life of the project. Paths are absolute. */
struct project_options {
    const char *dir;
    const char *state;
    const char *lib;
    const char *url;
    const char *admin_url;    /* of the admin listener; NULL: there is none */
    const char *libexec;      /* mayfly's own programs; NULL: dependencies cannot be installed */
    const char *deps;         /* where they are kept; NULL as well */
    const char *secrets;      /* state folder with the secrets; NULL: their values are not needed */
    const char *secrets_hint; /* behind "mayfly secret set NAME" in advice, or NULL */
    const char *otlp;         /* where records and lines are exported to; NULL: nowhere */
    bool dev;
    bool own_users;         /* functions run as users of their own, not as the daemon's */
    bool progress;          /* stderr is a terminal: show what takes long */
    int (*idle)(void *ctx); /* see build.h */
    void *idle_ctx;
};

struct project;
struct redact;
struct retention;

struct project *project_new(const struct project_options *options); /* NULL without memory */
struct project *project_free(struct project *p);

/* When project_tick() has something to do; UINT64_MAX for never. */
uint64_t project_due_ns(const struct project *p, uint64_t now_ns);

/* Looks up again the names that functions may reach. Returns whether it is time for a load. */
bool project_tick(struct project *p, uint64_t now_ns);

/* Names are not looked up again by the next load if that was done a moment ago, unless it is to be
 * anew. */
void project_renew(struct project *p);
/* What goes with the snapshot to the supervisor and to nobody else: the values of secrets, of the
 * last load that was good (model/secret.h). Borrowed until the next one. */
struct slice project_secrets(const struct project *p);

/* Lines for the author, of the last load: what of its files mayfly does not carry out. Borrowed
 * until the next one. */
struct slice project_warnings(const struct project *p);

/* How long records are kept, of a good load that nobody has asked for yet: *ret is then the
 * caller's (retention_free()). Returns whether there is one. */
bool project_take_retention(struct project *p, struct retention *ret);

/* Whether the last good load has functions with secrets, so that a change of one matters. */
bool project_has_secrets(const struct project *p);

/* Knows all values of this load and of those before it, which older workers still have. */
const struct redact *project_redact(const struct project *p);

/* Returns 0, or a negative errno with *err for the author: then *ret is untouched. */
int project_load(struct project *p, uint64_t generation, struct snapshot **ret, struct error *err);
