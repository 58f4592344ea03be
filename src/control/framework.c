/* What Vercel does is told in its packages/python/src/entrypoint.ts: pyproject.toml's entrypoint,
 * Django's manage.py, the first of some file names that holds `app`, `application` or a handler
 * class, and a script `app` of pyproject.toml. An application whose framework is among the
 * dependencies takes all routes; else the files below api/ go first. */

#include "control/framework.h"

#include "control/entry.h"
#include "control/runtime.h"
#include "json/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define SOURCE_BYTES_MAX  (1024UL * 1024)
#define PACKAGE_BYTES_MAX (4UL * 1024 * 1024)
#define ANSWER_MAX        65536
#define ASK_TIME_S        20
#define MODULE_MAX        200

/* A file of the unit's folder that could be the application. */
struct candidate {
    char *file;
    char *symbol;
    bool is_known; /* its framework is among the dependencies, or it is named as entrypoint */
};

/* What pyproject.toml and the dependencies say; each may be NULL. */
struct said {
    char *entrypoint; /* of [tool.vercel] */
    char *script;     /* `app` of [project.scripts] */
    char *framework;
};

static void candidate_deinit(struct candidate *c)
{
    free(c->file);
    free(c->symbol);
    *c = (struct candidate){0};
}

static void said_deinit(struct said *s)
{
    free(s->entrypoint);
    free(s->script);
    free(s->framework);
}

static int candidate_set(struct candidate *c, const char *file, struct slice symbol)
{
    c->file = slice_dup(slice_str(file));
    c->symbol = slice_dup(symbol);
    return c->file && c->symbol ? 1 : -ENOMEM;
}

/* Reads a file of the folder; what cannot be read is empty. */
static int text_read(const struct unit *u, const char *file, struct buf *b)
{
    _cleanup_free_ char *path = path_join(u->dir, file);

    if (!path)
        return -ENOMEM;
    if (path_is_file(path))
        target_source_read(path, b);
    return 0;
}

static bool has_file(const struct unit *u, const char *file)
{
    _cleanup_free_ char *path = path_join(u->dir, file);

    return path && path_is_file(path);
}

/* Behind the first `word` in the text. Returns whether it is there. */
static bool find_behind(struct slice *text, const char *word)
{
    const char *found = text->len > 0 ? memmem(text->base, text->len, word, strlen(word)) : NULL;

    if (!found)
        return false;
    found += strlen(word);
    *text = slice(found, text->len - (size_t)(found - text->base));
    return true;
}

/* ---- Python ---- */

static int python_try(const struct unit *u, const char *file, struct candidate *ret)
{
    _cleanup_(buf_deinit) struct buf source = BUF_INIT(SOURCE_BYTES_MAX);
    struct slice name;
    int r = text_read(u, file, &source);

    if (r < 0)
        return r;
    return entry_python_app(buf_slice(&source), &name) ? candidate_set(ret, file, name) : 0;
}

/* "a.b" is a/b.py or a/b/__init__.py. Returns 1 with a new string, 0 if it is neither. */
static int module_find(const struct unit *u, struct slice module, char **ret_file)
{
    static const char *const endings[] = {".py", "/__init__.py"};

    if (module.len == 0 || module.len > MODULE_MAX)
        return 0;
    for (size_t i = 0; i < module.len; i++) {
        if (!isalnum((unsigned char)module.base[i]) && !memchr("_.", module.base[i], 2))
            return 0;
    }
    for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
        char *file;

        if (asprintf(&file, "%.*s%s", SLICE_ARG(module), endings[i]) < 0)
            return -ENOMEM;
        for (size_t k = 0; k < module.len; k++) {
            if (file[k] == '.')
                file[k] = '/';
        }
        if (has_file(u, file)) {
            *ret_file = file;
            return 1;
        }
        free(file);
    }
    return 0;
}

/* The text of a string literal that begins here, if it is a module's name. */
static struct slice literal_take(struct slice text)
{
    const char *end;

    while (text.len > 0 && memchr(" \t\r\n", text.base[0], 4))
        text = slice(text.base + 1, text.len - 1);
    if (text.len == 0 || (text.base[0] != '"' && text.base[0] != '\''))
        return SLICE_NULL;
    end = memchr(text.base + 1, text.base[0], text.len - 1);
    return end ? slice(text.base + 1, (size_t)(end - text.base - 1)) : SLICE_NULL;
}

