#pragma once

/* mayfly-control --check: what would be served, printed for people or as JSON. */

#include "control/project.h"

struct check_options {
    bool json;
    bool names;           /* the functions' names only */
    const char *function; /* only this one; NULL: all */
};

/* Loads and prints. Returns the exit code: 0, 1 if the project cannot be loaded or one of the
 * functions shown is broken, 3 if there is no function of that name. */
int check_run(const struct project_options *project, const struct check_options *options);
