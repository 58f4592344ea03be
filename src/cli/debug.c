#include "cli/debug.h"
#include "cli/output.h"

#include "base/clock.h"
#include "os/clone.h"
#include "os/fd.h"
#include "os/pidref.h"
#include "os/proc.h"
#include "os/sock.h"
#include "sandbox/sandbox.h"
#include "wire/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FD_CONTROL     4 /* of a zygote; FD_GATEWAY follows */
#define REQUEST_MAX    (256UL * 1024)
#define ANSWER_MAX     (64UL * 1024 * 1024)
#define WORDS_MAX      128
#define DAY_MS         (24ULL * 60 * 60 * 1000)
#define ATTACH_TRIES   200 /* of ATTACH_WAIT_US */
#define ATTACH_WAIT_US 50000

extern char **environ;

struct debugging {
    const struct cli *cli;
    json_t *recording, *launch;
    const char *function, *runtime;
    struct wire control, gateway;
    struct pidref zygote;
    pid_t debugger; /* 0: none */
    int socket;     /* the worker's request */
    uint16_t port;  /* node's inspector */
    struct buf request, answer;
};

/* ---- how each runtime is debugged ---- */

/* What debugs a worker from outside, which stands still until it has its request; NULL: it needs
 * nobody. */
struct kind {
    const char *runtime;
    const char *hint; /* for people, when it begins */
    void (*words)(struct debugging *d, pid_t worker, const char *ret[static WORDS_MAX]);
    bool attaches; /* by ptrace, so that we see when it is there */
};

static void words_of_gdb(struct debugging *d, pid_t worker, const char *ret[static WORDS_MAX])
{
    const char *handler = api_string(d->launch, "handler"), *dot = strrchr(handler, '.');
    const char *words[] = {"gdb", "-q",
                           "-p",  cli_printf("%d", (int)worker),
                           "-ex", "set pagination off",
                           "-ex", cli_printf("break %s", dot ? dot + 1 : "main"),
                           "-ex", "continue",
                           NULL};

    memcpy(ret, words, sizeof(words));
}

static void words_of_node(struct debugging *d, pid_t worker, const char *ret[static WORDS_MAX])
{
    const char *words[] = {json_string_value(json_array_get(json_object_get(d->launch, "argv"), 1)),
                           "inspect", cli_printf("127.0.0.1:%u", d->port), NULL};

    memcpy(ret, words, sizeof(words));
}

static const struct kind kinds[] = {
    {"python", "pdb: n, s, c, p NAME, b FILE:LINE, q", NULL, false},
    {"node", "node inspect: n, s, c, repl, setBreakpoint(), .exit", words_of_node, false},
    {"native", "gdb: n, s, c, p NAME, bt, q", words_of_gdb, true},
};

static const struct kind *kind_of(const char *runtime)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (strcmp(kinds[i].runtime, runtime) == 0)
            return &kinds[i];
    }
    return NULL;
}

/* ---- the request ---- */

static void must(int r)
{
    if (r < 0)
        cli_no_memory();
}

static void write_header(struct debugging *d, const char *name, const char *value)
{
    must(http_write_header_str(&d->request, name, value));
}

static void write_body(struct debugging *d, const json_t *request)
{
    const char *body = api_string(request, "body");

    must(http_write_header_u64(&d->request, "Content-Length", strlen(body)));
    must(http_write_head_end(&d->request));
    must(buf_append_str(&d->request, body));
}

static void write_request(struct debugging *d, const char *id)
{
    const json_t *request = json_object_get(d->recording, "request");
    json_t *headers = json_object_get(request, "headers"), *pair;
    size_t i;

    must(http_write_request_line(&d->request, slice_str(api_string(request, "method")),
                                 slice_str(api_string(request, "target"))));
    json_array_foreach(headers, i, pair)
    {
        const char *name = json_string_value(json_array_get(pair, 0));
        const char *value = json_string_value(json_array_get(pair, 1));

        if (name && value && http_is_token(slice_str(name)) && http_is_value(slice_str(value)))
            write_header(d, name, value);
    }
    write_header(d, "Mayfly-Request-Id", id);
    write_header(d, "Mayfly-Function", d->function);
    write_header(d, "Mayfly-Version", api_string(d->launch, "version"));
    write_header(d, "Mayfly-Trigger", api_string(d->recording, "trigger"));
    must(http_write_header_u64(&d->request, "Mayfly-Deadline-Ms", clock_wall_us() / 1000 + DAY_MS));
    write_body(d, request);
}