/* `NAME = "text"` at the beginning of a line. */
static struct slice constant_find(struct slice text, const char *name)
{
    while (text.len > 0) {
        const char *end = memchr(text.base, '\n', text.len);
        struct slice line = slice(text.base, end ? (size_t)(end - text.base) : text.len);
        struct slice rest = line;

        if (slice_starts(line, slice_str(name)) && find_behind(&rest, "="))
            return literal_take(rest);
        text = slice(text.base + line.len + (end ? 1 : 0), text.len - line.len - (end ? 1 : 0));
    }
    return SLICE_NULL;
}

/* "hello.wsgi.application": a module, and a name in it. */
static int dotted_try(const struct unit *u, struct slice text, struct candidate *ret)
{
    size_t dot = text.len;
    int r;

    while (dot > 0 && text.base[dot - 1] != '.')
        dot--;
    if (dot < 2)
        return 0;
    r = module_find(u, slice(text.base, dot - 1), &ret->file);
    if (r <= 0)
        return r;
    ret->symbol = slice_dup(slice(text.base + dot, text.len - dot));
    return ret->symbol ? 1 : -ENOMEM;
}

/* Django's: manage.py names the settings, and these the application; or it lies beside them. */
static int django_find(const struct unit *u, struct candidate *ret)
{
    static const char *const constants[] = {"ASGI_APPLICATION", "WSGI_APPLICATION"};
    _cleanup_(buf_deinit) struct buf manage = BUF_INIT(SOURCE_BYTES_MAX);
    _cleanup_(buf_deinit) struct buf settings = BUF_INIT(SOURCE_BYTES_MAX);
    _cleanup_free_ char *file = NULL;
    struct slice text, module;
    int r = text_read(u, "manage.py", &manage);

    text = buf_slice(&manage);
    if (r < 0 || !find_behind(&text, "DJANGO_SETTINGS_MODULE") || !find_behind(&text, ","))
        return r;
    module = literal_take(text);
    r = module_find(u, module, &file);
    if (r > 0)
        r = text_read(u, file, &settings);
    for (size_t i = 0; i < ARRAY_SIZE(constants) && r == 0; i++)
        r = dotted_try(u, constant_find(buf_slice(&settings), constants[i]), ret);
    while (r == 0 && module.len > 0) { /* hello.settings.local: hello/settings/, hello/ */
        char beside[MODULE_MAX + 16];

        while (module.len > 0 && module.base[module.len - 1] != '.')
            module.len--;
        if (module.len == 0 || module.len > MODULE_MAX)
            break;
        module.len--;
        (void)snprintf(beside, sizeof(beside), "%.*s.wsgi.application", SLICE_ARG(module));
        r = dotted_try(u, slice_str(beside), ret);
    }
    return r;
}

static int python_find(const struct unit *u, struct candidate *ret)
{
    static const char *const folders[] = {"", "src/", "app/", "api/"};
    static const char *const names[] = {"app", "index", "server", "main", "wsgi", "asgi"};
    int r = django_find(u, ret);

    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        for (size_t k = 0; k < ARRAY_SIZE(names) && r == 0; k++) {
            char file[32];

            (void)snprintf(file, sizeof(file), "%s%s.py", folders[i], names[k]);
            r = python_try(u, file, ret);
        }
    }
    return r;
}

/* "module:variable" of pyproject.toml. */
static int declared_find(struct load *l, const struct unit *u, const char *key, const char *value,
                         struct candidate *ret)
{
    const char *colon = strchr(value, ':');
    const char *symbol = colon ? colon + 1 + strspn(colon + 1, " ") : "";
    size_t len = colon ? (size_t)(colon - value) : 0;
    bool is_name = isalpha((unsigned char)*symbol) || *symbol == '_';
    _cleanup_free_ char *label = unit_path(u, "pyproject.toml");
    int r = 0;

    while (len > 0 && value[len - 1] == ' ')
        len--;
    for (const char *p = symbol; *p; p++)
        is_name = is_name && (isalnum((unsigned char)*p) || *p == '_');
    if (!label)
        return -ENOMEM;
    if (len > 0 && is_name)
        r = module_find(u, slice(value, len), &ret->file);
    if (r < 0)
        return r;
    if (len == 0 || !is_name)
        return error_set(l->err, -EINVAL,
                         "%s: %s: \"%.100s\" names no application; write it as "
                         "\"module:variable\", such as \"backend.server:app\"",
                         label, key, value);
    if (r == 0)
        return error_set(l->err, -ENOENT,
                         "%s: %s: \"%.100s\": there is no file of this module in the project",
                         label, key, value);
    ret->symbol = slice_dup(slice_str(symbol));
    return ret->symbol ? 1 : -ENOMEM;
}

