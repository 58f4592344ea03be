/* mayfly secret: keeps values that mayfly.json only names. It works on the state folder itself, so
 * no daemon need run; one that runs watches the folder. A value is never an argument: those are for
 * everybody to see. */

#include "cli/cli.h"
#include "cli/output.h"
#include "cli/paths.h"
#include "cli/prompt.h"

#include "base/clock.h"
#include "secrets/secrets.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- which secrets ---- */

static bool is_project(const char *folder)
{
    _cleanup_free_ char *config = cli_printf("%s/mayfly.json", folder);
    _cleanup_free_ char *api = cli_printf("%s/api", folder);

    return access(config, F_OK) == 0 || access(api, F_OK) == 0;
}

/* The state folder that was named, or the one that the project's daemon uses when none is. */
static enum cli_exit find_state(const struct cli *cli, char **ret)
{
    const char *state = cli_value(cli, "state"), *project = cli_value(cli, "project");
    const char *from_env = getenv("MAYFLY_STATE");
    char path[PATH_MAX];

    if (state && project) {
        return cli_fail(cli, CLI_USAGE, "give one of them", "--state and --project");
    }
    if (!state && !project && from_env && *from_env) {
        state = from_env;
    }
    if (state) {
        *ret = cli_printf("%s", state);
        return CLI_OK;
    }
    if (!realpath(project ? project : ".", path)) {
        return cli_fail(cli, CLI_NOT_FOUND, NULL, "project %s: %s", project ? project : ".",
                        strerror(errno));
    }
    if (!is_project(path)) {
        return cli_fail(cli, CLI_NOT_FOUND,
                        "go to the project's folder, or name it with --project, or the daemon's "
                        "state folder with --state",
                        "%s has neither a mayfly.json nor an api/: whose secrets?", path);
    }
    *ret = paths_state_default(path);
    return CLI_OK;
}

static enum cli_exit fail(const struct cli *cli, int r, const struct error *err)
{
    static const struct {
        int error;
        enum cli_exit code;
    } codes[] = {
        {-ENOENT, CLI_NOT_FOUND}, {-EINVAL, CLI_USAGE},    {-EPERM, CLI_AUTH},
        {-EACCES, CLI_AUTH},      {-ENOSPC, CLI_CONFLICT}, {-EKEYREJECTED, CLI_CONFLICT},
        {-ENOKEY, CLI_CONFLICT},
    };

    for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
        if (codes[i].error == r) {
            return cli_fail(cli, codes[i].code, NULL, "%s", err->text);
        }
    }
    return cli_fail(cli, CLI_FAILURE, NULL, "%s", err->text);
}

/* ---- set ---- */

static void wipe(struct buf *b)
{
    if (b->data) {
        explicit_bzero(b->data, b->cap);
    }
    buf_deinit(b);
}

/* Where a buffer that grows would leave copies behind. */
static struct buf value_buf(void)
{
    struct buf b = BUF_INIT(SECRET_VALUE_MAX + 3);

    if (buf_reserve(&b, SECRET_VALUE_MAX + 3) < 0) {
        cli_no_memory();
    }
    return b;
}

static int read_stdin(struct buf *b)
{
    for (;;) {
        ssize_t n = read(STDIN_FILENO, buf_tail(b), buf_room(b));

        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        if (n == 0) {
            break;
        }
        buf_commit(b, n > 0 ? (size_t)n : 0);
        if (buf_room(b) == 0) {
            return -EFBIG;
        }
    }
    /* The line end is the shell's, or the editor's. */
    if (buf_len(b) > 0 && b->data[b->end - 1] == '\n') {
        b->end--;
    }
    if (buf_len(b) > 0 && b->data[b->end - 1] == '\r') {
        b->end--;
    }
    return 0;
}

static enum cli_exit ask(const struct cli *cli, const char *name, struct buf *value)
{
    _cleanup_free_ char *first = cli_printf("Value of %s (not shown): ", name);
    _cleanup_(wipe) struct buf again = value_buf();
    int r = prompt_hidden(STDIN_FILENO, first, value);

    if (r == 0) {
        r = prompt_hidden(STDIN_FILENO, "The same again: ", &again);
    }
    if (r == -ECANCELED) {
        return cli_fail(cli, CLI_FAILURE, NULL, "nothing was set");
    }
    if (r < 0) {
        return cli_fail(cli, CLI_FAILURE, NULL, "the terminal: %s", strerror(-r));
    }
    if (!slice_eq(buf_slice(value), buf_slice(&again))) {
        return cli_fail(cli, CLI_USAGE, "nothing was set; try again",
                        "the two values are not the same");
    }
    return CLI_OK;
}

static enum cli_exit read_value(const struct cli *cli, const char *name, struct buf *value)
{
    int r;

    if (isatty(STDIN_FILENO)) {
        return ask(cli, name, value);
    }
    r = read_stdin(value);
    if (r == -EFBIG) {
        return cli_fail(cli, CLI_USAGE, NULL, "the value is larger than %d bytes",
                        SECRET_VALUE_MAX);
    }
    return r < 0 ? cli_fail(cli, CLI_FAILURE, NULL, "stdin: %s", strerror(-r)) : CLI_OK;
}