/* ---- the zygote ---- */

/* A port that was free a moment ago. */
static uint16_t find_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        address.sin_port = htons(9229);
    (void)fd_close(fd);
    return ntohs(address.sin_port);
}

/* The function's own command; Node's stands still before its first line, in a process that is not
 * forked, since an inspector needs its threads. */
static void zygote_words(struct debugging *d, char *ret[static WORDS_MAX])
{
    json_t *argv = json_object_get(d->launch, "argv"), *word;
    bool node = strcmp(d->runtime, "node") == 0;
    size_t i, n = 0;

    json_array_foreach(argv, i, word)
    {
        const char *text = json_string_value(word);

        if (!text || n + 3 > WORDS_MAX)
            break;
        if (node && i == 2)
            text = "single";
        ret[n++] = (char *)(uintptr_t)text;
        if (node && i == 2)
            ret[n++] = cli_printf("--inspect-brk=127.0.0.1:%u", d->port);
    }
    ret[n] = NULL;
}

/* Ours, and the author's on top of it. */
static char **zygote_environment(struct debugging *d)
{
    json_t *own = json_object_get(d->launch, "env"), *entry;
    size_t n = 0, i;
    char **list;

    while (environ[n])
        n++;
    list = cli_check(calloc(n + json_array_size(own) + 2, sizeof(*list)));
    n = 0;
    json_array_foreach(own, i, entry) list[n++] = (char *)(uintptr_t)json_string_value(entry);
    list[n++] = cli_check(strdup("MAYFLY_DEBUG=1"));
    for (char **e = environ; *e; e++)
        list[n++] = *e; /* of two the first one counts */
    return list;
}

/* In the child. */
_noreturn_ static void zygote_exec(struct debugging *d, int control, int gateway)
{
    char *argv[WORDS_MAX];
    char **env = zygote_environment(d);

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGINT, SIG_DFL);
    zygote_words(d, argv);
    control = fcntl(control, F_DUPFD_CLOEXEC, 16); /* out of the way of the numbers they get */
    gateway = fcntl(gateway, F_DUPFD_CLOEXEC, 16);
    if (!argv[0] || control < 0 || gateway < 0 || dup2(control, FD_CONTROL) < 0 ||
        dup2(gateway, FD_CONTROL + 1) < 0 || chdir(api_string(d->launch, "directory")) < 0)
        _exit(126);
    (void)execve(argv[0], argv, env);
    (void)dprintf(STDERR_FILENO, "mayfly: %s: %s\n", argv[0], strerrordesc_np(errno));
    _exit(127);
}

static int send_start(struct debugging *d)
{
    static const struct sandbox_worker no_sandbox;
    struct buf sandbox = BUF_INIT(4096);
    struct wire_message m = {.type = WIRE_START};

    must(sandbox_worker_encode(&no_sandbox, &sandbox));
    m.start = (struct wire_start){.function = slice_str(d->function),
                                  .version = slice_str(api_string(d->launch, "version")),
                                  .handler = slice_str(api_string(d->launch, "handler")),
                                  .isolation = ISOLATION_REQUEST,
                                  .dev = 1,
                                  .timeout_ms = DAY_MS,
                                  .memory_bytes = api_number(d->launch, "memory_bytes"),
                                  .sandbox = buf_slice(&sandbox)};
    return wire_send(&d->control, &m);
}

static int zygote_start_one(struct debugging *d)
{
    int control[2], gateway[2], r = wire_pair(control);

    if (r == 0)
        r = wire_pair(gateway);
    if (r < 0)
        return r;
    r = os_clone(0, &d->zygote);
    if (r == 0)
        zygote_exec(d, control[1], gateway[1]);
    r = MIN(r, 0);
    (void)fd_close(control[1]);
    (void)fd_close(gateway[1]);
    if (r == 0)
        r = wire_init_consume(&d->control, control[0], WIRE_SUPERVISOR, WIRE_ZYGOTE);
    if (r == 0)
        r = wire_init_consume(&d->gateway, gateway[0], WIRE_GATEWAY, WIRE_ZYGOTE);
    return r == 0 ? send_start(d) : r;
}

/* ---- the worker ---- */