/* Asks Python what pyproject.toml and the dependencies say. Without an answer nothing is known:
 * what is wrong with these files or with Python is told when the function is made ready. */
static int ask(struct load *l, const struct unit *u, struct said *ret)
{
    const char *wanted = u->config->python;
    _cleanup_(buf_deinit) struct buf answer = BUF_INIT(ANSWER_MAX);
    _cleanup_free_ char *script = path_join(l->options->lib, "python/deps.py");
    _cleanup_free_ char *python = wanted && strchr(wanted, '/')
                                      ? path_join(u->dir, wanted)
                                      : path_search(wanted ? wanted : "python3");
    char *const argv[] = {python, "-I", script, "application", u->dir, NULL};
    const char *keys[] = {"entrypoint", "script", "framework"};
    char **values[] = {&ret->entrypoint, &ret->script, &ret->framework};
    struct error err = ERROR_NULL;
    json_t *root = NULL;
    int r = 0;

    if (!script)
        return -ENOMEM;
    if (!python || interpreter_run(argv, ASK_TIME_S, &answer) < 0 ||
        json_text_load(buf_slice(&answer), "deps.py", &root, &err) < 0)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        const char *text = json_string_value(json_object_get(root, keys[i]));

        *values[i] = text ? slice_dup(slice_str(text)) : NULL;
        if (text && !*values[i])
            r = -ENOMEM;
    }
    json_decref(root);
    return r;
}

/* Starting Python costs time: only where the text could have an answer. */
static bool may_declare(const struct unit *u)
{
    _cleanup_(buf_deinit) struct buf b = BUF_INIT(SOURCE_BYTES_MAX);
    struct slice text;

    if (text_read(u, "pyproject.toml", &b) < 0)
        return false;
    text = buf_slice(&b);
    return text.len > 0 && (memmem(text.base, text.len, "entrypoint", 10) ||
                            memmem(text.base, text.len, "scripts", 7));
}

static int python_decide(struct load *l, const struct unit *u, struct candidate *ret)
{
    bool has_api = u->api.n_files > 0;
    struct said said = {0};
    int r = python_find(u, ret);

    if (r >= 0 && (may_declare(u) || (r > 0 && has_api && deps_python_wanted(u)))) {
        int asked = ask(l, u, &said);

        r = asked < 0 ? asked : r;
    }
    ret->is_known = said.framework != NULL;
    if (r >= 0 && said.entrypoint) {
        candidate_deinit(ret);
        r = declared_find(l, u, "tool.vercel.entrypoint", said.entrypoint, ret);
        ret->is_known = true;
    } else if (r == 0 && said.script) {
        r = declared_find(l, u, "project.scripts.app", said.script, ret);
    }
    said_deinit(&said);
    return r;
}

/* ---- Node.js ---- */

/* A server that listens, as it is started by `node FILE`. Comments are not told apart: a file that
 * only talks of it is told, when it is loaded, that it holds no handler. */
static int node_try(const struct unit *u, const char *file, struct candidate *ret)
{
    _cleanup_(buf_deinit) struct buf source = BUF_INIT(SOURCE_BYTES_MAX);
    struct slice text;
    int r = text_read(u, file, &source);

    text = buf_slice(&source);
    while (r == 0 && find_behind(&text, ".listen")) {
        size_t i = 0;

        while (i < text.len && memchr(" \t", text.base[i], 2))
            i++;
        if (i < text.len && text.base[i] == '(')
            r = candidate_set(ret, file, SLICE_LIT("default"));
    }
    return r;
}

static bool names_framework(const json_t *package)
{
    static const char *const names[] = {"express", "fastify", "koa",        "hono",
                                        "h3",      "polka",   "@hapi/hapi", "restify",
                                        "elysia",  "connect", "nitro",      "@nestjs/core"};
    const json_t *dependencies = json_object_get(package, "dependencies");
    bool found = false;

    for (size_t i = 0; i < ARRAY_SIZE(names) && !found; i++)
        found = json_object_get(dependencies, names[i]) != NULL;
    return found;
}

