/* What is said of a limit, who is believed about it, and what the end of a worker speaks of. */

#include "model/failure.h"

#include <ctype.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct limits limits_of_a_function(void)
{
    struct limits l;

    limits_init(&l);
    l.cpu_time_ms = 2000;
    l.timeout_ms = 3000;
    l.response_max = 6 * MIB;
    return l;
}

static void each_limit_has_words_of_its_own(void **state)
{
    static const struct {
        struct limit_use use;
        const char *text;
    } cases[] = {
        {{LIMIT_HIT_NONE, 1, 2}, ""},
        {{LIMIT_HIT_MEMORY, 128 * MIB, 128 * MIB}, "OutOfMemory: used 128 MB of 128 MB"},
        {{LIMIT_HIT_MEMORY, 100 * MIB + 1, 128 * MIB}, "OutOfMemory: used 101 MB of 128 MB"},
        {{LIMIT_HIT_TIMEOUT, 3000, 3000}, "Timeout after 3.00 s"},
        {{LIMIT_HIT_TIMEOUT, 250, 250}, "Timeout after 0.25 s"},
        {{LIMIT_HIT_CPU_TIME, 2000, 2000}, "CpuTime: 2.00 s of 2.00 s"},
        {{LIMIT_HIT_PROCESSES, 64, 64}, "TooManyProcesses: 64 of 64"},
        {{LIMIT_HIT_FILES, 1024, 1024}, "TooManyFiles: 1024 of 1024"},
        {{LIMIT_HIT_FILE_SIZE, 512 * MIB, 512 * MIB}, "FileTooLarge: more than 512 MB"},
        {{LIMIT_HIT_TMP, 64 * MIB, 64 * MIB}, "TmpFull: 64 MB of 64 MB"},
        {{LIMIT_HIT_TMP_FILES, 4096, 4096}, "TmpFull: 4096 of 4096 files"},
        {{LIMIT_HIT_RESPONSE, 6 * MIB, 6 * MIB}, "ResponseTooLarge: more than 6 MB"},
        {{LIMIT_HIT_LOG, 1 * MIB, 1 * MIB}, "LogTooLarge: more than 1 MB"},
    };
    bool seen[_LIMIT_HIT_MAX] = {false};
    char text[LIMIT_TEXT_MAX], little[8];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        limit_use_text(&cases[i].use, text, sizeof(text));
        assert_string_equal(text, cases[i].text);
        limit_use_text(&cases[i].use, little, sizeof(little));
        assert_true(strlen(little) < sizeof(little));
        seen[cases[i].use.hit] = true;
    }
    for (int i = 0; i < _LIMIT_HIT_MAX; i++)
        assert_true(seen[i]);
}

/* The keys are those of mayfly.json, and the maximum is the field that the key sets. */
static void a_limit_is_named_by_its_key_in_mayfly_json(void **state)
{
    struct limits l;

    (void)state;
    for (size_t i = 0; i < n_limit_infos; i++)
        *(uint64_t *)(void *)((char *)&l + limit_infos[i].offset) = 1000 + i;
    for (int hit = LIMIT_HIT_NONE + 1; hit < _LIMIT_HIT_MAX; hit++) {
        const char *key = limit_hit_key((enum limit_hit)hit);
        size_t row = n_limit_infos;

        for (size_t i = 0; i < n_limit_infos; i++)
            row = strcmp(limit_infos[i].key, key) == 0 ? i : row;
        assert_true(row < n_limit_infos);
        assert_int_equal(limit_use_all(&l, (enum limit_hit)hit).max, 1000 + row);
        assert_int_equal(limit_hit_from_key(slice_str(key)), hit);
    }
    assert_int_equal(limit_hit_from_key(SLICE_LIT("")), LIMIT_HIT_NONE);
    assert_int_equal(limit_hit_from_key(SLICE_LIT("rate")), LIMIT_HIT_NONE);
}

