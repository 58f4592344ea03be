#pragma once

/* Inside src/cgroup only: the kernel's files, and where the hierarchies are. */

#include "cgroup/cgroup.h"

#include <limits.h>

#define CGROUP_TEXT_MAX 4096
#define CGROUP_PATH_MAX 96 /* of a file below our group: "f123/s45/memory.max_usage_in_bytes" */

/* ---- file.c: each can be told to fail (os/fault.h, "cgroup"). Context: async-signal-safe. ---- */

/* One write, as these files want it. Returns 0 or -errno. */
int cgroup_file_write(int dir, const char *path, const char *text);

/* Returns the length of the text, which is terminated and may be cut, or -errno. */
int cgroup_file_read(int dir, const char *path, char text[static CGROUP_TEXT_MAX]);

int cgroup_file_mkdir(int dir, const char *path);
int cgroup_file_rmdir(int dir, const char *path);

/* The number behind `key` and a blank at the start of a line; of the first line if key is NULL. 0
 * if there is none. */
uint64_t cgroup_text_number(const char *text, const char *key);

/* Whether a list of words separated by blanks or line ends holds this one. */
bool cgroup_text_has(const char *text, const char *word);

/* ---- mounts.c ---- */

struct cgroup_mount {
    char path[PATH_MAX]; /* of the group that this process is in */
    unsigned parts;      /* v1: the controllers of the hierarchy; v2: CGROUP_UNIFIED */
    bool v2;
};

struct cgroup_mounts {
    struct cgroup_mount list[_CGROUP_PART_MAX];
    unsigned n;
};

/* From the texts of /proc/self/mountinfo and /proc/self/cgroup. A hierarchy that we cannot see our
 * own group in is left out. */
void cgroup_mounts_parse(const char *mountinfo, const char *self, struct cgroup_mounts *ret);

/* ---- host.c ---- */

/* The tree that gives a part, or NULL. */
const struct cgroup_tree *cgroups_tree(const struct cgroups *h, enum cgroup_part part);

/* ---- group.c ---- */

enum cgroup_item {
    CGROUP_ITEM_MEMORY_MAX,
    CGROUP_ITEM_SWAP_MAX,
    CGROUP_ITEM_PROCESSES_MAX,
    CGROUP_ITEM_CPU_MAX,
    CGROUP_ITEM_CPU_PERIOD,
    CGROUP_ITEM_CPU_WEIGHT,
    _CGROUP_ITEM_MAX,
};

/* The file and the text that set an item to a value of struct cgroup_limits. Returns the file's
 * name, or NULL where this back-end needs none. */
const char *cgroup_item_text(enum cgroup_item item, bool v2, uint64_t value, char text[static 64]);
int cgroup_set_weight(const struct cgroup_tree *t, const char *dir, uint64_t weight);
