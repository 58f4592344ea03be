/* mayfly serve and mayfly dev: check what was asked for, prepare the state folder, and become the
 * supervisor. The CLI binds nothing and stays nobody's parent. */

#include "cli/cli.h"
#include "cli/paths.h"

#include "base/parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARGV_MAX 160
#define ENV_MAX  60

#define ADMIN_LISTEN "127.0.0.1:8081"
#define HOSTS_MAX    16 /* names of the admin listener */

struct serve {
    const struct cli *cli;
    bool dev;
    char *project; /* absolute, without symbolic links */
    char *state;   /* absolute */
    char *listen;  /* ADDR:PORT */
    struct paths_home home;
    const char *argv[ARGV_MAX];
    unsigned argc;
};

static void add(struct serve *s, const char *name, const char *value)
{
    assert(s->argc + 3 < ARGV_MAX);
    s->argv[s->argc++] = name;
    if (value) {
        s->argv[s->argc++] = value;
    }
}

/* "8080", ":8080", "localhost:8080", "127.0.0.1:8080", "[::1]:8080" as ADDR:PORT. NULL for anything
 * else; names are not looked up. */
static char *listen_address(const char *text)
{
    const char *colon = strrchr(text, ':');
    const char *port = colon ? colon + 1 : text;
    size_t len = colon ? (size_t)(colon - text) : 0;
    char address[INET6_ADDRSTRLEN + 2];
    unsigned char binary[sizeof(struct in6_addr)];
    uint64_t number;

    if (parse_u64(slice_str(port), 65535, &number) < 0 || len >= sizeof address) {
        return NULL;
    }
    memcpy(address, text, len);
    address[len] = '\0';
    if (!colon || strcmp(address, "localhost") == 0) {
        return cli_printf("127.0.0.1:%u", (unsigned)number);
    }
    if (len == 0) {
        return cli_printf("0.0.0.0:%u", (unsigned)number);
    }
    if (address[0] == '[' && address[len - 1] == ']') {
        address[len - 1] = '\0';
        return inet_pton(AF_INET6, address + 1, binary) == 1
                   ? cli_printf("[%s]:%u", address + 1, (unsigned)number)
                   : NULL;
    }
    return inet_pton(AF_INET, address, binary) == 1 ? cli_printf("%s:%u", address, (unsigned)number)
                                                    : NULL;
}

/* Adds the options that are numbers, in the unit in which the supervisor wants them. */
static enum cli_exit add_numbers(struct serve *s)
{
    static const struct {
        const char *name, *option;
        enum { COUNT, TIME, BYTES } unit;
        const char *example;
        uint64_t min, max;
    } numbers[] = {
        {"workers-max", "--workers-max", COUNT, "100", 1, 100000},
        {"drain-timeout", "--drain-timeout", TIME, "30s", 0, 3600 * 1000},
        {"line-max", "--line-max", BYTES, "8K", 64, 1 << 20},
        {"head-max", "--head-max", BYTES, "32K", 128, 1 << 20},
        {"body-max", "--body-max", BYTES, "100M", 0, 1ULL << 40},
        {"head-timeout", "--head-timeout", TIME, "10s", 1, 3600 * 1000},
        {"idle-timeout", "--idle-timeout", TIME, "60s", 1, 3600 * 1000},
        {"body-timeout", "--body-timeout", TIME, "5s", 1, 3600 * 1000},
        {"write-timeout", "--write-timeout", TIME, "30s", 1, 3600 * 1000},
    };

    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        const char *text = cli_value(s->cli, numbers[i].name);
        uint64_t value = 0;
        int r = 0;

        if (!text) {
            continue;
        }
        switch (numbers[i].unit) {
        case COUNT:
            r = parse_u64(slice_str(text), UINT64_MAX, &value);
            break;
        case TIME:
            r = parse_duration_ms(slice_str(text), &value);
            break;
        case BYTES:
            r = parse_bytes(slice_str(text), &value);
            break;
        }
        if (r < 0 || value < numbers[i].min || value > numbers[i].max) {
            _cleanup_free_ char *hint = cli_printf("write it like %s", numbers[i].example);

            return cli_fail(s->cli, CLI_USAGE, hint, "%s %s: %s", numbers[i].option, text,
                            r == -EINVAL ? "not understood" : "out of range");
        }
        add(s, numbers[i].option,
            cli_printf("%llu%s", (unsigned long long)value, numbers[i].unit == TIME ? "ms" : ""));
    }
    return CLI_OK;
}

static enum cli_exit add_environment(struct serve *s)
{
    const char *entry;
    unsigned i = 0, n = 0;

