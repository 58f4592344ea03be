#pragma once

/* Requests as people name them: whole ids, the beginning of one, or "last". */

#include "cli/api.h"

#define REQUEST_ID_SIZE 37 /* a UUID and its end */

/* Whether text can be one: "last", or at least 8 hexadecimal digits, dashes aside. */
bool request_id_is_name(const char *text);

/* Says that it is not. Returns CLI_USAGE. */
enum cli_exit request_id_refuse(const struct cli *cli, const char *text);

/* Finds the id that is meant; a whole one is not looked up. Returns CLI_OK, or another code after
 * saying why: not an id, none such, more than one. */
enum cli_exit request_id_find(const struct cli *cli, const struct client_peer *peer,
                              const char *text, char ret[static REQUEST_ID_SIZE]);
