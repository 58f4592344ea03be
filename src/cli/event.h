#pragma once

/* The event that `mayfly invoke` sends. */

#include "cli/cli.h"

#define EVENT_BYTES_MAX (64 * 1024 * 1024)

/* Reads it from where the options say, and checks that it is JSON. Returns CLI_OK, or what
 * cli_fail() said. */
enum cli_exit event_read(const struct cli *cli, struct buf *ret);
