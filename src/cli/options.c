/* Arguments by the table: getopt_long() does the reading. */

#include "cli/cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

const char *cli_next_value(const struct cli *cli, const char *name, unsigned *i)
{
    while (*i < cli->n_given) {
        unsigned at = (*i)++;

        if (strcmp(cli->given[at].option->name, name) == 0) {
            return cli->given[at].value;
        }
    }
    return NULL;
}

const char *cli_value(const struct cli *cli, const char *name)
{
    const char *last = NULL, *value;
    unsigned i = 0;

    while ((value = cli_next_value(cli, name, &i))) {
        last = value;
    }
    return last;
}

/* The tables that getopt_long() wants. A long option's value is its place + 1000. */
#define LONG_BASE 1000

static void getopt_tables(const struct cli_command *command, struct option *long_options,
                          char *letters)
{
    const struct cli_option *option;

    *letters++ = ':'; /* tell a missing value from an unknown option, and be silent */
    for (size_t i = 0; (option = cli_option_at(command, i)); i++) {
        assert(i < CLI_OPTIONS_MAX);
        long_options[i] = (struct option){.name = option->name,
                                          .has_arg = option->arg ? required_argument : no_argument,
                                          .val = LONG_BASE + (int)i};
        if (option->letter) {
            *letters++ = option->letter;
            if (option->arg) {
                *letters++ = ':';
            }
        }
    }
    *letters = '\0';
}

/* The option's place in the list, or -1. */
static int option_place(const struct cli_command *command, int c)
{
    const struct cli_option *option;

    if (c >= LONG_BASE) {
        return c - LONG_BASE;
    }
    for (size_t i = 0; (option = cli_option_at(command, i)); i++) {
        if (option->letter && option->letter == c) {
            return (int)i;
        }
    }
    return -1;
}

/* Whether to use colours on a stream: --color, NO_COLOR, FORCE_COLOR, a dumb terminal. */
static bool wants_color(const char *when, int fd)
{
    const char *no_color = getenv("NO_COLOR");
    const char *force = getenv("FORCE_COLOR");
    const char *term = getenv("TERM");

    if (when && strcmp(when, "auto") != 0) {
        return strcmp(when, "always") == 0;
    }
    if (no_color && *no_color) {
        return false;
    }
    if (force && *force && strcmp(force, "0") != 0) {
        return true;
    }
    return isatty(fd) && term && strcmp(term, "dumb") != 0;
}

static bool choice_is_valid(const struct cli_option *option, const char *value)
{
    size_t len = strlen(value);

    for (const char *p = option->choices; p && *p;) {
        size_t word = strcspn(p, " ");

        if (word == len && memcmp(p, value, len) == 0) {
            return true;
        }
        p += word + (p[word] == ' ');
    }
    return option->choices == NULL;
}

static enum cli_exit usage_fail(const struct cli *cli, const char *what, const char *which)
{
    _cleanup_free_ char *hint = cli_printf("see `mayfly help %s`", cli->command->name);

    return cli_fail(cli, CLI_USAGE, hint, "%s: %s", what, which);
}

/* Takes one option that getopt_long() has found. */
static enum cli_exit take_option(struct cli *cli, int c, const char *word)
{
    const struct cli_option *option;

    if (c == '?') {
        return usage_fail(cli, "no such option", word);
    }
    if (c == ':') {
        return usage_fail(cli, "a value is missing behind", word);
    }
    option = cli_option_at(cli->command, (size_t)option_place(cli->command, c));
    if (option->arg && !choice_is_valid(option, optarg)) {
        _cleanup_free_ char *which =
            cli_printf("--%s %s (one of: %s)", option->name, optarg, option->choices);

        return usage_fail(cli, "no such choice", which);
    }
    if (cli->n_given == CLI_GIVEN_MAX) {
        return usage_fail(cli, "too many options", word);
    }
    cli->given[cli->n_given].option = option;
    cli->given[cli->n_given++].value = option->arg ? optarg : "";
    return CLI_OK;
}

enum cli_exit cli_parse(struct cli *cli, int argc, char **argv, bool *ret_help)
{
    struct option long_options[CLI_OPTIONS_MAX + 1] = {0};
    char letters[2 * CLI_OPTIONS_MAX + 2];
    enum cli_exit code;
    int c;

    getopt_tables(cli->command, long_options, letters);
    for (int i = 1; i < argc; i++) { /* known early, so that a complaint can be JSON, too */
        cli->json = cli->json || strcmp(argv[i], "--json") == 0;
    }
    optind = 1;
    while ((c = getopt_long(argc, argv, letters, long_options, NULL)) != -1) {
        code = take_option(cli, c, argv[optind - 1]);
        if (code != CLI_OK) {
            return code;
        }
    }
    cli->json = cli_flag(cli, "json");
    cli->color_out = wants_color(cli_value(cli, "color"), STDOUT_FILENO);
    cli->color_err = wants_color(cli_value(cli, "color"), STDERR_FILENO);
    *ret_help = cli_flag(cli, "help");
    if (*ret_help) {
        return CLI_OK;
    }
    for (; optind < argc && cli->n_operands < CLI_OPERANDS_MAX; optind++) {
        cli->operands[cli->n_operands++] = argv[optind];
    }
    if (cli->n_operands < cli->command->n_operands_min) {
        return usage_fail(cli, "missing", cli->command->operands);
    }
    if (optind < argc || cli->n_operands > cli->command->n_operands_max) {
        return usage_fail(cli, "too many arguments", cli->operands[cli->command->n_operands_max]);
    }
    return CLI_OK;
}
