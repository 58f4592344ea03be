#include "control/deps.h"

#include "base/clock.h"
#include "base/log.h"
#include "control/draft.h"
#include "control/node.h"
#include "control/runtime.h"
#include "os/fd.h"
#include "os/memfd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_BUILDER 125 /* mayfly-build itself has failed */

extern char **environ;

/* ---- jobs ---- */

static struct deps_job *job_of(const struct build_job *build)
{
    return container_of((struct build_job *)(uintptr_t)build, struct deps_job, build);
}

struct deps_job *deps_job_free(struct deps_job *job)
{
    if (!job)
        return NULL;
    for (unsigned i = 0; i < job->n_words; i++)
        free(job->words[i]);
    free(job->build.broken);
    free(job->place);
    free(job->project);
    free(job->what);
    free(job->file);
    free(job->input);
    free(job);
    return NULL;
}

struct deps_job *deps_job_get(struct load *l, const char *kind,
                              const uint8_t hash[static TREE_HASH_SIZE], bool *ret_is_new)
{
    struct deps_job *job;
    char hex[33], key[sizeof(job->key)];

    digest_hex(hash, 16, hex);
    (void)snprintf(key, sizeof(key), "%s-%s", kind, hex);
    *ret_is_new = false;
    for (uint32_t i = 0; i < l->n_deps; i++) {
        if (strcmp(l->deps[i]->key, key) == 0)
            return l->deps[i];
    }
    job = calloc(1, sizeof(*job));
    if (!job)
        return NULL;
    assert(l->n_deps < ARRAY_SIZE(l->deps));
    l->deps[l->n_deps++] = job;
    memcpy(job->key, key, sizeof(key));
    job->build.kind = &deps_kind;
    job->place = l->options->deps ? path_join(l->options->deps, key) : slice_dup(SLICE_LIT("/"));
    *ret_is_new = true;
    return job;
}

void deps_word(struct deps_job *job, const char *format, ...)
{
    va_list args;
    int n;

    if (job->n_words == DEPS_WORDS - 1) {
        job->no_memory = true; /* cannot be: the environment's part is bounded below */
        return;
    }
    va_start(args, format);
    n = vasprintf(&job->words[job->n_words], format, args);
    va_end(args);
    if (n < 0) {
        job->words[job->n_words] = NULL;
        job->no_memory = true;
        return;
    }
    job->n_words++;
}

/* ---- what the package managers are told ---- */

static bool has_prefix(const char *text, const char *prefix)
{
    return strncasecmp(text, prefix, strlen(prefix)) == 0;
}

/* Where packages come from and how they are compiled; nothing else of the daemon's environment. */
static bool is_passed_on(const char *variable)
{
    static const char *const names[] = {"http_proxy=",
                                        "https_proxy=",
                                        "no_proxy=",
                                        "all_proxy=",
                                        "SSL_CERT_FILE=",
                                        "SSL_CERT_DIR=",
                                        "REQUESTS_CA_BUNDLE=",
                                        "CURL_CA_BUNDLE=",
                                        "NODE_EXTRA_CA_CERTS=",
                                        "CC=",
                                        "CXX=",
                                        "CFLAGS=",
                                        "CXXFLAGS=",
                                        "CPPFLAGS=",
                                        "LDFLAGS=",
                                        "MAKEFLAGS=",
                                        "NPM_TOKEN=",
                                        "PIP_",
                                        "UV_",
                                        "npm_config_"};
    static const char *const ours[] = {
        "PIP_CACHE_DIR=",     "PIP_CONFIG_FILE=", "PIP_USER=",         "PIP_TARGET=",
        "PIP_PREFIX=",        "PIP_LOG=",         "npm_config_cache=", "npm_config_userconfig=",
        "npm_config_prefix=", "npm_config_tmp="};

    for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
        if (has_prefix(variable, ours[i]))
            return false;
    }
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (has_prefix(variable, names[i]))
            return true;
    }
    return false;
}

