/* What is put into a store comes back whole, once, and in order; pages follow each other without a
 * gap. */

#include "test-store.h"

#include "store/store-internal.h"

#define SEEN_MAX 4000

/* What a query has given. */
static struct {
    size_t n;
    uint64_t numbers[SEEN_MAX];
    uint64_t starts[SEEN_MAX];
    uint64_t totals[SEEN_MAX];
    char texts[SEEN_MAX][32]; /* the request ids of records, the texts of lines */
    char cursor[STORE_CURSOR_MAX];
} seen;

static int see_record(void *ctx, uint64_t number, const struct record *r)
{
    assert_true(seen.n < SEEN_MAX);
    seen.numbers[seen.n] = number;
    seen.starts[seen.n] = r->start_us;
    seen.totals[seen.n] = r->total_ns;
    seen.n++;
    return 0;
}

static int see_line(void *ctx, uint64_t number, const struct log_line *l)
{
    assert_true(seen.n < SEEN_MAX);
    seen.numbers[seen.n] = number;
    seen.starts[seen.n] = l->time_us;
    (void)snprintf(seen.texts[seen.n], sizeof(seen.texts[0]), "%.*s", SLICE_ARG(l->text));
    seen.n++;
    return 0;
}

static size_t find(struct store_query q)
{
    seen.n = 0;
    assert_int_equal(store_records(store, &q, see_record, NULL, seen.cursor), 0);
    return seen.n;
}

static size_t find_lines(struct store_query q)
{
    seen.n = 0;
    assert_int_equal(store_logs(store, &q, see_line, NULL, seen.cursor), 0);
    return seen.n;
}

/* ---- records ---- */

static struct record everything(void)
{
    struct record r;
    uint64_t n = 1000;

#define FILL_U64(name, text)      r.name = n++;
#define FILL_STR(name, max, text) r.name = SLICE_LIT(#name);
    RECORD_FIELDS(FILL_U64, FILL_STR)
#undef FILL_U64
#undef FILL_STR
    r.request_id = id_at(T0, 7);
    r.outcome = OUTCOME_CRASH;
    r.trigger = TRIGGER_QUEUE;
    r.limit = 1;
    r.path = SLICE_LIT("/a\0\xff\xfe'b");
    return r;
}

static int compare(void *ctx, uint64_t number, const struct record *r)
{
    const struct record *expected = ctx;

#define COMPARE_U64(name, text)      assert_int_equal(r->name, expected->name);
#define COMPARE_STR(name, max, text) assert_true(slice_eq(r->name, expected->name));
    RECORD_FIELDS(COMPARE_U64, COMPARE_STR)
#undef COMPARE_U64
#undef COMPARE_STR
    seen.n++;
    return 0;
}

static void test_a_record_comes_back_with_all_its_fields(void **unused)
{
    struct record r = everything();
    struct store_query q = STORE_QUERY_ANY;

    add(&r);
    commit();
    open_again();
    q.request_id = r.request_id;
    seen.n = 0;
    assert_int_equal(store_records(store, &q, compare, &r, seen.cursor), 0);
    assert_int_equal(seen.n, 1);
    assert_string_equal(seen.cursor, "");
}

static void test_numbers_beyond_what_the_file_holds_are_cut(void **unused)
{
    struct record r = record_at(T0, 1);

    r.bytes_in = UINT64_MAX;
    r.total_ns = UINT64_MAX;
    add(&r);
    commit();
    assert_int_equal(find(STORE_QUERY_ANY), 1);
    assert_int_equal(seen.totals[0], INT64_MAX);
}

static void test_a_request_id_that_is_none_spoils_nothing(void **unused)
{
    struct record r = record_at(T0, 1);

    add(&r);
    r.request_id = SLICE_LIT("../../etc/passwd");
    assert_int_equal(store_add_record(store, &r), -EINVAL);
    r.request_id = SLICE_NULL;
    assert_int_equal(store_add_record(store, &r), -EINVAL);
    commit();
    assert_int_equal(find(STORE_QUERY_ANY), 1);
}

