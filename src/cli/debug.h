#pragma once

/* A recorded request in a debugger: we are supervisor and gateway of one zygote, which is started
 * in this terminal, without a sandbox and without limits, and forks one worker for the request. */

#include "cli/api.h"

enum cli_exit debug_request(const struct cli *cli, const struct client_peer *peer, const char *id);