/* Its output is this terminal, and its input too, which it has from the zygote. */
static int worker_fork(struct debugging *d)
{
    struct wire_message m = {.type = WIRE_FORK, .n_fds = 3, .fork = {.worker = 1}};
    int fds[2], r = sock_pair(SOCK_STREAM, fds);

    if (r < 0)
        return r;
    d->socket = fds[0];
    m.fds[0] = fds[1];
    m.fds[1] = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    m.fds[2] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    m.fds[3] = -1;
    return wire_send(&d->gateway, &m);
}

static bool is_traced(pid_t pid)
{
    char path[64], line[256];
    int tracer = 0;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file)) {
        if (sscanf(line, "TracerPid: %d", &tracer) == 1)
            break;
    }
    if (file)
        (void)fclose(file);
    return tracer > 0;
}

static enum cli_exit debugger_start(struct debugging *d, const struct kind *kind, pid_t worker)
{
    const char *words[WORDS_MAX];
    int r;

    kind->words(d, worker, words);
    r = posix_spawnp(&d->debugger, words[0], NULL, NULL, (char **)(uintptr_t)words, environ);
    if (r != 0) {
        d->debugger = 0;
        return cli_fail(d->cli, CLI_FAILURE, cli_printf("apt-get install %s", words[0]), "%s: %s",
                        words[0], strerrordesc_np(r));
    }
    for (int i = 0; kind->attaches && i < ATTACH_TRIES && !is_traced(worker); i++)
        (void)usleep(ATTACH_WAIT_US);
    return CLI_OK;
}

static enum cli_exit on_worker(struct debugging *d, struct wire_message *m)
{
    const struct kind *kind = kind_of(d->runtime);
    struct slice request = buf_slice(&d->request);
    struct pidref process = PIDREF_NULL;
    pid_t parent;
    enum cli_exit code = CLI_OK;

    if (pidref_from_fd_take(take_fd(&m->fds[0]), &process, &parent) < 0)
        return CLI_OK; /* it has ended already, as reading tells */
    if (kind->words)
        code = debugger_start(d, kind, process.pid);
    pidref_done(&process);
    if (code == CLI_OK && send(d->socket, request.base, request.len, MSG_NOSIGNAL) < 0)
        return cli_fail(d->cli, CLI_FAILURE, NULL, "the worker takes no request: %s",
                        strerrordesc_np(errno));
    return code;
}

/* ---- what happens ---- */

static enum cli_exit lost(struct debugging *d)
{
    int status = 0;

    (void)waitpid(d->zygote.pid, &status, 0);
    pidref_done(&d->zygote);
    return cli_fail(d->cli, CLI_FUNCTION, NULL, "the function's process ended (%s %d)",
                    WIFSIGNALED(status) ? "signal" : "status",
                    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

static enum cli_exit on_control(struct debugging *d)
{
    struct wire_message m;
    enum cli_exit code = CLI_OK;
    int r = wire_recv(&d->control, &m);

    if (r == WIRE_E_AGAIN)
        return CLI_OK;
    if (r != WIRE_E_OK)
        return lost(d);
    if (m.type == WIRE_FAILED)
        code = cli_fail(d->cli, CLI_FUNCTION, NULL, "the function could not be loaded: %.*s",
                        SLICE_ARG(m.failed.error));
    else if (m.type == WIRE_READY && worker_fork(d) < 0)
        code = cli_fail(d->cli, CLI_FAILURE, NULL, "no worker could be started");
    wire_message_deinit(&m);
    return code;
}

static enum cli_exit on_gateway(struct debugging *d)
{
    struct wire_message m;
    enum cli_exit code = CLI_OK;
    int r = wire_recv(&d->gateway, &m);

    if (r == WIRE_E_AGAIN)
        return CLI_OK;
    if (r != WIRE_E_OK)
        return lost(d);
    if (m.type == WIRE_WORKER_STARTED)
        code = on_worker(d, &m);
    else if (m.type == WIRE_FORK_FAILED)
        code = cli_fail(d->cli, CLI_FAILURE, NULL, "no worker could be started: %s",
                        strerrordesc_np((int)m.fork_failed.error));
    wire_message_deinit(&m);
    return code;
}

/* Returns false at the answer's end. */
static bool read_answer(struct debugging *d)
{
    ssize_t n;

    must(buf_reserve(&d->answer, 65536));
    n = recv(d->socket, buf_tail(&d->answer), 65536, MSG_DONTWAIT);
    if (n > 0)
        buf_commit(&d->answer, (size_t)n);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static enum cli_exit run(struct debugging *d)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = d->control.fd, .events = POLLIN},
                               {.fd = d->gateway.fd, .events = POLLIN},
                               {.fd = d->socket, .events = POLLIN}};
        enum cli_exit code = CLI_OK;