/* 300 records, one a second: function f0..f2 in turn, every 10th failed, the n-th took n ms. */
static void fill(void)
{
    static const char *const names[] = {"f0", "f1", "f2"};

    for (unsigned i = 0; i < 300; i++) {
        struct record r = record_at(T0 + i * SECOND_US, i);

        r.function = slice_str(names[i % 3]);
        r.version = i < 150 ? SLICE_LIT("old") : SLICE_LIT("new");
        r.outcome = i % 10 == 0 ? OUTCOME_ERROR : OUTCOME_OK;
        r.trigger = i % 2 == 0 ? TRIGGER_HTTP : TRIGGER_INVOKE;
        r.total_ns = i * 1000000ull;
        r.path = i % 50 == 0 ? SLICE_LIT("/needle") : SLICE_LIT("/hay");
        add(&r);
    }
    commit();
}

/* Goes through all pages and says how many rows they had. */
static size_t walk(struct store_query q, uint64_t *ret, size_t (*page)(struct store_query))
{
    char cursor[STORE_CURSOR_MAX] = "";
    size_t n = 0;

    for (unsigned pages = 0;; pages++) {
        assert_true(pages < 1000);
        q.cursor = slice_str(cursor);
        (void)page(q);
        for (size_t i = 0; i < seen.n; i++)
            ret[n++] = seen.numbers[i];
        if (!seen.cursor[0])
            return n;
        (void)strcpy(cursor, seen.cursor);
    }
}

/* Each of the pages that lead to all of them, whatever the size and the order. */
static void find_all(const char *what, struct store_query q, size_t n)
{
    static const uint32_t limits[] = {STORE_LIMIT_MAX, 7};
    uint64_t numbers[1000];

    for (int order = STORE_BY_TIME; order <= STORE_BY_NUMBER; order++) {
        for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
            size_t found;

            q.order = (enum store_order)order;
            q.limit = limits[i];
            found = walk(q, numbers, find);
            if (found != n)
                fail_msg("%s, order %d: %zu, not %zu", what, order, found, n);
            for (size_t k = 1; k < n && order == STORE_BY_TIME; k++)
                assert_true(numbers[k] < numbers[k - 1]);
        }
    }
}

static void find_by_marks(void)
{
    struct store_query any = STORE_QUERY_ANY;
    const struct {
        const char *what;
        struct store_query q;
        size_t n;
    } cases[] = {
        {"everything", any, 300},
        {"function", {.function = SLICE_LIT("f1"), .outcome = -1, .trigger = -1}, 100},
        {"no such function", {.function = SLICE_LIT("f9"), .outcome = -1, .trigger = -1}, 0},
        {"version of all", {.version = SLICE_LIT("old"), .outcome = -1, .trigger = -1}, 150},
        {"version of one",
         {.function = SLICE_LIT("f0"), .version = SLICE_LIT("old"), .outcome = -1, .trigger = -1},
         50},
        {"no such version", {.version = SLICE_LIT("newer"), .outcome = -1, .trigger = -1}, 0},
        {"outcome", {.outcome = OUTCOME_ERROR, .trigger = -1}, 30},
        {"outcome ok", {.outcome = OUTCOME_OK, .trigger = -1}, 270},
        {"failed", {.failed = true, .outcome = -1, .trigger = -1}, 30},
        {"failed of one",
         {.failed = true, .function = SLICE_LIT("f0"), .outcome = -1, .trigger = -1},
         10},
        {"trigger", {.outcome = -1, .trigger = TRIGGER_INVOKE}, 150},
        {"since", {.outcome = -1, .trigger = -1, .since_us = T0 + 290 * SECOND_US}, 10},
        {"until", {.outcome = -1, .trigger = -1, .until_us = T0 + 10 * SECOND_US}, 10},
        {"span",
         {.outcome = -1,
          .trigger = -1,
          .since_us = T0 + 10 * SECOND_US,
          .until_us = T0 + 20 * SECOND_US},
         10},
        {"slow", {.outcome = -1, .trigger = -1, .min_us = 290000}, 10},
        {"quick", {.outcome = -1, .trigger = -1, .max_us = 9000}, 10},
        {"text", {.outcome = -1, .trigger = -1, .text = SLICE_LIT("needle")}, 6},
        {"whole id", {.outcome = -1, .trigger = -1, .request_id = id_at(T0 + 5 * SECOND_US, 5)}, 1},
        {"no id", {.outcome = -1, .trigger = -1, .request_id = SLICE_LIT("hello")}, 0},
        {"all at once",
         {.function = SLICE_LIT("f0"),
          .version = SLICE_LIT("new"),
          .outcome = OUTCOME_ERROR,
          .trigger = TRIGGER_HTTP,
          .failed = true,
          .since_us = T0,
          .until_us = T0 + DAY_US,
          .min_us = 100000,
          .max_us = 250000},
         4},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        find_all(cases[i].what, cases[i].q, cases[i].n);
}

static void test_records_are_found_by_each_of_their_marks(void **unused)
{
    fill();
    find_by_marks();
}

/* Of very many records an answer looks at a part, and says where to go on. */
static void test_answers_that_end_early_add_up_to_the_whole(void **unused)
{
    static const unsigned sizes[] = {0, 1, 7, 100, 299, 300, 1000};

    fill();
    store->search_whole_max = 0;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        store->search_slice_rows = sizes[i];
        store->answer_ms = 0;
        find_by_marks();
        store->answer_ms = 1000;
        find_by_marks();
    }
}

