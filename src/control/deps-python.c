/* Python itself reads a project's lock files and knows which interpreters there are:
 * runtimes/python/deps.py, in the one that is at hand. Only what it says is judged here. */

#include "base/log.h"
#include "control/draft.h"
#include "control/runtime.h"
#include "json/text.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define ANSWER_MAX      (8UL * 1024 * 1024)
#define DESCRIBE_TIME_S 60
#define NAMES_MAX       10000

bool deps_python_wanted(const struct unit *u)
{
    static const char *const files[] = {"requirements.txt", "pyproject.toml", "Pipfile.lock",
                                        ".python-version"};
    bool wanted = false;

    for (size_t i = 0; i < ARRAY_SIZE(files) && !wanted; i++) {
        _cleanup_free_ char *path = path_join(u->dir, files[i]);

        wanted = path && path_is_file(path);
    }
    return wanted;
}

static const char *text_at(const json_t *root, const char *key)
{
    const char *text = json_string_value(json_object_get(root, key));

    return text ? text : "";
}

static void digest_list(struct digest *digest, const json_t *list)
{
    size_t i;
    json_t *item;

    digest_u64(digest, json_array_size(list));
    json_array_foreach(list, i, item) digest_str(digest, slice_str(json_string_value(item)));
}

static int key_make(const json_t *root, uint8_t hash[static TREE_HASH_SIZE])
{
    struct digest digest;

    digest_begin(&digest);
    digest_str(&digest, SLICE_LIT("python dependencies"));
    digest_u64(&digest, DEPS_FORMAT);
    digest_str(&digest, slice_str(text_at(root, "program")));
    digest_str(&digest, slice_str(text_at(root, "version")));
    digest_str(&digest, slice_str(text_at(root, "tag")));
    digest_list(&digest, json_object_get(root, "requirements"));
    digest_list(&digest, json_object_get(root, "constraints"));
    digest_list(&digest, json_object_get(root, "artefacts"));
    return digest_end(&digest, hash);
}

static int interpreter_take(struct unit *u, const json_t *root)
{
    struct interpreter *in = &u->interpreter;
    size_t i;
    json_t *item;
    int r = 0;

    in->program = slice_dup(slice_str(text_at(root, "program")));
    (void)snprintf(in->version, sizeof(in->version), "%s", text_at(root, "version"));
    if (!in->program)
        return -ENOMEM;
    json_array_foreach(json_object_get(root, "paths"), i, item)
    {
        if (r == 0 && json_string_value(item))
            r = interpreter_path_add(in, json_string_value(item));
    }
    u->python = slice_dup(slice_str(in->program));
    return r < 0 || !u->python ? -ENOMEM : 0;
}

