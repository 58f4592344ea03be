/* .nvmrc and .node-version, and the folders in which version managers keep what they install. The
 * names of these say the version; only those of the PATH are asked. */

#include "control/node.h"

#include "base/log.h"
#include "base/parse.h"
#include "control/build.h"
#include "control/interpreter.h"
#include "control/target.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX_BYTES 4096
#define NODES_MAX      64 /* that are looked at */
#define NAMES_MAX      8  /* that a message names */
#define ASK_TIME_S     10
#define OLDEST_MAJOR   18

static const char *const files[] = {".nvmrc", ".node-version"};

/* The long-term releases by the names that nvm gives them. */
static const struct {
    const char *name;
    unsigned major;
} lts[] = {{"hydrogen", 18}, {"iron", 20}, {"jod", 22}, {"krypton", 24}};

/* Where the managers keep them: ROOT/VERSION/below. */
static const struct {
    const char *variable, *home; /* the root is the variable's, else below HOME */
    const char *versions, *below;
} managers[] = {
    {"NVM_DIR", ".nvm", "versions/node", "bin/node"},
    {"FNM_DIR", ".local/share/fnm", "node-versions", "installation/bin/node"},
    {"VOLTA_HOME", ".volta", "tools/image/node", "bin/node"},
    {"NODENV_ROOT", ".nodenv", "versions", "bin/node"},
    {"ASDF_DATA_DIR", ".asdf", "installs/nodejs", "bin/node"},
    {"MISE_DATA_DIR", ".local/share/mise", "installs/node", "bin/node"},
    {"N_PREFIX", "n", "n/versions/node", "bin/node"},
};

struct node_version {
    unsigned part[3];
    unsigned n; /* of the parts that are given */
};

enum want {
    WANT_VERSION,
    WANT_SYSTEM, /* the one of the PATH */
    WANT_NEWEST,
    WANT_LTS, /* the newest of an even number */
};

struct wanted {
    enum want want;
    struct node_version version;
    char text[64]; /* as it is written */
};

struct nodes {
    struct {
        char *path;
        struct node_version version;
    } list[NODES_MAX];
    unsigned n;
};

static void nodes_deinit(struct nodes *nodes)
{
    for (unsigned i = 0; i < nodes->n; i++)
        free(nodes->list[i].path);
}

bool node_is_version_file(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        if (strcmp(name, files[i]) == 0)
            return true;
    }
    return false;
}

/* ---- what is written ---- */

/* "v20.11.1", "20", "20.x". Returns 0 or -EINVAL. */
static int version_parse(struct slice text, struct node_version *ret)
{
    struct node_version v = {.n = 0};

    if (text.len > 0 && text.base[0] == 'v')
        text = slice(text.base + 1, text.len - 1);
    do {
        struct slice part = slice_cut(&text, '.');
        uint64_t number;

        if (v.n > 0 && text.len == 0 &&
            (slice_eq(part, SLICE_LIT("x")) || slice_eq(part, SLICE_LIT("*"))))
            break;
        if (v.n == ARRAY_SIZE(v.part) || parse_u64(part, 100000, &number) < 0)
            return -EINVAL;
        v.part[v.n++] = (unsigned)number;
    } while (text.len > 0);
    *ret = v;
    return 0;
}

static int lts_parse(const char *name, struct wanted *w)
{
    if (strcmp(name, "*") == 0 || strcmp(name, "latest") == 0) {
        w->want = WANT_LTS;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(lts); i++) {
        if (strcasecmp(name, lts[i].name) == 0) {
            w->version = (struct node_version){.part = {lts[i].major}, .n = 1};
            return 0;
        }
    }
    return -EINVAL;
}

static int wanted_parse(struct slice line, struct wanted *ret)
{
    static const char *const newest[] = {"node", "stable", "latest", "current"};

    *ret = (struct wanted){.want = WANT_VERSION};
    (void)snprintf(ret->text, sizeof(ret->text), "%.*s", SLICE_ARG(line));
    if (strcmp(ret->text, "system") == 0) {
        ret->want = WANT_SYSTEM;
        return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(newest); i++) {
        if (strcmp(ret->text, newest[i]) == 0) {
            ret->want = WANT_NEWEST;
            return 0;
        }
    }
    if (strncmp(ret->text, "lts/", 4) == 0)
        return lts_parse(ret->text + 4, ret);
    return version_parse(line, &ret->version);
}

/* The first line that says something; a '#' begins a comment. */
static struct slice first_line(struct slice text)
{
    while (text.len > 0) {
        struct slice line = slice_cut(&text, '\n');

        line = slice_trim(slice_cut(&line, '#'));
        if (line.len > 0 && line.base[line.len - 1] == '\r')
            line.len--;
        if (line.len > 0)
            return line;
    }
    return SLICE_NULL;
}

/* ---- what there is ---- */

static int version_cmp(const struct node_version *a, const struct node_version *b)
{
    for (size_t i = 0; i < ARRAY_SIZE(a->part); i++) {
        if (a->part[i] != b->part[i])
            return a->part[i] < b->part[i] ? -1 : 1;
    }
    return 0;
}

static bool fits(const struct wanted *w, const struct node_version *v)
{
    switch (w->want) {
    case WANT_SYSTEM:
    case WANT_NEWEST:
        return true;
    case WANT_LTS:
        return v->part[0] % 2 == 0;
    case WANT_VERSION:
        break;
    }
    for (unsigned i = 0; i < w->version.n; i++) {
        if (w->version.part[i] != v->part[i])
            return false;
    }
    return true;
}