static void test_the_beginning_of_an_id_finds_it(void **unused)
{
    struct store_query q = STORE_QUERY_ANY;
    struct slice id;

    fill();
    id = id_at(T0 + 5 * SECOND_US, 5);
    q.request_id = slice(id.base, 13);
    assert_int_equal(find(q), 1);
    assert_int_equal(seen.starts[0], T0 + 5 * SECOND_US);
    q.request_id = slice(id.base, 2);
    q.limit = 1000;
    assert_int_equal(find(q), 300);
}

static void test_pages_of_records_follow_each_other(void **unused)
{
    static const enum store_order orders[] = {STORE_BY_TIME, STORE_BY_DURATION, STORE_BY_NUMBER};
    uint64_t numbers[1000];

    fill();
    for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
        for (uint32_t limit = 1; limit <= 301; limit += 50) {
            struct store_query q = STORE_QUERY_ANY;

            q.order = orders[i];
            q.limit = limit;
            assert_int_equal(walk(q, numbers, find), 300);
            for (size_t n = 0; n < 300; n++)
                assert_int_equal(numbers[n], orders[i] == STORE_BY_NUMBER ? n + 1 : 300 - n);
            q.failed = true;
            q.text = SLICE_LIT("/");
            assert_int_equal(walk(q, numbers, find), 30);
        }
    }
}

static void test_equally_slow_records_are_each_on_one_page(void **unused)
{
    struct store_query q = STORE_QUERY_ANY;
    uint64_t numbers[1000];

    for (unsigned i = 0; i < 50; i++) {
        struct record r = record_at(T0, i);

        add(&r);
    }
    commit();
    q.order = STORE_BY_DURATION;
    q.limit = 7;
    assert_int_equal(walk(q, numbers, find), 50);
    for (size_t i = 0; i < 50; i++)
        assert_int_equal(numbers[i], 50 - i);
}

static void test_what_came_after_a_number_is_found_whatever_its_time(void **unused)
{
    struct store_query q = STORE_QUERY_ANY;
    struct record r;

    fill();
    r = record_at(T0 - DAY_US, 1); /* began long before: it took long, or the clock was set */
    add(&r);
    commit();
    assert_int_equal(store_last_record(store), 301);
    q.order = STORE_BY_NUMBER;
    q.after = 299;
    assert_int_equal(find(q), 2);
    assert_int_equal(seen.numbers[1], 301);
    assert_int_equal(seen.starts[1], T0 - DAY_US);
}

static void test_a_cursor_that_is_none_is_refused(void **unused)
{
    static const char *const bad[] = {"x",      "1.",   ".1", "-1", "99999999999999999999",
                                      "0193.x", "1.2.3"};

    fill();
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        for (int order = STORE_BY_TIME; order <= STORE_BY_NUMBER; order++) {
            struct store_query q = STORE_QUERY_ANY;
            char cursor[STORE_CURSOR_MAX] = "as before";

            q.order = (enum store_order)order;
            q.cursor = slice_str(bad[i]);
            assert_int_equal(store_records(store, &q, see_record, NULL, cursor), -EINVAL);
            assert_string_equal(cursor, "as before");
            if (order != STORE_BY_DURATION)
                assert_int_equal(store_logs(store, &q, see_line, NULL, cursor), -EINVAL);
        }
    }
}

static int stop(void *ctx, uint64_t number, const struct record *r)
{
    ++*(int *)ctx;
    return 42;
}

