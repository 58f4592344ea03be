#include "cli/given.h"

#include "base/clock.h"
#include "base/parse.h"
#include "cli/when.h"

enum cli_exit given_moment(const struct cli *cli, const char *option, uint64_t *ret_us)
{
    const char *text = cli_value(cli, option);

    if (text && when_parse(slice_str(text), clock_wall_us(), ret_us) < 0)
        return cli_fail(cli, CLI_USAGE, "write it like " WHEN_FORMS, "--%s %s: not a time", option,
                        text);
    return CLI_OK;
}

enum cli_exit given_duration(const struct cli *cli, const char *option, uint64_t *ret_us)
{
    const char *text = cli_value(cli, option);

    if (text && when_duration_us(slice_str(text), ret_us) < 0)
        return cli_fail(cli, CLI_USAGE, "write it like 250us, 10ms, 1.5s or 2m",
                        "--%s %s: not a duration", option, text);
    return CLI_OK;
}

enum cli_exit given_count(const struct cli *cli, const char *option, uint64_t max, uint64_t *ret)
{
    const char *text = cli_value(cli, option);

    if (text && parse_u64(slice_str(text), max, ret) < 0)
        return cli_fail(cli, CLI_USAGE, NULL, "--%s %s: not a number up to %llu", option, text,
                        (unsigned long long)max);
    return CLI_OK;
}
