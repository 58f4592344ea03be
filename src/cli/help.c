/* --help, the manual pages and the tree of commands as JSON: all from the table. */

#include "cli/cli.h"
#include "cli/output.h"

#include <string.h>

static const char intro[] =
    "mayfly runs serverless functions, each request in a process of its own that is\n"
    "forked from one in which the function is already loaded.\n";

static const char *const environment[][2] = {
    {"MAYFLY_STATE", "state folder of the daemon to talk to, as --state"},
    {"MAYFLY_URL", "address of its admin listener instead, as --url"},
    {"MAYFLY_TOKEN", "what it lets in there; `mayfly token create` makes one"},
    {"MAYFLY_HOME", "folder with libexec/ and lib/, if they are not beside the program"},
    {"MAYFLY_LOG", "what the daemon tells: error, warning, info or debug"},
    {"NO_COLOR", "no colours if it is not empty; FORCE_COLOR is the opposite"},
};

static void write_usage(FILE *to, const struct cli_command *command)
{
    (void)fprintf(to, "usage: mayfly %s [OPTIONS]%s%s\n", command->name,
                  *command->operands ? " " : "", command->operands);
}

/* "-l, --listen ADDR:PORT" */
static int option_head(char *dst, size_t size, const struct cli_option *option)
{
    char letter[5] = "    ";

    if (option->letter) {
        (void)snprintf(letter, sizeof letter, "-%c, ", option->letter);
    }
    return snprintf(dst, size, "%s--%s%s%s", letter, option->name, option->arg ? " " : "",
                    option->arg ? option->arg : "");
}

static void write_options(FILE *to, const struct cli_command *command)
{
    const struct cli_option *option;

    for (size_t i = 0; (option = cli_option_at(command, i)); i++) {
        char head[64];

        (void)option_head(head, sizeof head, option);
        (void)fprintf(to, "  %-25s %s\n", head, option->text);
    }
}

void help_write_command(FILE *to, const struct cli_command *command)
{
    write_usage(to, command);
    (void)fprintf(to, "\n%s\noptions:\n", command->text);
    write_options(to, command);
}

void help_write_all(FILE *to)
{
    (void)fprintf(to, "usage: mayfly COMMAND [OPTIONS] ...\n\n%s\ncommands:\n", intro);
    for (size_t i = 0; i < n_cli_commands; i++) {
        (void)fprintf(to, "  %-12s %s\n", cli_commands[i].name, cli_commands[i].summary);
    }
    (void)fputs("\nexit status:\n", to);
    for (int i = 0; i < _CLI_EXIT_MAX; i++) {
        (void)fprintf(to, "  %-12d %s\n", i, cli_exit_infos[i].text);
    }
    (void)fputs("\nenvironment:\n", to);
    for (size_t i = 0; i < ARRAY_SIZE(environment); i++) {
        (void)fprintf(to, "  %-12s %s\n", environment[i][0], environment[i][1]);
    }
    (void)fputs("\n`mayfly help COMMAND` tells more. To begin: mayfly init hello --lang python\n",
                to);
}

/* Text for roff: backslashes and dashes are its own, and so is a line that begins with . or '. */
static void roff_text(FILE *to, const char *s)
{
    bool line_start = true;

    for (; *s; s++) {
        if (line_start && (*s == '.' || *s == '\'')) {
            (void)fputs("\\&", to);
        }
        if (*s == '\\') {
            (void)fputs("\\e", to);
        } else if (*s == '-') {
            (void)fputs("\\-", to);
        } else {
            (void)fputc(*s, to);
        }
        line_start = *s == '\n';
    }
}

static void roff_entry(FILE *to, const char *head, const char *text)
{
    (void)fputs(".TP\n.B ", to);
    roff_text(to, head);
    (void)fputc('\n', to);
    roff_text(to, text);
    (void)fputc('\n', to);
}

static void man_command(FILE *to, const struct cli_command *command)
{
    const struct cli_option *option;

    (void)fprintf(to, ".TH MAYFLY-%s 1 \"\" \"mayfly %s\" \"mayfly\"\n", command->name,
                  MAYFLY_VERSION);
    (void)fprintf(to, ".SH NAME\nmayfly-%s \\- ", command->name);
    roff_text(to, command->summary);
    (void)fprintf(to, "\n.SH SYNOPSIS\n.B mayfly %s\n[OPTIONS]", command->name);
    (void)fprintf(to, " %s\n.SH DESCRIPTION\n.nf\n", command->operands);
    roff_text(to, command->text);
    (void)fputs(".fi\n.SH OPTIONS\n", to);
    for (size_t i = 0; (option = cli_option_at(command, i)); i++) {
        char head[64];
        int n = option_head(head, sizeof head, option);

        roff_entry(to, head + (n > 4 && head[0] == ' ' ? 4 : 0), option->text);
    }
    (void)fputs(".SH SEE ALSO\n.BR mayfly (1)\n", to);
}

