/* Where the hierarchies are mounted, and which of their groups is ours. */

#include "base/slice.h"
#include "cgroup/internal.h"

#include <stdio.h>

static const struct {
    const char *name;
    enum cgroup_part part;
} controllers[] = {
    {"cpu", CGROUP_CPU},
    {"cpuacct", CGROUP_CPUACCT},
    {"memory", CGROUP_MEMORY},
    {"pids", CGROUP_PIDS},
};

static bool list_has(struct slice list, const char *word)
{
    while (list.len > 0) {
        if (slice_eq(slice_cut(&list, ','), slice_str(word)))
            return true;
    }
    return false;
}

/* Our group's path in a hierarchy: lines are "4:memory:/path", of v2 "0::/path". */
static bool own_path(const char *self, const char *controller, struct slice *ret)
{
    struct slice rest = slice_str(self);

    while (rest.len > 0) {
        struct slice line = slice_cut(&rest, '\n'), id = slice_cut(&line, ':'),
                     names = slice_cut(&line, ':');

        if (controller ? list_has(names, controller)
                       : names.len == 0 && slice_eq(id, SLICE_LIT("0"))) {
            *ret = line; /* may hold colons itself */
            return true;
        }
    }
    return false;
}

/* Where `own` is to be found below the mount point of a mount that shows the group `root`. */
static bool join_path(struct slice point, struct slice root, struct slice own, char ret[PATH_MAX])
{
    int n;

    if (slice_eq(root, SLICE_LIT("/")))
        root.len = 0;
    if (!slice_starts(own, root) || memmem(own.base, own.len, "/..", 3))
        return false; /* of another's namespace */
    own = slice(own.base + root.len, own.len - root.len);
    if (own.len > 0 && own.base[0] != '/')
        return false;
    if (slice_eq(own, SLICE_LIT("/")))
        own.len = 0;
    n = snprintf(ret, PATH_MAX, "%.*s%.*s", SLICE_ARG(point), SLICE_ARG(own));
    return n > 0 && n < PATH_MAX && !memchr(ret, '\\', (size_t)n); /* escaped blanks: not for us */
}

static unsigned known_parts(const struct cgroup_mounts *m)
{
    unsigned parts = 0;

    for (unsigned i = 0; i < m->n; i++)
        parts |= m->list[i].parts;
    return parts;
}

static void add_mount(struct cgroup_mounts *m, const char *self, struct slice point,
                      struct slice root, bool v2, struct slice options)
{
    struct cgroup_mount *mount;
    const char *controller = NULL;
    unsigned parts = v2 ? 1u << CGROUP_UNIFIED : 0;
    struct slice own;

    for (size_t i = 0; i < ARRAY_SIZE(controllers) && !v2; i++) {
        if (list_has(options, controllers[i].name)) {
            controller = controllers[i].name;
            parts |= 1u << controllers[i].part;
        }
    }
    if (parts == 0 || (parts & known_parts(m)) || m->n == ARRAY_SIZE(m->list))
        return;
    mount = &m->list[m->n];
    if (!own_path(self, controller, &own) || !join_path(point, root, own, mount->path))
        return;
    mount->parts = parts;
    mount->v2 = v2;
    m->n++;
}

/* "31 23 0:28 ROOT POINT OPTIONS [TAGS...] - TYPE SOURCE SUPER_OPTIONS" */
void cgroup_mounts_parse(const char *mountinfo, const char *self, struct cgroup_mounts *ret)
{
    struct slice rest = slice_str(mountinfo);

    ret->n = 0;
    while (rest.len > 0) {
        struct slice line = slice_cut(&rest, '\n'), root, point, type, word;

        for (int i = 0; i < 3; i++)
            (void)slice_cut(&line, ' ');
        root = slice_cut(&line, ' ');
        point = slice_cut(&line, ' ');
        do
            word = slice_cut(&line, ' ');
        while (line.len > 0 && !slice_eq(word, SLICE_LIT("-")));
        type = slice_cut(&line, ' ');
        (void)slice_cut(&line, ' ');
        if (slice_eq(type, SLICE_LIT("cgroup2")))
            add_mount(ret, self, point, root, true, SLICE_NULL);
        else if (slice_eq(type, SLICE_LIT("cgroup")))
            add_mount(ret, self, point, root, false, line);
    }
}
