/* How each kind of target is started: a table, with a function that prepares and, where something
 * must be built first, one that finishes. */

#include "control/runtime.h"

#include "model/secret.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

/* Symbols are bound while the zygote loads, not by page faults in each worker: 18 fewer, measured.
 */
static const char *const python_env[] = {"PYTHONUTF8=1", "LD_BIND_NOW=1", NULL};

/* The same for these. */
static const char *const bind_now_env[] = {"LD_BIND_NOW=1", NULL};

static const struct runtime_kind kinds[_TARGET_MAX] = {
    [TARGET_PYTHON] = {.prepare = runtime_python_prepare,
                       .finish = runtime_python_finish,
                       .digest = runtime_python_digest,
                       .env = python_env},
    [TARGET_SOURCE] = {.prepare = runtime_source_prepare,
                       .finish = runtime_source_finish,
                       .digest = runtime_source_digest},
    [TARGET_SHARED] = {.prepare = runtime_shared_prepare},
    [TARGET_NODE] = {.prepare = runtime_node_prepare,
                     .digest = runtime_node_digest,
                     .env = bind_now_env},
    [TARGET_RUBY] = {.prepare = runtime_ruby_prepare, .env = bind_now_env},
    [TARGET_PHP] = {.prepare = runtime_php_prepare, .env = bind_now_env},
    [TARGET_PERL] = {.prepare = runtime_perl_prepare, .env = bind_now_env},
    [TARGET_EXEC] = {.prepare = runtime_exec_prepare},
    [TARGET_PROVIDED] = {.prepare = runtime_provided_prepare, .digest = runtime_provided_digest},
    [TARGET_WEB] = {.prepare = runtime_web_prepare,
                    .finish = runtime_web_finish,
                    .digest = runtime_web_digest},
    [TARGET_STATIC] = {.prepare = runtime_static_prepare},
};

int runtime_words(struct draft *d, const char *const *words)
{
    size_t n = 0;

    while (words[n])
        n++;
    d->f.argv = calloc(n + 1, sizeof(*d->f.argv));
    if (!d->f.argv)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        d->f.argv[i] = slice_dup(slice_str(words[i]));
        if (!d->f.argv[i])
            return -ENOMEM;
    }
    return 0;
}

int runtime_argv(struct draft *d, const char *a, const char *b, const char *c)
{
    const char *const words[] = {a, b, c, NULL};

    return runtime_words(d, words);
}

int runtime_argv_add(struct draft *d, const char *word)
{
    size_t n = 0;
    char **more;

    while (d->f.argv[n])
        n++;
    if (n + 1 >= SNAPSHOT_ARGS_MAX)
        return -ENOBUFS;
    more = reallocarray(d->f.argv, n + 2, sizeof(*more));
    if (!more)
        return -ENOMEM;
    d->f.argv = more;
    more[n] = slice_dup(slice_str(word));
    more[n + 1] = NULL;
    return more[n] ? 0 : -ENOMEM;
}

char *runtime_lib_file(struct load *l, struct draft *d, const char *file)
{
    char *path = path_join(l->options->lib, file);

    if (path && !path_is_file(path)) {
        draft_break(d, "mayfly is not installed completely: %s is missing", path);
        free(path);
        return NULL;
    }
    return path;
}

int runtime_mount_add(struct function *f, const char *source, const char *target)
{
    char **more;
    size_t n = 0;

    while (f->mounts && f->mounts[n])
        n++;
    more = reallocarray(f->mounts, n + 3, sizeof(*more));
    if (!more)
        return -ENOMEM;
    f->mounts = more;
    more[n] = slice_dup(slice_str(source));
    more[n + 1] = more[n] ? slice_dup(slice_str(target)) : NULL;
    more[n + 2] = NULL;
    return more[n] && more[n + 1] ? 0 : -ENOMEM;
}

int runtime_read_add(struct function *f, const char *path)
{
    _cleanup_free_ char *real = realpath(path, NULL);
    char **more;
    size_t n = 0;

    if (real && strcmp(real, path) != 0)
        return runtime_mount_add(f, real, path);
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

int runtime_prepare(struct load *l, struct draft *d)
{
    int r = d->f.broken ? 0 : kinds[d->target.kind].prepare(l, d);

    return r == 0 && !d->f.broken && deps_node_wanted(d) ? deps_node_prepare(l, d) : r;
}

int runtime_finish(struct draft *d)
{
    int (*finish)(struct draft * d) = kinds[d->target.kind].finish;

    int r = finish && !d->f.broken ? finish(d) : 0;

    return r == 0 && !d->f.broken && deps_node_wanted(d) ? deps_node_finish(d) : r;
}

void runtime_digest(const struct draft *d, struct digest *digest)
{
    const struct runtime_kind *kind = &kinds[d->target.kind];

    digest_u64(digest, d->f.runtime);
    digest_u64(digest, d->target.kind);
    digest_str(digest, slice_str(d->target.file));
    digest_str(digest, slice_str(d->target.symbol));
    if (kind->digest)
        kind->digest(d, digest);
    if (deps_node_wanted(d))
        deps_node_digest(d, digest);
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
    _cleanup_free_ char *modules = deps_node_wanted(d) ? deps_node_path(d) : NULL;
    struct function *f = &d->f;
    int r = 0;

    /* 16 for ours. What is set first stays. */
    f->env = calloc(env_count(own) + env_count(defaults) + d->unit->env.n + 16, sizeof(*f->env));
    if (!f->env)
        return -ENOMEM;
    for (; own && *own && r == 0; own++)
        r = env_add(f, variable_unescape(*own));
    for (; defaults && *defaults && r == 0; defaults++)
        r = env_add(f, variable_unescape(*defaults));
    for (uint32_t i = 0; i < d->unit->env.n && d->f.runtime != RUNTIME_STATIC && r == 0; i++)
        r = env_add(f, slice_dup(slice_str(d->unit->env.variables[i])));
    for (; fixed && *fixed && r == 0; fixed++)
        r = env_add(f, slice_dup(slice_str(*fixed)));
    if (modules && r == 0)
        r = env_addf(f, "NODE_PATH=%s", modules);
    r = r < 0 ? r : env_addf(f, "MAYFLY_URL=%s", l->options->url);
    r = r < 0 ? r : env_addf(f, "MAYFLY_FUNCTION=%s", f->name);
    r = r < 0 ? r : env_addf(f, "AWS_LAMBDA_FUNCTION_NAME=%s", f->name);
    r = r < 0 ? r : env_addf(f, "AWS_LAMBDA_FUNCTION_VERSION=%s", f->version);
    r = r < 0 ? r
              : env_addf(f, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=%llu",
                         (unsigned long long)(f->limits.memory_bytes / MIB));
    return r;
}