static void who_is_not_believed_cannot_say_more_than_there_is(void **state)
{
    const uint64_t all = 128 * MIB;
    static const struct {
        uint64_t used, max, believed_used, believed_max;
    } cases[] = {
        {0, 0, 128 * MIB, 128 * MIB},
        {5, 0, 5, 128 * MIB},
        {0, 100 * MIB, 100 * MIB, 100 * MIB}, /* the daemon itself may have less */
        {200 * MIB, 100 * MIB, 100 * MIB, 100 * MIB},
        {UINT64_MAX, UINT64_MAX, 128 * MIB, 128 * MIB},
        {7, UINT64_MAX, 7, 128 * MIB},
    };
    struct limits l = limits_of_a_function();

    (void)state;
    assert_int_equal(l.memory_bytes, all);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct limit_use u = limit_use_believe(&l, LIMIT_HIT_MEMORY, cases[i].used, cases[i].max);

        assert_int_equal(u.hit, LIMIT_HIT_MEMORY);
        assert_int_equal(u.used, cases[i].believed_used);
        assert_int_equal(u.max, cases[i].believed_max);
    }
    l.cpu_time_ms = 0;
    assert_int_equal(limit_use_all(&l, LIMIT_HIT_CPU_TIME).hit, LIMIT_HIT_NONE);
    assert_int_equal(limit_use_believe(&l, _LIMIT_HIT_MAX, 1, 1).hit, LIMIT_HIT_NONE);
    assert_int_equal(limit_use_believe(&l, (enum limit_hit)UINT32_MAX, 1, 1).hit, LIMIT_HIT_NONE);
    assert_int_equal(limit_use_believe(&l, LIMIT_HIT_NONE, 1, 1).hit, LIMIT_HIT_NONE);
}

static void what_a_worker_says_is_read_strictly(void **state)
{
    static const char *const bad[] = {
        "",
        "files",
        "files 1",
        "files 1 ",
        "files  1 1",
        "files 1 1 ",
        "files 1 1 1",
        "files -1 1",
        "files 1 0x1",
        "file 1 1",
        " 1 1",
        "files 1 1\n",
        "FILES 1 1",
        "files one two",
        "files 99999999999999999999 1",
        "files 00000000000000000000000000000000000000000000000000000001 1",
    };
    struct limit_use u = {LIMIT_HIT_TMP, 0, INT64_MAX}, v;
    char text[LIMIT_WORDS_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(limit_use_read(slice_str(bad[i]), &v));
    assert_int_equal(limit_use_write(&u, text), strlen("tmp 0 9223372036854775807"));
    assert_string_equal(text, "tmp 0 9223372036854775807");
    assert_true(limit_use_read(slice_str(text), &v));
    assert_true(v.hit == u.hit && v.used == u.used && v.max == u.max);
    for (int hit = LIMIT_HIT_NONE; hit < _LIMIT_HIT_MAX; hit++) {
        u = (struct limit_use){(enum limit_hit)hit, UINT64_MAX, UINT64_MAX};
        assert_true(limit_use_write(&u, text) < sizeof(text));
    }
    assert_true(limit_use_read(SLICE_LIT("files 1024 1024"), &v));
    assert_true(v.hit == LIMIT_HIT_FILES && v.used == 1024 && v.max == 1024);
}

#define KILLED(signal) (signal)
#define EXITED(code)   ((code) << 8)

static void the_end_of_a_worker_tells_which_limit_it_was(void **state)
{
    static const struct {
        struct limit_end end;
        enum limit_hit hit;
        uint64_t used;
    } cases[] = {
        /* CPU time: killed at it, and not for less. */
        {{KILLED(SIGKILL), 2000000, 0, 0}, LIMIT_HIT_CPU_TIME, 2000},
        {{KILLED(SIGKILL), 2900000, 0, 0}, LIMIT_HIT_CPU_TIME, 2000},
        {{KILLED(SIGKILL), 1999000, 0, 0}, LIMIT_HIT_NONE, 0},
        {{KILLED(SIGXCPU), 1990000, 0, 0}, LIMIT_HIT_CPU_TIME, 2000},
        {{EXITED(1), 5000000, 0, 0}, LIMIT_HIT_NONE, 0},
        /* Files. */
        {{KILLED(SIGXFSZ), 0, 0, 0}, LIMIT_HIT_FILE_SIZE, 512 * MIB},
        {{EXITED(128 + SIGXFSZ), 0, 0, 0}, LIMIT_HIT_FILE_SIZE, 512 * MIB},
        /* Memory: both counts have to be near it. */
        {{KILLED(SIGKILL), 0, 128 * MIB, 128 * MIB}, LIMIT_HIT_MEMORY, 128 * MIB},
        {{KILLED(SIGSEGV), 0, 120 * MIB, 300 * MIB}, LIMIT_HIT_MEMORY, 120 * MIB},
        {{EXITED(128 + SIGABRT), 0, 300 * MIB, 112 * MIB}, LIMIT_HIT_MEMORY, 112 * MIB},
        {{KILLED(SIGKILL), 0, 300 * MIB, 100 * MIB}, LIMIT_HIT_NONE, 0},
        {{KILLED(SIGKILL), 0, 100 * MIB, 300 * MIB}, LIMIT_HIT_NONE, 0},
        {{KILLED(SIGTERM), 0, 300 * MIB, 300 * MIB}, LIMIT_HIT_NONE, 0},
        {{EXITED(1), 0, 300 * MIB, 300 * MIB}, LIMIT_HIT_NONE, 0},
        {{EXITED(0), 0, 0, 0}, LIMIT_HIT_NONE, 0},
        {{UINT32_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}, LIMIT_HIT_NONE, 0},
    };
    struct limits l = limits_of_a_function();

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct limit_use u = limit_use_of_end(&l, &cases[i].end);

        assert_int_equal(u.hit, cases[i].hit);
        assert_int_equal(u.used, cases[i].used);
    }
    l.cpu_time_ms = 0;
    assert_int_equal(limit_use_of_end(&l, &cases[0].end).hit, LIMIT_HIT_NONE);
}

