/* Tokens, sessions, saved events and captures: each is there once it was said to be, within its
 * ceilings. */

#include "test-store.h"

static char text[4096];

static const uint8_t *hash_of(unsigned n)
{
    static uint8_t hash[STORE_HASH_SIZE];

    memset(hash, 0, sizeof(hash));
    memcpy(hash, &n, sizeof(n));
    return hash;
}

/* ---- tokens ---- */

static int see_token(void *ctx, const struct store_token *t)
{
    (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.*s %llu %llu\n",
                   SLICE_ARG(t->name), (unsigned long long)t->created_us,
                   (unsigned long long)t->used_us);
    return 0;
}

static const char *tokens(void)
{
    *text = '\0';
    assert_int_equal(store_tokens(store, see_token, NULL), 0);
    return text;
}

static size_t hashes(uint64_t now_us, uint8_t (*ret)[STORE_HASH_SIZE], size_t max)
{
    size_t n = 0;

    assert_int_equal(store_hashes(store, now_us, ret, max, &n), 0);
    return n;
}

static void test_a_token_is_there_until_it_is_removed(void **unused)
{
    uint8_t all[8][STORE_HASH_SIZE];

    assert_int_equal(store_token_add(store, SLICE_LIT("laptop"), hash_of(1), 100), 0);
    assert_int_equal(store_token_add(store, SLICE_LIT("ci"), hash_of(2), 200), 0);
    assert_int_equal(store_token_add(store, SLICE_LIT("ci"), hash_of(3), 300), -EEXIST);
    open_again();
    assert_string_equal(tokens(), "ci 200 0\nlaptop 100 0\n");
    assert_int_equal(hashes(0, all, 8), 2);
    assert_memory_equal(all[0], hash_of(2), STORE_HASH_SIZE);
    assert_int_equal(store_token_remove(store, SLICE_LIT("laptop")), 0);
    assert_int_equal(store_token_remove(store, SLICE_LIT("laptop")), -ENOENT);
    open_again();
    assert_string_equal(tokens(), "ci 200 0\n");
    assert_int_equal(hashes(0, all, 8), 1);
}

static void test_a_token_s_use_is_noted_once_a_minute(void **unused)
{
    assert_int_equal(store_token_add(store, SLICE_LIT("ci"), hash_of(1), T0), 0);
    assert_int_equal(store_token_used(store, hash_of(2), T0), -ENOENT);
    assert_int_equal(store_token_used(store, hash_of(1), T0), 0);
    assert_int_equal(store_token_used(store, hash_of(1), T0 + 59 * SECOND_US), 0);
    assert_string_equal(tokens(), "ci 1704067200000000 1704067200000000\n");
    assert_int_equal(store_token_used(store, hash_of(1), T0 + 60 * SECOND_US), 0);
    assert_string_equal(tokens(), "ci 1704067200000000 1704067260000000\n");
}

static void test_names_and_numbers_of_tokens_have_ceilings(void **unused)
{
    char name[STORE_NAME_MAX + 2];

    memset(name, 'x', sizeof(name));
    assert_int_equal(store_token_add(store, SLICE_NULL, hash_of(1), 0), -EINVAL);
    assert_int_equal(store_token_add(store, slice(name, STORE_NAME_MAX + 1), hash_of(1), 0),
                     -EINVAL);
    assert_int_equal(store_token_add(store, slice(name, STORE_NAME_MAX), hash_of(1), 0), 0);
    for (unsigned i = 1; i < STORE_TOKENS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "%u", i);
        assert_int_equal(store_token_add(store, slice_str(name), hash_of(i + 1), 0), 0);
    }
    assert_int_equal(store_token_add(store, SLICE_LIT("more"), hash_of(9999), 0), -EDQUOT);
}

static void test_the_same_secret_is_no_second_token(void **unused)
{
    assert_int_equal(store_token_add(store, SLICE_LIT("a"), hash_of(1), 0), 0);
    assert_int_equal(store_token_add(store, SLICE_LIT("b"), hash_of(1), 0), -EEXIST);
    assert_int_equal(store_commit(store), 0);
    assert_string_equal(tokens(), "a 0 0\n");
}

/* ---- sessions ---- */

