/* Completions for the shells, from the table of commands. The scripts complete commands, options,
 * choices and files; only function names are asked of `mayfly inspect`. */

#include "cli/cli.h"

#include <string.h>

static void bash_words(const struct cli_command *command)
{
    const struct cli_option *option;

    for (size_t i = 0; (option = cli_option_at(command, i)); i++) {
        (void)printf("%s--%s", i ? " " : "", option->name);
        if (option->letter) {
            (void)printf(" -%c", option->letter);
        }
    }
}

static bool takes(const struct cli_command *command, const char *operand)
{
    return strstr(command->operands, operand) != NULL;
}

static void bash_command(const struct cli_command *command)
{
    const struct cli_option *option;

    (void)printf("    %s)\n        case $previous in\n", command->name);
    for (size_t i = 0; (option = cli_option_at(command, i)); i++) {
        if (!option->arg) {
            continue;
        }
        (void)printf("        --%s", option->name);
        if (option->letter) {
            (void)printf(" | -%c", option->letter);
        }
        if (option->choices) {
            (void)printf(") COMPREPLY=($(compgen -W '%s' -- \"$word\")); return ;;\n",
                         option->choices);
        } else {
            (void)printf(") COMPREPLY=($(compgen -%c -- \"$word\")); return ;;\n",
                         strcmp(option->arg, "DIR") == 0 ? 'd' : 'f');
        }
    }
    (void)printf("        esac\n        options='");
    bash_words(command);
    (void)printf("'\n");
    if (command->actions) {
        (void)printf("        operands='%s'\n", command->actions);
        (void)printf("        [ \"$COMP_CWORD\" -eq 2 ] || operands=$(mayfly %s ls --names "
                     "2>/dev/null)\n",
                     command->name);
    } else if (takes(command, "DIR")) {
        (void)printf("        operands=$(compgen -d -- \"$word\")\n");
    } else if (takes(command, "NAME")) {
        (void)printf("        operands=$(mayfly inspect --names 2>/dev/null)\n");
    } else if (takes(command, "SHELL")) {
        (void)printf("        operands='bash zsh fish'\n");
    } else if (takes(command, "COMMAND")) {
        (void)printf("        operands=$commands\n");
    }
    (void)printf("        ;;\n");
}

