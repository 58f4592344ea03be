/* The host of programs that speak Lambda's Runtime API: mayfly-provided WORD..., the words being
 * the program and its arguments. The zygote checks them and has little to do; each worker runs the
 * program. */

#include "program.h"
#include "rapi.h"
#include "serve.h"

#include "zygote/zygote.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define MORE_WORDS 2 /* the wrapper, the NULL */

static void touch(void *ctx, struct worker *w)
{
    serve_prepare();
}

static int serve(void *ctx, struct worker *w)
{
    return serve_request(w);
}

/* ---- the program ---- */

/* What is executed for a word. As a path below the project's folder, which is the working
 * directory, if it is there: that is how its author knows it. */
static char *find_program(struct zygote *z, const char *word)
{
    struct error err = ERROR_NULL;
    char folder[PATH_MAX], message[PATH_MAX + 128], *path;
    size_t len = getcwd(folder, sizeof(folder)) ? strlen(folder) : 0;

    if (len > 1 && strncmp(word, folder, len) == 0 && word[len] == '/') {
        if (asprintf(&path, ".%s", word + len) < 0)
            path = NULL;
    } else {
        path = strchr(word, '/') ? strdup(word) : program_search(word);
    }
    if (!path) {
        (void)snprintf(message, sizeof(message),
                       "there is no program %s; install it, or write ./%s if it is in the "
                       "project's folder",
                       word, word);
        zygote_fail_text(z, "Runtime.InvalidEntrypoint", message, "");
    }
    if (program_check(path, &err) < 0)
        zygote_fail_text(z, "Runtime.InvalidEntrypoint", err.text, "");
    return path;
}

/* AWS_LAMBDA_EXEC_WRAPPER is started with the command as its arguments. */
static char **make_argv(struct zygote *z, int argc, char **argv)
{
    const char *wrapper = getenv("AWS_LAMBDA_EXEC_WRAPPER");
    char **words = calloc((size_t)argc + MORE_WORDS, sizeof(*words));
    size_t n = 0;

    if (!words)
        zygote_fail_text(z, "LoadError", "there is no memory", "");
    if (wrapper && *wrapper)
        words[n++] = find_program(z, wrapper);
    words[n++] = find_program(z, argv[1]);
    for (int i = 2; i < argc; i++)
        words[n++] = argv[i];
    return words;
}

/* ---- the environment ---- */

static void set_default(const char *name, const char *value)
{
    (void)setenv(name, value, 0);
}

/* One of the two is enough: SDKs look at the one, runtimes at the other. */
static const char *set_region(void)
{
    const char *region = getenv("AWS_REGION"), *other = getenv("AWS_DEFAULT_REGION");

    region = region ? region : other ? other : "us-east-1";
    set_default("AWS_REGION", region);
    set_default("AWS_DEFAULT_REGION", region);
    return getenv("AWS_REGION");
}

/* Returns the function's ARN, a new string. */
static char *set_environment(const struct zygote_start *start)
{
    const char *region = set_region();
    char text[PATH_MAX], *arn;

    (void)setenv("AWS_LAMBDA_RUNTIME_API", RAPI_ADDRESS, 1);
    (void)setenv("_HANDLER", start->handler, 1);
    if (getcwd(text, sizeof(text)))
        (void)setenv("LAMBDA_TASK_ROOT", text, 1);
    set_default("LAMBDA_RUNTIME_DIR", "/var/runtime");
    set_default("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand");
    set_default("AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR");
    (void)snprintf(text, sizeof(text), "/aws/lambda/%s", start->function);
    set_default("AWS_LAMBDA_LOG_GROUP_NAME", text);
    return asprintf(&arn, "arn:aws:lambda:%s:000000000000:function:%s", region, start->function) < 0
               ? NULL
               : arn;
}

int main(int argc, char **argv)
{
    static const struct zygote_host host = {.touch = touch, .serve = serve};
    struct sigaction action = {.sa_handler = serve_on_deadline, .sa_flags = SA_RESTART};
    struct serve_setup setup = {.name = argc > 1 ? argv[1] : ""};
    struct error err = ERROR_NULL;
    struct zygote *z;

    if (argc < 2) {
        fputs("usage: mayfly-provided PROGRAM ARGUMENT...\n", stderr);
        return 2;
    }
    if (zygote_open(&z, &err) < 0) {
        fprintf(stderr, "mayfly-provided: %s\n", err.text);
        return EXIT_FAILURE;
    }
    setup.function = zygote_start(z)->function;
    setup.version = zygote_start(z)->version;
    setup.is_instance = zygote_start(z)->isolation == ISOLATION_INSTANCE;
    setup.argv = make_argv(z, argc, argv);
    setup.arn = set_environment(zygote_start(z));
    serve_init(&setup);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigaction(WORKER_STACK_SIGNAL, &action, NULL);
    zygote_run(z, &host, NULL);
}
