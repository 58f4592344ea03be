/* What a function, or all functions of a file, may say of how they run: one reader for each key. */

#include "control/config-internal.h"

#include "base/log.h"
#include "control/reach.h"
#include "model/secret.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

#define ENV_VALUE_MAX   65536
#define REDACT_NAME_MAX 128

/* ---- settings: isolation, env and the limits ---- */

static uint64_t unit_size(enum limit_unit unit)
{
    switch (unit) {
    case LIMIT_COUNT:
        return 1;
    case LIMIT_SECONDS:
    case LIMIT_CPUS:
        return 1000;
    case LIMIT_MEGABYTES:
        return MIB;
    }
    return 1;
}

char *config_limit_range(const struct limit_info *info, char *dst, size_t dst_size)
{
    static const char *const kinds[] = {
        [LIMIT_COUNT] = "a whole number",
        [LIMIT_SECONDS] = "a number of seconds",
        [LIMIT_CPUS] = "a number of CPUs",
        [LIMIT_MEGABYTES] = "a whole number of megabytes",
    };
    double size = (double)unit_size(info->unit);

    (void)snprintf(dst, dst_size, "%s from %.10g to %.10g", kinds[info->unit],
                   (double)info->min / size, (double)info->max / size);
    return dst;
}

int config_read_limit(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                      size_t index)
{
    struct config_function *f = into;
    const struct limit_info *info = &limit_infos[index];
    double size = (double)unit_size(info->unit), v = json_number_value(value) * size;
    bool whole = info->unit == LIMIT_COUNT || info->unit == LIMIT_MEGABYTES;
    bool fits = whole ? json_is_integer(value) : json_is_number(value);
    char range[96];
    uint64_t limit;

    if (!fits || v < (double)info->min || v > (double)info->max)
        return config_fail_type(rd, here, config_limit_range(info, range, sizeof(range)), value);
    limit = (uint64_t)llround(v);
    memcpy((char *)&f->settings.limits + info->offset, &limit, sizeof(limit));
    f->settings.limits_given |= 1ULL << index;
    return 0;
}

int config_read_isolation(struct reader *rd, void *into, json_t *value,
                          const struct json_path *here, size_t index)
{
    struct config_function *f = into;

    f->settings.isolation = isolation_from_name(slice_str(json_string_value(value)));
    return f->settings.isolation < 0
               ? config_fail_type(rd, here, "\"request\" or \"instance\"", value)
               : 0;
}

int config_read_secrets(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                        size_t index)
{
    struct config_function *f = into;

    f->settings.secrets_when = secrets_when_from_name(slice_str(json_string_value(value)));
    return f->settings.secrets_when < 0
               ? config_fail_type(rd, here, "\"request\" or \"load\"", value)
               : 0;
}

/* A text with a mistake in it would be handed on as it is, and nobody would notice. */
static int mentions_check(struct reader *rd, const struct json_path *here, const json_t *value)
{
    struct slice rest = slice(json_string_value(value), json_string_length(value));
    struct secret_piece piece;
    int r;

    while ((r = secret_piece_next(&rest, &piece)) > 0)
        ;
    return r == 0 ? 0
                  : config_fail(
                        rd, here,
                        "\"${\" begins ${secret:NAME}, where NAME has letters, digits and \"_.-\", "
                        "at most %d; write \"$${\" for these two characters themselves",
                        SECRET_NAME_MAX);
}

static int env_check(struct reader *rd, const struct json_path *here, const char *name,
                     const json_t *value)
{
    if (name[0] == '\0' || strchr(name, '='))
        return config_fail(rd, here, "the name of a variable must not be empty or contain '='");
    if (strncmp(name, "MAYFLY_", 7) == 0)
        return config_fail(rd, here,
                           "names that begin with MAYFLY_ are mayfly's own; choose another");
    if (!json_is_string(value))
        return config_fail_type(rd, here, "a string, in quotes", value);
    if (json_string_length(value) > ENV_VALUE_MAX)
        return config_fail(rd, here, "must not be longer than %d bytes", ENV_VALUE_MAX);
    return mentions_check(rd, here, value);
}

