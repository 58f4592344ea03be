/* npm's package-lock.json. What is installed stands where Node looks for it from any folder of the
 * code, by require() and by import: in the folder above. */

#include "control/deps.h"

#include "control/draft.h"
#include "control/runtime.h"
#include "json/text.h"
#include "json/writer.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX_BYTES (16UL * 1024 * 1024)
#define INPUT_MAX      (40UL * 1024 * 1024)
#define ASK_TIME_S     20
#define INSIDE_BUILD   "/var/deps/node"

/* Of package.json what makes a difference to what is installed. */
static const char *const parts[] = {"name",
                                    "version",
                                    "dependencies",
                                    "devDependencies",
                                    "optionalDependencies",
                                    "peerDependencies",
                                    "peerDependenciesMeta",
                                    "overrides",
                                    "bundleDependencies",
                                    "engines"};

static bool has_file(const struct unit *u, const char *name)
{
    _cleanup_free_ char *path = path_join(u->dir, name);

    return path && access(path, F_OK) == 0;
}

/* Which program, as it was asked once while it stays the same file. */
static struct {
    char *path; /* real */
    struct stat st;
    char version[128];
} node;

/* npm is looked for beside its node first, as whoever has several of them has it. */
static char *npm_find(const char *program)
{
    _cleanup_free_ char *beside = NULL, *found = NULL;
    const char *slash = strrchr(program, '/');

    if (slash && asprintf(&beside, "%.*s/npm", (int)(slash - program), program) < 0)
        beside = NULL;
    if (!beside || !path_is_program(beside))
        found = path_search("npm");
    return found                               ? realpath(found, NULL)
           : beside && path_is_program(beside) ? realpath(beside, NULL)
                                               : NULL;
}

/* `wanted` is the unit's own node, or NULL. */
static int node_ask(const char *wanted, char **ret_npm, struct error *err)
{
    _cleanup_free_ char *found = wanted ? slice_dup(slice_str(wanted)) : path_search("node");
    char *real = found ? realpath(found, NULL) : NULL;
    _cleanup_(buf_deinit) struct buf b = BUF_INIT(8192);
    char *const argv[] = {real, "-p",
                          "[process.version,process.versions.modules,process.platform,"
                          "process.arch].join('-')",
                          NULL};
    struct stat st;
    int r;

    *ret_npm = found ? npm_find(found) : NULL;
    if (!real || !*ret_npm || stat(real, &st) < 0) {
        (void)error_set(err, -ENOENT, "there is no %s; run: apt install nodejs npm",
                        real ? "npm" : "node");
        free(real);
        return -ENOENT;
    }
    if (node.path && strcmp(node.path, real) == 0 && node.st.st_ino == st.st_ino &&
        node.st.st_mtim.tv_sec == st.st_mtim.tv_sec && node.st.st_size == st.st_size) {
        free(real);
        return 0;
    }
    r = interpreter_run(argv, ASK_TIME_S, &b);
    if (r < 0) {
        (void)error_set_errno(err, r, "%s does not run", real);
        free(real);
        return r;
    }
    free(node.path);
    node.path = real;
    node.st = st;
    (void)snprintf(node.version, sizeof(node.version), "%.*s", SLICE_ARG(buf_slice(&b)));
    node.version[strcspn(node.version, "\n")] = '\0';
    return 0;
}

/* ---- what is locked ---- */

struct locked {
    struct buf package_text, lock_text;
    json_t *package, *lock;
    uint64_t packages;
    bool scripts;
};

static void locked_deinit(struct locked *k)
{
    json_decref(k->package);
    json_decref(k->lock);
    buf_deinit(&k->package_text);
    buf_deinit(&k->lock_text);
}

/* Counts what is to be installed; returns the name of what cannot be, or NULL. */
static const char *packages_count(struct locked *k)
{
    json_t *packages = json_object_get(k->lock, "packages"), *entry;
    const char *name;

    if (!packages) { /* of npm 6 */
        k->packages = json_object_size(json_object_get(k->lock, "dependencies"));
        k->scripts = true;
        return NULL;
    }
    json_object_foreach(packages, name, entry)
    {
        const char *resolved = json_string_value(json_object_get(entry, "resolved"));

        if (name[0] == '\0' || json_is_true(json_object_get(entry, "dev")))
            continue;
        if (json_is_true(json_object_get(entry, "link")) ||
            (resolved && strncmp(resolved, "file:", 5) == 0))
            return name;
        k->packages++;
        k->scripts = k->scripts || json_is_true(json_object_get(entry, "hasInstallScript"));
    }
    return NULL;
}

