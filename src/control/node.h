#pragma once

/* Node.js as it is installed here: which one a project wants, and whether it survives a fork. */

#include "base/buf.h"
#include "base/error.h"

/* The node that the folder's .nvmrc or .node-version asks for: that of the PATH if it fits, else
 * the newest that does among those of the PATH and of the usual version managers. Returns 0 with a
 * new string, NULL if neither file is there; -ENOMEM; or -ENOENT or -EINVAL with an *err that names
 * the file and says what there is. */
int node_find_wanted(const char *dir, char **ret, struct error *err);

/* Whether a file of that name chooses a node. */
bool node_is_version_file(const char *name);

#define NODE_CHECKED                                                                               \
    "checked-" /* how what node_check() keeps begins, in the folder of dependencies */

/* Tries out whether the node at `path` can be forked: `host` is mayfly-node, which says by four
 * lines what check.js prints. That it can is kept in the folder `deps` (or nowhere, if NULL), and
 * holds while every file that node had mapped is the same one, and kernel and environment are.
 * Returns 0, or -errno: it does not run. */
int node_check(const char *host, const char *path, const char *deps, struct buf *ret);
