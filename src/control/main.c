/* mayfly-control: reads the project, publishes what is to be served, and prints what came of each
 * request. It may block for as long as a file takes; the gateway goes on without it. */

#include "base/clock.h"
#include "base/log.h"
#include "control/check.h"
#include "control/control.h"
#include "control/target.h"
#include "control/tree.h"
#include "os/fd.h"

#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define FD_SUPERVISOR 3
#define EXIT_USAGE    2

static const char usage_text[] =
    "usage: mayfly-control --project DIR --state DIR --lib DIR --url URL [--secrets DIR]\n"
    "                      [--dev] [--color] [--own-users]\n"
    "       mayfly-control --check --project DIR --lib DIR [--state DIR] [--json] [--names]\n"
    "                      [--function NAME]\n"
    "The first form is started by mayfly-supervisor.\n";

struct arguments {
    char *project, *state, *lib; /* absolute; owned */
    const char *secrets;         /* state folder of the secrets, if it is not `state` */
    char secrets_hint[PATH_MAX + 16];
    const char *url;
    bool dev, color, check, own_users;
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

/* While commands run. Whoever asks for a reload now does not want to wait for what they make of
 * files that were mended since. */
static int on_idle(void *ctx)
{
    struct control *c = ctx;
    int r = channels_serve(c);

    return r == 0 && c->load_forced ? -ECANCELED : r;
}

static int poll_timeout(const struct control *c, uint64_t tick_ns)
{
    uint64_t now_ns = clock_now_ns();
    uint64_t due_ns = MIN(tick_ns, MIN(c->watch.due_ns, c->secrets_watch.due_ns));

    due_ns = MIN(due_ns, project_due_ns(c->project, now_ns));

    if (c->load_wanted) /* it was asked for during the last one */
        return 0;
    if (due_ns == UINT64_MAX)
        return -1;
    return due_ns <= now_ns ? 0 : (int)MIN((due_ns - now_ns) / NS_PER_MS + 1, 60000ULL);
}

/* Waits for something to do, and does it. Returns 0, or -ECANCELED when it is time to end. */
static int serve_once(struct control *c, int signal_fd)
{
    enum { SUPERVISOR, SIGNALS, WATCH, SECRETS, GATEWAY, OUTPUT, N };
    uint64_t tick_ns = printer_tick(&c->printer, clock_now_ns());
    bool queued = wire_has_queued(&c->supervisor), pending = output_is_pending(&c->output);
    bool to_gateway = wire_is_open(&c->gateway) && wire_has_queued(&c->gateway);
    struct pollfd fds[N] = {
        [SUPERVISOR] = {.fd = c->supervisor.fd, .events = queued ? POLLIN | POLLOUT : POLLIN},
        [SIGNALS] = {.fd = signal_fd, .events = POLLIN},
        [WATCH] = {.fd = c->watch.fd, .events = POLLIN},
        [SECRETS] = {.fd = c->secrets_watch.fd, .events = POLLIN},
        [GATEWAY] = {.fd = c->gateway.fd, .events = to_gateway ? POLLIN | POLLOUT : POLLIN},
        [OUTPUT] = {.fd = pending ? c->output.fd : -1, .events = POLLOUT},
    };
    int r;

    if (poll(fds, N, poll_timeout(c, tick_ns)) < 0 && errno != EINTR)
        return -ECANCELED;
    if (fds[SIGNALS].revents) {
        c->stopping = true;
        return -ECANCELED;
    }
    r = channels_serve(c);
    if (r < 0)
        return r;
    if (fds[WATCH].revents)
        watch_read(&c->watch, clock_now_ns());
    if (fds[SECRETS].revents)
        watch_read(&c->secrets_watch, clock_now_ns());
    if (watch_is_due(&c->watch, clock_now_ns()))
        c->load_wanted = true;
    if (watch_is_due(&c->secrets_watch, clock_now_ns()))
        c->load_wanted = true;
    if (project_tick(c->project, clock_now_ns()))
        c->load_wanted = true;
    if (c->load_wanted)
        publish(c);
    return c->stopping ? -ECANCELED : 0;
}

/* What is left is written out, if somebody reads. */
static void serve_end(struct control *c)
{
    uint64_t until_ns = clock_now_ns() + NS_PER_S;

    (void)channels_serve(c);
    (void)printer_tick(&c->printer, UINT64_MAX);
    output_flush(&c->output);
    while (output_is_pending(&c->output) && clock_now_ns() < until_ns) {
        struct pollfd fd = {.fd = c->output.fd, .events = POLLOUT};

        (void)poll(&fd, 1, 100);
        output_flush(&c->output);
    }
    if (c->output.n_dropped > 0)
        log_warning("output.dropped", "messages=%llu", (unsigned long long)c->output.n_dropped);
}

static int signals_init(void)
{
    sigset_t mask;

    /* Ctrl-C reaches everybody in the terminal; the supervisor decides what comes of it. */
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGCHLD, SIG_DFL);
    (void)sigemptyset(&mask);
    (void)sigaddset(&mask, SIGTERM);
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
    return signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
}

