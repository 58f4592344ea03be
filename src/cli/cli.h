#pragma once

/* The command-line tool: one static table of commands (commands.c) from which come the reading of
 * arguments, --help, the man pages, the completions and `mayfly help --json`.
 *
 * Data goes to stdout, chatter and errors to stderr. Memory is not given back before the end and
 * its lack ends the program: this is a tool that runs once. */

#include "base/buf.h"
#include "base/error.h"

#include <stdio.h>

/* EXIT(NAME, name, code, text): what a script can tell from the exit status. */
#define CLI_EXITS(EXIT)                                                                            \
    EXIT(OK, "ok", 0, "ok")                                                                        \
    EXIT(FAILURE, "failure", 1, "failure")                                                         \
    EXIT(USAGE, "usage", 2, "wrong usage")                                                         \
    EXIT(NOT_FOUND, "not_found", 3, "not found")                                                   \
    EXIT(AUTH, "auth", 4, "not allowed")                                                           \
    EXIT(CONFLICT, "conflict", 5, "conflict")                                                      \
    EXIT(FUNCTION, "function", 6, "the function failed")                                           \
    EXIT(TIMEOUT, "timeout", 7, "timeout")                                                         \
    EXIT(UNREACHABLE, "unreachable", 8, "the daemon cannot be reached")

enum cli_exit {
#define EXIT(NAME, name, code, text) CLI_##NAME = code,
    CLI_EXITS(EXIT)
#undef EXIT
        _CLI_EXIT_MAX,
};

struct cli_exit_info {
    const char *name; /* "not_found" */
    const char *text;
};
extern const struct cli_exit_info cli_exit_infos[_CLI_EXIT_MAX];

/* An option; the last one of a list has no name. */
struct cli_option {
    const char *name; /* without the dashes */
    char letter;      /* 0 for none */
    const char *arg;  /* what stands for its value in the help, NULL for a flag */
    const char *text;
    const char *choices; /* its values for the completion, "python c exec", or NULL */
};

#define CLI_OPTIONS_MAX  24  /* of one command, with those that all have */
#define CLI_GIVEN_MAX    256 /* in one call */
#define CLI_OPERANDS_MAX 4

/* What one call of a command was given. */
struct cli {
    const struct cli_command *command;
    struct {
        const struct cli_option *option;
        const char *value;  /* "" for a flag */
    } given[CLI_GIVEN_MAX]; /* in their order */
    unsigned n_given;
    const char *operands[CLI_OPERANDS_MAX];
    unsigned n_operands;
    bool json;
    bool color_out; /* stdout takes colours */
    bool color_err;
};

struct cli_command {
    const char *name;
    const char *operands; /* for the usage line: "[DIR]" */
    unsigned n_operands_min, n_operands_max;
    const char *summary; /* one line */
    const char *text;    /* paragraphs, already broken into lines; without option list */
    const struct cli_option *options;
    enum cli_exit (*run)(struct cli *cli);
    const char *actions; /* what the first operand may be, "set ls rm", or NULL */
};

extern const struct cli_command cli_commands[];
extern const size_t n_cli_commands;
extern const struct cli_option cli_common_options[];

/* NULL if there is none. */
const struct cli_command *cli_find(const char *name);

/* The i-th option of a command, its own first and then the common ones; NULL behind the last. */
const struct cli_option *cli_option_at(const struct cli_command *command, size_t i);

/* The value of an option: NULL if it was not given, "" for a flag that was; the last one counts. */
const char *cli_value(const struct cli *cli, const char *name);

/* For options that may be given many times: the next value from *i (0 to begin) on, or NULL. */
const char *cli_next_value(const struct cli *cli, const char *name, unsigned *i);

static inline bool cli_flag(const struct cli *cli, const char *name)
{
    return cli_value(cli, name) != NULL;
}

/* Reads the arguments behind the command's name. Returns CLI_OK, or CLI_USAGE after saying why;
 * *ret_help is set when help was asked for. */
enum cli_exit cli_parse(struct cli *cli, int argc, char **argv, bool *ret_help);

/* Says "mayfly: COMMAND: what: why; do this" on stderr, or with --json the same as an object on
 * stdout. hint (what to do) may be NULL. Returns code. */
enum cli_exit cli_fail(const struct cli *cli, enum cli_exit code, const char *hint,
                       const char *format, ...) _printf_(4, 5);

/* A note on stderr, unless --json. */
void cli_note(const struct cli *cli, const char *format, ...) _printf_(2, 3);

/* Ends the program without memory; cli_buf() is a buf of which the rest is written or dies. */
_noreturn_ void cli_no_memory(void);
void *cli_check(void *p);
char *cli_printf(const char *format, ...) _printf_(1, 2); /* like asprintf */

/* Flushes stdout. Returns code, or CLI_FAILURE if what was written did not arrive. */
enum cli_exit cli_finish(const struct cli *cli, enum cli_exit code);

/* ---- help.c ---- */

void help_write_all(FILE *to);
void help_write_command(FILE *to, const struct cli_command *command);
void man_write(FILE *to, const struct cli_command *command); /* NULL: mayfly(1) itself */

/* ---- the commands ---- */

enum cli_exit command_completion(struct cli *cli);
enum cli_exit command_dashboard(struct cli *cli);
enum cli_exit command_dev(struct cli *cli);
enum cli_exit command_doctor(struct cli *cli);
enum cli_exit command_help(struct cli *cli);
enum cli_exit command_init(struct cli *cli);
enum cli_exit command_inspect(struct cli *cli);
enum cli_exit command_invoke(struct cli *cli);
enum cli_exit command_logs(struct cli *cli);
enum cli_exit command_ps(struct cli *cli);
enum cli_exit command_records(struct cli *cli);
enum cli_exit command_replay(struct cli *cli);
enum cli_exit command_secret(struct cli *cli);
enum cli_exit command_serve(struct cli *cli);
enum cli_exit command_token(struct cli *cli);
enum cli_exit command_top(struct cli *cli);
enum cli_exit command_trace(struct cli *cli);
enum cli_exit command_usage(struct cli *cli);
enum cli_exit command_version(struct cli *cli);