/* Certificates, folders with wheels: what a setting names must be seen, but nothing of ours. */
static void read_named(struct load *l, struct deps_job *job, const char *value)
{
    const char *state = l->options->secrets ? l->options->secrets : l->options->state;

    while (*value && job->n_words < DEPS_WORDS - 40) {
        size_t n = strcspn(value, " \t\n,;");
        const char *path = has_prefix(value, "file:///") ? value + 7 : value;
        _cleanup_free_ char *copy = slice_dup(slice(path, n - (size_t)(path - value)));
        _cleanup_free_ char *real = copy && copy[0] == '/' ? realpath(copy, NULL) : NULL;

        if (real && strlen(real) > 1 && strncmp(real, state, strlen(real)) != 0 &&
            strncmp(real, state, strlen(state)) != 0) {
            deps_word(job, "--read");
            deps_word(job, "%s", copy);
        }
        value += n;
        value += strspn(value, " \t\n,;");
    }
}

/* The user's own settings. They may be closed to others, so the command gets a copy. */
static void settings_copy(struct deps_job *job, const char *variable, const char *name,
                          const char *const *below_home)
{
    const char *set = getenv(variable), *home = getenv("HOME");
    _cleanup_free_ char *path = set ? slice_dup(slice_str(set)) : NULL;

    for (; !path && home && *below_home; below_home++) {
        path = path_join(home, *below_home);
        if (path && access(path, R_OK) < 0) {
            free(path);
            path = NULL;
        }
    }
    if (!path || access(path, R_OK) < 0)
        return;
    deps_word(job, "--copy");
    deps_word(job, "%s=scratch/%s", path, name);
    deps_word(job, "--env");
    deps_word(job, "%s=%s/scratch/%s", variable, job->place, name);
}

void deps_words_begin(struct load *l, struct deps_job *job)
{
    static const char *const pip[] = {".config/pip/pip.conf", ".pip/pip.conf", NULL};
    static const char *const npm[] = {".npmrc", NULL};
    const struct project_options *o = l->options;

    deps_word(job, "%s/mayfly-build", o->libexec);
    deps_word(job, "--place");
    deps_word(job, "%s", job->place);
    deps_word(job, "--target");
    deps_word(job, "%s", job->inside);
    deps_word(job, "--project");
    deps_word(job, "%s", job->project);
    deps_word(job, "--lib");
    deps_word(job, "%s", o->lib);
    deps_word(job, "--init");
    deps_word(job, "%s/mayfly-init", o->libexec);
    deps_word(job, "--env");
    deps_word(job, "HOME=%s/scratch", job->place);
    deps_word(job, "--env");
    deps_word(job, "TMPDIR=%s/scratch", job->place);
    deps_word(job, "--env");
    deps_word(job, "LANG=C.UTF-8");
    settings_copy(job, "PIP_CONFIG_FILE", "pip.conf", pip);
    settings_copy(job, "NPM_CONFIG_USERCONFIG", ".npmrc", npm);
    for (char *const *e = environ; *e && job->n_words < DEPS_WORDS - 40; e++) {
        if (!is_passed_on(*e))
            continue;
        deps_word(job, "--env");
        deps_word(job, "%s", *e);
        read_named(l, job, strchr(*e, '=') + 1);
    }
    if (access("/etc/pip.conf", R_OK) == 0) {
        deps_word(job, "--read");
        deps_word(job, "/etc/pip.conf");
    }
}

/* ---- the kind ---- */

/* A set that is asked for is young again. */
static bool deps_is_settled(struct build_job *build, const struct build_context *ctx)
{
    struct deps_job *job = job_of(build);
    _cleanup_free_ char *mark = path_join(job->place, "complete");

    if (job->no_memory || !mark || !ctx->deps || access(mark, F_OK) < 0)
        return false;
    (void)utimensat(AT_FDCWD, mark, NULL, 0);
    return true;
}

