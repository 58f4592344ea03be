/* Any program that serves HTTP on $PORT: its words, and what of the machine it needs to run. */

#include "control/build.h"
#include "control/runtime.h"

#include <errno.h>
#include <stdio.h>

#define WORDS_MAX   (CONFIG_WORDS_MAX + 20)
#define NUMBER_SIZE 24

#define OPTIONS_BEGIN "--port" /* the first option of mayfly-web */

static bool is_python(const char *word)
{
    return strcmp(word, "python") == 0 || strcmp(word, "python3") == 0;
}

/* Whether the project's interpreter and packages are wanted: they are named, or the program may be
 * one that a package brings (gunicorn, uvicorn). */
static bool wants_python(const struct draft *d)
{
    const struct config_function *c = d->config;
    static const char *const venvs[] = {".venv/bin/python", "venv/bin/python"};
    bool wanted = deps_python_wanted(d->unit);

    for (size_t i = 0; i < ARRAY_SIZE(venvs) && !wanted; i++) {
        _cleanup_free_ char *path = path_join(d->unit->dir, venvs[i]);

        wanted = path && path_is_program(path);
    }
    return wanted || (!c->command_is_line && is_python(c->command[0])) ||
           (c->command_is_line && strncmp(c->command[0], "python", 6) == 0);
}

/* What lies beside a program that is not the system's: its libraries, as an installation has them
 * beside its bin. The project's own programs have what the project has. */
static int reads_of_program(struct draft *d, const char *program)
{
    _cleanup_free_ char *real = realpath(program, NULL);
    size_t len = strlen(d->unit->dir);
    char *slash;

    if (!real)
        return errno == ENOMEM ? -ENOMEM : 0;
    if (strncmp(real, d->unit->dir, len) == 0 && real[len] == '/')
        return 0;
    *strrchr(real, '/') = '\0';
    slash = strrchr(real, '/');
    if (!slash || slash == real || strcmp(slash, "/bin") != 0)
        return 0;
    *slash = '\0';
    return strcmp(real, "/usr") == 0 ? 0 : runtime_read_add(&d->f, real);
}

/* The first word of the command: says at once what cannot run. */
static int program_find(struct draft *d, bool python)
{
    const char *word = d->config->command[0];
    _cleanup_free_ char *path = NULL, *module = NULL, *lock = NULL;

    if (d->config->command_is_line || (python && is_python(word)))
        return 0;
    if (strchr(word, '/')) {
        path = path_join(d->unit->dir, word);
        if (path && !path_is_file(path))
            draft_break(d, "there is no program %s", path);
        else if (path && !path_is_program(path))
            draft_break(d, "%s is not executable; run: chmod +x %s", path, path);
        return !path ? -ENOMEM : d->f.broken ? 0 : reads_of_program(d, path);
    }
    path = path_search(word);
    if (path)
        return reads_of_program(d, path);
    if (asprintf(&module, "%s/node_modules/.bin/%s", d->unit->dir, word) < 0) {
        module = NULL;
        return -ENOMEM;
    }
    lock = path_join(d->unit->dir, "package-lock.json");
    if (!lock)
        return -ENOMEM;
    if (!python && !path_is_file(lock) && !path_is_program(module))
        draft_break(d, "there is no program \"%s\" in PATH; install it, or name it by its path",
                    word);
    return 0;
}

static const char *number(uint64_t n, char text[static NUMBER_SIZE])
{
    (void)snprintf(text, NUMBER_SIZE, "%llu", (unsigned long long)n);
    return text;
}

