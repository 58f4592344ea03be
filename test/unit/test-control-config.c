/* mayfly.json: whatever its author can get wrong is said with file, line and the mend, and the
 * schema that editors use says the same as the reader. */

#include "control/config.h"
#include "control/words.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct {
    const char *text;
    const char *error;
} bad[] = {
    {"[]", "mayfly.json:1: must be an object, not an array"},
    {"{\n \"function\": {}}",
     "mayfly.json:2: unknown key \"function\"; did you mean \"functions\"?"},
    {"{\n \"zzz\": 1}", "mayfly.json:2: unknown key \"zzz\"; known are $schema, functions, routes, "
                        "include, defaults, python, node, records"},
    {"{\"functions\": {\n\"sleep\": {\"handler\": \"a.b\",\n\n\"timout\": 3}}}",
     "mayfly.json:4: functions.sleep: unknown key \"timout\"; did you mean \"timeout\"?"},
    {"{\"functions\": {\"sleep\": {\"handler\": \"a.b\",\n\"isolatoin\": 3}}}",
     "mayfly.json:2: functions.sleep: unknown key \"isolatoin\"; did you mean \"isolation\"?"},
    {"{\"functions\": []}",
     "mayfly.json:1: functions: must be an object of functions by their names, not an array"},
    {"{\"functions\": {\n\"a\": 3}}", "mayfly.json:2: functions.a: must be an object, not 3"},
    {"{\"functions\": {\n\"a b\": {}}}",
     "mayfly.json:2: functions[\"a b\"]: a function's name has letters, digits and \"-_./[]\", at "
     "most 64, and no part \".\" or \"..\""},
    {"{\"functions\": {\"a\": {\n\"timeout\": \"30\"}}}",
     "mayfly.json:2: functions.a.timeout: must be a number of seconds from 0.01 to 900, not "
     "\"30\""},
    {"{\"functions\": {\"a\": {\n\"timeout\": 0}}}",
     "mayfly.json:2: functions.a.timeout: must be a number of seconds from 0.01 to 900, not 0"},
    {"{\"functions\": {\"a\": {\"timeout\": 900.001}}}",
     "mayfly.json:1: functions.a.timeout: must be a number of seconds from 0.01 to 900, not "
     "900.001"},
    {"{\"functions\": {\"a\": {\"memory\": 15}}}",
     "mayfly.json:1: functions.a.memory: must be a whole number of megabytes from 16 to 65536, not "
     "15"},
    {"{\"functions\": {\"a\": {\"memory\": 128.5}}}",
     "mayfly.json:1: functions.a.memory: must be a whole number of megabytes from 16 to 65536, not "
     "128.5"},
    {"{\"functions\": {\"a\": {\"concurrency\": -1}}}",
     "mayfly.json:1: functions.a.concurrency: must be a whole number from 1 to 10000, not -1"},
    {"{\"functions\": {\"a\": {\"memory\": 9223372036854775807}}}",
     "mayfly.json:1: functions.a.memory: must be a whole number of megabytes from 16 to 65536, not "
     "9223372036854775807"},
    {"{\"functions\": {\"a\": {\"isolation\": \"proces\"}}}",
     "mayfly.json:1: functions.a.isolation: must be \"request\" or \"instance\", not \"proces\""},
    {"{\"functions\": {\"a\": {\"isolation\": true}}}",
     "mayfly.json:1: functions.a.isolation: must be \"request\" or \"instance\", not true"},
    {"{\"records\": {\"keep\": \"30 days\"}}",
     "mayfly.json:1: records.keep: must be a length of time from \"1m\" to \"3660d\", as in \"12h\" "
     "or \"30d\", not \"30 days\""},
    {"{\"records\": {\"count\": 0}}",
     "mayfly.json:1: records.count: must be a whole number from 1 to 100000000, not 0"},
    {"{\"records\": {\"bytes\": \"1KB\"}}",
     "mayfly.json:1: records.bytes: must be a size from \"16MB\" to \"1024GB\", as in \"1GB\", not "
     "\"1KB\""},
    {"{\"functions\": {\"a\": {\"records\": {\"bytes\": \"1GB\"}}}}",
     "mayfly.json:1: functions.a.records: unknown key \"bytes\"; known are keep, count"},
    {"{\"functions\": {\"a\": {\"handler\": \"\"}}}",
     "mayfly.json:1: functions.a.handler: must not be empty"},
    {"{\"functions\": {\"a\": {\"runtime\": \"web\"}}}",
     "mayfly.json:1: functions.a: has the runtime web but no command; add \"command\": [\"node\", "
     "\"server.js\"]"},
    {"{\"functions\": {\"a\": {\"command\": [\"x\"], \"runtime\": \"python\"}}}",
     "mayfly.json:1: functions.a: has \"command\", which is for servers; add \"runtime\": \"web\""},
    {"{\"functions\": {\"a\": {\"handler\": \"a.b\", \"port\": 8080}}}",
     "mayfly.json:1: functions.a: has \"port\", which is for servers; add \"runtime\": \"web\""},
    {"{\"functions\": {\"a\": {\"command\": []}}}",
     "mayfly.json:1: functions.a.command: must not be empty"},
    {"{\"functions\": {\"a\": {\"command\": [\"x\",\n 3]}}}",
     "mayfly.json:2: functions.a.command[1]: must be a string, not 3"},
    {"{\"functions\": {\"a\": {\"command\": 3}}}",
     "mayfly.json:1: functions.a.command: must be an array of words, as in [\"node\", "
     "\"server.js\"], or a line, not 3"},
    {"{\"functions\": {\"a\": {\"port\": 80}}}",
     "mayfly.json:1: functions.a.port: must be a whole number from 1024 to 65535, not 80"},
    {"{\"functions\": {\"a\": {\"per_process\": 0}}}",
     "mayfly.json:1: functions.a.per_process: must be a whole number from 1 to 10000, not 0"},
    {"{\"functions\": {\"a\": {\"readiness\": \"healthz\"}}}",
     "mayfly.json:1: functions.a.readiness: must be a path such as \"/healthz\", or \"tcp\", not "
     "\"healthz\""},
    {"{\"functions\": {\"a\": {\"readiness\": \"/a\\r\\nX: 1\"}}}",
     "mayfly.json:1: functions.a.readiness: must be a path such as \"/healthz\", or \"tcp\", not "
     "\"/a\\r\\nX: 1\""},
    {"{\"functions\": {\"a\": {\"handler\": null}}}",
     "mayfly.json:1: functions.a.handler: must be a string, not null"},
    {"{\"functions\": {\"a\": {\n\"handler\": \"../b.c\"}}}",
     "mayfly.json:2: functions.a.handler: must not leave the project's folder by \"..\""},
    {"{\"functions\": {\"a\": {\"handler\": \"b.c\", \"runtime\": \"pyhton\"}}}",
     "mayfly.json:1: functions.a.runtime: must be \"python\", \"node\", \"ruby\", \"php\", "
     "\"perl\", "
     "\"native\", \"exec\", \"provided\" or \"web\", not \"pyhton\""},
    {"{\"functions\": {\"a\": {\"runtime\": \"python\"}}}",
     "mayfly.json:1: functions.a: has a runtime but no handler; add \"handler\": \"file.name\""},
    {"{\"functions\": {\"a\": {\"env\": {\n\"MAYFLY_URL\": \"x\"}}}}",
     "mayfly.json:2: functions.a.env.MAYFLY_URL: names that begin with MAYFLY_ are mayfly's own; "
     "choose another"},
    {"{\"functions\": {\"a\": {\"env\": {\"A=B\": \"x\"}}}}",
     "mayfly.json:1: functions.a.env[\"A=B\"]: the name of a variable must not be empty or contain "
     "'='"},
    {"{\"functions\": {\"a\": {\"env\": {\"A\": 1}}}}",
     "mayfly.json:1: functions.a.env.A: must be a string, in quotes, not 1"},
    {"{\"functions\": {\"a\": {\"routes\": \"/a\"}}}",
     "mayfly.json:1: functions.a.routes: must be an array of routes, as in [\"GET /path\"], not "
     "\"/a\""},
    {"{\"functions\": {\"a\": {\"routes\": [\"/a\",\n 3]}}}",
     "mayfly.json:2: functions.a.routes[1]: must be a string, as in \"GET /path\", not 3"},
    {"{\"functions\": {\"a\": {\"routes\": [\"/a\",\n \"b\"]}}}",
     "mayfly.json:2: route \"b\": the path must begin with '/', as in \"/path\" or \"GET /path\""},
    {"{\"routes\": {\"/a\": \"x\",\n\"/b\": \"builtin:request_count\"}}",
     "mayfly.json:2: routes[\"/b\"]: there is no builtin of that name; did you mean "
     "\"builtin:request_counter\"?"},
    {"{\"routes\": {\"/b\": \"builtin:\"}}",
     "mayfly.json:1: routes[\"/b\"]: there is no builtin of that name; there are "
     "\"builtin:active_processes\" and \"builtin:request_counter\""},
    {"{\"routes\": {\"/b\": 5}}",
     "mayfly.json:1: routes[\"/b\"]: must be a function's name or \"builtin:...\", not 5"},
    {"{\"routes\": [\"/b\"]}",
     "mayfly.json:1: routes: must be an object of routes and what they lead to, not an array"},
    {"{\"include\": \"sub\"}", "mayfly.json:1: include: must be an array of folders, not \"sub\""},
    {"{\"include\": [\n\"../sub\"]}",
     "mayfly.json:2: include[0]: must be a folder below this one, such as \"sub\""},
    {"{\"include\": [\"/etc\"]}",
     "mayfly.json:1: include[0]: must be a folder below this one, such as \"sub\""},
    {"{\"include\": [{\"prefix\": \"/c\"}]}",
     "mayfly.json:1: include[0]: has no \"path\"; name the folder"},
    {"{\"include\": [{\"path\": \"c\", \"prefix\": \"/c/\"}]}",
     "mayfly.json:1: include[0].prefix: must be a path such as \"/c\": with '/' at its start, not "
     "at its end, and without *"},
    {"{\"include\": [{\"path\": \"c\", \"prefix\": \"/*\"}]}",
     "mayfly.json:1: include[0].prefix: must be a path such as \"/c\": with '/' at its start, not "
     "at its end, and without *"},
    {"{\"include\": [{\"path\": \"c\", \"prefx\": \"/c\"}]}",
     "mayfly.json:1: include[0]: unknown key \"prefx\"; did you mean \"prefix\"?"},
    {"{\"defaults\": {\n\"handler\": \"x\"}}",
     "mayfly.json:2: defaults: unknown key \"handler\"; known are isolation, env, network, reads, "
     "writes, secrets, redact, timeout, memory, concurrency, queue, queue_timeout, rate, burst, "
     "standby, "
     "standby_idle, zygote_idle, "
     "init_timeout, body, "
     "response, cpu, cpu_time, processes, files, file_size, tmp, tmp_files, recording, log"},
    {"{\"functions\": {\"a\": {\n\"network\": \"nothing\"}}}",
     "mayfly.json:2: functions.a.network: must be \"host\", \"none\" or an array of \"HOST:PORT\", "
     "not \"nothing\""},
    {"{\"functions\": {\"a\": {\n\"network\": \"list\"}}}",
     "mayfly.json:2: functions.a.network: must be \"host\", \"none\" or an array of \"HOST:PORT\", "
     "not \"list\""},
    {"{\"defaults\": {\"network\": false}}", "mayfly.json:1: defaults.network: must be \"host\", "
                                             "\"none\" or an array of \"HOST:PORT\", not "
                                             "false"},
    {"{\"functions\": {\"a\": {\"network\": []}}}",
     "mayfly.json:1: functions.a.network: is empty; say \"none\""},
    {"{\"functions\": {\"a\": {\"network\": [\"db:1\",\n 5]}}}",
     "mayfly.json:2: functions.a.network[1]: must be a string, not 5"},
    {"{\"functions\": {\"a\": {\"network\": [\"db:1\",\n \"db\"]}}}",
     "mayfly.json:2: functions.a.network[1]: \"db\" has no port; add \":443\", or \":*\" for any"},
    {"{\"functions\": {\"a\": {\"network\": [\"169.254.169.254:80\"]}}}",
     "mayfly.json:1: functions.a.network[0]: \"169.254.169.254:80\" is where machines get their "
     "credentials; no function may reach it"},
    {"{\"functions\": {\"a\": {\"network\": [\"[::ffff:169.254.169.254]:*\"]}}}",
     "mayfly.json:1: functions.a.network[0]: \"[::ffff:169.254.169.254]:*\" is where machines get "
     "their credentials; no function may reach it"},
    {"{\"functions\": {\"a\": {\"reads\": \"/srv\"}}}",
     "mayfly.json:1: functions.a.reads: must be an array of absolute paths, not \"/srv\""},
    {"{\"functions\": {\"a\": {\"reads\": [\n\"data\"]}}}",
     "mayfly.json:2: functions.a.reads[0]: \"data\" must be an absolute path"},
    {"{\"functions\": {\"a\": {\"writes\": [\"/\"]}}}",
     "mayfly.json:1: functions.a.writes[0]: \"/\" is the whole machine; name what is needed"},
    {"{\"functions\": {\"a\": {\"writes\": [\"/srv/../etc\"]}}}",
     "mayfly.json:1: functions.a.writes[0]: \"/srv/../etc\" must be plain: no \".\", \"..\" or "
     "\"//\" in it, no '/' at its end"},
    {"{\"functions\": {\"a\": {\"reads\": [\"/etc\"]}}}",
     "mayfly.json:1: functions.a.reads[0]: \"/etc\" cannot be had: name the files in it that are "
     "needed"},
    {"{\"functions\": {\"a\": {\"reads\": [\"/proc/1\"]}}}",
     "mayfly.json:1: functions.a.reads[0]: \"/proc/1\" cannot be had: a function has a /proc of "
     "its "
     "own"},
    {"{\"defaults\": {\"reads\": [\"/sys\"]}}",
     "mayfly.json:1: defaults.reads[0]: \"/sys\" cannot be had: it is the kernel's"},
    {"{\"defaults\": {\"reads\": [\"/dev\"]}}",
     "mayfly.json:1: defaults.reads[0]: \"/dev\" cannot be had: a function has a /dev of its own"},
    {"{\"defaults\": {\"reads\": [\"/run\"]}}",
     "mayfly.json:1: defaults.reads[0]: \"/run\" cannot be had: it contains /run/mayfly, and it is "
     "mayfly's own"},
    {"{\"python\": 3}", "mayfly.json:1: python: must be a string, not 3"},
    {"{\"$schema\": 3}", "mayfly.json:1: $schema: must be a string, not 3"},
    {"{\"a\x1b[31m\": 3}", "mayfly.json:1:3: control character 0x1b near '\"a'; look for a comma, "
                           "quote or bracket too many or too few before it"},
    {"{\"\\u001b[31m\": 3}", "mayfly.json:1: unknown key \"\\x1b[31m\"; known are $schema, "
                             "functions, routes, include, defaults, python, node, records"},
};

