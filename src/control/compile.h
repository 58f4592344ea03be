#pragma once

/* C functions become static programs: the author's file, one line of glue and the zygote library,
 * compiled once for each content and kept in the state folder. */

#include "control/build.h"

#define COMPILE_TIMEOUT_MS 60000
#define COMPILE_WORDS_MAX  1536 /* of the compiler's that are kept */

struct compile_job {
    struct build_job build;
    const char *dir;    /* the project's folder */
    const char *file;   /* in it */
    const char *symbol; /* an identifier */
    char key[33];       /* hex: everything that makes a difference to the result */
    char *program;      /* out: the path of the result, STATE/build/KEY/SYMBOL; the caller's */
    char *compiler;     /* of compile.c, while it runs, as is: */
    char *folder;       /* STATE/build/KEY.tmp */
};

extern const struct build_kind compile_kind;

/* The compiler's path, or NULL if there is none. The caller's. */
char *compile_compiler(void);

/* Removes the results whose keys are none of these. */
void compile_prune(const char *state, const char *const *keys, size_t n_keys);