static int deps_start(struct build_job *build, const struct build_context *ctx, struct error *err)
{
    struct deps_job *job = job_of(build);
    struct build_command command = {.argv = job->words};
    int r;

    job->input_fd = -1;
    if (job->no_memory)
        return -ENOMEM;
    if (!ctx->deps || !ctx->libexec)
        return error_set(err, -ENOENT, "%s: there is no folder to install into", job->file);
    r = path_make(ctx->deps);
    if (r < 0)
        return error_set_errno(err, r, "%s: cannot make %s", job->file, ctx->deps);
    if (job->input) {
        job->input_fd = memfd_new("mayfly-deps", slice_str(job->input));
        if (job->input_fd < 0)
            return error_set_errno(err, job->input_fd, "%s: cannot hand it on", job->file);
        (void)lseek(job->input_fd, 0, SEEK_SET);
        command.input_fd = job->input_fd;
    }
    r = build_spawn(build, &command);
    return r < 0 ? error_set_errno(err, r, "%s: cannot start %s", job->file, job->words[0]) : 0;
}

/* Control characters go, lines stay: they end on a terminal and in answers. */
static char *words_clean(struct slice words)
{
    char *text, *p;

    if (words.len > DEPS_WORDS_MAX) {
        words.base += words.len - DEPS_WORDS_MAX;
        words.len = DEPS_WORDS_MAX;
    }
    text = slice_dup(words);
    for (p = text; p && *p; p++) {
        if (((unsigned char)*p < ' ' && *p != '\n') || *p == 0x7f)
            *p = ' ';
    }
    return text;
}

static void deps_finish_job(struct build_job *build, const struct build_context *ctx, int status,
                            bool timed_out, struct slice words)
{
    struct deps_job *job = job_of(build);
    _cleanup_free_ char *text = words_clean(words);

    if (timed_out)
        build_break(build, "%s: installing took longer than %d minutes", job->file,
                    DEPS_TIMEOUT_MS / 60000);
    else if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_BUILDER)
        build_break(build, "%s: %s", job->file, text ? text : "out of memory");
    else if (status != 0)
        build_break(build, "%s: cannot be installed:\n%s", job->file, text ? text : "");
}

static void deps_clean(struct build_job *build)
{
    struct deps_job *job = job_of(build);

    job->input_fd = fd_close(job->input_fd);
}

static const char *deps_describe(const struct build_job *build, size_t n_done, size_t n, char *dst,
                                 size_t size)
{
    char what[128];

    (void)snprintf(dst, size, "installing %s",
                   log_quote(slice_str(job_of(build)->what), what, sizeof(what)));
    return dst;
}

const struct build_kind deps_kind = {
    .timeout_ms = DEPS_TIMEOUT_MS,
    .keeps_end = true,
    .tells_lines = true,
    .describe = deps_describe,
    .is_settled = deps_is_settled,
    .start = deps_start,
    .finish = deps_finish_job,
    .clean = deps_clean,
};

/* ---- all of a load ---- */

void deps_failures_clear(struct deps_failures *f)
{
    for (unsigned i = 0; i < f->n; i++)
        free(f->list[i].text);
    f->n = 0;
}

static void failure_recall(const struct deps_failures *f, struct deps_job *job)
{
    for (unsigned i = 0; i < f->n && !job->build.broken; i++) {
        if (strcmp(f->list[i].key, job->key) == 0 && f->list[i].text)
            job->build.broken = slice_dup(slice_str(f->list[i].text));
    }
}

static void failures_note(struct deps_failures *f, const struct load *l)
{
    deps_failures_clear(f);
    for (uint32_t i = 0; i < l->n_deps && f->n < ARRAY_SIZE(f->list); i++) {
        const struct deps_job *job = l->deps[i];

        if (!job->build.broken)
            continue;
        memcpy(f->list[f->n].key, job->key, sizeof(job->key));
        f->list[f->n++].text = slice_dup(slice_str(job->build.broken));
    }
}

