/* How each kind of target is started: a table, with one function that prepares and, where something
 * must be compiled first, one that finishes. */

#include "control/draft.h"
#include "model/secret.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

struct runtime_kind {
    int (*prepare)(struct load *l, struct draft *d);
    const char *const *env; /* NAME=value of its own, NULL-terminated; or NULL */
};

static int argv_set(struct draft *d, const char *a, const char *b, const char *c)
{
    const char *const words[] = {a, b, c};

    d->f.argv = calloc(ARRAY_SIZE(words) + 1, sizeof(*d->f.argv));
    if (!d->f.argv)
        return -ENOMEM;
    for (size_t i = 0; i < ARRAY_SIZE(words) && words[i]; i++) {
        d->f.argv[i] = slice_dup(slice_str(words[i]));
        if (!d->f.argv[i])
            return -ENOMEM;
    }
    return 0;
}

/* A part of mayfly that must be there. NULL without memory or, with the draft broken, without it.
 */
static char *lib_file(struct load *l, struct draft *d, const char *file)
{
    char *path = path_join(l->options->lib, file);

    if (path && !path_is_file(path)) {
        draft_break(d, "mayfly is not installed completely: %s is missing", path);
        free(path);
        return NULL;
    }
    return path;
}

/* ---- Python ---- */

/* Which interpreter a project uses: what its mayfly.json says, or its virtual environment's, or the
 * one of the system. */
static int python_find(struct unit *u)
{
    static const char *const venvs[] = {".venv/bin/python", "venv/bin/python"};
    const char *wanted = u->config->python;

    if (u->python || u->python_broken)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(venvs) && !wanted; i++) {
        u->python = path_join(u->dir, venvs[i]);
        if (!u->python || path_is_program(u->python))
            return u->python ? 0 : -ENOMEM;
        free(u->python);
    }
    u->python = wanted && strchr(wanted, '/') ? path_join(u->dir, wanted)
                                              : path_search(wanted ? wanted : "python3");
    if (u->python && path_is_program(u->python))
        return 0;
    free(u->python);
    u->python = NULL;
    if (!wanted)
        u->python_broken = slice_dup(SLICE_LIT("there is no python3; run: apt install python3"));
    else if (asprintf(&u->python_broken, "there is no interpreter \"%s\", as %s:%u wants it",
                      wanted, u->label, u->config->python_line) < 0)
        u->python_broken = NULL;
    return u->python_broken ? 0 : -ENOMEM;
}

/* Puts the executable itself in the place of a shim, and notes what it needs beside it. */
static int python_ask(struct unit *u)
{
    struct error err = ERROR_NULL;
    int r;

    if (u->python_broken || u->interpreter.program)
        return 0;
    r = interpreter_ask_python(u->python, &u->interpreter, &err);
    if (r == -ENOMEM)
        return r;
    if (r < 0)
        u->python_broken = slice_dup(slice_str(err.text));
    return r < 0 && !u->python_broken ? -ENOMEM : 0;
}

static int read_add(struct function *f, const char *path)
{
    char **more;
    size_t n = 0;

    while (f->reads && f->reads[n])
        n++;
    more = reallocarray(f->reads, n + 2, sizeof(*more));
    if (!more)
        return -ENOMEM;
    f->reads = more;
    more[n] = slice_dup(slice_str(path));
    more[n + 1] = NULL;
    return more[n] ? 0 : -ENOMEM;
}

static int python_prepare(struct load *l, struct draft *d)
{
    _cleanup_free_ char *host = lib_file(l, d, "python/main.py");
    struct unit *u = d->unit;
    int r = python_find(u);

    r = r < 0 ? r : python_ask(u);
    if (r < 0 || (!host && !d->f.broken))
        return -ENOMEM;
    if (u->python_broken)
        draft_break(d, "%s", u->python_broken);
    if (d->f.broken)
        return 0;
    for (unsigned i = 0; i < u->interpreter.n_paths && r == 0; i++)
        r = read_add(&d->f, u->interpreter.paths[i]);
    return r < 0 ? r : argv_set(d, u->interpreter.program, host, NULL);
}

