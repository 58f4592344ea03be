#pragma once

/* Questions to the daemon whose answer is a JSON document. */

#include "cli/cli.h"
#include "json/text.h"

#define API_ANSWER_MAX (64 * 1024 * 1024)

/* Finds the daemon by --state and the rest. NULL after saying that there is none. */
char *api_find(const struct cli *cli);

/* GETs `target`. Returns CLI_OK with a reference in *ret, or what cli_fail() said. */
enum cli_exit api_get(const struct cli *cli, const char *state, const char *target, json_t **ret);

/* The same, but a missing document (404) is no failure: *ret is NULL then, and nothing is said of
 * anything. Returns 0 or a result of client_call(). */
int api_look(const char *state, const char *target, json_t **ret);

/* A member that should be a string or a number, from foreign JSON: "" or 0 if it is not. */
const char *api_string(const json_t *object, const char *key);
/* The same for a terminal: control characters as \xHH. Never NULL, on the heap. */
char *api_plain(const json_t *object, const char *key);
uint64_t api_number(const json_t *object, const char *key);

/* What went wrong in client_call() as an exit code, after saying it. */
enum cli_exit api_fail(const struct cli *cli, int r, const struct error *err);