static void test_a_session_holds_until_it_expires(void **unused)
{
    uint8_t all[8][STORE_HASH_SIZE];

    assert_int_equal(store_session_add(store, hash_of(1), T0, T0 + 10), 0);
    assert_int_equal(store_session_add(store, hash_of(2), T0, T0 + 20), 0);
    assert_int_equal(hashes(T0 + 9, all, 8), 2);
    assert_int_equal(hashes(T0 + 9, all, 1), 1);
    assert_int_equal(hashes(T0 + 10, all, 8), 1);
    assert_memory_equal(all[0], hash_of(2), STORE_HASH_SIZE);
    assert_int_equal(store_session_remove(store, hash_of(2)), 0);
    assert_int_equal(store_session_remove(store, hash_of(2)), -ENOENT);
    assert_int_equal(hashes(T0, all, 8), 1);
}

static void test_of_too_many_sessions_the_first_to_end_goes(void **unused)
{
    static uint8_t all[STORE_SESSIONS_MAX + 8][STORE_HASH_SIZE];

    for (unsigned i = 0; i < STORE_SESSIONS_MAX + 3; i++)
        assert_int_equal(store_session_add(store, hash_of(i), T0, T0 + 1000 - i), 0);
    assert_int_equal(hashes(T0, all, ARRAY_SIZE(all)), STORE_SESSIONS_MAX);
    assert_int_equal(store_session_remove(store, hash_of(STORE_SESSIONS_MAX + 2)), -ENOENT);
    assert_int_equal(store_session_remove(store, hash_of(0)), 0);
}

/* ---- what else is in the transaction ---- */

static int count_record(void *ctx, uint64_t number, const struct record *r)
{
    ++*(size_t *)ctx;
    return 0;
}

static size_t count_records(void)
{
    struct store_query q = STORE_QUERY_ANY;
    char cursor[STORE_CURSOR_MAX];
    size_t n = 0;

    assert_int_equal(store_records(store, &q, count_record, &n, cursor), 0);
    return n;
}

static void test_a_token_commits_what_was_added_before(void **unused)
{
    struct record r = record_at(T0, 1);

    add(&r);
    assert_int_equal(store_token_add(store, SLICE_LIT("ci"), hash_of(1), 0), 0);
    open_again();
    assert_int_equal(count_records(), 1);
    assert_string_equal(tokens(), "ci 0 0\n");
}

static void test_a_refused_token_spoils_nothing(void **unused)
{
    struct record r = record_at(T0, 1);

    assert_int_equal(store_token_add(store, SLICE_LIT("ci"), hash_of(1), 0), 0);
    add(&r);
    assert_int_equal(store_token_add(store, SLICE_LIT("ci"), hash_of(2), 0), -EEXIST);
    assert_int_equal(store_token_remove(store, SLICE_LIT("none")), -ENOENT);
    commit();
    assert_int_equal(count_records(), 1);
}

/* ---- saved events ---- */

static int see_event(void *ctx, const struct store_event *e)
{
    (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.*s/%.*s %.*s %llu\n",
                   SLICE_ARG(e->function), SLICE_ARG(e->name), SLICE_ARG(e->content),
                   (unsigned long long)e->updated_us);
    return 0;
}

static int events(const char *function, const char *name)
{
    *text = '\0';
    return store_events(store, slice_str(function), slice_str(name), see_event, NULL);
}

static int put(const char *function, const char *name, struct slice content, uint64_t time_us)
{
    return store_event_put(
        store, &(struct store_event){slice_str(function), slice_str(name), content, time_us});
}

static void test_an_event_is_put_changed_and_removed(void **unused)
{
    assert_int_equal(put("f", "b", SLICE_LIT("{1}"), 1), 0);
    assert_int_equal(put("f", "a", SLICE_LIT("{2}"), 2), 0);
    assert_int_equal(put("g", "a", SLICE_LIT("{3}"), 3), 0);
    assert_int_equal(put("f", "b", SLICE_LIT("{4}"), 4), 0);
    open_again();
    assert_int_equal(events("f", ""), 0);
    assert_string_equal(text, "f/a {2} 2\nf/b {4} 4\n");
    assert_int_equal(events("g", "a"), 0);
    assert_string_equal(text, "g/a {3} 3\n");
    assert_int_equal(events("g", "b"), -ENOENT);
    assert_int_equal(events("h", ""), 0);
    assert_int_equal(store_event_remove(store, SLICE_LIT("f"), SLICE_LIT("b")), 0);
    assert_int_equal(store_event_remove(store, SLICE_LIT("f"), SLICE_LIT("b")), -ENOENT);
    assert_int_equal(events("f", ""), 0);
    assert_string_equal(text, "f/a {2} 2\n");
}