static void every_mistake_is_named_with_line_and_mend(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct error err = ERROR_NULL;
        struct config *c = NULL;
        int r = config_parse(slice_str(bad[i].text), "mayfly.json", &c, &err);

        if (r != -EINVAL || strcmp(err.text, bad[i].error) != 0)
            print_error("case %zu: %s\n", i, bad[i].text);
        assert_string_equal(err.text, bad[i].error);
        assert_int_equal(r, -EINVAL);
        assert_null(c);
    }
}

static void everything_that_may_be_said_is_understood(void **state)
{
    static const char text[] =
        "{\"$schema\": \"x\", \"python\": \"python3.11\",\n"
        " \"defaults\": {\"timeout\": 1.5, \"env\": {\"A\": \"1\"},\n"
        "  \"network\": [\"db.example:5432\", \"10.0.0.0/8:*\"]},\n"
        " \"functions\": {\n"
        "  \"f\": {\"handler\": \"dir/file.name\", \"runtime\": \"native\", \"memory\": 64,\n"
        "        \"isolation\": \"instance\", \"standby\": 0, \"rate\": 0, \"env\": {},\n"
        "        \"routes\": [\"GET /f\",\n\"/f/*\"]},\n"
        "  \"api/[id]\": {\"timeout\": 2, \"network\": \"none\", \"reads\": [\"/srv/a\", "
        "\"/etc/ssl\"],\n"
        "    \"writes\": [\"/srv/b\"]}},\n"
        " \"routes\": {\"/n\": \"f\",\n \"POST /p\": \"builtin:active_processes\"},\n"
        " \"include\": [\"a/b/\", {\"path\": \"c\", \"prefix\": \"/c/[x]\"}]}";
    struct error err = ERROR_NULL;
    struct config *c = NULL;

    (void)state;
    assert_int_equal(config_parse(slice_str(text), "mayfly.json", &c, &err), 0);
    assert_string_equal(c->python, "python3.11");
    assert_int_equal(c->defaults.limits.timeout_ms, 1500);
    assert_int_equal(c->defaults.limits_given, 1);
    assert_int_equal(c->defaults.isolation, -1);
    assert_string_equal(c->defaults.env[0], "A=1");
    assert_int_equal(c->defaults.network, NETWORK_LIST);
    assert_string_equal(c->defaults.egress[1], "10.0.0.0/8:*");
    assert_null(c->defaults.egress[2]);
    assert_int_equal(c->functions[0].settings.network, -1);
    assert_null(c->functions[0].settings.reads);
    assert_int_equal(c->functions[1].settings.network, NETWORK_NONE);
    assert_string_equal(c->functions[1].settings.reads[1], "/etc/ssl");
    assert_string_equal(c->functions[1].settings.writes[0], "/srv/b");
    assert_int_equal(c->n_functions, 2);
    assert_string_equal(c->functions[0].handler, "dir/file.name");
    assert_int_equal(c->functions[0].runtime, RUNTIME_NATIVE);
    assert_int_equal(c->functions[0].settings.isolation, ISOLATION_INSTANCE);
    assert_int_equal(c->functions[0].settings.limits.memory_bytes, 64 * MIB);
    assert_int_equal(c->functions[0].line, 5);
    assert_int_equal(c->functions[0].n_routes, 2);
    assert_string_equal(c->functions[0].routes[0].method, "GET");
    assert_string_equal(c->functions[0].routes[1].pattern, "/f/*");
    assert_int_equal(c->functions[0].routes[1].line, 8);
    assert_null(c->functions[1].handler);
    assert_int_equal(c->n_routes, 2);
    assert_string_equal(c->routes[0].function, "f");
    assert_int_equal(c->routes[1].builtin, BUILTIN_ACTIVE_PROCESSES);
    assert_int_equal(c->routes[1].line, 12);
    assert_string_equal(c->includes[0].path, "a/b");
    assert_string_equal(c->includes[0].prefix, "");
    assert_string_equal(c->includes[1].prefix, "/c/[x]");
    (void)config_free(c);
    assert_int_equal(config_parse(SLICE_LIT("{}"), "mayfly.json", &c, &err), 0);
    (void)config_free(c);
}

