#pragma once

/* Options that are times, read in one way by all commands. Each returns CLI_OK, with *ret as it was
 * where the option is not given, or CLI_USAGE after saying how to write it. */

#include "cli/cli.h"

enum cli_exit given_moment(const struct cli *cli, const char *option, uint64_t *ret_us);
enum cli_exit given_duration(const struct cli *cli, const char *option, uint64_t *ret_us);
enum cli_exit given_count(const struct cli *cli, const char *option, uint64_t max, uint64_t *ret);