static void test_a_callback_can_end_a_query(void **unused)
{
    struct store_query q = STORE_QUERY_ANY;
    int calls = 0;

    fill();
    assert_int_equal(store_records(store, &q, stop, &calls, seen.cursor), 42);
    assert_int_equal(calls, 1);
}

static void test_times_that_a_wrong_clock_gave_do_not_break_paging(void **unused)
{
    static const uint64_t times[] = {0, 1, T0, 4102444800000000ull, 281474976710655000ull};
    struct store_query q = STORE_QUERY_ANY;
    uint64_t numbers[1000];

    for (unsigned i = 0; i < ARRAY_SIZE(times); i++) {
        struct record r = record_at(times[i], i);

        r.start_us = i == 4 ? UINT64_MAX : r.start_us;
        add(&r);
    }
    commit();
    q.limit = 1;
    assert_int_equal(walk(q, numbers, find), 5);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(numbers[i], 5 - i);
    q.until_us = T0 + 1;
    assert_int_equal(walk(q, numbers, find), 3);
}

/* ---- log lines ---- */

static void add_line(uint64_t time_us, const char *text, struct slice request_id)
{
    struct log_line l = {
        .time_us = time_us,
        .stream = LOG_STDERR,
        .request_id = request_id,
        .function = SLICE_LIT("hello"),
        .version = SLICE_LIT("v1"),
        .text = slice_str(text),
    };

    assert_int_equal(store_add_log(store, &l), 0);
}

static int compare_line(void *ctx, uint64_t number, const struct log_line *l)
{
    const struct log_line *e = ctx;

    assert_int_equal(l->time_us, e->time_us);
    assert_int_equal(l->stream, e->stream);
    assert_true(slice_eq(l->request_id, e->request_id));
    assert_true(slice_eq(l->function, e->function));
    assert_true(slice_eq(l->version, e->version));
    assert_true(slice_eq(l->text, e->text));
    assert_int_equal(l->goes_on, e->goes_on);
    assert_int_equal(l->is_cut, e->is_cut);
    seen.n++;
    return 0;
}

static void test_a_line_comes_back_as_it_was(void **unused)
{
    const struct log_line lines[] = {
        {T0, LOG_STDOUT, id_at(T0, 1), SLICE_LIT("f"), SLICE_LIT("v"), SLICE_LIT("a\0b\xff"), true,
         false},
        {T0 + 1, LOG_SYSTEM, SLICE_NULL, SLICE_LIT("f"), SLICE_NULL, SLICE_NULL, false, true},
    };
    struct store_query q = STORE_QUERY_ANY;

    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        assert_int_equal(store_add_log(store, &lines[i]), 0);
        commit();
        q.since_us = T0 + i;
        seen.n = 0;
        assert_int_equal(store_logs(store, &q, compare_line, (void *)&lines[i], seen.cursor), 0);
        assert_int_equal(seen.n, 1);
    }
    assert_int_equal(store_last_log(store), 2);
}

static void fill_lines(void)
{
    for (unsigned i = 0; i < 500; i++) {
        char text[32];

        (void)snprintf(text, sizeof(text), "line %u", i);
        add_line(T0 + i / 10, text, i % 2 ? id_at(T0, i % 50) : SLICE_NULL);
    }
    commit();
}

static void test_without_since_the_first_page_of_lines_is_the_newest(void **unused)
{
    struct store_query q = STORE_QUERY_ANY;

    fill_lines();
    q.limit = 10;
    assert_int_equal(find_lines(q), 10);
    assert_string_equal(seen.texts[0], "line 490");
    assert_string_equal(seen.texts[9], "line 499");
    q.cursor = slice_str(strdupa(seen.cursor));
    assert_int_equal(find_lines(q), 10);
    assert_string_equal(seen.texts[0], "line 480");
    assert_string_equal(seen.texts[9], "line 489");
}

static void test_pages_of_lines_follow_each_other(void **unused)
{
    uint64_t numbers[1000];
    struct store_query q = STORE_QUERY_ANY;

    fill_lines();
    for (uint32_t limit = 1; limit <= 501; limit += 100) {
        q = STORE_QUERY_ANY;
        q.limit = limit;
        assert_int_equal(walk(q, numbers, find_lines), 500);
        q.since_us = 1;
        assert_int_equal(walk(q, numbers, find_lines), 500);
        for (size_t i = 0; i < 500; i++)
            assert_int_equal(numbers[i], i + 1);
        q.order = STORE_BY_NUMBER;
        assert_int_equal(walk(q, numbers, find_lines), 500);
        for (size_t i = 0; i < 500; i++)
            assert_int_equal(numbers[i], i + 1);
    }
}

