/* The keys of a function that is a program of the author's: a server, or a Lambda bootstrap. */

#include "control/config-internal.h"

#include <errno.h>

#define PER_PROCESS_MAX 10000
#define PORT_MIN        1024 /* below, a program needs a capability that no function has */

/* Words, or a line that a shell takes apart. */
int config_read_command(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                        size_t index)
{
    struct config_function *f = into;
    size_t n = json_is_array(value) ? json_array_size(value) : 1;

    if (!json_is_array(value) && !json_is_string(value))
        return config_fail_type(
            rd, here, "an array of words, as in [\"node\", \"server.js\"], or a line", value);
    if (n == 0)
        return config_fail(rd, here, "must not be empty");
    if (n > CONFIG_WORDS_MAX)
        return config_fail(rd, here, "has more than %d words", CONFIG_WORDS_MAX);
    f->command_line = json_locate(rd->text, here);
    f->command_is_line = json_is_string(value);
    f->command = calloc(n + 1, sizeof(*f->command));
    if (!f->command)
        return -ENOMEM;
    if (f->command_is_line)
        return config_read_string(rd, value, here, &f->command[0]);
    for (size_t i = 0; i < n; i++) {
        struct json_path step = {.parent = here, .index = i};
        int r = config_read_string(rd, json_array_get(value, i), &step, &f->command[i]);

        if (r < 0)
            return r;
    }
    return 0;
}

static int whole_read(struct reader *rd, const json_t *value, const struct json_path *here,
                      uint32_t min, uint32_t max, const char *wanted, uint32_t *ret)
{
    json_int_t n = json_integer_value(value);

    if (!json_is_integer(value) || n < (json_int_t)min || n > (json_int_t)max)
        return config_fail_type(rd, here, wanted, value);
    *ret = (uint32_t)n;
    return 0;
}

int config_read_port(struct reader *rd, void *into, json_t *value, const struct json_path *here,
                     size_t index)
{
    struct config_function *f = into;

    return whole_read(rd, value, here, PORT_MIN, UINT16_MAX, "a whole number from 1024 to 65535",
                      &f->port);
}

int config_read_per_process(struct reader *rd, void *into, json_t *value,
                            const struct json_path *here, size_t index)
{
    struct config_function *f = into;

    return whole_read(rd, value, here, 1, PER_PROCESS_MAX, "a whole number from 1 to 10000",
                      &f->per_process);
}

int config_read_readiness(struct reader *rd, void *into, json_t *value,
                          const struct json_path *here, size_t index)
{
    struct config_function *f = into;
    int r = config_read_string(rd, value, here, &f->readiness);

    if (r < 0 || strcmp(f->readiness, "tcp") == 0)
        return r;
    for (const char *c = f->readiness; *c; c++) {
        if (f->readiness[0] != '/' || *c <= ' ' || *c > '~' || *c == '#')
            return config_fail_type(rd, here, "a path such as \"/healthz\", or \"tcp\"", value);
    }
    return 0;
}

/* What a function says as a whole. */
int config_check_command(struct reader *rd, const struct config_function *f,
                         const struct json_path *here)
{
    bool web = f->runtime == RUNTIME_WEB;
    const struct {
        const char *key;
        bool given, fits;
        const char *runtime;
    } only[] = {
        {"command", f->command, web || f->runtime == RUNTIME_PROVIDED, "web"},
        {"port", f->port > 0, web, "web"},
        {"readiness", f->readiness, web, "web"},
        {"per_process", f->per_process > 0, web, "web"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(only); i++) {
        if (only[i].given && !only[i].fits)
            return config_fail(rd, here,
                               "has \"%s\", which is for servers; add \"runtime\": \"%s\"",
                               only[i].key, only[i].runtime);
    }
    if (f->command && web && f->handler)
        return config_fail(rd, here,
                           "has both \"command\" and \"handler\"; a server needs the first only");
    if (web && !f->command)
        return config_fail(
            rd, here,
            "has the runtime web but no command; add \"command\": [\"node\", \"server.js\"]");
    if (f->runtime >= 0 && !f->handler && !f->command)
        return config_fail(rd, here,
                           "has a runtime but no handler; add \"handler\": \"file.name\"");
    return 0;
}
