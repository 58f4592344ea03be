/* The bytes that processes exchange: what goes in comes out, and bytes that were never written so
 * are refused instead of believed. */

#include "model/record.h"
#include "model/snapshot.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static char **strings(const char *a, const char *b)
{
    char **s = calloc(3, sizeof(*s));

    s[0] = a ? strdup(a) : NULL;
    s[1] = b ? strdup(b) : NULL;
    return s;
}

static void function_fill(struct function *f, const char *name)
{
    *f = (struct function){.name = strdup(name),
                           .version = "0123456789abcdef",
                           .project = strdup(""),
                           .handler = strdup("sums.sleep_and_sum"),
                           .code_dir = strdup("/srv/project"),
                           .argv = strings("/usr/bin/python3", "/lib/main.py"),
                           .env = strings("GREETING=hi=there", "EMPTY="),
                           .secrets = strings("PASSWORD=${secret:DB}", NULL),
                           .mounts =
                               strings("/var/lib/mayfly/deps/node-1/tree", "/var/node_modules"),
                           .about = strings("interpreter=/usr/bin/node", NULL),
                           .secrets_when = SECRETS_LOAD,
                           .runtime = RUNTIME_NATIVE,
                           .isolation = ISOLATION_INSTANCE};
    limits_init(&f->limits);
    f->limits.timeout_ms = 1234;
}

static struct snapshot *snapshot_make(void)
{
    struct snapshot *s = snapshot_new();

    s->generation = 7;
    s->dev = true;
    s->functions = calloc(2, sizeof(*s->functions));
    s->n_functions = 2;
    function_fill(&s->functions[0], "zeta");
    function_fill(&s->functions[1], "api/[id]");
    s->functions[1].broken = strdup("cc: not found");
    s->routes = calloc(2, sizeof(*s->routes));
    s->n_routes = 2;
    s->routes[0] = (struct route){.pattern = strdup("/active"),
                                  .origin = strdup("mayfly.json:3"),
                                  .builtin = BUILTIN_ACTIVE_PROCESSES,
                                  .project = strdup("sub")};
    s->routes[1] = (struct route){.method = strdup("GET"),
                                  .pattern = strdup("/a/[id]"),
                                  .origin = strdup("mayfly.json:4"),
                                  .function = 1,
                                  .project = strdup("")};
    return s;
}

static void a_snapshot_survives_the_way_between_processes(void **state)
{
    struct snapshot *s = snapshot_make(), *t = NULL;
    struct buf b = BUF_INIT(SNAPSHOT_BYTES_MAX);
    struct route_match m;

    (void)state;
    assert_int_equal(snapshot_encode(s, &b), 0);
    assert_int_equal(snapshot_decode(buf_slice(&b), &t), 0);
    assert_int_equal(t->generation, 7);
    assert_true(t->dev);
    assert_int_equal(t->n_functions, 2);
    assert_string_equal(t->functions[0].name, "zeta");
    assert_string_equal(t->functions[0].version, "0123456789abcdef");
    assert_string_equal(t->functions[0].argv[1], "/lib/main.py");
    assert_null(t->functions[0].argv[2]);
    assert_string_equal(t->functions[0].env[0], "GREETING=hi=there");
    assert_string_equal(t->functions[0].mounts[1], "/var/node_modules");
    assert_string_equal(t->functions[1].about[0], "interpreter=/usr/bin/node");
    assert_null(t->functions[0].broken);
    assert_string_equal(t->functions[1].broken, "cc: not found");
    assert_int_equal(t->functions[0].runtime, RUNTIME_NATIVE);
    assert_int_equal(t->functions[0].isolation, ISOLATION_INSTANCE);
    assert_memory_equal(&t->functions[0].limits, &s->functions[0].limits, sizeof(struct limits));
    assert_int_equal(route_table_match(&t->table, SLICE_LIT("GET"), SLICE_LIT("/a/9"), &m), 0);
    assert_ptr_equal(&t->functions[m.route->function], snapshot_find(t, SLICE_LIT("api/[id]")));
    assert_int_equal(route_table_match(&t->table, SLICE_LIT("GET"), SLICE_LIT("/active"), &m), 0);
    assert_int_equal(m.route->builtin, BUILTIN_ACTIVE_PROCESSES);
    assert_string_equal(m.route->project, "sub");
    assert_null(snapshot_find(t, SLICE_LIT("zet")));
    assert_null(snapshot_find(t, SLICE_LIT("zeta2")));
    assert_ptr_equal(snapshot_find(s, SLICE_LIT("zeta")), &s->functions[0]); /* without an index */
    (void)snapshot_free(s);
    (void)snapshot_free(t);
    buf_deinit(&b);
}

