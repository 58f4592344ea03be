#include "control/target.h"

#include "base/buf.h"
#include "control/entry.h"
#include "os/fd.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOURCE_BYTES_MAX (1024UL * 1024) /* of a file below api/ that are looked at */

static const struct target_rule rules[] = {
    {".py", TARGET_PYTHON, RUNTIME_PYTHON, entry_python, NULL},
    {".c", TARGET_SOURCE, RUNTIME_NATIVE, entry_c, NULL},
    {".so", TARGET_SHARED, RUNTIME_NATIVE, NULL, "handler"},
    {".mjs", TARGET_NODE, RUNTIME_NODE, entry_node, NULL},
    {".js", TARGET_NODE, RUNTIME_NODE, entry_node, NULL},
    {".cjs", TARGET_NODE, RUNTIME_NODE, entry_node, NULL},
    {".mts", TARGET_NODE, RUNTIME_NODE, entry_node, NULL},
    {".ts", TARGET_NODE, RUNTIME_NODE, entry_node, NULL},
    {".cts", TARGET_NODE, RUNTIME_NODE, entry_node, NULL},
    {".rb", TARGET_RUBY, RUNTIME_RUBY, entry_ruby, NULL},
    {".ru", TARGET_RUBY, RUNTIME_RUBY, NULL, NULL, .whole = true},
    {".php", TARGET_PHP, RUNTIME_PHP, NULL, NULL, .whole = true},
    {".pl", TARGET_PERL, RUNTIME_PERL, entry_perl, NULL},
    {".pm", TARGET_PERL, RUNTIME_PERL, entry_perl, NULL},
    {".psgi", TARGET_PERL, RUNTIME_PERL, NULL, NULL, .whole = true},
};

void target_deinit(struct target *t)
{
    free(t->file);
    free(t->symbol);
    *t = (struct target){0};
}

char *path_join(const char *dir, const char *file)
{
    char *path;

    if (file[0] == '/')
        return slice_dup(slice_str(file));
    return asprintf(&path, "%s/%s", dir, file) < 0 ? NULL : path;
}

bool path_is_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool path_is_program(const char *path)
{
    return path_is_file(path) && access(path, X_OK) == 0;
}

/* ASCII only: it becomes part of a C source and of a command line. */
static bool is_identifier(const char *s)
{
    if (!isalpha((unsigned char)s[0]) && s[0] != '_')
        return false;
    for (; *s; s++) {
        if ((unsigned char)*s >= 0x80 || (!isalnum((unsigned char)*s) && *s != '_'))
            return false;
    }
    return true;
}

static int target_fill(const struct target_rule *rule, char *file_take, const char *symbol,
                       struct target *ret)
{
    struct target t = {.kind = rule ? rule->kind : TARGET_EXEC,
                       .runtime = rule ? rule->runtime : RUNTIME_EXEC,
                       .file = file_take,
                       .symbol = symbol ? slice_dup(slice_str(symbol)) : NULL};

    if (!t.file || (symbol && !t.symbol)) {
        target_deinit(&t);
        return -ENOMEM;
    }
    *ret = t;
    return 0;
}

static int program_find(const char *dir, const char *handler, struct target *ret, struct error *err)
{
    _cleanup_free_ char *path = path_join(dir, handler);

    if (!path)
        return -ENOMEM;
    if (!path_is_file(path))
        return error_set(err, -ENOENT, "there is no program %s", path);
    if (!path_is_program(path))
        return error_set(err, -EINVAL, "%s is not executable; run: chmod +x %s", path, path);
    return target_fill(NULL, slice_dup(slice_str(handler)), NULL, ret);
}

