#pragma once

/* File routing as Vercel does it: each file below api/ that holds a function is one, and where it
 * lies is where it answers. */

#include "control/target.h"

#define API_PATTERNS_MAX 4
#define API_FILES_MAX    5000
#define API_DEPTH_MAX    16

struct api_file {
    struct target target; /* target.file is "api/users.py" */
    char *name;           /* "api/users" */
    char *handler;        /* as mayfly.json would write it: "api/users.app" */
    char *patterns[API_PATTERNS_MAX];
    unsigned n_patterns;
};

struct api_files {
    struct api_file *files; /* sorted by path */
    uint32_t n_files;
    char
        *foreign; /* the first source in a language that Vercel runs and mayfly does not; or NULL */
};

/* Whether a part of a path is left out of api/: ".x", "_x", "node_modules". */
bool api_part_is_ignored(const char *name);

/* The routes of a file: "api/x/index.py" answers at /api/x, /api/x/index and /api/x/index.py.
 * Returns 0 or -ENOMEM; the patterns are the caller's. */
int api_patterns(const char *file, char *ret_patterns[static API_PATTERNS_MAX], unsigned *ret_n);

/* Reads the folder `dir`/api. One that is not there has no files. Returns 0, or -errno with *err;
 * then *ret is empty. */
int api_scan(const char *dir, struct api_files *ret, struct error *err);
void api_files_deinit(struct api_files *files);
