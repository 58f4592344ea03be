#pragma once

/* Files of variables, as dotenv reads them: lines NAME=value, also `export NAME=value`; '#' begins
 * a comment. A value in '...' or `...` is as it stands, one in "..." knows \n, \r, \t, \", \\ and
 * \$; all of them may have several lines. In the others $NAME, ${NAME} and ${NAME:-text} stand for
 * variables that were set before, in this file or one that was read earlier; unknown ones for
 * nothing. Pure. */

#include "base/error.h"
#include "base/slice.h"

#define ENVFILE_BYTES_MAX     (256UL * 1024)
#define ENVFILE_VARIABLES_MAX 512
#define ENVFILE_VALUE_MAX     65536

struct env_list {
    char **variables; /* NAME=value; NULL-terminated, or NULL */
    uint32_t n;
};

void env_list_deinit(struct env_list *list);

/* The value, or NULL. */
const char *env_list_find(const struct env_list *list, struct slice name);

/* Sets it unless it is there. Returns 0, -E2BIG or -ENOMEM. */
int env_list_add(struct env_list *list, struct slice name, struct slice value);

/* Adds the variables of the text that the list does not have; of two with one name in the text the
 * later one counts. `name` is what messages call the file. Returns 0, or -EINVAL, -E2BIG or -ENOMEM
 * with *err. */
int envfile_read(struct slice text, const char *name, struct env_list *list, struct error *err);