void man_write(FILE *to, const struct cli_command *command)
{
    if (command) {
        man_command(to, command);
        return;
    }
    (void)fprintf(to,
                  ".TH MAYFLY 1 \"\" \"mayfly %s\" \"mayfly\"\n.SH NAME\nmayfly \\- serverless "
                  "functions, each request in its own process\n.SH SYNOPSIS\n.B mayfly\nCOMMAND "
                  "[OPTIONS] ...\n.SH DESCRIPTION\n",
                  MAYFLY_VERSION);
    roff_text(to, intro);
    (void)fputs(".SH COMMANDS\n", to);
    for (size_t i = 0; i < n_cli_commands; i++) {
        char *head = cli_printf("mayfly-%s(1)", cli_commands[i].name);

        roff_entry(to, head, cli_commands[i].summary);
        free(head);
    }
    (void)fputs(".SH EXIT STATUS\n", to);
    for (int i = 0; i < _CLI_EXIT_MAX; i++) {
        char digit[2] = {(char)('0' + i), '\0'};

        roff_entry(to, digit, cli_exit_infos[i].text);
    }
    (void)fputs(".SH ENVIRONMENT\n", to);
    for (size_t i = 0; i < ARRAY_SIZE(environment); i++) {
        roff_entry(to, environment[i][0], environment[i][1]);
    }
}

static void json_command(struct jsonw *w, const struct cli_command *command)
{
    const struct cli_option *option;

    jsonw_object_begin(w);
    json_pair(w, "name", command->name);
    json_pair(w, "summary", command->summary);
    json_pair(w, "operands", command->operands);
    json_pair(w, "text", command->text);
    jsonw_key(w, "options");
    jsonw_array_begin(w);
    for (size_t i = 0; (option = cli_option_at(command, i)); i++) {
        char letter[2] = {option->letter, '\0'};

        jsonw_object_begin(w);
        json_pair(w, "name", option->name);
        json_pair(w, "letter", option->letter ? letter : NULL);
        json_pair(w, "value", option->arg);
        json_pair(w, "choices", option->choices);
        json_pair(w, "text", option->text);
        jsonw_object_end(w);
    }
    jsonw_array_end(w);
    jsonw_object_end(w);
}

static void json_all(struct jsonw *w)
{
    jsonw_object_begin(w);
    jsonw_key(w, "commands");
    jsonw_array_begin(w);
    for (size_t i = 0; i < n_cli_commands; i++) {
        json_command(w, &cli_commands[i]);
    }
    jsonw_array_end(w);
    jsonw_key(w, "exits");
    jsonw_object_begin(w);
    for (int i = 0; i < _CLI_EXIT_MAX; i++) {
        json_pair_u64(w, cli_exit_infos[i].name, (uint64_t)i);
    }
    jsonw_object_end(w);
    jsonw_object_end(w);
}

static void help_write_json(const struct cli_command *command)
{
    struct json_out o;

    json_out_begin(&o);
    if (command) {
        json_command(&o.w, command);
    } else {
        json_all(&o.w);
    }
    json_out_end(&o);
}

enum cli_exit command_help(struct cli *cli)
{
    const struct cli_command *command = NULL;

    if (cli->n_operands > 0) {
        command = cli_find(cli->operands[0]);
        if (!command) {
            return cli_fail(cli, CLI_USAGE, "`mayfly help` lists them", "no such command: %s",
                            cli->operands[0]);
        }
    }
    if (cli_flag(cli, "man")) {
        man_write(stdout, command);
    } else if (cli->json) {
        help_write_json(command);
    } else if (command) {
        help_write_command(stdout, command);
    } else {
        help_write_all(stdout);
    }
    return CLI_OK;
}

enum cli_exit command_version(struct cli *cli)
{
    struct json_out o;

    if (!cli->json) {
        (void)puts("mayfly " MAYFLY_VERSION);
        return CLI_OK;
    }
    json_out_begin(&o);
    jsonw_object_begin(&o.w);
    json_pair(&o.w, "version", MAYFLY_VERSION);
    jsonw_object_end(&o.w);
    json_out_end(&o);
    return CLI_OK;
}