static void a_guess_is_near_or_not_made(void **state)
{
    static const char *const known[] = {"timeout", "memory", "queue", "queue_timeout"};
    static const struct {
        const char *word, *nearest;
    } cases[] = {{"timout", "timeout"},
                 {"tiemout", "timeout"},
                 {"mem", NULL},
                 {"memroy", "memory"},
                 {"queue_timout", "queue_timeout"},
                 {"x", NULL},
                 {"", NULL},
                 {"QUEUE", NULL}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *nearest =
            words_nearest(cases[i].word, known, ARRAY_SIZE(known), sizeof(*known));

        if (cases[i].nearest)
            assert_string_equal(nearest, cases[i].nearest);
        else
            assert_null(nearest);
    }
}

/* ---- the schema ---- */

static json_t *schema_load(void)
{
    char path[PATH_MAX] = __FILE__;
    char *slash = strrchr(path, '/');
    json_error_t error;
    json_t *schema;

    (void)snprintf(slash, sizeof(path) - (size_t)(slash - path), "/../../share/mayfly.schema.json");
    schema = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!schema)
        fail_msg("%s: %s", path, error.text);
    return schema;
}

static void keys_compare(json_t *object, enum config_object which)
{
    json_t *properties = json_object_get(object, "properties");
    size_t n = 0;

    assert_true(json_is_false(json_object_get(object, "additionalProperties")));
    for (; config_key(which, n); n++) {
        if (!json_object_get(properties, config_key(which, n)))
            fail_msg("the schema lacks \"%s\"", config_key(which, n));
    }
    assert_int_equal(json_object_size(properties), n);
}

