#pragma once

/* Whom a command talks to, and questions to it whose answer is a JSON document. */

#include "cli/cli.h"
#include "cli/client.h"
#include "json/text.h"

#define API_ANSWER_MAX (64 * 1024 * 1024)

/* Finds the daemon: by --url or --state, MAYFLY_URL or MAYFLY_STATE, else the newest that runs.
 * Returns CLI_OK, or another code after saying why; what *ret points to lives as long as we. */
enum cli_exit api_find(const struct cli *cli, struct client_peer *ret);

/* The same, but where none is named and none runs, nothing is said of that: ret->state and
 * ret->host are NULL then. */
enum cli_exit api_look_for(const struct cli *cli, struct client_peer *ret);

/* GETs `target`. Returns CLI_OK with a reference in *ret, or what cli_fail() said. */
enum cli_exit api_get(const struct cli *cli, const struct client_peer *peer, const char *target,
                      json_t **ret);

/* Any request; body may be NULL. *ret is NULL where an answer of success has no body. */
enum cli_exit api_send(const struct cli *cli, const struct client_peer *peer, const char *method,
                       const char *target, const json_t *body, json_t **ret);

/* The same for what takes as long as a function may take. */
enum cli_exit api_send_patiently(const struct cli *cli, const struct client_peer *peer,
                                 const char *method, const char *target, const json_t *body,
                                 json_t **ret);

/* Without a word: *ret_status is the answer's, *ret its body or NULL. Returns 0 or a result of
 * client_call(), with *err. */
int api_try(const struct client_peer *peer, const char *method, const char *target,
            unsigned *ret_status, json_t **ret, struct error *err);

/* GETs a document that may be missing: then (404) *ret is NULL, and nothing is said of anything.
 * Returns 0 or a result of client_call(). */
int api_look(const struct client_peer *peer, const char *target, json_t **ret);

/* Where a search for the things of a function has found nothing: whether there is such a function.
 * Returns CLI_OK, or CLI_NOT_FOUND after saying that there is none; NULL is any function. */
enum cli_exit api_check_function(const struct cli *cli, const struct client_peer *peer,
                                 const char *name);

/* What went wrong in client_call() as an exit code, after saying it. */
enum cli_exit api_fail(const struct cli *cli, int r, const struct error *err);

/* An answer other than success as an exit code, after saying what its body says. */
enum cli_exit api_refused(const struct cli *cli, unsigned status, struct slice body,
                          const char *target);

/* ---- targets ---- */

/* "/api/v1/logs?function=a%20b&limit=10": a path, then parameters that are there. */
struct api_target {
    struct buf b;
    bool has_query;
};

void api_target_init(struct api_target *t, const char *path);
void api_target_add(struct api_target *t, const char *key,
                    const char *value); /* NULL: not at all */
void api_target_add_u64(struct api_target *t, const char *key, uint64_t value);
const char *api_target_end(struct api_target *t); /* as long as t is not touched */
char *api_path(const char *before, const char *name, const char *behind); /* name is coded */

/* ---- answers ---- */

/* A member that should be a string or a number, from foreign JSON: "" or 0 if it is not. */
const char *api_string(const json_t *object, const char *key);
/* The same for a terminal: control characters as \xHH. Never NULL, on the heap. */
char *api_plain(const json_t *object, const char *key);
uint64_t api_number(const json_t *object, const char *key);
double api_real(const json_t *object, const char *key);

/* One line of JSON on stdout. */
void api_print(const json_t *value);