int config_read_env(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                    size_t index)
{
    struct config_function *f = into;
    const char *name;
    json_t *item;
    size_t n = 0;

    if (!json_is_object(value))
        return config_fail_type(rd, here, "an object of names and strings", value);
    if (json_object_size(value) > CONFIG_ENV_MAX)
        return config_fail(rd, here, "has more than %d variables", CONFIG_ENV_MAX);
    f->settings.env = calloc(json_object_size(value) + 1, sizeof(char *));
    if (!f->settings.env)
        return config_fail_memory(rd);
    json_object_foreach(value, name, item)
    {
        struct json_path step = {.parent = here, .key = name};
        int r = env_check(rd, &step, name, item);

        if (r < 0)
            return r;
        if (asprintf(&f->settings.env[n], "%s=%s", name, json_string_value(item)) < 0) {
            f->settings.env[n] = NULL;
            return config_fail_memory(rd);
        }
        n++;
    }
    return 0;
}

static int strings_read(struct reader *rd, json_t *value, const struct json_path *here,
                        int (*check)(const char *text, struct error *err), const char *wanted,
                        char ***ret)
{
    size_t n = json_array_size(value);

    if (!json_is_array(value))
        return config_fail_type(rd, here, wanted, value);
    if (n > CONFIG_LIST_MAX)
        return config_fail(rd, here, "has more than %d of them", CONFIG_LIST_MAX);
    *ret = calloc(n + 1, sizeof(**ret));
    if (!*ret)
        return config_fail_memory(rd);
    for (size_t i = 0; i < n; i++) {
        struct json_path step = {.parent = here, .index = i};
        struct error err = ERROR_NULL;
        int r = config_read_string(rd, json_array_get(value, i), &step, &(*ret)[i]);

        if (r < 0)
            return r;
        if (check((*ret)[i], &err) < 0) {
            char quoted[256];

            return config_fail(rd, &step, "\"%s\" %s",
                               log_quote(slice_str((*ret)[i]), quoted, sizeof(quoted)), err.text);
        }
    }
    return 0;
}

int config_read_network(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                        size_t index)
{
    static const char wanted[] = "\"host\", \"none\" or an array of \"HOST:PORT\"";
    struct config_function *f = into;

    if (json_is_array(value)) {
        if (json_array_size(value) == 0)
            return config_fail(rd, here, "is empty; say \"none\"");
        f->settings.network = NETWORK_LIST;
        return strings_read(rd, value, here, reach_target_check, wanted, &f->settings.egress);
    }
    f->settings.network = network_from_name(slice_str(json_string_value(value)));
    return f->settings.network < 0 || f->settings.network == NETWORK_LIST
               ? config_fail_type(rd, here, wanted, value)
               : 0;
}

int config_read_reads(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                      size_t index)
{
    struct config_function *f = into;

    return strings_read(rd, value, here, reach_path_check, "an array of absolute paths",
                        &f->settings.reads);
}

int config_read_writes(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                       size_t index)
{
    struct config_function *f = into;

    return strings_read(rd, value, here, reach_path_check, "an array of absolute paths",
                        &f->settings.writes);
}

static int redact_name_check(const char *name, struct error *err)
{
    size_t len = strlen(name);

    return len <= REDACT_NAME_MAX &&
                   strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789-_.") == len
               ? 0
               : error_set(err, -EINVAL,
                           "is no name of a header or a field: letters, digits and \"-_.\", at "
                           "most %d",
                           REDACT_NAME_MAX);
}

int config_read_redact(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                       size_t index)
{
    struct config_function *f = into;

    return strings_read(rd, value, here, redact_name_check,
                        "an array of names of headers and fields", &f->settings.redact);
}