static void a_snapshot_cut_anywhere_is_refused(void **state)
{
    struct snapshot *s = snapshot_make(), *t = NULL;
    struct buf b = BUF_INIT(SNAPSHOT_BYTES_MAX);

    (void)state;
    assert_int_equal(snapshot_encode(s, &b), 0);
    for (size_t len = 0; len < buf_len(&b); len++) {
        /* A copy of just these bytes, so that the sanitizer sees a read behind them. */
        char *bytes = malloc(MAX(len, 1));

        if (len > 0)
            memcpy(bytes, b.data, len);
        assert_int_equal(snapshot_decode(slice(bytes, len), &t), -EBADMSG);
        free(bytes);
    }
    assert_int_equal(buf_append(&b, "x", 1), 0);
    assert_int_equal(snapshot_decode(buf_slice(&b), &t), -EBADMSG);
    assert_null(t);
    (void)snapshot_free(s);
    buf_deinit(&b);
}

static void a_snapshot_with_any_byte_changed_is_refused_or_read_but_never_believed(void **state)
{
    struct snapshot *s = snapshot_make();
    struct buf b = BUF_INIT(SNAPSHOT_BYTES_MAX);

    (void)state;
    assert_int_equal(snapshot_encode(s, &b), 0);
    for (size_t i = 0; i < buf_len(&b); i++) {
        static const unsigned char masks[] = {0x01, 0x80, 0xff};

        for (size_t k = 0; k < ARRAY_SIZE(masks); k++) {
            struct snapshot *t = NULL;
            int r;

            b.data[i] = (char)(b.data[i] ^ masks[k]);
            r = snapshot_decode(buf_slice(&b), &t);
            assert_true(r == 0 || r == -EBADMSG);
            for (uint32_t n = 0; r == 0 && n < t->n_routes; n++)
                assert_true(t->routes[n].builtin != BUILTIN_NONE ||
                            t->routes[n].function < t->n_functions);
            (void)snapshot_free(t);
            b.data[i] = (char)(b.data[i] ^ masks[k]);
        }
    }
    (void)snapshot_free(s);
    buf_deinit(&b);
}

static int decode_changed(void (*change)(struct snapshot *s))
{
    struct snapshot *s = snapshot_make(), *t = NULL;
    struct buf b = BUF_INIT(SNAPSHOT_BYTES_MAX);
    int r;

    change(s);
    assert_int_equal(snapshot_encode(s, &b), 0);
    r = snapshot_decode(buf_slice(&b), &t);
    (void)snapshot_free(s);
    (void)snapshot_free(t);
    buf_deinit(&b);
    return r;
}

static void change_nothing(struct snapshot *s)
{
    (void)s;
}
static void change_index(struct snapshot *s)
{
    s->routes[1].function = 2;
}
static void change_limit(struct snapshot *s)
{
    s->functions[0].limits.timeout_ms = 9;
}
static void change_runtime(struct snapshot *s)
{
    s->functions[0].runtime = _RUNTIME_MAX;
}
static void change_name(struct snapshot *s)
{
    strcpy(s->functions[0].name, "../x");
}
static void change_twin(struct snapshot *s)
{
    strcpy(s->functions[1].name, "zeta");
}
static void change_argv(struct snapshot *s)
{
    s->functions[0].argv[0][0] = 'x';
}
static void change_env(struct snapshot *s)
{
    strcpy(s->functions[0].env[1], "X");
}
static void change_mount_source(struct snapshot *s)
{
    s->functions[0].mounts[0][0] = 'x';
}
static void change_mount_target(struct snapshot *s)
{
    strcpy(s->functions[0].mounts[1], "/usr/lib");
}
static void change_mount_pairs(struct snapshot *s)
{
    free(s->functions[0].mounts[1]);
    s->functions[0].mounts[1] = NULL;
}
static void change_pattern(struct snapshot *s)
{
    strcpy(s->routes[0].pattern, "/a//");
}
static void change_clash(struct snapshot *s)
{
    free(s->routes[0].method);
    s->routes[0].method = strdup("GET");
    strcpy(s->routes[0].pattern, "/a/[x]");
}
static void change_version(struct snapshot *s)
{
    s->functions[0].version[3] = 'x';
}