/* ---- C ---- */

static int file_digest(struct load *l, struct digest *digest, const char *file)
{
    _cleanup_free_ char *path = path_join(l->options->lib, file);
    uint8_t hash[TREE_HASH_SIZE];
    int r = path ? tree_file_hash(l->cache, path, hash) : -ENOMEM;

    if (r < 0)
        return r;
    digest_str(digest, slice(hash, sizeof(hash)));
    return 0;
}

/* The result depends on the project's folder as a whole, since a C file may include any of its
 * files, and on what of mayfly it is linked with. */
static int source_prepare(struct load *l, struct draft *d)
{
    _cleanup_free_ char *archive = lib_file(l, d, "native/libmayfly-native.a");
    _cleanup_free_ char *header = archive ? lib_file(l, d, "include/mayfly.h") : NULL;
    _cleanup_free_ char *cc = compile_compiler();
    struct compile_job *job = &l->jobs[l->n_jobs];
    uint8_t hash[TREE_HASH_SIZE];
    struct digest digest;
    int r, x;

    if (d->f.broken)
        return 0;
    if (!archive || !header)
        return -ENOMEM;
    digest_begin(&digest);
    digest_str(&digest, SLICE_LIT("native 1"));
    digest_str(&digest, slice(d->unit->tree.hash, TREE_HASH_SIZE));
    digest_str(&digest, slice_str(d->target.file));
    digest_str(&digest, slice_str(d->target.symbol));
    digest_str(&digest, slice_str(cc));
    r = file_digest(l, &digest, "native/libmayfly-native.a");
    if (r == 0)
        r = file_digest(l, &digest, "include/mayfly.h");
    x = digest_end(&digest, hash);
    if (r < 0 || x < 0) {
        draft_break(d, "cannot read mayfly's own files in %s: %s", l->options->lib,
                    strerrordesc_np(-MIN(r, x)));
        return 0;
    }
    *job = (struct compile_job){
        .dir = d->unit->dir, .file = d->target.file, .symbol = d->target.symbol};
    digest_hex(hash, (sizeof(job->key) - 1) / 2, job->key);
    d->job = job;
    for (uint32_t i = 0; i < l->n_jobs && d->job == job; i++) {
        if (strcmp(l->jobs[i].key, job->key) == 0)
            d->job = &l->jobs[i]; /* two functions, one program */
    }
    l->n_jobs += d->job == job;
    return 0;
}

int runtime_finish(struct draft *d)
{
    if (!d->job)
        return 0;
    if (!d->job->program) {
        draft_break(d, "%s", d->job->broken ? d->job->broken : "cannot be compiled");
        return 0;
    }
    return argv_set(d, d->job->program, NULL, NULL);
}

static int shared_prepare(struct load *l, struct draft *d)
{
    _cleanup_free_ char *host = lib_file(l, d, "native/mayfly-native-so");
    _cleanup_free_ char *path = path_join(d->unit->dir, d->target.file);

    if (d->f.broken)
        return 0;
    return host && path ? argv_set(d, host, path, d->target.symbol) : -ENOMEM;
}

/* ---- others ---- */

static int exec_prepare(struct load *l, struct draft *d)
{
    _cleanup_free_ char *host = lib_file(l, d, "exec/mayfly-exec");
    _cleanup_free_ char *path = path_join(d->unit->dir, d->target.file);

    if (d->f.broken)
        return 0;
    return host && path ? argv_set(d, host, path, NULL) : -ENOMEM;
}

static int node_prepare(struct load *l, struct draft *d)
{
    draft_break(d, "functions in JavaScript and TypeScript cannot run yet: this version of mayfly "
                   "has no Node.js runtime");
    return 0;
}

/* Symbols are bound while the zygote loads, not by page faults in each worker: 18 fewer, measured.
 */
static const char *const python_env[] = {"PYTHONUTF8=1", "LD_BIND_NOW=1", NULL};

