/* mayfly COMMAND ...: finds the command in the table and runs it. */

#include "cli/cli.h"

#include <signal.h>
#include <string.h>

static enum cli_exit unknown_command(const char *name)
{
    struct cli cli = {0};

    if (name[0] == '-') {
        return cli_fail(&cli, CLI_USAGE, "see `mayfly --help`", "no such option: %s", name);
    }
    return cli_fail(&cli, CLI_USAGE, "`mayfly help` lists them", "no such command: %s", name);
}

static enum cli_exit run(int argc, char **argv)
{
    struct cli cli = {0};
    bool help = false;
    enum cli_exit code;

    cli.command = cli_find(argv[0]);
    if (!cli.command) {
        return unknown_command(argv[0]);
    }
    code = cli_parse(&cli, argc, argv, &help);
    if (code == CLI_OK) {
        if (help) {
            help_write_command(stdout, cli.command);
        } else {
            code = cli.command->run(&cli);
        }
    }
    return cli_finish(&cli, code);
}

int main(int argc, char **argv)
{
    static char help[] = "help";
    static char version[] = "version";

    (void)signal(SIGPIPE, SIG_IGN); /* a reader that goes away shows when stdout is flushed */
    if (argc < 2) {
        help_write_all(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        argv[1] = help;
    } else if (strcmp(argv[1], "--version") == 0) {
        argv[1] = version;
    }
    return (int)run(argc - 1, argv + 1);
}