static void limits_compare(json_t *object)
{
    json_t *properties = json_object_get(object, "properties");

    for (size_t i = 0; i < n_limit_infos; i++) {
        const struct limit_info *info = &limit_infos[i];
        bool fraction = info->unit == LIMIT_SECONDS || info->unit == LIMIT_CPUS;
        double size = fraction ? 1000 : info->unit == LIMIT_MEGABYTES ? (double)MIB : 1;
        json_t *limit = json_object_get(properties, info->key);
        const char *type = json_string_value(json_object_get(limit, "type"));
        const struct {
            const char *name;
            uint64_t value;
        } numbers[] = {{"minimum", info->min}, {"maximum", info->max}, {"default", info->dflt}};

        assert_string_equal(type, fraction ? "number" : "integer");
        for (size_t k = 0; k < ARRAY_SIZE(numbers); k++) {
            double v = json_number_value(json_object_get(limit, numbers[k].name)) * size;

            if ((uint64_t)(v + 0.5) != numbers[k].value)
                fail_msg("%s: %s differs in the schema", info->key, numbers[k].name);
        }
    }
}

static void the_schema_says_what_the_reader_does(void **state)
{
    json_t *schema = schema_load();
    json_t *defs = json_object_get(schema, "$defs");

    (void)state;
    keys_compare(schema, CONFIG_OBJECT_FILE);
    keys_compare(json_object_get(defs, "function"), CONFIG_OBJECT_FUNCTION);
    keys_compare(json_object_get(defs, "defaults"), CONFIG_OBJECT_DEFAULTS);
    keys_compare(json_object_get(defs, "include"), CONFIG_OBJECT_INCLUDE);
    keys_compare(json_object_get(defs, "records"), CONFIG_OBJECT_RECORDS);
    keys_compare(json_object_get(defs, "function_records"), CONFIG_OBJECT_FUNCTION_RECORDS);
    limits_compare(json_object_get(defs, "function"));
    limits_compare(json_object_get(defs, "defaults"));
    json_decref(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mistake_is_named_with_line_and_mend),
        cmocka_unit_test(everything_that_may_be_said_is_understood),
        cmocka_unit_test(a_guess_is_near_or_not_made),
        cmocka_unit_test(the_schema_says_what_the_reader_does),
    };

    return cmocka_run_group_tests_name("control-config", tests, NULL, NULL);
}