static void job_words(struct load *l, struct unit *u, struct deps_job *job)
{
    deps_words_begin(l, job);
    deps_word(job, "--env");
    deps_word(job, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    deps_word(job, "--env");
    deps_word(job, "PIP_NO_CACHE_DIR=1");
    for (unsigned i = 0; i < u->interpreter.n_paths; i++) {
        deps_word(job, "--read");
        deps_word(job, "%s", u->interpreter.paths[i]);
    }
    deps_word(job, "--");
    deps_word(job, "%s", u->interpreter.program);
    deps_word(job, "-I");
    deps_word(job, "%s/python/deps.py", l->options->lib);
    deps_word(job, "install");
    deps_word(job, "%s", u->dir);
}

static int job_make(struct load *l, struct unit *u, const json_t *root, struct slice answer)
{
    const char *file = text_at(root, "file");
    uint8_t hash[TREE_HASH_SIZE];
    struct deps_job *job;
    bool is_new;
    int r = key_make(root, hash);

    job = r < 0 ? NULL : deps_job_get(l, "python", hash, &is_new);
    if (!job)
        return -ENOMEM;
    u->python_deps = job;
    if (!is_new)
        return 0;
    job->inside = DEPS_PYTHON_INSIDE;
    job->packages = (uint64_t)json_integer_value(json_object_get(root, "packages"));
    job->input = slice_dup(answer);
    job->project = slice_dup(slice_str(u->dir));
    job->file = u->rel[0] ? path_join(u->rel, file) : slice_dup(slice_str(file));
    if (!job->place || !job->input || !job->project || !job->file ||
        asprintf(&job->what, "%llu Python package%s of %s", (unsigned long long)job->packages,
                 job->packages == 1 ? "" : "s", job->file) < 0) {
        job->what = NULL;
        return -ENOMEM;
    }
    job_words(l, u, job);
    return job->no_memory ? -ENOMEM : 0;
}

static int answer_take(struct load *l, struct unit *u, struct slice answer)
{
    struct error err = ERROR_NULL;
    json_t *root = NULL;
    const char *broken;
    int r = json_text_load(answer, "deps.py", &root, &err);

    if (r < 0) {
        u->python_broken = slice_dup(slice_str(err.text));
        return u->python_broken ? 0 : -ENOMEM;
    }
    broken = json_string_value(json_object_get(root, "broken"));
    if (broken) {
        u->python_broken = u->rel[0] ? path_join(u->rel, broken) : slice_dup(slice_str(broken));
        r = u->python_broken ? 0 : -ENOMEM;
    } else if (text_at(root, "program")[0] != '/') {
        u->python_broken = slice_dup(SLICE_LIT("Python does not say where it is"));
        r = u->python_broken ? 0 : -ENOMEM;
    } else {
        r = interpreter_take(u, root);
        if (r == 0 && json_is_array(json_object_get(root, "requirements")))
            r = job_make(l, u, root, answer);
    }
    json_decref(root);
    return r;
}

int deps_python_describe(struct load *l, struct unit *u, const char *python, bool only)
{
    _cleanup_(buf_deinit) struct buf answer = BUF_INIT(ANSWER_MAX);
    _cleanup_free_ char *script = path_join(l->options->lib, "python/deps.py");
    char *const argv[] = {
        (char *)(uintptr_t)python, "-I", script, "describe", u->dir, (char *)(uintptr_t)python,
        only ? "only" : NULL,      NULL};
    int r = script ? interpreter_run(argv, DESCRIBE_TIME_S, &answer) : -ENOMEM;

    if (r == -ENOMEM)
        return r;
    if (r == 0)
        return answer_take(l, u, buf_slice(&answer));
    if (asprintf(&u->python_broken, "the Python interpreter %s does not run: %s", python,
                 strerrordesc_np(-r)) < 0)
        u->python_broken = NULL;
    return u->python_broken ? 0 : -ENOMEM;
}

/* ---- environments that are the author's ---- */

static int name_cmp(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_installed(const struct dirent *e)
{
    size_t len = strlen(e->d_name);

    return (len > 10 && strcmp(e->d_name + len - 10, ".dist-info") == 0) ||
           (len > 9 && strcmp(e->d_name + len - 9, ".egg-link") == 0);
}

static int is_python(const struct dirent *e)
{
    return strncmp(e->d_name, "python", 6) == 0;
}

static void digest_site(const char *lib, const char *version, struct digest *digest)
{
    struct dirent **names = NULL;
    char *path;
    int n;

    if (asprintf(&path, "%s/%s/site-packages", lib, version) < 0)
        return;
    n = scandir(path, &names, is_installed, name_cmp);
    for (int i = 0; i < n; i++) {
        if (i < NAMES_MAX)
            digest_str(digest, slice_str(names[i]->d_name));
        free(names[i]);
    }
    free(names);
    free(path);
}

void deps_venv_digest(const char *python, struct digest *digest)
{
    _cleanup_free_ char *lib = NULL;
    struct dirent **versions = NULL;
    const char *end = strstr(python, "/bin/");
    int n;

    if (!end || asprintf(&lib, "%.*s/lib", (int)(end - python), python) < 0) {
        lib = NULL;
        return;
    }
    n = scandir(lib, &versions, is_python, name_cmp);
    for (int i = 0; i < n; i++) {
        digest_site(lib, versions[i]->d_name, digest);
        free(versions[i]);
    }
    free(versions);
}