static void test_events_have_ceilings(void **unused)
{
    char *big = calloc(1, STORE_EVENT_MAX + 1);
    char name[16];

    assert_non_null(big);
    assert_int_equal(put("f", "", SLICE_LIT("{}"), 1), -EINVAL);
    assert_int_equal(put("f", "big", slice(big, STORE_EVENT_MAX + 1), 1), -EFBIG);
    assert_int_equal(put("f", "big", slice(big, STORE_EVENT_MAX), 1), 0);
    for (unsigned i = 1; i < STORE_EVENTS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "%u", i);
        assert_int_equal(put("f", name, SLICE_LIT("{}"), 1), 0);
    }
    assert_int_equal(put("f", "more", SLICE_LIT("{}"), 1), -EDQUOT);
    assert_int_equal(put("f", "big", SLICE_LIT("{}"), 1), 0);
    assert_int_equal(put("g", "more", SLICE_LIT("{}"), 1), 0);
    free(big);
}

/* ---- captures ---- */

static int compare_capture(void *ctx, const struct store_capture *c)
{
    const struct store_capture *e = ctx;

    assert_true(slice_eq(c->request_id, e->request_id));
    assert_true(slice_eq(c->function, e->function));
    assert_true(slice_eq(c->version, e->version));
    assert_int_equal(c->time_us, e->time_us);
    assert_int_equal(c->flags, e->flags);
    assert_true(slice_eq(c->request_head, e->request_head));
    assert_true(slice_eq(c->request_body, e->request_body));
    assert_true(slice_eq(c->response_head, e->response_head));
    assert_true(slice_eq(c->response_body, e->response_body));
    return 0;
}

static void test_a_capture_comes_back_byte_for_byte(void **unused)
{
    struct store_capture c = {
        .request_id = id_at(T0, 1),
        .function = SLICE_LIT("f"),
        .version = SLICE_LIT("v"),
        .time_us = T0,
        .flags = STORE_CAPTURE_REQUEST_CUT | STORE_CAPTURE_REDACTED,
        .request_head = SLICE_LIT("POST / HTTP/1.1\r\n\r\n"),
        .request_body = SLICE_LIT("\0\xff\r\n'"),
        .response_head = SLICE_NULL,
        .response_body = SLICE_LIT("x"),
    };

    assert_int_equal(store_add_capture(store, &c), 0);
    commit();
    open_again();
    assert_int_equal(store_capture(store, c.request_id, compare_capture, &c), 0);
    c.response_body = SLICE_LIT("another");
    assert_int_equal(store_add_capture(store, &c), 0);
    commit();
    assert_int_equal(store_capture(store, c.request_id, compare_capture, &c), 0);
    assert_int_equal(store_capture(store, id_at(T0, 2), compare_capture, &c), -ENOENT);
    assert_int_equal(store_capture(store, SLICE_LIT("x"), compare_capture, &c), -ENOENT);
}

static void test_captures_have_ceilings(void **unused)
{
    char *big = calloc(1, STORE_CAPTURE_MAX);
    struct store_capture c = {
        .request_id = SLICE_LIT("no id"),
        .request_body = slice(big, STORE_CAPTURE_MAX),
        .response_body = slice(big, 1),
    };

    assert_non_null(big);
    assert_int_equal(store_add_capture(store, &c), -EINVAL);
    c.request_id = id_at(T0, 1);
    assert_int_equal(store_add_capture(store, &c), -EFBIG);
    c.response_body = SLICE_NULL;
    assert_int_equal(store_add_capture(store, &c), 0);
    commit();
    free(big);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_token_is_there_until_it_is_removed),
        TEST(test_a_token_s_use_is_noted_once_a_minute),
        TEST(test_names_and_numbers_of_tokens_have_ceilings),
        TEST(test_the_same_secret_is_no_second_token),
        TEST(test_a_session_holds_until_it_expires),
        TEST(test_of_too_many_sessions_the_first_to_end_goes),
        TEST(test_a_token_commits_what_was_added_before),
        TEST(test_a_refused_token_spoils_nothing),
        TEST(test_an_event_is_put_changed_and_removed),
        TEST(test_events_have_ceilings),
        TEST(test_a_capture_comes_back_byte_for_byte),
        TEST(test_captures_have_ceilings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
