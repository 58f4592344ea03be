/* Node.js: which program, whether it can be forked, and what it is told when it starts. */

#include "control/runtime.h"

#include "base/parse.h"
#include "control/node.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define ANSWER_MAX   (32 * 1024)
#define OLDEST_MAJOR 18

static int out_of(struct unit *u, const char *format, ...) _printf_(2, 3);

/* Why there is none. Returns 0 or -ENOMEM. */
static int out_of(struct unit *u, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (vasprintf(&u->node_broken, format, args) < 0)
        u->node_broken = NULL;
    va_end(args);
    return u->node_broken ? 0 : -ENOMEM;
}

/* What .nvmrc and the like say. Returns 0, with NULL if they say nothing, or -ENOMEM. */
static int by_version_file(struct unit *u, char **ret)
{
    struct error err = ERROR_NULL;
    int r = node_find_wanted(u->dir, ret, &err);

    if (r == 0 || r == -ENOMEM)
        return r;
    return out_of(u, "%s%s%s", u->rel, u->rel[0] ? "/" : "", err.text);
}

/* What mayfly.json says, or a file for it, or the one of the PATH. */
static int node_find(struct unit *u, char **ret)
{
    const char *wanted = u->config->node;
    _cleanup_free_ char *path = NULL;
    int r = wanted ? 0 : by_version_file(u, ret);

    if (r < 0 || u->node_broken || *ret)
        return r;
    path = wanted && strchr(wanted, '/') ? path_join(u->dir, wanted)
                                         : path_search(wanted ? wanted : "node");
    if (path && path_is_program(path)) {
        *ret = take_ptr(path);
        return 0;
    }
    if (wanted)
        return out_of(u, "there is no program \"%s\", as %s:%u wants it", wanted, u->label,
                      u->config->node_line);
    return out_of(u, "there is no node; run: apt install nodejs");
}

/* check.js prints: its program, its version, "fork" or "single", why not "fork". */
static int take_answer(struct unit *u, const char *path, struct buf *answer)
{
    struct slice rest = buf_slice(answer), version, mode, dot;
    uint64_t major = 0, minor = 0;

    u->node.program = slice_dup(slice_cut(&rest, '\n'));
    version = slice_cut(&rest, '\n');
    mode = slice_cut(&rest, '\n');
    u->node_forks = slice_eq(mode, SLICE_LIT("fork"));
    u->node_why = slice_dup(slice_cut(&rest, '\n'));
    if (!u->node.program || !u->node_why)
        return -ENOMEM;
    if (u->node.program[0] != '/' || version.len >= sizeof(u->node.version))
        return out_of(u, "%s does not answer as node does", path);
    memcpy(u->node.version, version.base, version.len);
    dot = slice(version.base, strcspn(u->node.version, "."));
    if (parse_u64(dot, 1000, &major) < 0 ||
        parse_u64(slice(u->node.version + dot.len + 1, strcspn(u->node.version + dot.len + 1, ".")),
                  1000, &minor) < 0)
        return out_of(u, "%s does not answer as node does", path);
    if (major < OLDEST_MAJOR)
        return out_of(u,
                      "%s is Node.js %s; install one from %d on, or name another as \"node\" in %s",
                      path, u->node.version, OLDEST_MAJOR, u->label);
    u->node_major = (unsigned)major;
    u->node_minor = (unsigned)minor;
    return 0;
}

/* A link, a shim or a version manager's function says little: it is asked itself, and tried out
 * whether it survives a fork. */
static int node_ask(struct load *l, struct draft *d)
{
    struct unit *u = d->unit;
    _cleanup_free_ char *path = NULL, *host = runtime_lib_file(l, d, "node/mayfly-node");
    _cleanup_(buf_deinit) struct buf answer = BUF_INIT(ANSWER_MAX);
    int r;

    if (d->f.broken || u->node.program || u->node_broken)
        return 0;
    if (!host)
        return -ENOMEM;
    r = node_find(u, &path);
    if (r < 0 || u->node_broken)
        return r;
    r = node_check(host, path, l->options->deps, &answer);
    if (r == -ENOMEM)
        return r;
    return r < 0 ? out_of(u, "%s does not run: %s", path, strerrordesc_np(-r))
                 : take_answer(u, path, &answer);
}

/* A program that is not the system's: it may need what lies beside it. */
static int reads_of_node(struct function *f, const char *program)
{
    _cleanup_free_ char *folder = slice_dup(slice_str(program));

    if (!folder)
        return -ENOMEM;
    for (unsigned up = 0; up < 2; up++) { /* PREFIX/bin/node */
        char *slash = strrchr(folder, '/');

        if (!slash || slash == folder)
            return runtime_read_add(f, program);
        *slash = '\0';
    }
    return strncmp(program, "/usr/", 5) == 0 ? 0 : runtime_read_add(f, folder);
}

static bool is_from(const struct unit *u, unsigned major, unsigned minor)
{
    return u->node_major > major || (u->node_major == major && u->node_minor >= minor);
}

/* What this node can do, but does not unless it is told. */
static int flags_add(struct draft *d)
{
    const struct unit *u = d->unit;
    char heap[48];
    int r;

    (void)snprintf(heap, sizeof(heap), "--max-old-space-size=%llu",
                   (unsigned long long)(d->f.limits.memory_bytes / MIB));
    r = runtime_argv_add(d, heap);
    /* `export` in a .js file makes it an ES module, as from 22.7 on. */
    if (r == 0 && is_from(u, 20, 19) && !is_from(u, 22, 7) && u->node_major != 21)
        r = runtime_argv_add(d, "--experimental-detect-module");
    if (r == 0 && is_from(u, 22, 6) && !is_from(u, 22, 18))
        r = runtime_argv_add(d, "--experimental-strip-types");
    if (r == 0 && is_from(u, 20, 11) && (u->node_major != 21 || is_from(u, 21, 3)))
        r = runtime_argv_add(d, "--disable-warning=ExperimentalWarning");
    return r;
}

int runtime_node_prepare(struct load *l, struct draft *d)
{
    struct unit *u = d->unit;
    _cleanup_free_ char *host = runtime_lib_file(l, d, "node/mayfly-node");
    int r = node_ask(l, d);

    if (r < 0 || (!host && !d->f.broken))
        return -ENOMEM;
    if (u->node_broken)
        draft_break(d, "%s", u->node_broken);
    if (d->f.broken)
        return 0;
    r = reads_of_node(&d->f, u->node.program);
    r = r < 0 ? r : deps_about(&d->f, "interpreter=%s", u->node.program);
    r = r < 0 ? r : deps_about(&d->f, "interpreter_version=%s", u->node.version);
    r = r < 0           ? r
        : u->node_forks ? deps_about(&d->f, "workers=forked")
                        : deps_about(&d->f, "workers=a new node for each, since %s", u->node_why);
    if (r == 0)
        r = runtime_argv(d, host, u->node.program, u->node_forks ? "fork" : "single");
    return r == 0 ? flags_add(d) : r;
}

void runtime_node_digest(const struct draft *d, struct digest *digest)
{
    const struct unit *u = d->unit;

    digest_str(digest, slice_str(u->node.program));
    digest_str(digest, slice_str(u->node.version));
    digest_u64(digest, u->node_forks);
}
