#pragma once

/* Folders that foreign code has written: never by a path that could be a link, only by descriptors
 * from the top down. */

#include "base/def.h"

#include <sys/types.h>

/* Removes the folder with all below it; one that is not there is removed. Returns 0 or -errno. */
int builder_remove(const char *path);

/* "FILE=NAME": copies a file of the project to NAME in the tree, or to NAME in the scratch folder
 * if it begins with "scratch/". A file that is not there is left out. Returns 0 or -errno. */
int builder_copy(const char *what, const char *tree, const char *scratch);

/* Makes everything below, and the folder, another user's. */
int builder_give(const char *path, uid_t uid);

/* Makes it ours again, for everybody to read, for nobody to write: no set-user-id bits, no devices
 * or sockets. Returns 0 or -errno. */
int builder_seal(const char *path);