/* Takes the path, also if there is no room for it, or nothing that can be used. */
static void node_add(struct nodes *nodes, char *path_take, const struct node_version *v)
{
    if (nodes->n == NODES_MAX || v->n < ARRAY_SIZE(v->part) || v->part[0] < OLDEST_MAJOR) {
        free(path_take);
        return;
    }
    nodes->list[nodes->n].path = path_take;
    nodes->list[nodes->n++].version = *v;
}

static int node_ask(const char *path, struct nodes *nodes)
{
    char *const argv[] = {(char *)(uintptr_t)path, (char *)"--version", NULL};
    _cleanup_(buf_deinit) struct buf answer = BUF_INIT(FILE_MAX_BYTES);
    struct node_version v = {.n = 0};
    char *copy;

    if (!path_is_program(path) || interpreter_run(argv, ASK_TIME_S, &answer) < 0 ||
        version_parse(first_line(buf_slice(&answer)), &v) < 0)
        return 0;
    copy = slice_dup(slice_str(path));
    if (!copy)
        return -ENOMEM;
    node_add(nodes, copy, &v);
    return 0;
}

/* Those of the PATH, in its order. */
static int path_nodes(struct nodes *nodes)
{
    const char *p = getenv("PATH");
    int r = 0;

    while (p && *p && r == 0) {
        size_t len = strcspn(p, ":");
        char *path;

        if (p[0] == '/') {
            if (asprintf(&path, "%.*s/node", (int)len, p) < 0)
                return -ENOMEM;
            r = node_ask(path, nodes);
            free(path);
        }
        p += len + (p[len] == ':');
    }
    return r;
}

static int manager_nodes(const char *folder, const char *below, struct nodes *nodes)
{
    DIR *d = opendir(folder);
    struct dirent *e;
    int r = 0;

    while (d && r == 0 && (e = readdir(d))) {
        struct node_version v;
        char *path;

        if (version_parse(slice_str(e->d_name), &v) < 0)
            continue;
        if (asprintf(&path, "%s/%s/%s", folder, e->d_name, below) < 0)
            r = -ENOMEM;
        else if (path_is_program(path))
            node_add(nodes, path, &v);
        else
            free(path);
    }
    if (d)
        (void)closedir(d);
    return r;
}

static int nodes_find(struct nodes *nodes)
{
    int r = path_nodes(nodes);

    for (size_t i = 0; i < ARRAY_SIZE(managers) && r == 0; i++) {
        const char *root = getenv(managers[i].variable), *home = getenv("HOME");
        bool is_set = root && root[0] == '/';
        char *folder;

        if (!is_set && (!home || home[0] != '/'))
            continue;
        if (asprintf(&folder, "%s/%s%s%s", is_set ? root : home, is_set ? "" : managers[i].home,
                     is_set ? "" : "/", managers[i].versions) < 0)
            return -ENOMEM;
        r = manager_nodes(folder, managers[i].below, nodes);
        free(folder);
    }
    return r;
}

/* ---- the choice ---- */

/* The first of the PATH if it fits, else the newest. Returns its index, or -1. */
static int choose(const struct nodes *nodes, const struct wanted *w)
{
    int best = -1;

    if (nodes->n > 0 && w->want != WANT_NEWEST && w->want != WANT_LTS &&
        fits(w, &nodes->list[0].version))
        return 0;
    for (unsigned i = 0; i < nodes->n && w->want != WANT_SYSTEM; i++) {
        if (fits(w, &nodes->list[i].version) &&
            (best < 0 || version_cmp(&nodes->list[best].version, &nodes->list[i].version) < 0))
            best = (int)i;
    }
    return best;
}

/* ", only 18.20.1, 20.2.0", for a message. */
static const char *names(const struct nodes *nodes, char *dst, size_t size)
{
    size_t len = 0;

    dst[0] = '\0';
    for (unsigned i = 0; i < nodes->n && i < NAMES_MAX; i++) {
        const unsigned *v = nodes->list[i].version.part;
        char one[48];

        (void)snprintf(one, sizeof(one), "%u.%u.%u", v[0], v[1], v[2]);
        if (len > 0 && strstr(dst, one))
            continue;
        len += (size_t)snprintf(dst + len, size - len, "%s%s", len > 0 ? ", " : ", only ", one);
        if (len >= size)
            break;
    }
    return dst;
}

static int node_choose(const char *file, const struct wanted *w, char **ret, struct error *err)
{
    _cleanup_(nodes_deinit) struct nodes nodes = {.n = 0};
    char there[NAMES_MAX * 48];
    int r = nodes_find(&nodes), chosen;

    if (r < 0)
        return r;
    chosen = choose(&nodes, w);
    if (chosen < 0)
        return error_set(err, -ENOENT,
                         "%s: there is no Node.js %s here%s; install it (nvm install %s), or "
                         "name a program as \"node\" in mayfly.json",
                         file, w->text, names(&nodes, there, sizeof(there)), w->text);
    *ret = take_ptr(nodes.list[chosen].path);
    return 0;
}

int node_find_wanted(const char *dir, char **ret, struct error *err)
{
    *ret = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        _cleanup_free_ char *path = path_join(dir, files[i]);
        _cleanup_(buf_deinit) struct buf text = BUF_INIT(FILE_MAX_BYTES);
        struct slice line;
        struct wanted w;
        char said[64];

        if (!path)
            return -ENOMEM;
        if (!path_is_file(path))
            continue;
        target_source_read(path, &text);
        line = first_line(buf_slice(&text));
        if (line.len == 0 || line.len >= sizeof(w.text) || wanted_parse(line, &w) < 0)
            return error_set(err, -EINVAL,
                             "%s: \"%s\" is no version; write one as in 20, 20.11.1, lts/iron, "
                             "lts/* or node",
                             files[i], log_quote(line, said, sizeof(said)));
        return node_choose(files[i], &w, ret, err);
    }
    return 0;
}
