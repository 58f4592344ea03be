#pragma once

/* What the files config*.c share: the readers of single keys. Internal to them. */

#include "base/def.h"
#include "control/config.h"
#include "json/text.h"

struct reader {
    struct slice text;
    const char *name; /* of the file */
    struct error *err;
};

/* Complains with file, line and key. Always returns -EINVAL. */
int config_fail(struct reader *rd, const struct json_path *here, const char *format, ...)
    _printf_(3, 4);
/* "must be `wanted`, not ...". NULL is a value that is not there. */
int config_fail_type(struct reader *rd, const struct json_path *here, const char *wanted,
                     const json_t *value);

/* A string that is not empty; in the place of *ret, which is freed. */
int config_read_string(struct reader *rd, json_t *value, const struct json_path *here, char **ret);

/* Always returns -ENOMEM. */
int config_fail_memory(struct reader *rd);

typedef int config_reader(struct reader *rd, void *into, json_t *value,
                          const struct json_path *here, size_t index);

/* A key that an object may have, and what reads its value into the object that the table is of. */
struct config_row {
    const char *name;
    config_reader *read;
    size_t index; /* handed to read */
};

/* Reads each key of the object by its row; one that has none is complained of. */
int config_read_object(struct reader *rd, json_t *object, const struct json_path *here,
                       const struct config_row *keys, size_t n_keys, void *into);

/* ---- config-settings.c: into a struct config_function; index: of limit_infos[] ---- */

config_reader config_read_limit, config_read_isolation, config_read_env, config_read_network,
    config_read_reads, config_read_writes, config_read_secrets, config_read_redact;

/* ---- config-records.c: what is kept of requests ---- */

config_reader config_read_records, config_read_function_records; /* into a config, a function */
const char *config_records_key(bool of_all, size_t i);

/* ---- config-command.c: functions that are a program of the author's ---- */

config_reader config_read_command, config_read_port, config_read_per_process, config_read_readiness;

/* Whether handler, runtime and these fit together. */
int config_check_command(struct reader *rd, const struct config_function *f,
                         const struct json_path *here);