/* With an interpreter the words begin with it, until it is known for good (runtime_web_finish). */
static int set_words(struct draft *d, const char *host, const char *interpreter)
{
    const struct config_function *c = d->config;
    char port[NUMBER_SIZE], per_process[NUMBER_SIZE], concurrency[NUMBER_SIZE], init[NUMBER_SIZE];
    const char *words[WORDS_MAX] = {
        interpreter ? interpreter : host,
        interpreter ? host : OPTIONS_BEGIN,
    };
    const char *const options[] = {
        OPTIONS_BEGIN,
        number(c->port ? c->port : CONFIG_PORT_DEFAULT, port),
        "--readiness",
        c->readiness ? c->readiness : "/",
        "--per-process",
        number(c->per_process ? c->per_process : CONFIG_PER_PROCESS_DEFAULT, per_process),
        "--concurrency",
        number(d->f.limits.concurrency, concurrency),
        "--init-timeout",
        number(d->f.limits.init_timeout_ms, init),
        "--bin",
        "", /* until runtime_web_finish() */
        "--",
        "/bin/sh",
        "-c",
    };
    size_t n = interpreter ? 2 : 1;

    for (size_t i = 0; i < ARRAY_SIZE(options) - (c->command_is_line ? 0 : 2); i++)
        words[n++] = options[i];
    for (size_t i = 0; c->command[i]; i++)
        words[n++] = c->command[i];
    assert(n < WORDS_MAX);
    return runtime_words(d, words);
}

int runtime_web_prepare(struct load *l, struct draft *d)
{
    _cleanup_free_ char *host = runtime_lib_file(l, d, "web/mayfly-web");
    _cleanup_free_ char *interpreter = NULL;
    bool python = wants_python(d);
    int r;

    if (d->config->settings.isolation == ISOLATION_REQUEST)
        draft_break(d, "a server serves many requests with one process, so the runtime web has no "
                       "\"isolation\": \"request\"; leave it out");
    if (d->f.network == NETWORK_LIST)
        draft_break(d, "a function with the runtime web cannot be held to a list of places; its "
                       "\"network\" is \"host\" or \"none\"");
    d->f.isolation = ISOLATION_INSTANCE;
    if (d->f.broken)
        return 0;
    r = python ? runtime_python_prepare(l, d) : 0;
    if (r < 0 || d->f.broken)
        return r;
    if (python) {
        interpreter = d->f.argv[0];
        for (char **word = d->f.argv + 1; *word; word++)
            free(*word);
        free(d->f.argv);
        d->f.argv = NULL;
    }
    r = program_find(d, python);
    if (r < 0 || d->f.broken)
        return r;
    return host ? set_words(d, host, interpreter) : -ENOMEM;
}

/* Puts another word in the place of *word. */
static int word_set(char **word, const char *text, size_t len)
{
    char *copy = slice_dup(slice(text, len));

    if (!copy)
        return -ENOMEM;
    free(*word);
    *word = copy;
    return 0;
}

/* The interpreter's folder comes first in the program's PATH: there is what packages bring. */
int runtime_web_finish(struct draft *d)
{
    _cleanup_free_ char *interpreter = NULL;
    char **words = d->f.argv;
    int r = 0;

    if (strcmp(words[1], OPTIONS_BEGIN) == 0)
        return 0; /* no Python */
    r = runtime_python_finish(d);
    if (r < 0 || d->f.broken)
        return r;
    interpreter = words[0];
    for (char **word = words; *word; word++)
        word[0] = word[1];
    while (r == 0 && strcmp(*words, "--") != 0) {
        if (strcmp(*words, "--bin") == 0)
            r = word_set(&words[1], interpreter, (size_t)(strrchr(interpreter, '/') - interpreter));
        words++;
    }
    if (r == 0 && is_python(words[1]))
        r = word_set(&words[1], interpreter, strlen(interpreter));
    return r;
}

void runtime_web_digest(const struct draft *d, struct digest *digest)
{
    const struct config_function *c = d->config;

    for (size_t i = 0; c->command[i]; i++)
        digest_str(digest, slice_str(c->command[i]));
    digest_u64(digest, c->command_is_line);
    digest_u64(digest, c->port);
    digest_u64(digest, c->per_process);
    digest_str(digest, slice_str(c->readiness));
    if (d->unit->python)
        runtime_python_digest(d, digest);
}