/* What package.json names as "main" must lie in the project. */
static int node_main_try(const struct unit *u, const char *file, struct candidate *ret)
{
    if (!file || file[0] == '/' || strstr(file, ".."))
        return 0;
    if (strncmp(file, "./", 2) == 0)
        file += 2;
    return strlen(file) < MODULE_MAX ? node_try(u, file, ret) : 0;
}

static int node_decide(const struct unit *u, struct candidate *ret)
{
    static const char *const names[] = {"server", "app", "index"};
    static const char *const endings[] = {"js", "mjs", "cjs", "ts", "mts", "cts"};
    _cleanup_(buf_deinit) struct buf text = BUF_INIT(PACKAGE_BYTES_MAX);
    _cleanup_free_ char *path = path_join(u->dir, "package.json");
    struct error err = ERROR_NULL;
    json_t *package = NULL;
    int r;

    if (!path)
        return -ENOMEM;
    r = json_file_load(path, "package.json", &text, &package, &err);
    if (r < 0)
        return r == -ENOMEM ? r : 0;
    r = node_main_try(u, json_string_value(json_object_get(package, "main")), ret);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        for (size_t k = 0; k < ARRAY_SIZE(endings) && r == 0; k++) {
            char file[32];

            (void)snprintf(file, sizeof(file), "%s.%s", names[i], endings[k]);
            r = node_try(u, file, ret);
        }
    }
    ret->is_known = names_framework(package);
    json_decref(package);
    return r;
}

/* ---- all ---- */

/* What mayfly.json says of functions is the author's word: then nothing is guessed. */
static bool is_declared(const struct unit *u)
{
    bool declared = u->config->n_includes > 0;

    for (uint32_t i = 0; i < u->config->n_functions && !declared; i++) {
        const struct config_function *c = &u->config->functions[i];

        declared = c->handler || c->command;
        for (uint32_t k = 0; k < u->api.n_files && !declared; k++)
            declared = strcmp(u->api.files[k].name, c->name) == 0;
    }
    return declared;
}

static int application_set(struct unit *u, struct candidate *c)
{
    const struct target_rule *rule = target_rule_of(c->file);
    const char *dot = strrchr(c->file, '.');
    struct api_file *f;

    if (!rule)
        return 0; /* of a language that this mayfly does not host */
    f = calloc(1, sizeof(*f));
    if (!f)
        return -ENOMEM;
    f->target = (struct target){.kind = rule->kind,
                                .runtime = rule->runtime,
                                .file = take_ptr(c->file),
                                .symbol = take_ptr(c->symbol)};
    f->name = slice_dup(slice(f->target.file, (size_t)(dot - f->target.file)));
    f->patterns[f->n_patterns++] = slice_dup(SLICE_LIT("/"));
    f->patterns[f->n_patterns++] = slice_dup(SLICE_LIT("/*"));
    api_files_deinit(&u->api);
    u->api = (struct api_files){.files = f, .n_files = 1};
    if (!f->name || asprintf(&f->handler, "%s.%s", f->name, f->target.symbol) < 0)
        f->handler = NULL;
    return f->handler && f->patterns[0] && f->patterns[1] ? 0 : -ENOMEM;
}

static int clash(struct load *l, const struct unit *u, const struct candidate *a,
                 const struct candidate *b)
{
    return error_set(l->err, -EEXIST,
                     "%s: both %s and %s could be the application that answers here; say which in "
                     "mayfly.json: {\"functions\": {\"app\": {\"handler\": \"%.*s.%s\", "
                     "\"routes\": [\"/\", \"/*\"]}}}",
                     u->dir, a->file, b->file, (int)strcspn(a->file, "."), a->file, a->symbol);
}

int framework_find(struct load *l, struct unit *u)
{
    struct candidate python = {0}, node = {0};
    bool has_api = u->api.n_files > 0;
    int r = 0, p, n = 0;

    if (is_declared(u))
        return 0;
    p = python_decide(l, u, &python);
    if (p >= 0)
        n = node_decide(u, &node);
    if (p < 0 || n < 0) {
        r = p < 0 ? p : n;
    } else {
        p = p > 0 && (python.is_known || !has_api);
        n = n > 0 && (node.is_known || !has_api);
        if (p && n && python.is_known == node.is_known)
            r = clash(l, u, &python, &node);
        else if (p && (!n || python.is_known))
            r = application_set(u, &python);
        else if (n)
            r = application_set(u, &node);
    }
    candidate_deinit(&python);
    candidate_deinit(&node);
    return r == -ENOMEM ? error_set(l->err, r, "out of memory") : r;
}