static const char *find_code(void *ctx, struct slice function)
{
    struct control *c = ctx;
    const struct function *f = c->last ? snapshot_find(c->last, function) : NULL;

    return f ? f->code_dir : NULL;
}

static int control_init(struct control *c, const struct arguments *a)
{
    struct error err = ERROR_NULL;
    int r;

    *c = (struct control){
        .options = {.dir = a->project,
                    .state = a->state,
                    .lib = a->lib,
                    .url = a->url,
                    .libexec = libexec_folder(),
                    .deps = deps_folder(a->state, a->dev),
                    .secrets = a->secrets ? a->secrets : a->state,
                    .secrets_hint = a->secrets ? NULL : a->secrets_hint,
                    .dev = a->dev,
                    .own_users = a->own_users,
                    .progress = isatty(STDERR_FILENO) == 1,
                    .idle = on_idle,
                    .idle_ctx = c},
        .gateway = {.fd = -1},
        .watch = {.fd = -1, .due_ns = UINT64_MAX},
        .secrets_watch = {.fd = -1, .due_ns = UINT64_MAX},
        .load_wanted = true,
        .color = a->color,
    };
    list_init(&c->gateway.queue);
    redactor_init(&c->redactor);
    output_init(&c->output, STDOUT_FILENO);
    printer_init(&c->printer, a->dev ? &printer_pretty : &printer_json, &c->output, a->color);
    c->printer.find_code = find_code;
    c->printer.find_code_ctx = c;
    r = fd_set_cloexec(FD_SUPERVISOR, true);
    if (r == 0)
        r = fd_set_nonblock(FD_SUPERVISOR, true);
    if (r == 0)
        r = wire_init_consume(&c->supervisor, FD_SUPERVISOR, WIRE_CONTROL, WIRE_SUPERVISOR);
    if (r < 0) {
        log_error("supervisor.missing", "error=%s", strerrordesc_np(-r));
        return r;
    }
    /* Values of secrets are in here: not for a debugger of the same user, nor for a core. */
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (a->dev && watch_init(&c->watch, &err) < 0)
        log_warning("watch.failed", "%s", err.text);
    c->project = project_new(&c->options);
    return c->project ? 0 : -ENOMEM;
}

static int serve(const struct arguments *a)
{
    static struct control c; /* the printer's store is too large for a stack */
    int signal_fd = signals_init();
    int r = control_init(&c, a);

    if (r < 0 || signal_fd < 0)
        return EXIT_FAILURE;
    publish(&c);
    while (!c.stopping && serve_once(&c, signal_fd) == 0)
        ;
    serve_end(&c);
    wire_deinit(&c.gateway);
    wire_deinit(&c.supervisor);
    watch_deinit(&c.watch);
    watch_deinit(&c.secrets_watch);
    redactor_deinit(&c.redactor);
    printer_deinit(&c.printer);
    output_deinit(&c.output);
    (void)snapshot_free(c.last);
    (void)project_free(c.project);
    free((char *)(uintptr_t)c.options.libexec);
    free((char *)(uintptr_t)c.options.deps);
    (void)fd_close(signal_fd);
    return EXIT_SUCCESS;
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
        {{"secrets", required_argument, NULL, 0}, .text = &a->secrets},
        {{"function", required_argument, NULL, 0}, .text = &a->check_options.function},
        {{"dev", no_argument, NULL, 0}, .flag = &a->dev},
        {{"color", no_argument, NULL, 0}, .flag = &a->color},
        {{"own-users", no_argument, NULL, 0}, .flag = &a->own_users},
        {{"check", no_argument, NULL, 0}, .flag = &a->check},
        {{"json", no_argument, NULL, 0}, .flag = &a->check_options.json},
        {{"names", no_argument, NULL, 0}, .flag = &a->check_options.names},
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