static const struct runtime_kind kinds[] = {
    [TARGET_PYTHON] = {python_prepare, python_env}, [TARGET_SOURCE] = {source_prepare, NULL},
    [TARGET_SHARED] = {shared_prepare, NULL},       [TARGET_NODE] = {node_prepare, NULL},
    [TARGET_EXEC] = {exec_prepare, NULL},
};

int runtime_prepare(struct load *l, struct draft *d)
{
    return d->f.broken ? 0 : kinds[d->target.kind].prepare(l, d);
}

void runtime_digest(const struct draft *d, struct digest *digest)
{
    digest_u64(digest, d->f.runtime);
    digest_u64(digest, d->target.kind);
    digest_str(digest, slice_str(d->target.file));
    digest_str(digest, slice_str(d->target.symbol));
    if (d->target.kind == TARGET_PYTHON)
        digest_str(digest, slice_str(d->unit->python));
    if (d->job)
        digest_str(digest, slice_str(d->job->key));
}

/* ---- environment ---- */

static size_t env_count(char *const *env)
{
    size_t n = 0;

    while (env && env[n])
        n++;
    return n;
}

/* An author's variable; NULL without memory. What mentions secrets is not set here. */
static char *variable_unescape(const char *variable)
{
    size_t len = 0, name_len = (size_t)(strchr(variable, '=') + 1 - variable);
    struct slice rest = slice_str(variable + name_len);
    char *plain = slice_dup(slice_str(variable)); /* never longer */
    struct secret_piece piece;

    while (plain && secret_piece_next(&rest, &piece) > 0) {
        memcpy(plain + name_len + len, piece.text.base, piece.text.len);
        len += piece.text.len;
    }
    if (plain)
        plain[name_len + len] = '\0';
    return plain;
}

static bool has_name(char *const *list, const char *variable, size_t name_len)
{
    for (; list && *list; list++) {
        if (strncmp(*list, variable, name_len) == 0)
            return true;
    }
    return false;
}

/* Sets NAME=value (consumed) unless the name is there already. */
static int env_add(struct function *f, char *variable_consume)
{
    size_t n = env_count(f->env), name_len;

    if (!variable_consume)
        return -ENOMEM;
    name_len = strcspn(variable_consume, "=") + 1;
    if (has_name(f->env, variable_consume, name_len) ||
        has_name(f->secrets, variable_consume, name_len)) {
        free(variable_consume);
        return 0;
    }
    f->env[n] = variable_consume;
    return 0;
}

static _printf_(2, 3) int env_addf(struct function *f, const char *format, ...)
{
    char *variable;
    va_list args;
    int n;

    va_start(args, format);
    n = vasprintf(&variable, format, args);
    va_end(args);
    return env_add(f, n < 0 ? NULL : variable);
}

int runtime_env(struct load *l, struct draft *d)
{
    char *const *own = d->config ? d->config->settings.env : NULL;
    char *const *defaults = d->unit->config->defaults.env;
    const char *const *fixed = d->f.broken ? NULL : kinds[d->target.kind].env;
    struct function *f = &d->f;
    int r = 0;

    /* 16 for ours. What is set first stays. */
    f->env = calloc(env_count(own) + env_count(defaults) + 16, sizeof(*f->env));
    if (!f->env)
        return -ENOMEM;
    for (; own && *own && r == 0; own++)
        r = env_add(f, variable_unescape(*own));
    for (; defaults && *defaults && r == 0; defaults++)
        r = env_add(f, variable_unescape(*defaults));
    for (; fixed && *fixed && r == 0; fixed++)
        r = env_add(f, slice_dup(slice_str(*fixed)));
    r = r < 0 ? r : env_addf(f, "MAYFLY_URL=%s", l->options->url);
    r = r < 0 ? r : env_addf(f, "MAYFLY_FUNCTION=%s", f->name);
    r = r < 0 ? r : env_addf(f, "AWS_LAMBDA_FUNCTION_NAME=%s", f->name);
    r = r < 0 ? r : env_addf(f, "AWS_LAMBDA_FUNCTION_VERSION=%s", f->version);
    r = r < 0 ? r
              : env_addf(f, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=%llu",
                         (unsigned long long)(f->limits.memory_bytes / MIB));
    return r;
}
