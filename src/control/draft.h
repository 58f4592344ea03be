#pragma once

/* What a load knows on its way from files to a snapshot; internal to project.c, unit.c, runtime.c.
 */

#include "control/apidir.h"
#include "control/compile.h"
#include "control/config.h"
#include "control/deps.h"
#include "control/envfile.h"
#include "control/interpreter.h"
#include "control/project.h"
#include "control/resolve.h"
#include "control/site.h"
#include "control/tree.h"
#include "control/vercel.h"

/* One folder with its mayfly.json and its api/: the project itself or one that it includes. */
struct unit {
    char *dir;    /* absolute */
    char *rel;    /* from the project's folder; "" for itself */
    char *prefix; /* before its routes; "" or "/c" */
    char *label;  /* what messages call its mayfly.json: "sub/mayfly.json" */
    bool has_config;
    struct config *config;
    struct api_files api;
    struct site_files files;
    struct vercel *vercel; /* or NULL */
    struct env_list env;   /* of its .env files and vercel.json, for all functions */
    struct tree tree;
    char *python;                   /* absolute; or NULL: */
    struct interpreter interpreter; /* what it said of itself */
    char *python_broken;            /* why there is none */
    struct deps_job *python_deps;   /* what is to be installed for it; or NULL */
    struct interpreter node;        /* of node; its version always */
    char *node_broken;              /* why there is none */
    char *node_why;                 /* it cannot be forked; "" if it can */
    unsigned node_major, node_minor;
    bool node_forks;
    struct deps_job *npm_deps; /* as python_deps, for Node.js */
    char *npm_broken;
    bool npm_asked;
    uint8_t npm_mark[TREE_HASH_SIZE]; /* of its node_modules */
};

/* One function that is becoming. */
struct draft {
    struct function f;
    struct unit *unit;
    const struct config_function *config; /* or NULL: only the file below api/ */
    const struct api_file *api;           /* or NULL: only in mayfly.json */
    char *origin;                         /* "mayfly.json:3", "api/users.py" */
    struct target target;
    struct compile_job *job; /* or NULL: nothing to compile */
    struct buf bundle;       /* the values of its secrets; empty: it has none */
};

struct load {
    const struct project_options *options;
    struct tree_cache *cache;
    struct resolver *resolver;
    struct error *err;
    struct unit *units[PROJECT_UNITS_MAX];
    uint32_t n_units;
    struct draft *drafts;
    uint32_t n_drafts;
    struct load_secrets *secrets; /* those that were opened; NULL: none yet */
    struct compile_job *jobs;     /* one for each draft at most */
    uint32_t n_jobs;
    struct deps_job *deps[2 * PROJECT_UNITS_MAX]; /* one for each unit and language at most */
    uint32_t n_deps;
    struct deps_failures *failures;
    struct buf warnings; /* lines */
};

/* ---- unit.c ---- */

/* Reads the project's folder and all that it includes. Returns 0 or a negative errno with l->err.
 */
int units_load(struct load *l);

/* Makes a draft of each function of each unit: names, settings, targets. Returns as above. */
int drafts_make(struct load *l);

/* Marks it as broken, with "origin: " before the text. Keeps the first reason. */
void draft_break(struct draft *d, const char *format, ...) _printf_(2, 3);

void load_deinit(struct load *l);

/* "sub/api/users.py", for messages. The caller's; NULL without memory. */
char *unit_path(const struct unit *u, const char *file);

/* ---- runtime.c ---- */

/* Sets what the supervisor executes, or asks for a compilation that must come before. */
int runtime_prepare(struct load *l, struct draft *d);

/* After the compilations. */
int runtime_finish(struct draft *d);

/* The author's variables and ours; after f.version is known. Returns 0 or -ENOMEM. */
int runtime_env(struct load *l, struct draft *d);

/* What of the runtime makes a difference to the version. */
void runtime_digest(const struct draft *d, struct digest *digest);
