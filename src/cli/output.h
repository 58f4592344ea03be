#pragma once

/* Writing for people (nothing that moves a cursor) and for programs (JSON). Failures to write show
 * in cli_finish(). */

#include "base/slice.h"
#include "json/writer.h"

#include <stdio.h>

#define JSON_OUT_MAX (256 * 1024 * 1024)

/* One line of JSON for stdout. */
struct json_out {
    struct buf b;
    struct jsonw w;
};

void json_out_begin(struct json_out *o);
void json_out_end(struct json_out *o);

/* "key":"value"; NULL gives null. */
void json_pair(struct jsonw *w, const char *key, const char *value);
void json_pair_u64(struct jsonw *w, const char *key, uint64_t value);

/* Foreign text for a terminal: control characters other than the line end show as \xHH. */
void text_quoted(FILE *to, struct slice s);
/* The same for one line: a tab may stand, a line end may not. */
void line_quoted(FILE *to, struct slice s);

#define COLOR_BOLD   "\033[1m"
#define COLOR_DIM    "\033[2m"
#define COLOR_RED    "\033[31m"
#define COLOR_GREEN  "\033[32m"
#define COLOR_YELLOW "\033[33m"
#define COLOR_CYAN   "\033[36m"
#define COLOR_NONE   "\033[0m"

/* The sequence where colours are wanted, else nothing. */
static inline const char *color(bool on, const char *sequence)
{
    return on ? sequence : "";
}
