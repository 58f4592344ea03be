#pragma once

/* Log lines as `mayfly logs`, `trace` and `top` show them. */

#include "cli/cli.h"
#include "json/text.h"

/* A column of one sign says of which stream a line is, also where there are no colours. */
char lines_mark(const json_t *line);         /* '|' stdout, '!' stderr, '*' mayfly's own */
const char *lines_paint(const json_t *line); /* one of the COLOR_, or "" */

/* "13:05:01.123 hello 019a2b3c-4d5e-7f60 | text" on stdout; a line of another day than now_us has
 * its date in front. */
void lines_print(const struct cli *cli, const json_t *line, uint64_t now_us);

/* The stack trace of a failed request, as a function's error or a record tells it: an object with
 * errorType, errorMessage and stackTrace, or plain text. Each line stands behind two blanks. */
void lines_print_trace(FILE *to, const json_t *error);
void lines_print_stack(FILE *to, const char *stack);