/* The endings that were looked for, for the message. */
static int file_missing(const char *dir, struct slice stem, int runtime, struct error *err)
{
    char tried[256] = "";

    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        size_t len = strlen(tried);

        if (!rules[i].whole && (runtime < 0 || rules[i].runtime == (enum runtime)runtime))
            (void)snprintf(tried + len, sizeof(tried) - len, "%s%s", len > 0 ? ", " : "",
                           rules[i].ending);
    }
    return error_set(err, -ENOENT, "there is no file %s/%.*s with the ending %s", dir,
                     SLICE_ARG(stem), tried);
}

static bool has_ending(const char *file, const char *ending)
{
    size_t n = strlen(file), m = strlen(ending);

    return n > m && strcmp(file + n - m, ending) == 0;
}

/* Ruby's "file.Class.method" and "file.Module::Class.method", as AWS Lambda writes them: the first
 * dot behind which a file ends. Returns 1 if there is none. */
static int ruby_method_find(const char *dir, const char *handler, struct target *ret)
{
    const struct target_rule *rule = rules;
    const char *slash = strrchr(handler, '/'), *dot;

    while (rule->kind != TARGET_RUBY)
        rule++;
    for (dot = strchr(slash ? slash : handler, '.'); dot; dot = strchr(dot + 1, '.')) {
        _cleanup_free_ char *file = NULL, *path = NULL;

        if (asprintf(&file, "%.*s.rb", (int)(dot - handler), handler) < 0)
            return -ENOMEM;
        path = path_join(dir, file);
        if (!path)
            return -ENOMEM;
        if (dot[1] && strchr(dot + 1, '.') && path_is_file(path))
            return target_fill(rule, take_ptr(file), dot + 1, ret);
    }
    return 1;
}

/* A rule by which the file itself is the function. Returns 1 if there is none. */
static int whole_find(const char *dir, const char *handler, int runtime, struct target *ret,
                      struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        _cleanup_free_ char *path = NULL;

        if (!rules[i].whole || (runtime >= 0 && rules[i].runtime != (enum runtime)runtime) ||
            !has_ending(handler, rules[i].ending))
            continue;
        path = path_join(dir, handler);
        if (!path)
            return -ENOMEM;
        if (!path_is_file(path))
            return error_set(err, -ENOENT, "there is no file %s", path);
        return target_fill(&rules[i], slice_dup(slice_str(handler)), NULL, ret);
    }
    return 1;
}

static int source_find(const char *dir, struct slice stem, const char *symbol, int runtime,
                       struct target *ret, struct error *err)
{
    const struct target_rule *found = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        _cleanup_free_ char *path = NULL;

        if (rules[i].whole || (runtime >= 0 && rules[i].runtime != (enum runtime)runtime))
            continue;
        if (asprintf(&path, "%s/%.*s%s", dir, SLICE_ARG(stem), rules[i].ending) < 0)
            return -ENOMEM;
        if (!path_is_file(path))
            continue;
        if (found && found->runtime != rules[i].runtime)
            return error_set(err, -EINVAL,
                             "there are both %.*s%s and %.*s%s; say which by \"runtime\"",
                             SLICE_ARG(stem), found->ending, SLICE_ARG(stem), rules[i].ending);
        if (!found)
            found = &rules[i];
    }
    if (!found)
        return file_missing(dir, stem, runtime, err);
    if (!is_identifier(symbol))
        return error_set(err, -EINVAL,
                         "\"%s\" is no name of a function; write the file without its ending, '.', "
                         "and the name in it",
                         symbol);
    {
        char *file;

        if (asprintf(&file, "%.*s%s", SLICE_ARG(stem), found->ending) < 0)
            return -ENOMEM;
        return target_fill(found, file, symbol, ret);
    }
}

static const struct target_rule provided_rule = {.kind = TARGET_PROVIDED,
                                                 .runtime = RUNTIME_PROVIDED};

/* The handler itself, if it is a program; else it is what the program called bootstrap shall do, as
 * in AWS Lambda. */
static int bootstrap_find(const char *dir, const char *handler, bool is_program, struct target *ret,
                          struct error *err)
{
    _cleanup_free_ char *path = path_join(dir, "bootstrap");