static void a_snapshot_that_control_would_not_write_is_refused(void **state)
{
    (void)state;
    assert_int_equal(decode_changed(change_nothing), 0);
    assert_int_equal(decode_changed(change_index), -EBADMSG);
    assert_int_equal(decode_changed(change_limit), -EBADMSG);
    assert_int_equal(decode_changed(change_runtime), -EBADMSG);
    assert_int_equal(decode_changed(change_name), -EBADMSG);
    assert_int_equal(decode_changed(change_twin), -EBADMSG);
    assert_int_equal(decode_changed(change_argv), -EBADMSG);
    assert_int_equal(decode_changed(change_env), -EBADMSG);
    assert_int_equal(decode_changed(change_mount_source), -EBADMSG);
    assert_int_equal(decode_changed(change_mount_target), -EBADMSG);
    assert_int_equal(decode_changed(change_mount_pairs), -EBADMSG);
    assert_int_equal(decode_changed(change_pattern), -EBADMSG);
    assert_int_equal(decode_changed(change_clash), -EBADMSG);
    assert_int_equal(decode_changed(change_version), -EBADMSG);
}

static void a_record_survives_and_its_strings_are_cut_at_their_ceilings(void **state)
{
    char path[2000];
    struct record r = {.request_id = SLICE_LIT("0192-1"),
                       .function = SLICE_LIT("f"),
                       .path = slice(path, sizeof(path)),
                       .error = SLICE_LIT("a\0b"),
                       .start_us = 1,
                       .outcome = OUTCOME_TIMEOUT,
                       .trigger = TRIGGER_QUEUE,
                       .log_dropped = UINT64_MAX,
                       .limit = LIMIT_HIT_LOG,
                       .limit_used = 1,
                       .limit_max = 2};
    struct record t;
    struct buf b = BUF_INIT(100000);
    struct unpack u;

    (void)state;
    memset(path, 'p', sizeof(path));
    assert_int_equal(record_encode(&r, &b), 0);
    unpack_init(&u, buf_slice(&b));
    record_decode(&u, &t);
    assert_int_equal(unpack_end(&u), 0);
    assert_true(slice_eq(t.request_id, r.request_id));
    assert_int_equal(t.path.len, 1024);
    assert_int_equal(t.error.len, 3);
    assert_int_equal(t.outcome, OUTCOME_TIMEOUT);
    assert_int_equal(t.trigger, TRIGGER_QUEUE);
    assert_true(t.log_dropped == UINT64_MAX);
    assert_true(t.limit == LIMIT_HIT_LOG && t.limit_used == 1 && t.limit_max == 2);
    for (size_t len = 0; len < buf_len(&b); len++) {
        unpack_init(&u, slice(b.data, len));
        record_decode(&u, &t);
        assert_int_equal(unpack_end(&u), -EBADMSG);
        assert_true(t.outcome < _OUTCOME_MAX && t.trigger < _TRIGGER_MAX);
    }
    buf_deinit(&b);
}

static void an_outcome_out_of_range_becomes_the_last_one(void **state)
{
    struct record r = {.outcome = 99, .trigger = 99, .limit = 99}, t;
    struct buf b = BUF_INIT(1000);
    struct unpack u;

    (void)state;
    assert_int_equal(record_encode(&r, &b), 0);
    unpack_init(&u, buf_slice(&b));
    record_decode(&u, &t);
    assert_int_equal(unpack_end(&u), 0);
    assert_int_equal(t.outcome, _OUTCOME_MAX - 1);
    assert_int_equal(t.trigger, _TRIGGER_MAX - 1);
    assert_int_equal(t.limit, LIMIT_HIT_NONE);
    buf_deinit(&b);
}