static void bash_completion(void)
{
    (void)printf("# mayfly completion for bash; eval \"$(mayfly completion bash)\"\n"
                 "_mayfly()\n{\n"
                 "    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
                 "    local options= operands= commands='");
    for (size_t i = 0; i < n_cli_commands; i++) {
        (void)printf("%s%s", i ? " " : "", cli_commands[i].name);
    }
    (void)printf("'\n    COMPREPLY=()\n"
                 "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                 "        COMPREPLY=($(compgen -W \"$commands --help --version\" -- \"$word\"))\n"
                 "        return\n    fi\n"
                 "    case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; i < n_cli_commands; i++) {
        bash_command(&cli_commands[i]);
    }
    (void)printf("    esac\n"
                 "    case $word in -*) operands= ;; *) options= ;; esac\n"
                 "    COMPREPLY=($(compgen -W \"$options $operands\" -- \"$word\"))\n}\n"
                 "complete -F _mayfly mayfly\n");
}

/* Text inside '...' of a shell; `also` are further characters to put a backslash before. */
static void quoted(const char *s, const char *also)
{
    for (; *s; s++) {
        if (*s == '\'') {
            (void)printf("'\\''");
        } else {
            (void)printf("%s%c", strchr(also, *s) ? "\\" : "", *s);
        }
    }
}

static void zsh_option(const struct cli_option *option)
{
    (void)printf(" \\\n            ");
    if (option->letter) {
        (void)printf("'(-%c --%s)'{-%c,--%s}'[", option->letter, option->name, option->letter,
                     option->name);
    } else {
        (void)printf("'--%s[", option->name);
    }
    quoted(option->text, "[]:");
    (void)printf("]");
    if (option->arg) {
        (void)printf(":");
        quoted(option->arg, ":");
        if (option->choices) {
            (void)printf(":(%s)", option->choices);
        } else {
            (void)printf(":_files%s", strcmp(option->arg, "DIR") == 0 ? " -/" : "");
        }
    }
    (void)printf("'");
}

static void zsh_completion(void)
{
    (void)printf("#compdef mayfly\n_mayfly()\n{\n    local -a commands=(\n");
    for (size_t i = 0; i < n_cli_commands; i++) {
        (void)printf("        '%s:", cli_commands[i].name);
        quoted(cli_commands[i].summary, ":");
        (void)printf("'\n");
    }
    (void)printf("    )\n    if ((CURRENT == 2)); then\n"
                 "        _describe command commands\n        return\n    fi\n"
                 "    local command=$words[2]\n    shift words\n    ((CURRENT--))\n"
                 "    case $command in\n");
    for (size_t i = 0; i < n_cli_commands; i++) {
        const struct cli_command *command = &cli_commands[i];
        const struct cli_option *option;

        (void)printf("    %s)\n        _arguments", command->name);
        for (size_t k = 0; (option = cli_option_at(command, k)); k++) {
            zsh_option(option);
        }
        if (command->actions) {
            (void)printf(" \\\n            '1:action:(%s)'", command->actions);
            (void)printf(" \\\n            '2:name:($(mayfly %s ls --names 2>/dev/null))'",
                         command->name);
        } else if (takes(command, "DIR")) {
            (void)printf(" \\\n            '::folder:_files -/'");
        } else if (takes(command, "NAME")) {
            (void)printf(" \\\n            '::function:($(mayfly inspect --names 2>/dev/null))'");
        } else if (takes(command, "SHELL")) {
            (void)printf(" \\\n            ':shell:(bash zsh fish)'");
        } else if (takes(command, "COMMAND")) {
            (void)printf(" \\\n            '::command:_describe command commands'");
        }
        (void)printf("\n        ;;\n");
    }
    (void)printf("    esac\n}\n"
                 "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then\n    _mayfly \"$@\"\n"
                 "else\n    compdef _mayfly mayfly\nfi\n");
}

static void fish_command(const struct cli_command *command)
{
    const struct cli_option *option;
    const char *seen = "__fish_seen_subcommand_from";

    (void)printf("complete -c mayfly -n __fish_use_subcommand -f -a %s -d '", command->name);
    quoted(command->summary, "");
    (void)printf("'\n");
    for (size_t i = 0; (option = cli_option_at(command, i)); i++) {
        (void)printf("complete -c mayfly -n '%s %s' -f -l %s", seen, command->name, option->name);
        if (option->letter) {
            (void)printf(" -s %c", option->letter);
        }
        if (option->choices) {
            (void)printf(" -x -a '%s'", option->choices);
        } else if (option->arg) {
            (void)printf(" -r -F");
        }
        (void)printf(" -d '");
        quoted(option->text, "");
        (void)printf("'\n");
    }
    if (command->actions) {
        (void)printf("complete -c mayfly -n '%s %s' -f -a '%s'\n", seen, command->name,
                     command->actions);
    } else if (takes(command, "NAME")) {
        (void)printf("complete -c mayfly -n '%s %s' -f -a '(mayfly inspect --names "
                     "2>/dev/null)'\n",
                     seen, command->name);
    } else if (takes(command, "SHELL")) {
        (void)printf("complete -c mayfly -n '%s %s' -f -a 'bash zsh fish'\n", seen, command->name);
    }
}

static void fish_completion(void)
{
    (void)printf("# mayfly completion for fish\n");
    for (size_t i = 0; i < n_cli_commands; i++) {
        fish_command(&cli_commands[i]);
    }
}

enum cli_exit command_completion(struct cli *cli)
{
    static const struct {
        const char *shell;
        void (*print)(void);
    } shells[] = {{"bash", bash_completion}, {"zsh", zsh_completion}, {"fish", fish_completion}};

    for (size_t i = 0; i < ARRAY_SIZE(shells); i++) {
        if (strcmp(shells[i].shell, cli->operands[0]) == 0) {
            shells[i].print();
            return CLI_OK;
        }
    }
    return cli_fail(cli, CLI_USAGE, "there are bash, zsh and fish", "no such shell: %s",
                    cli->operands[0]);
}
