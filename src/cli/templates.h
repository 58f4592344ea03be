#pragma once

/* What `mayfly init` writes: the files of a project for each language. In paths and texts @NAME@
 * stands for the function's name and @SYMBOL@ for the same as a C identifier. */

#include <stddef.h>

struct template_file {
    const char *lang;
    const char *path;
    unsigned mode;
    const char *text;
};

extern const struct template_file template_files[];
extern const size_t n_template_files;

/* What to try once the project is served: the path of its first function. */
#define TEMPLATE_URL "/api/@NAME@"