    if (is_program)
        return target_fill(&provided_rule, slice_dup(slice_str(handler)), NULL, ret);
    if (!path)
        return -ENOMEM;
    if (!path_is_file(path))
        return error_set(err, -ENOENT,
                         "there is no program %s; make it, or name one by \"command\": "
                         "[\"./program\"]",
                         path);
    if (!path_is_program(path))
        return error_set(err, -EINVAL, "%s is not executable; run: chmod +x %s", path, path);
    return target_fill(&provided_rule, slice_dup(SLICE_LIT("bootstrap")), NULL, ret);
}

int target_find(const char *dir, const char *handler, int runtime, struct target *ret,
                struct error *err)
{
    const char *base = strrchr(handler, '/');
    const char *dot = strrchr(base ? base : handler, '.');
    _cleanup_free_ char *whole = path_join(dir, handler);
    int r;

    if (!whole)
        return -ENOMEM;
    if (runtime == RUNTIME_EXEC || (runtime < 0 && (handler[0] == '/' || path_is_program(whole))))
        return program_find(dir, handler, ret, err);
    if (runtime == RUNTIME_PROVIDED)
        return bootstrap_find(dir, handler, path_is_program(whole), ret, err);
    if (handler[0] == '/')
        return error_set(err, -EINVAL, "must be relative to the project's folder");
    r = whole_find(dir, handler, runtime, ret, err);
    if (r == 1 && (runtime < 0 || runtime == RUNTIME_RUBY))
        r = ruby_method_find(dir, handler, ret);
    if (r <= 0)
        return r;
    if (!dot || dot == handler || dot[-1] == '/' || !dot[1])
        return error_set(err, -EINVAL,
                         "\"%s\" names no function; write path/to/file.name, the file without its "
                         "ending, or a program's path",
                         handler);
    return source_find(dir, slice(handler, (size_t)(dot - handler)), dot + 1, runtime, ret, err);
}

int target_of_command(char *const *words, bool is_line, enum runtime runtime, struct target *ret)
{
    const struct target_rule web = {.kind = TARGET_WEB, .runtime = RUNTIME_WEB};
    bool provided = runtime == RUNTIME_PROVIDED;

    return target_fill(provided ? &provided_rule : &web,
                       slice_dup(slice_str(is_line ? "/bin/sh" : words[0])), NULL, ret);
}

/* ---- files below api/ ---- */

void target_source_read(const char *path, struct buf *b)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    while (fd >= 0 && buf_room(b) > 0) {
        size_t room = MIN(buf_room(b), (size_t)65536);
        ssize_t n;

        if (buf_reserve(b, room) < 0)
            return;
        n = read(fd, buf_tail(b), room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        buf_commit(b, (size_t)n);
    }
}

/* Types of TypeScript's, and nothing that runs. */
static bool is_declaration(const char *file)
{
    return has_ending(file, ".d.ts") || has_ending(file, ".d.mts") || has_ending(file, ".d.cts");
}

const struct target_rule *target_rule_of(const char *file)
{
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        if (has_ending(file, rules[i].ending) && !is_declaration(file))
            return &rules[i];
    }
    return NULL;
}

const struct target_rule *target_rule_find(const char *dir, const char *file, char **ret_symbol)
{
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        _cleanup_(buf_deinit) struct buf source = BUF_INIT(SOURCE_BYTES_MAX);
        struct slice name = slice_str(rules[i].symbol);

        if (!has_ending(file, rules[i].ending) || is_declaration(file))
            continue;
        if (rules[i].find) {
            _cleanup_free_ char *path = path_join(dir, file);

            if (!path)
                return NULL;
            target_source_read(path, &source);
            if (!rules[i].find(buf_slice(&source), &name))
                return NULL;
        }
        *ret_symbol = rules[i].whole ? NULL : slice_dup(name);
        return *ret_symbol || rules[i].whole ? &rules[i] : NULL;
    }
    return NULL;
}