static enum cli_exit say_done(const struct cli *cli, const char *name, const char *done,
                              const char *state)
{
    bool live = paths_daemon_is_live(state);
    struct json_out o;

    if (!cli->json) {
        cli_note(cli, "%s is %s%s", name, done, live ? "; the running daemon takes it over" : "");
        return CLI_OK;
    }
    json_out_begin(&o);
    jsonw_object_begin(&o.w);
    json_pair(&o.w, "secret", name);
    json_pair(&o.w, "done", done);
    json_pair(&o.w, "state", state);
    jsonw_object_end(&o.w);
    json_out_end(&o);
    return CLI_OK;
}

static enum cli_exit secret_set(struct cli *cli, const char *state, struct secrets *s)
{
    _cleanup_(wipe) struct buf value = value_buf();
    const char *name = cli->operands[1];
    struct error err = ERROR_NULL;
    enum cli_exit code;
    int r;

    if (!secret_name_is_valid(slice_str(name))) {
        return cli_fail(cli, CLI_USAGE, NULL,
                        "%s: the name of a secret has letters, digits and \"_.-\", at most %d, "
                        "and does not begin with '.' or '-'",
                        name, SECRET_NAME_MAX);
    }
    code = read_value(cli, name, &value);
    if (code != CLI_OK) {
        return code;
    }
    r = paths_make_folders(state, 0700, &err);
    if (r == 0) {
        r = secrets_set(s, name, buf_slice(&value), &err);
    }
    if (r < 0) {
        return fail(cli, r, &err);
    }
    if (buf_len(&value) < SECRET_REDACTED_MIN) {
        cli_note(cli, "mayfly: a value of fewer than %d bytes is not taken out of logs",
                 SECRET_REDACTED_MIN);
    }
    return say_done(cli, name, "set", state);
}

/* ---- rm, ls ---- */

static enum cli_exit secret_rm(struct cli *cli, const char *state, struct secrets *s)
{
    struct error err = ERROR_NULL;
    int r = secrets_remove(s, cli->operands[1], &err);

    return r < 0 ? fail(cli, r, &err) : say_done(cli, cli->operands[1], "removed", state);
}

static void list_json(const char *state, const struct secret_info *infos, size_t n)
{
    struct json_out o;

    json_out_begin(&o);
    jsonw_object_begin(&o.w);
    json_pair(&o.w, "state", state);
    jsonw_key(&o.w, "secrets");
    jsonw_array_begin(&o.w);
    for (size_t i = 0; i < n; i++) {
        char iso[CLOCK_ISO_SIZE];

        jsonw_object_begin(&o.w);
        json_pair(&o.w, "name", infos[i].name);
        json_pair(&o.w, "set",
                  clock_iso((uint64_t)infos[i].set.tv_sec * US_PER_S +
                                (uint64_t)infos[i].set.tv_nsec / 1000,
                            iso));
        jsonw_object_end(&o.w);
    }
    jsonw_array_end(&o.w);
    jsonw_object_end(&o.w);
    json_out_end(&o);
}

static enum cli_exit secret_ls(struct cli *cli, const char *state, struct secrets *s)
{
    _cleanup_free_ struct secret_info *infos = NULL;
    struct error err = ERROR_NULL;
    size_t n = 0;
    int r = secrets_list(s, &infos, &n, &err);

    if (r < 0) {
        return fail(cli, r, &err);
    }
    if (cli->json) {
        list_json(state, infos, n);
        return CLI_OK;
    }
    if (n == 0 && !cli_flag(cli, "names")) {
        cli_note(cli, "no secret is set in %s", state);
    }
    for (size_t i = 0; i < n; i++) {
        char when[32] = "";
        struct tm tm;

        if (cli_flag(cli, "names")) {
            (void)printf("%s\n", infos[i].name);
            continue;
        }
        if (localtime_r(&infos[i].set.tv_sec, &tm)) {
            (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm);
        }
        (void)printf("%-32s %s\n", infos[i].name, when);
    }
    return CLI_OK;
}

/* ---- all ---- */

enum cli_exit command_secret(struct cli *cli)
{
    static const struct {
        const char *name;
        unsigned n_operands;
        enum cli_exit (*run)(struct cli *cli, const char *state, struct secrets *s);
    } verbs[] = {{"set", 2, secret_set}, {"ls", 1, secret_ls}, {"rm", 2, secret_rm}};
    _cleanup_free_ char *state = NULL;
    struct error err = ERROR_NULL;
    struct secrets *s;
    enum cli_exit code;
    size_t i = 0;
    int r;

    while (i < ARRAY_SIZE(verbs) && strcmp(verbs[i].name, cli->operands[0]) != 0) {
        i++;
    }
    if (i == ARRAY_SIZE(verbs)) {
        return cli_fail(cli, CLI_USAGE, "there are set, ls and rm", "no such action: %s",
                        cli->operands[0]);
    }
    if (cli->n_operands != verbs[i].n_operands) {
        return cli_fail(cli, CLI_USAGE, "see `mayfly help secret`",
                        verbs[i].n_operands == 2 ? "%s: the secret's name is missing"
                                                 : "%s takes no name",
                        verbs[i].name);
    }
    code = find_state(cli, &state);
    if (code != CLI_OK) {
        return code;
    }
    /* Neither a core nor a debugger of the same user sees values. */
    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    r = secrets_open(state, getenv("CREDENTIALS_DIRECTORY"), &s, &err);
    if (r < 0) {
        return fail(cli, r, &err);
    }
    code = verbs[i].run(cli, state, s);
    (void)secrets_close(s);
    return code;
}
