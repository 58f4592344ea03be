#pragma once

/* Tells that something in a folder of code has changed, after it has been quiet for a moment. */

#include "base/error.h"

#define WATCH_DIRS_MAX  4096
#define WATCH_QUIET_MS  50  /* after the last change */
#define WATCH_LATEST_MS 500 /* after the first one, however busy it is */

struct watch {
    int fd;          /* becomes readable; -1: nothing is watched */
    uint64_t due_ns; /* UINT64_MAX: nothing has changed */
    uint64_t latest_ns;
    bool any_name; /* but for those with a dot in front, names do not tell what makes no difference
                    */
};

/* Returns 0 or -errno with *err. */
int watch_init(struct watch *w, struct error *err);
void watch_deinit(struct watch *w);

/* Watches the folder and all in it that tree_hash() looks at; to be called again after changes,
 * before the folders are read. `except` as there. Returns 0, or -errno with *err: then some are not
 * watched. */
int watch_scan(struct watch *w, const char *dir, const char *except, struct error *err);

/* Reads the events. */
void watch_read(struct watch *w, uint64_t now_ns);

/* Whether it is time to look. Says so once. */
bool watch_is_due(struct watch *w, uint64_t now_ns);
