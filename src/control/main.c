/* mayfly-control: reads the project, publishes what is to be served, and prints what came of each
 * request. It may block for as long as a file takes; the gateway goes on without it. */

#include "base/log.h"
#include "control/check.h"
#include "control/control.h"
#include "control/target.h"
#include "control/tree.h"

#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#define EXIT_USAGE 2

static const char usage_text[] =
    "usage: mayfly-control --project DIR --state DIR --lib DIR --url URL [--admin-url URL]\n"
    "                      [--secrets DIR] [--otlp URL] [--dev] [--color] [--own-users]\n"
    "       mayfly-control --check --project DIR --lib DIR [--state DIR] [--json] [--names]\n"
    "                      [--function NAME]\n"
    "       mayfly-control --endpoints\n"
    "The first form is started by mayfly-supervisor.\n";

struct arguments {
    char *project, *state, *lib; /* absolute; owned */
    const char *secrets;         /* state folder of the secrets, if it is not `state` */
    char secrets_hint[PATH_MAX + 16];
    const char *url;
    const char *admin_url; /* NULL: no admin listener */
    const char *otlp;
    bool dev, color, check, own_users, endpoints;
    struct check_options check_options;
};

/* ---- folders ---- */

/* Where our own program is; the caller's. */
static char *libexec_folder(void)
{
    char *path = realpath("/proc/self/exe", NULL);
    char *slash = path ? strrchr(path, '/') : NULL;

    if (slash)
        *slash = '\0';
    return path;
}

/* Dependencies stay with the state; where that is temporary, in the user's cache, so that not each
 * start of `mayfly dev` installs them. The caller's, or NULL. */
static char *deps_folder(const char *state, bool temporary)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *path;

    if (temporary && cache && cache[0] == '/')
        return asprintf(&path, "%s/mayfly/deps", cache) < 0 ? NULL : path;
    if (temporary && home && home[0] == '/' && home[1])
        return asprintf(&path, "%s/.cache/mayfly/deps", home) < 0 ? NULL : path;
    return path_join(state, "deps");
}

/* ---- serving ---- */

static int serve(const struct arguments *a)
{
    struct project_options options = {
        .dir = a->project,
        .state = a->state,
        .lib = a->lib,
        .url = a->url,
        .admin_url = a->admin_url,
        .libexec = libexec_folder(),
        .deps = deps_folder(a->state, a->dev),
        .otlp = a->otlp,
        .secrets = a->secrets ? a->secrets : a->state,
        .secrets_hint = a->secrets ? NULL : a->secrets_hint,
        .dev = a->dev,
        .own_users = a->own_users,
        .progress = isatty(STDERR_FILENO) == 1,
    };
    int r = control_run(&options, a->color);

    free((char *)(uintptr_t)options.libexec);
    free((char *)(uintptr_t)options.deps);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- checking ---- */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)remove(path);
    return 0;
}

/* Without a state folder, compiles into a temporary one. */
static int check(const struct arguments *a)
{
    char temporary[] = "/tmp/mayfly-check-XXXXXX";
    struct project_options options = {.dir = a->project,
                                      .state = a->state ? a->state : mkdtemp(temporary),
                                      .lib = a->lib,
                                      .url = a->url ? a->url : "http://127.0.0.1",
                                      .progress = isatty(STDERR_FILENO) == 1};
    int result;

    if (!options.state) {
        (void)fprintf(stderr, "cannot make %s: %s\n", temporary, strerrordesc_np(errno));
        return EXIT_FAILURE;
    }
    options.libexec = libexec_folder();
    if (!a->check_options.names) /* which a shell asks for while somebody types */
        options.deps = deps_folder(options.state, !a->state);
    result = check_run(&options, &a->check_options);
    free((char *)(uintptr_t)options.libexec);
    free((char *)(uintptr_t)options.deps);
    if (!a->state)
        (void)nftw(temporary, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return result;
}

/* ---- telling ---- */

/* What there is of the API, for who holds its description against it. */
static int endpoints_print(void)
{
    struct buf b = BUF_INIT(API_ANSWER_MAX);
    struct jsonw w = JSONW_INIT(&b);
    int r = endpoints_write(&w);

    if (r == 0 && printf("%.*s\n", SLICE_ARG(buf_slice(&b))) < 0)
        r = -EIO;
    buf_deinit(&b);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- arguments ---- */

static int path_argument(char **ret, const char *option, const char *path)
{
    free(*ret);
    *ret = realpath(path, NULL);
    if (*ret)
        return 0;
    (void)fprintf(stderr, "mayfly-control: --%s %s: %s\n", option, path, strerrordesc_np(errno));
    return -errno;
}

static int arguments_read(int argc, char **argv, struct arguments *a)
{
    struct {
        struct option option;
        char **path; /* one of these is what it sets */
        const char **text;
        bool *flag;
    } rows[] = {
        {{"project", required_argument, NULL, 0}, .path = &a->project},
        {{"state", required_argument, NULL, 0}, .path = &a->state},
        {{"lib", required_argument, NULL, 0}, .path = &a->lib},
        {{"url", required_argument, NULL, 0}, .text = &a->url},
        {{"admin-url", required_argument, NULL, 0}, .text = &a->admin_url},
        {{"otlp", required_argument, NULL, 0}, .text = &a->otlp},
        {{"secrets", required_argument, NULL, 0}, .text = &a->secrets},
        {{"function", required_argument, NULL, 0}, .text = &a->check_options.function},
        {{"dev", no_argument, NULL, 0}, .flag = &a->dev},
        {{"color", no_argument, NULL, 0}, .flag = &a->color},
        {{"own-users", no_argument, NULL, 0}, .flag = &a->own_users},
        {{"check", no_argument, NULL, 0}, .flag = &a->check},
        {{"json", no_argument, NULL, 0}, .flag = &a->check_options.json},
        {{"names", no_argument, NULL, 0}, .flag = &a->check_options.names},
        {{"endpoints", no_argument, NULL, 0}, .flag = &a->endpoints},
    };
    struct option options[ARRAY_SIZE(rows) + 1] = {0};
    int i, r = 0;

    for (size_t k = 0; k < ARRAY_SIZE(rows); k++) {
        options[k] = rows[k].option;
        options[k].val = (int)k;
    }
    while ((i = getopt_long(argc, argv, "", options, NULL)) != -1 && r == 0) {
        if (i < 0 || i >= (int)ARRAY_SIZE(rows))
            r = -EINVAL;
        else if (rows[i].path)
            r = path_argument(rows[i].path, rows[i].option.name, optarg);
        else if (rows[i].text)
            *rows[i].text = optarg;
        else
            *rows[i].flag = true;
    }
    if (r < 0)
        return r;
    if (a->state)
        (void)snprintf(a->secrets_hint, sizeof(a->secrets_hint), " --state %s", a->state);
    if (optind == argc && a->endpoints)
        return 0;
    if (optind == argc && a->project && a->lib && (a->check || (a->state && a->url)))
        return 0;
    (void)fputs(usage_text, stderr);
    return -EINVAL;
}

int main(int argc, char **argv)
{
    struct arguments a = {.project = NULL};
    int result;

    log_init("control", LOG_LEVEL_INFO);
    if (arguments_read(argc, argv, &a) < 0)
        result = EXIT_USAGE;
    else if (a.endpoints)
        result = endpoints_print();
    else if (a.check)
        result = check(&a);
    else if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        result = EXIT_FAILURE;
    else
        result = serve(&a);
    free(a.project);
    free(a.state);
    free(a.lib);
    return result;
}