static void a_batch_without_room_stays_whole(void **state)
{
    struct log_line l = {.stream = LOG_STDERR,
                         .text = SLICE_LIT("hello"),
                         .time_us = 5,
                         .is_cut = true},
                    t;
    struct buf b = BUF_INIT(50);
    struct unpack u;

    (void)state;
    assert_int_equal(log_line_encode(&l, &b), 0);
    assert_int_equal(log_line_encode(&l, &b), -ENOBUFS);
    unpack_init(&u, buf_slice(&b));
    log_line_decode(&u, &t);
    assert_int_equal(unpack_end(&u), 0);
    assert_true(slice_eq(t.text, l.text));
    assert_int_equal(t.stream, LOG_STDERR);
    buf_deinit(&b);
}

static void the_longest_record_and_log_line_fit_one_message(void **state)
{
    static char big[LOG_LINE_BYTES_MAX * 2];
    struct slice s = slice(big, sizeof(big));
    struct record r = {s, s, s, s, s, s, s};
    struct log_line l = {.request_id = s, .function = s, .version = s, .text = s};
    struct buf b = BUF_INIT(131072 - 256);

    (void)state;
    assert_int_equal(record_encode(&r, &b), 0);
    assert_int_equal(log_line_encode(&l, &b), 0);
    buf_deinit(&b);
}

static void a_mount_stays_below_var_and_beside_the_code(void **state)
{
    static const char *const good[] = {"/var/node_modules", "/var/deps/python", "/var/tasks",
                                       "/var/a.b"};
    static const char *const bad[] = {
        "/var",
        "/var/",
        "/usr/x",
        "var/x",
        "",
        "/var/task",
        "/var/task/x",
        "/var/../etc",
        "/var/a/..",
        "/var//x",
        "/var/./x",
        "/var/x/",
        "/varx",
        "/var/a-name-that-takes-up-more-than-the-room-that-there-is-for-it"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_true(function_mount_is_valid(good[i]));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(function_mount_is_valid(bad[i]));
}

static void function_names_are_safe_as_paths(void **state)
{
    static const char *const good[] = {"a", "api/users", "api/[team]/[id]", "a-b_c.d", "...x"};
    static const char *const bad[] = {"",       "/a",  "a/",  "a//b",   "..",
                                      "a/../b", "a b", "a\n", "caf\xc3"};
    char longest[FUNCTION_NAME_MAX + 1];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_true(function_name_is_valid(slice_str(good[i])));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(function_name_is_valid(slice_str(bad[i])));
    memset(longest, 'a', sizeof(longest));
    assert_true(function_name_is_valid(slice(longest, FUNCTION_NAME_MAX)));
    assert_false(function_name_is_valid(slice(longest, FUNCTION_NAME_MAX + 1)));
}

static void every_default_limit_is_allowed(void **state)
{
    struct limits limits;

    (void)state;
    limits_init(&limits);
    for (size_t i = 0; i < n_limit_infos; i++) {
        uint64_t v;

        memcpy(&v, (char *)&limits + limit_infos[i].offset, sizeof(v));
        assert_true(v == limit_infos[i].dflt);
        assert_true(v >= limit_infos[i].min && v <= limit_infos[i].max);
    }
    assert_int_equal(limits.timeout_ms, 30000);
    assert_int_equal(runtime_from_name(SLICE_LIT("exec")), RUNTIME_EXEC);
    assert_int_equal(runtime_from_name(SLICE_LIT("pytho")), -1);
    assert_int_equal(builtin_from_name(SLICE_LIT("")), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_survives_the_way_between_processes),
        cmocka_unit_test(a_snapshot_cut_anywhere_is_refused),
        cmocka_unit_test(a_snapshot_with_any_byte_changed_is_refused_or_read_but_never_believed),
        cmocka_unit_test(a_snapshot_that_control_would_not_write_is_refused),
        cmocka_unit_test(a_record_survives_and_its_strings_are_cut_at_their_ceilings),
        cmocka_unit_test(an_outcome_out_of_range_becomes_the_last_one),
        cmocka_unit_test(a_batch_without_room_stays_whole),
        cmocka_unit_test(the_longest_record_and_log_line_fit_one_message),
        cmocka_unit_test(a_mount_stays_below_var_and_beside_the_code),
        cmocka_unit_test(function_names_are_safe_as_paths),
        cmocka_unit_test(every_default_limit_is_allowed),
    };

    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