static void test_lines_are_found_by_each_of_their_marks(void **unused)
{
    struct store_query q = STORE_QUERY_ANY;

    fill_lines();
    q.limit = 1000;
    q.text = SLICE_LIT("ne 49");
    assert_int_equal(find_lines(q), 11);
    q.text = SLICE_NULL;
    q.request_id = id_at(T0, 7);
    assert_int_equal(find_lines(q), 10);
    q.function = SLICE_LIT("other");
    assert_int_equal(find_lines(q), 0);
    q.function = SLICE_LIT("hello");
    q.version = SLICE_LIT("v1");
    assert_int_equal(find_lines(q), 10);
    q.request_id = SLICE_NULL;
    q.stream = LOG_STDERR;
    q.since_us = T0 + 10;
    q.until_us = T0 + 20;
    assert_int_equal(find_lines(q), 100);
    q.stream = LOG_STDOUT;
    assert_int_equal(find_lines(q), 0);
}

/* ---- transactions ---- */

static void test_what_is_not_committed_is_gone(void **unused)
{
    struct record r = record_at(T0, 1);

    add(&r);
    assert_int_equal(find(STORE_QUERY_ANY), 1);
    open_again();
    assert_int_equal(find(STORE_QUERY_ANY), 0);
    assert_int_equal(store_last_record(store), 0);
}

static void test_a_batch_that_is_offered_twice_is_stored_once(void **unused)
{
    struct record r = record_at(T0, 1);

    assert_int_equal(store_batch_begin(store, 7, 1), 0);
    add(&r);
    commit();
    assert_int_equal(store_batch_begin(store, 7, 1), 1);
    open_again();
    assert_int_equal(store_batch_begin(store, 7, 1), 1);
    assert_int_equal(store_batch_begin(store, 7, 2), 0);
    open_again(); /* without a commit: it was not stored */
    assert_int_equal(store_batch_begin(store, 7, 2), 0);
    assert_int_equal(store_batch_begin(store, UINT64_MAX, 1), 0);
    assert_int_equal(store_batch_begin(store, UINT64_MAX, 1), 1);
    commit();
}

static void test_after_a_rollback_names_and_numbers_are_those_of_the_file(void **unused)
{
    struct record r = record_at(T0, 1);

    assert_int_equal(store_batch_begin(store, 1, 1), 0);
    for (unsigned i = 0; i < 3; i++) {
        r.function = SLICE_LIT("gone");
        add(&r);
        open_again();
        r.function = SLICE_LIT("stays");
        add(&r);
        commit();
    }
    assert_int_equal(store_last_record(store), 3);
    assert_int_equal(find(STORE_QUERY_ANY), 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_record_comes_back_with_all_its_fields),
        TEST(test_numbers_beyond_what_the_file_holds_are_cut),
        TEST(test_a_request_id_that_is_none_spoils_nothing),
        TEST(test_records_are_found_by_each_of_their_marks),
        TEST(test_answers_that_end_early_add_up_to_the_whole),
        TEST(test_the_beginning_of_an_id_finds_it),
        TEST(test_pages_of_records_follow_each_other),
        TEST(test_equally_slow_records_are_each_on_one_page),
        TEST(test_what_came_after_a_number_is_found_whatever_its_time),
        TEST(test_a_cursor_that_is_none_is_refused),
        TEST(test_a_callback_can_end_a_query),
        TEST(test_times_that_a_wrong_clock_gave_do_not_break_paging),
        TEST(test_a_line_comes_back_as_it_was),
        TEST(test_without_since_the_first_page_of_lines_is_the_newest),
        TEST(test_pages_of_lines_follow_each_other),
        TEST(test_lines_are_found_by_each_of_their_marks),
        TEST(test_what_is_not_committed_is_gone),
        TEST(test_a_batch_that_is_offered_twice_is_stored_once),
        TEST(test_after_a_rollback_names_and_numbers_are_those_of_the_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