static int input_write(const struct locked *k, struct buf *b)
{
    _cleanup_free_ char *text = NULL;
    json_t *package = json_object(), *input = json_object();
    int r = package && input ? 0 : -ENOMEM;

    for (size_t i = 0; i < ARRAY_SIZE(parts) && r == 0; i++) {
        json_t *part = json_object_get(k->package, parts[i]);

        r = part && json_object_set(package, parts[i], part) < 0 ? -ENOMEM : 0;
    }
    if (r == 0 && (json_object_set(input, "package", package) < 0 ||
                   json_object_set_new(input, "scripts", json_boolean(k->scripts)) < 0 ||
                   json_object_set_new(
                       input, "lock",
                       json_stringn(buf_slice(&k->lock_text).base, buf_len(&k->lock_text))) < 0))
        r = -ENOMEM;
    text = r == 0 ? json_dumps(input, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    r = r < 0 ? r : text ? buf_append_str(b, text) : -ENOMEM;
    json_decref(package);
    json_decref(input);
    return r;
}

/* ---- the job ---- */

/* Where the programs beside node are, and all that belongs to them. */
static void job_words(struct load *l, struct unit *u, struct deps_job *job, const char *npm)
{
    const char *bin = strstr(node.path, "/bin/");
    int len = bin ? (int)(bin - node.path) : 0;

    deps_words_begin(l, job);
    deps_word(job, "--copy");
    deps_word(job, "%s/.npmrc=.npmrc", u->dir);
    deps_word(job, "--env");
    deps_word(job, "PATH=%.*s%s/usr/local/bin:/usr/bin:/bin", bin ? len + 4 : 0, node.path,
              bin ? ":" : "");
    if (bin && len > 0) {
        deps_word(job, "--read");
        deps_word(job, "%.*s", len, node.path);
    }
    deps_word(job, "--read");
    deps_word(job, "%.*s", (int)(strrchr(npm, '/') - npm), npm);
    deps_word(job, "--");
    deps_word(job, "%s", node.path);
    deps_word(job, "%s/deps/npm.js", l->options->lib);
    deps_word(job, "%s", npm);
}

static int job_fill(struct load *l, struct unit *u, struct deps_job *job, const struct locked *k,
                    const char *file, struct slice input, const char *npm)
{
    job->inside = INSIDE_BUILD;
    job->packages = k->packages;
    job->input = slice_dup(input);
    job->project = slice_dup(slice_str(u->dir));
    job->file = unit_path(u, file);
    if (!job->place || !job->input || !job->project || !job->file ||
        asprintf(&job->what, "%llu npm package%s of %s", (unsigned long long)k->packages,
                 k->packages == 1 ? "" : "s", job->file) < 0) {
        job->what = NULL;
        return -ENOMEM;
    }
    job_words(l, u, job, npm);
    return job->no_memory ? -ENOMEM : 0;
}

static int job_make(struct load *l, struct unit *u, const struct locked *k, const char *file,
                    const char *npm)
{
    _cleanup_(buf_deinit) struct buf input = BUF_INIT(INPUT_MAX);
    uint8_t hash[TREE_HASH_SIZE];
    struct digest digest;
    struct deps_job *job;
    bool is_new;
    int r = input_write(k, &input);

    if (r < 0)
        return r;
    digest_begin(&digest);
    digest_str(&digest, SLICE_LIT("node dependencies"));
    digest_u64(&digest, DEPS_FORMAT);
    digest_str(&digest, slice_str(node.version));
    digest_str(&digest, buf_slice(&input));
    r = digest_end(&digest, hash);
    job = r < 0 ? NULL : deps_job_get(l, "node", hash, &is_new);
    if (!job)
        return -ENOMEM;
    u->npm_deps = job;
    return is_new ? job_fill(l, u, job, k, file, buf_slice(&input), npm) : 0;
}

static int unit_break(struct unit *u, const char *file, const char *text)
{
    _cleanup_free_ char *path = unit_path(u, file);

    if (!path || asprintf(&u->npm_broken, "%s: %s", path, text) < 0)
        u->npm_broken = NULL;
    return u->npm_broken ? 0 : -ENOMEM;
}

static int file_load(struct unit *u, const char *file, struct buf *text, json_t **ret)
{
    _cleanup_free_ char *path = path_join(u->dir, file), *name = unit_path(u, file);
    struct error err = ERROR_NULL;
    int r = path && name ? json_file_load(path, name, text, ret, &err) : -ENOMEM;

    if (r == 0 || r == -ENOMEM)
        return r;
    u->npm_broken = slice_dup(slice_str(err.text));
    return u->npm_broken ? 0 : -ENOMEM;
}

static int from_lock(struct load *l, struct unit *u, const char *file)
{
    _cleanup_(locked_deinit) struct locked k = {.package_text = BUF_INIT(FILE_MAX_BYTES),
                                                .lock_text = BUF_INIT(FILE_MAX_BYTES)};
    _cleanup_free_ char *npm = NULL;
    struct error err = ERROR_NULL;
    const char *link;
    int r;

    if (!has_file(u, "package.json"))
        return unit_break(u, file, "there is no package.json beside it");
    r = file_load(u, "package.json", &k.package_text, &k.package);
    if (r == 0 && !u->npm_broken)
        r = file_load(u, file, &k.lock_text, &k.lock);
    if (r < 0 || u->npm_broken)
        return r;
    link = packages_count(&k);
    if (link)
        return unit_break(u, file,
                          "it has a package that is a folder of the project, which can "
                          "change without notice; run npm install here: node_modules is "
                          "then used as it is");
    if (k.packages == 0)
        return 0;
    r = node_ask(u->node.program, &npm, &err);
    if (r == -ENOMEM)
        return r;
    return r < 0 ? unit_break(u, file, err.text) : job_make(l, u, &k, file, npm);
}

/* Nothing is locked that we could install from: is anything wanted? */
static int without_lock(struct unit *u)
{
    static const struct {
        const char *file, *text;
    } others[] = {
        {"pnpm-lock.yaml", "only package-lock.json can be installed from; run pnpm install here: "
                           "node_modules is then used as it is"},
        {"yarn.lock", "only package-lock.json can be installed from; run yarn install here: "
                      "node_modules is then used as it is"},
        {"bun.lock", "only package-lock.json can be installed from; run bun install here: "
                     "node_modules is then used as it is"},
    };
    _cleanup_(buf_deinit) struct buf text = BUF_INIT(FILE_MAX_BYTES);
    json_t *package = NULL;
    bool wants;
    int r;

    if (!has_file(u, "package.json"))
        return 0;
    r = file_load(u, "package.json", &text, &package);
    if (r < 0 || u->npm_broken)
        return r;
    wants = json_object_size(json_object_get(package, "dependencies")) > 0;
    json_decref(package);
    for (size_t i = 0; i < ARRAY_SIZE(others) && wants; i++) {
        if (has_file(u, others[i].file))
            return unit_break(u, others[i].file, others[i].text);
    }
    return wants ? unit_break(u, "package.json",
                              "it has dependencies, and there is neither a package-lock.json nor "
                              "a folder node_modules; run: npm install")
                 : 0;
}

/* What the package manager notes of what it has installed: with it the version changes. */
static int mark_read(struct load *l, struct unit *u)
{
    static const char *const marks[] = {".package-lock.json", ".modules.yaml", ".yarn-integrity",
                                        ".yarn-state.yml"};

    for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
        char *path;
        int r;

        if (asprintf(&path, "%s/node_modules/%s", u->dir, marks[i]) < 0)
            return -ENOMEM;
        r = tree_file_hash(l->cache, path, u->npm_mark);
        free(path);
        if (r == 0)
            break;
    }
    return 0;
}