int deps_run(struct load *l, const struct build_context *ctx)
{
    struct build_job *jobs[ARRAY_SIZE(l->deps)];
    int r;

    for (uint32_t i = 0; i < l->n_deps; i++) {
        jobs[i] = &l->deps[i]->build;
        failure_recall(l->failures, l->deps[i]);
    }
    r = build_run(jobs, l->n_deps, ctx);
    if (r == 0)
        failures_note(l->failures, l);
    return r;
}

int deps_about(struct function *f, const char *format, ...)
{
    char **more, *text;
    va_list args;
    size_t n = 0;
    int len;

    while (f->about && f->about[n])
        n++;
    more = reallocarray(f->about, n + 2, sizeof(*more));
    if (!more)
        return -ENOMEM;
    f->about = more;
    va_start(args, format);
    len = vasprintf(&text, format, args);
    va_end(args);
    more[n] = len < 0 ? NULL : text;
    more[n + 1] = NULL;
    return len < 0 ? -ENOMEM : 0;
}

int deps_finish(struct draft *d, const struct deps_job *job, const char *part, const char *target)
{
    struct function *f = &d->f;
    _cleanup_free_ char *source = NULL;
    int r;

    if (job->build.broken) {
        draft_break(d, "%s", job->build.broken);
        return 0;
    }
    source = path_join(job->place, part);
    r = source ? runtime_mount_add(f, source, target) : -ENOMEM;
    if (r < 0)
        return r;
    r = deps_about(f, "dependencies=%s", job->what);
    return r < 0 ? r : deps_about(f, "dependencies_folder=%s", source);
}

/* ---- what is not wanted any longer ---- */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)remove(path);
    return 0;
}

static bool is_ours(const char *name)
{
    return (strncmp(name, "python-", 7) == 0 || strncmp(name, "node-", 5) == 0) &&
           !strchr(name, '.');
}

/* With the lock, which whoever builds it holds. */
static void set_remove(const char *path)
{
    _cleanup_free_ char *lock = NULL;
    _cleanup_close_ int fd = -1;

    if (asprintf(&lock, "%s.lock", path) < 0) {
        lock = NULL;
        return;
    }
    fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return;
    /* Its mark first: what is half gone is no set. */
    (void)nftw(path, remove_entry, 32, FTW_DEPTH | FTW_PHYS);
    (void)unlink(lock);
}

/* What node_check() keeps of a node that nobody has used in a long time. */
static void check_remove(const char *path, uint64_t now_s)
{
    struct stat st;

    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) &&
        (uint64_t)st.st_mtim.tv_sec + DEPS_KEEP_DAYS * 86400ULL < now_s)
        (void)unlink(path);
}

void deps_prune(const char *deps, const struct load *l)
{
    uint64_t now_s = clock_wall_us() / 1000000;
    DIR *d = deps ? opendir(deps) : NULL;
    struct dirent *e;

    while (d && (e = readdir(d))) {
        _cleanup_free_ char *path = path_join(deps, e->d_name);
        _cleanup_free_ char *mark = path ? path_join(path, "complete") : NULL;
        bool wanted = !mark || !is_ours(e->d_name);
        struct stat st;

        if (path && strncmp(e->d_name, NODE_CHECKED, strlen(NODE_CHECKED)) == 0)
            check_remove(path, now_s);
        for (uint32_t i = 0; i < l->n_deps && !wanted; i++)
            wanted = strcmp(l->deps[i]->key, e->d_name) == 0;
        if (wanted || (stat(mark, &st) < 0 && stat(path, &st) < 0) ||
            (uint64_t)st.st_mtim.tv_sec + DEPS_KEEP_DAYS * 86400ULL > now_s)
            continue;
        (void)unlink(mark);
        set_remove(path);
    }
    if (d)
        (void)closedir(d);
}
