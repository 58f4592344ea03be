#pragma once

/* C functions become static programs: the author's file, one line of glue and the zygote library,
 * compiled once for each content and kept in the state folder. */

#include "base/error.h"
#include "base/slice.h"

#define COMPILE_PARALLEL   2
#define COMPILE_TIMEOUT_MS 60000
#define COMPILE_WORDS_MAX  1536 /* of the compiler's that are kept */

struct compile_job {
    const char *dir;    /* the project's folder */
    const char *file;   /* in it */
    const char *symbol; /* an identifier */
    char key[33];       /* hex: everything that makes a difference to the result */
    char *program;      /* out: the path of the result; the caller's */
    char *broken;       /* out: why there is none, for the author; the caller's */
};

struct compile_context {
    const char *state; /* results stand in STATE/build/KEY/SYMBOL */
    const char *lib;
    bool progress; /* stderr is a terminal: say what is being waited for */
    /* Called while waiting, about every 50 ms; a negative value ends it all. May be NULL. */
    int (*idle)(void *ctx);
    void *idle_ctx;
};

/* Carries out the jobs, two at a time. What fails for the author's reasons shows in job.broken.
 * Returns 0, -ENOMEM, or what idle() said. */
int compile_run(struct compile_job *jobs, size_t n_jobs, const struct compile_context *ctx);

/* The compiler's path, or NULL if there is none. The caller's. */
char *compile_compiler(void);

/* An executable of that name in the PATH, or NULL. The caller's. */
char *path_search(const char *name);

/* Removes the results whose keys are none of these. */
void compile_prune(const char *state, const char *const *keys, size_t n_keys);

/* Makes the folder and those above it. Returns 0 or -errno. */
int path_make(const char *path);