/* ---- errorTypes ---- */

static void assert_camel_case(const char *type)
{
    assert_true(isupper((unsigned char)type[0]) && type[1]);
    for (const char *p = type; *p; p++)
        assert_true(isalpha((unsigned char)*p));
}

static void every_error_type_is_camel_case(void **state)
{
    (void)state;
    for (unsigned status = 400; status < 600; status++)
        assert_camel_case(failure_type_of_status(status));
    for (int outcome = 0; outcome < _OUTCOME_MAX; outcome++) {
        for (unsigned status = 400; status < 600; status++)
            assert_camel_case(failure_type((enum outcome)outcome, status, LIMIT_HIT_NONE));
    }
    for (int hit = LIMIT_HIT_NONE + 1; hit < _LIMIT_HIT_MAX; hit++)
        assert_camel_case(failure_type(OUTCOME_CRASH, 502, (enum limit_hit)hit));
}

static void an_error_type_says_the_limit_before_the_outcome_before_the_status(void **state)
{
    static const struct {
        enum outcome outcome;
        unsigned status;
        enum limit_hit limit;
        const char *type;
    } cases[] = {
        {OUTCOME_CRASH, 502, LIMIT_HIT_MEMORY, "OutOfMemory"},
        {OUTCOME_CRASH, 502, LIMIT_HIT_NONE, "Crash"},
        {OUTCOME_BAD_REPLY, 502, LIMIT_HIT_NONE, "BadReply"},
        {OUTCOME_BAD_REPLY, 502, LIMIT_HIT_RESPONSE, "ResponseTooLarge"},
        {OUTCOME_TIMEOUT, 504, LIMIT_HIT_TIMEOUT, "Timeout"},
        {OUTCOME_ERROR, 500, LIMIT_HIT_NONE, "FunctionError"},
        {OUTCOME_INIT, 500, LIMIT_HIT_NONE, "LoadError"},
        {OUTCOME_BAD_REQUEST, 431, LIMIT_HIT_NONE, "HeadersTooLarge"},
        {OUTCOME_BAD_REQUEST, 408, LIMIT_HIT_NONE, "RequestTimeout"},
        {OUTCOME_BAD_REQUEST, 400, LIMIT_HIT_NONE, "BadRequest"},
        {OUTCOME_THROTTLED, 429, LIMIT_HIT_NONE, "TooManyRequests"},
        {OUTCOME_UNAVAILABLE, 503, LIMIT_HIT_NONE, "Unavailable"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_string_equal(failure_type(cases[i].outcome, cases[i].status, cases[i].limit),
                            cases[i].type);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_limit_has_words_of_its_own),
        cmocka_unit_test(a_limit_is_named_by_its_key_in_mayfly_json),
        cmocka_unit_test(who_is_not_believed_cannot_say_more_than_there_is),
        cmocka_unit_test(what_a_worker_says_is_read_strictly),
        cmocka_unit_test(the_end_of_a_worker_tells_which_limit_it_was),
        cmocka_unit_test(every_error_type_is_camel_case),
        cmocka_unit_test(an_error_type_says_the_limit_before_the_outcome_before_the_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