        if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
            return cli_fail(d->cli, CLI_FAILURE, NULL, "poll: %s", strerrordesc_np(errno));
        if (fds[2].revents && !read_answer(d))
            return CLI_OK;
        if (fds[0].revents)
            code = on_control(d);
        if (code == CLI_OK && fds[1].revents)
            code = on_gateway(d);
        if (code != CLI_OK)
            return code;
    }
}

/* ---- all of it ---- */

static void print_answer(const struct debugging *d)
{
    struct slice answer = buf_slice(&d->answer);

    if (answer.len == 0) {
        cli_note(d->cli, "mayfly: there was no answer");
        return;
    }
    (void)fputs("\n", stdout);
    (void)fwrite(answer.base, 1, answer.len, stdout);
    (void)fputs("\n", stdout);
}

static enum cli_exit fetch(struct debugging *d, const struct client_peer *peer, const char *id)
{
    enum cli_exit code =
        api_get(d->cli, peer, api_path("/api/v1/records/", id, "/recording"), &d->recording);

    if (code != CLI_OK)
        return code;
    d->function = api_string(d->recording, "function");
    code =
        api_get(d->cli, peer, api_path("/api/v1/functions/", d->function, "/launch"), &d->launch);
    if (code != CLI_OK)
        return code;
    d->runtime = api_string(d->launch, "runtime");
    if (!kind_of(d->runtime))
        return cli_fail(d->cli, CLI_FAILURE, "replay it without --debug",
                        "functions of the runtime %s cannot be debugged like this", d->runtime);
    if (json_object_get(json_object_get(d->recording, "request"), "body_base64") ||
        json_is_true(json_object_get(json_object_get(d->recording, "request"), "cut")))
        return cli_fail(d->cli, CLI_FAILURE, NULL,
                        "the request's body was not recorded whole, or is no text");
    if (json_array_size(json_object_get(d->launch, "secrets")) > 0)
        cli_note(d->cli,
                 "mayfly: secrets of %s are not handed to a debugger; set them in your "
                 "environment if it needs them",
                 d->function);
    return CLI_OK;
}

static void end(struct debugging *d)
{
    if (d->zygote.pid > 0) {
        (void)pidref_kill(&d->zygote, SIGKILL);
        (void)waitpid(d->zygote.pid, NULL, 0);
        pidref_done(&d->zygote);
    }
    if (d->debugger > 0)
        (void)waitpid(d->debugger, NULL, 0);
    wire_deinit(&d->control);
    wire_deinit(&d->gateway);
    (void)fd_close(d->socket);
    buf_deinit(&d->request);
    buf_deinit(&d->answer);
    json_decref(d->recording);
    json_decref(d->launch);
}

enum cli_exit debug_request(const struct cli *cli, const struct client_peer *peer, const char *id)
{
    struct debugging d = {.cli = cli,
                          .control = {.fd = -1},
                          .gateway = {.fd = -1},
                          .zygote = PIDREF_NULL,
                          .socket = -1};
    enum cli_exit code;
    int r;

    list_init(&d.control.queue);
    list_init(&d.gateway.queue);
    buf_init(&d.request, REQUEST_MAX);
    buf_init(&d.answer, ANSWER_MAX);
    code = fetch(&d, peer, id);
    if (code == CLI_OK) {
        d.port = find_port();
        write_request(&d, id);
        cli_note(cli, "mayfly: %s outside of its sandbox, in this terminal. %s", d.function,
                 kind_of(d.runtime)->hint);
        (void)signal(SIGINT, SIG_IGN); /* it is the debugger's */
        r = zygote_start_one(&d);
        code = r < 0 ? cli_fail(cli, CLI_FAILURE, NULL, "%s", strerrordesc_np(-r)) : run(&d);
    }
    if (code == CLI_OK)
        print_answer(&d);
    end(&d);
    return code;
}