    while ((entry = cli_next_value(s->cli, "env", &i))) {
        size_t len = strcspn(entry, "=");

        if (len == 0 || strcspn(entry, " \t\n") < len || (entry[0] >= '0' && entry[0] <= '9')) {
            return cli_fail(s->cli, CLI_USAGE, "write it like GREETING=hello",
                            "--env %s: not the name of a variable", entry);
        }
        if (n++ == ENV_MAX) {
            return cli_fail(s->cli, CLI_USAGE, "put the rest into mayfly.json",
                            "--env %s: more than %d", entry, ENV_MAX);
        }
        add(s, "--env", entry);
    }
    return CLI_OK;
}

/* A name or an address, without a port, as it stands in a Host header; no wildcards. */
static bool is_host(struct slice name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
    unsigned char binary[sizeof(struct in6_addr)];
    char text[256];

    if (name.len == 0 || name.len >= sizeof text) {
        return false;
    }
    memcpy(text, name.base, name.len);
    text[name.len] = '\0';
    if (text[0] == '[' && text[name.len - 1] == ']') {
        text[name.len - 1] = '\0';
        return inet_pton(AF_INET6, text + 1, binary) == 1;
    }
    return strspn(text, allowed) == name.len;
}

/* The names, each given alone or some with commas between, as one list. */
static enum cli_exit add_admin_hosts(struct serve *s)
{
    struct buf list = BUF_INIT(8192);
    const char *given;
    unsigned i = 0, n = 0;

    while ((given = cli_next_value(s->cli, "admin-host", &i))) {
        struct slice rest = slice_str(given);

        do {
            struct slice name = slice_cut(&rest, ',');

            if (!is_host(name) || n == HOSTS_MAX) {
                buf_deinit(&list);
                return cli_fail(s->cli, CLI_USAGE, "write it like admin.example.org",
                                "--admin-host %s: %s", given,
                                n == HOSTS_MAX ? "too many names" : "not the name of a host");
            }
            if (buf_printf(&list, "%s%.*s", n++ > 0 ? "," : "", SLICE_ARG(name)) < 0) {
                cli_no_memory();
            }
        } while (rest.len > 0);
    }
    if (n > 0) {
        add(s, "--admin-hosts", cli_check(strdup(buf_cstr(&list))));
    }
    buf_deinit(&list);
    return CLI_OK;
}

static enum cli_exit add_admin(struct serve *s)
{
    const char *given = cli_value(s->cli, "admin-listen");
    char *address;

    if (given && strcmp(given, "off") == 0) {
        return CLI_OK;
    }
    address = listen_address(given ? given : ADMIN_LISTEN);
    if (!address) {
        return cli_fail(s->cli, CLI_USAGE, "write it like " ADMIN_LISTEN ", 8081 or off",
                        "--admin-listen %s: not an address and a port", given);
    }
    add(s, "--admin-listen", address);
    return add_admin_hosts(s);
}

static enum cli_exit find_project(struct serve *s)
{
    const char *given = s->cli->n_operands ? s->cli->operands[0] : ".";
    char path[PATH_MAX];
    struct stat st;

    if (!realpath(given, path) || stat(path, &st) < 0) {
        return cli_fail(s->cli, errno == ENOENT ? CLI_NOT_FOUND : CLI_FAILURE,
                        "`mayfly init DIR --lang python` starts a new one", "project %s: %s", given,
                        strerror(errno));
    }
    if (!S_ISDIR(st.st_mode)) {
        return cli_fail(s->cli, CLI_USAGE, "name the folder in which it is",
                        "project %s: not a folder", given);
    }
    s->project = cli_printf("%s", path);
    return CLI_OK;
}

static enum cli_exit prepare_state(struct serve *s)
{
    const char *given = s->dev ? NULL : cli_value(s->cli, "state");
    struct error err = ERROR_NULL;
    char path[PATH_MAX];
    int r;

    if (s->dev) {
        r = paths_state_temporary(&s->state, &err);
    } else {
        s->state = given ? cli_printf("%s", given) : paths_state_default(s->project);
        r = paths_make_folders(s->state, 0700, &err);
    }
    if (r < 0) {
        return cli_fail(s->cli, r == -EACCES || r == -EPERM ? CLI_AUTH : CLI_FAILURE,
                        "choose another state folder with --state", "%s", err.text);
    }
    if (!realpath(s->state, path)) {
        return cli_fail(s->cli, CLI_FAILURE, NULL, "state %s: %s", s->state, strerror(errno));
    }
    free(s->state);
    s->state = cli_printf("%s", path);
    if (strlen(s->state) > PATHS_STATE_MAX) {
        return cli_fail(s->cli, CLI_FAILURE,
                        s->dev ? "set TMPDIR to a shorter folder"
                               : "choose a shorter one with --state",
                        "the name of the state folder is too long for a socket in it "
                        "(%zu bytes, at most %zu): %s",
                        strlen(s->state), PATHS_STATE_MAX, s->state);
    }
    if (paths_daemon_is_live(s->state)) {
        return cli_fail(s->cli, CLI_CONFLICT, "stop that one, or choose another --state",
                        "a daemon runs already on the state folder %s", s->state);
    }
    return CLI_OK;
}