static int unit_prepare(struct load *l, struct unit *u)
{
    if (u->npm_asked)
        return 0;
    u->npm_asked = true;
    if (has_file(u, "node_modules"))
        return mark_read(l, u);
    if (has_file(u, "npm-shrinkwrap.json"))
        return from_lock(l, u, "npm-shrinkwrap.json");
    if (has_file(u, "package-lock.json"))
        return from_lock(l, u, "package-lock.json");
    return without_lock(u);
}

/* A program that says in its first line who runs it. */
static bool is_script(const struct draft *d)
{
    _cleanup_free_ char *path = path_join(d->unit->dir, d->target.file);
    FILE *f = path ? fopen(path, "re") : NULL;
    char line[256];
    bool is =
        f && fgets(line, sizeof(line), f) && strncmp(line, "#!", 2) == 0 && strstr(line, "node");

    if (f)
        (void)fclose(f);
    return is;
}

/* A server that is started by a program of Node's, or in a folder that has no other packages. */
static bool is_node_server(const struct draft *d)
{
    static const char *const programs[] = {"node", "npm", "npx", "yarn", "pnpm"};
    const char *command = d->config->command[0];
    size_t len = strcspn(command, " ");

    for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
        if (strlen(programs[i]) == len && strncmp(command, programs[i], len) == 0)
            return true;
    }
    return !deps_python_wanted(d->unit);
}

bool deps_node_wanted(const struct draft *d)
{
    return d->target.kind == TARGET_NODE || (d->target.kind == TARGET_EXEC && is_script(d)) ||
           (d->target.kind == TARGET_WEB && is_node_server(d));
}

int deps_node_prepare(struct load *l, struct draft *d)
{
    int r = unit_prepare(l, d->unit);

    if (r == 0 && d->unit->npm_broken)
        draft_break(d, "%s", d->unit->npm_broken);
    return r;
}

int deps_node_finish(struct draft *d)
{
    const struct deps_job *job = d->unit->npm_deps;

    return job ? deps_finish(d, job, "tree/node_modules", DEPS_NODE_INSIDE) : 0;
}

char *deps_node_path(const struct draft *d)
{
    const struct deps_job *job = d->unit->npm_deps;

    return job && !d->f.broken ? path_join(job->place, "tree/node_modules") : NULL;
}

void deps_node_digest(const struct draft *d, struct digest *digest)
{
    if (d->unit->npm_deps)
        digest_str(digest, slice_str(d->unit->npm_deps->key));
    else
        digest_str(digest, slice(d->unit->npm_mark, sizeof(d->unit->npm_mark)));
}
