/* "records": what is kept of requests, and how long. */

#include "control/config-internal.h"

#include "base/clock.h"
#include "base/parse.h"

#define MINUTE_MS   60000ULL
#define KEEP_MAX_MS (3660ULL * 86400 * 1000)
#define COUNT_MAX   100000000
#define BYTES_MIN   (16 * MIB)
#define BYTES_MAX   (1024 * 1024 * MIB)

static int read_keep(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                     size_t index)
{
    struct config_records *records = into;
    uint64_t ms;

    if (!json_is_string(value) || parse_duration_ms(slice_str(json_string_value(value)), &ms) < 0 ||
        ms < MINUTE_MS || ms > KEEP_MAX_MS)
        return config_fail_type(
            rd, here, "a length of time from \"1m\" to \"3660d\", as in \"12h\" or \"30d\"", value);
    records->keep_us = ms * 1000;
    return 0;
}

static int read_count(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                      size_t index)
{
    struct config_records *records = into;

    if (!json_is_integer(value) || json_integer_value(value) < 1 ||
        json_integer_value(value) > COUNT_MAX)
        return config_fail_type(rd, here, "a whole number from 1 to 100000000", value);
    records->count = (uint64_t)json_integer_value(value);
    return 0;
}

static int read_bytes(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                      size_t index)
{
    struct config_records *records = into;
    struct slice text = slice_str(json_string_value(value));
    uint64_t bytes;

    if (text.len > 1 && text.base[text.len - 1] == 'B')
        text.len--;
    if (!json_is_string(value) || parse_bytes(text, &bytes) < 0 || bytes < BYTES_MIN ||
        bytes > BYTES_MAX)
        return config_fail_type(rd, here, "a size from \"16MB\" to \"1024GB\", as in \"1GB\"",
                                value);
    records->bytes = bytes;
    return 0;
}

/* Of a function only the first two: bytes are of the file, which all functions share. */
static const struct config_row keys[] = {
    {"keep", read_keep, 0},
    {"count", read_count, 0},
    {"bytes", read_bytes, 0},
};

#define N_OF_FUNCTION 2

int config_read_records(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                        size_t index)
{
    struct config *c = into;

    return config_read_object(rd, value, here, keys, ARRAY_SIZE(keys), &c->records);
}

int config_read_function_records(struct reader *rd, void *into, json_t *value,
                                 const struct json_path *here, size_t index)
{
    struct config_function *f = into;

    return config_read_object(rd, value, here, keys, N_OF_FUNCTION, &f->records);
}

const char *config_records_key(bool of_all, size_t i)
{
    return i < (of_all ? ARRAY_SIZE(keys) : N_OF_FUNCTION) ? keys[i].name : NULL;
}
