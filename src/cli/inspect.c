/* mayfly inspect: what the daemon serves; without one, what it would make of a folder. */

#include "cli/api.h"
#include "cli/output.h"
#include "cli/paths.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* Becomes mayfly-control, which alone knows how to read a project. */
static enum cli_exit check_project(const struct cli *cli, const char *given)
{
    const char *name = cli->n_operands ? cli->operands[0] : NULL;
    struct error err = ERROR_NULL;
    struct paths_home home;
    const char *argv[16];
    unsigned argc = 0;
    char project[PATH_MAX];
    char *program;

    if (!realpath(given, project)) {
        return cli_fail(cli, CLI_NOT_FOUND, NULL, "project %s: %s", given, strerror(errno));
    }
    if (paths_home(&home, &err) < 0) {
        return cli_fail(cli, CLI_FAILURE, "install mayfly completely, or set MAYFLY_HOME", "%s",
                        err.text);
    }
    program = cli_printf("%s/mayfly-control", home.libexec);
    argv[argc++] = "mayfly-control";
    argv[argc++] = "--check";
    argv[argc++] = "--project";
    argv[argc++] = project;
    argv[argc++] = "--lib";
    argv[argc++] = home.lib;
    if (cli->json) {
        argv[argc++] = "--json";
    }
    if (cli_flag(cli, "names")) {
        argv[argc++] = "--names";
    }
    if (name) {
        argv[argc++] = "--function";
        argv[argc++] = name;
    }
    argv[argc] = NULL;
    (void)signal(SIGPIPE, SIG_DFL);
    (void)execv(program, (char *const *)argv);
    return cli_fail(cli, CLI_FAILURE, "is mayfly installed completely?", "%s: %s", program,
                    strerror(errno));
}

/* How many processes of a kind a function has. */
static unsigned count(const json_t *processes, const char *function, const char *kind)
{
    json_t *process;
    unsigned n = 0;
    size_t i;

    json_array_foreach(processes, i, process)
    {
        n += strcmp(api_string(process, "function"), function) == 0 &&
             strcmp(api_string(process, "kind"), kind) == 0;
    }
    return n;
}

/* Its interpreter, its packages: for one that was asked for by its name. */
static void print_about(const json_t *function)
{
    json_t *item;
    size_t i;

    json_array_foreach(json_object_get(function, "about"), i, item)
    {
        (void)fputs("  ", stdout);
        text_quoted(stdout, slice_str(json_string_value(item)));
        (void)fputc('\n', stdout);
    }
}

static void print_functions(const struct cli *cli, json_t *functions, const json_t *processes)
{
    json_t *function;
    size_t i;

    if (!cli_flag(cli, "names")) {
        (void)printf("%s%-28s %-16s %-9s %-9s %7s %8s %7s%s\n", color(cli->color_out, COLOR_BOLD),
                     "FUNCTION", "VERSION", "RUNTIME", "ISOLATION", "ZYGOTES", "STANDBYS",
                     "WORKERS", color(cli->color_out, COLOR_NONE));
    }
    json_array_foreach(functions, i, function)
    {
        const char *name = api_plain(function, "name");

        if (cli_flag(cli, "names")) {
            (void)printf("%.64s\n", name);
            continue;
        }
        (void)printf("%-28.64s %-16.16s %-9.16s %-9.16s %7u %8u %7u\n", name,
                     api_plain(function, "version"), api_plain(function, "runtime"),
                     api_plain(function, "isolation"), count(processes, name, "zygote"),
                     count(processes, name, "standby"), count(processes, name, "worker"));
        if (cli->n_operands) {
            print_about(function);
        }
    }
}

/* Only the function that was asked for. Returns whether there is one. */
static bool keep_only(json_t *functions, const char *name)
{
    for (size_t i = json_array_size(functions); i-- > 0;) {
        if (strcmp(api_string(json_array_get(functions, i), "name"), name) != 0) {
            (void)json_array_remove(functions, i);
        }
    }
    return json_array_size(functions) > 0;
}

enum cli_exit command_inspect(struct cli *cli)
{
    const char *project = cli_value(cli, "project");
    const char *name = cli->n_operands ? cli->operands[0] : NULL;
    struct client_peer peer = {0};
    json_t *answer = NULL;
    json_t *functions;
    enum cli_exit code = project ? CLI_OK : api_look_for(cli, &peer);

    if (code != CLI_OK) {
        return code;
    }
    if (!peer.state && !peer.host) {
        return check_project(cli, project ? project : ".");
    }
    code = api_get(cli, &peer, "/api/v1/ps", &answer);
    if (code != CLI_OK) {
        return code;
    }
    functions = json_object_get(answer, "functions");
    if (name && !keep_only(functions, name)) {
        return cli_fail(cli, CLI_NOT_FOUND, "`mayfly inspect` lists them", "no function %s", name);
    }
    if (cli->json) {
        (void)json_object_del(answer, "processes");
        api_print(answer);
    } else {
        print_functions(cli, functions, json_object_get(answer, "processes"));
    }
    json_decref(answer);
    return CLI_OK;
}