static enum cli_exit become_supervisor(struct serve *s)
{
    _cleanup_free_ char *program = cli_printf("%s/mayfly-supervisor", s->home.libexec);
    struct error err = ERROR_NULL;

    if (paths_note_daemon(getpid(), s->state, &err) < 0) {
        cli_note(s->cli, "mayfly: %s; `mayfly ps` needs --state %s", err.text, s->state);
    }
    (void)fflush(stdout);
    (void)signal(SIGPIPE, SIG_DFL); /* functions inherit what is ignored */
    (void)execv(program, (char *const *)s->argv);
    if (s->dev) {
        (void)rmdir(s->state);
    }
    return cli_fail(s->cli, CLI_FAILURE, "is mayfly installed completely?", "%s: %s", program,
                    strerror(errno));
}

/* Where to, and whether this build can at all. */
static enum cli_exit check_otlp(const struct serve *s)
{
    _cleanup_free_ char *program = NULL;
    const char *url = cli_value(s->cli, "otlp");
    size_t scheme = !url                               ? 0
                    : strncmp(url, "http://", 7) == 0  ? 7
                    : strncmp(url, "https://", 8) == 0 ? 8
                                                       : 0;

    if (url && (scheme == 0 || strcspn(url + scheme, "/ ") == 0 || strpbrk(url, " \t\r\n") ||
                memchr(url + scheme, '@', strcspn(url + scheme, "/")))) {
        return cli_fail(s->cli, CLI_USAGE,
                        "write it like http://127.0.0.1:4318; tokens go into "
                        "OTEL_EXPORTER_OTLP_HEADERS",
                        "--otlp %s: not the address of a collector", url);
    }
    program = cli_printf("%s/mayfly-otlp", s->home.libexec);
    if (url && access(program, X_OK) < 0) {
        return cli_fail(s->cli, CLI_FAILURE,
                        "build mayfly where libcurl is (Debian: libcurl4-openssl-dev)",
                        "--otlp: this build has no %s", program);
    }
    return CLI_OK;
}

static enum cli_exit serve(struct cli *cli, bool dev)
{
    struct serve s = {.cli = cli, .dev = dev};
    const char *listen = cli_value(cli, "listen");
    struct error err = ERROR_NULL;
    enum cli_exit code;

    s.listen = listen_address(listen ? listen : "127.0.0.1:8080");
    if (!s.listen) {
        return cli_fail(cli, CLI_USAGE, "write it like 127.0.0.1:8080, [::1]:8080 or 8080",
                        "--listen %s: not an address and a port", listen);
    }
    add(&s, "mayfly-supervisor", NULL);
    code = add_numbers(&s);
    if (code == CLI_OK) {
        code = add_environment(&s);
    }
    if (code == CLI_OK) {
        code = add_admin(&s);
    }
    if (code == CLI_OK) {
        code = find_project(&s);
    }
    if (code != CLI_OK) {
        return code;
    }
    if (paths_home(&s.home, &err) < 0) {
        return cli_fail(cli, CLI_FAILURE, "install mayfly completely, or set MAYFLY_HOME", "%s",
                        err.text);
    }
    code = check_otlp(&s);
    if (code == CLI_OK) {
        code = prepare_state(&s);
    }
    if (code != CLI_OK) {
        return code;
    }
    add(&s, "--project", s.project);
    add(&s, "--state", s.state);
    if (dev || !cli_value(cli, "state")) { /* where `mayfly secret` finds them by the project */
        add(&s, "--secrets", paths_state_default(s.project));
    }
    add(&s, "--listen", s.listen);
    add(&s, "--libexec", s.home.libexec);
    add(&s, "--lib", s.home.lib);
    if (dev) {
        add(&s, "--dev", NULL);
        add(&s, "--state-temporary", NULL);
    }
    if (cli_flag(cli, "allow-degraded")) {
        add(&s, "--allow-degraded", NULL);
    }
    if (cli_value(cli, "otlp")) {
        add(&s, "--otlp", cli_value(cli, "otlp"));
    }
    if (cli->color_out) {
        add(&s, "--color", NULL);
    }
    return become_supervisor(&s);
}

enum cli_exit command_serve(struct cli *cli)
{
    return serve(cli, false);
}

enum cli_exit command_dev(struct cli *cli)
{
    return serve(cli, true);
}
