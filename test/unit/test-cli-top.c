/* What `mayfly top` shows of an event, in which order, and what stays selected. */

#include "cli/top-model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static json_t *load(const char *text)
{
    struct error err = ERROR_NULL;
    json_t *value = NULL;

    if (json_text_load(slice_str(text), "x", &value, &err) < 0)
        fail_msg("%s", err.text);
    return value;
}

static void take(struct top_model *m, const char *text)
{
    json_t *live = load(text);

    top_model_take(m, live);
    json_decref(live);
}

/* The names or PIDs in their order. */
static const char *shown(const struct top_model *m, enum top_pane pane)
{
    static char text[512];
    const struct top_view *v = &m->views[pane];
    size_t len = 0;

    text[0] = '\0';
    for (size_t i = 0; i < v->n; i++) {
        if (pane == TOP_FUNCTIONS)
            len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", i ? " " : "",
                                    ((const struct top_function *)v->rows[i])->name);
        else
            len +=
                (size_t)snprintf(text + len, sizeof text - len, "%s%llu", i ? " " : "",
                                 (unsigned long long)((const struct top_process *)v->rows[i])->pid);
    }
    return text;
}

static const char event[] =
    "{\"time_us\": 5, \"rate\": 7.5, \"machine\": {\"cpus\": 2},"
    " \"functions\": [{\"name\": \"b\", \"rate\": 1, \"memory_bytes\": 9, \"state\": \"warm\"},"
    " {\"name\": \"a\", \"rate\": 5.5, \"error_rate\": 1}, {\"name\": \"d\", \"rate\": 1},"
    " {\"name\": \"c\", \"rate\": 1, \"memory_bytes\": 10}],"
    " \"processes\": [{\"kind\": \"worker\", \"pid\": 1, \"age_ms\": 10, \"function\": \"a\"},"
    " {\"kind\": \"zygote\", \"pid\": 2, \"age_ms\": 99, \"function\": \"a\"},"
    " {\"kind\": \"worker\", \"pid\": 3, \"age_ms\": 30, \"function\": \"b\","
    " \"request_id\": \"01ab\"}]}";

static void rows_are_sorted_and_equal_ones_do_not_dance(void **state)
{
    struct top_model m;

    (void)state;
    assert_int_equal(top_model_init(&m), 0);
    take(&m, event);
    assert_string_equal(shown(&m, TOP_FUNCTIONS), "a b c d");
    assert_string_equal(shown(&m, TOP_WORKERS), "3 1");
    top_view_sort_by(&m.views[TOP_FUNCTIONS], "MEM");
    top_model_arrange(&m);
    assert_string_equal(shown(&m, TOP_FUNCTIONS), "c b a d");
    top_view_sort_by(&m.views[TOP_FUNCTIONS], "MEM");
    top_model_arrange(&m);
    assert_string_equal(shown(&m, TOP_FUNCTIONS), "d a b c");
    top_view_sort_by(&m.views[TOP_FUNCTIONS], "nonsense");
    top_view_sort_by(&m.views[TOP_FUNCTIONS], "FUNCTION");
    top_model_arrange(&m);
    assert_string_equal(shown(&m, TOP_FUNCTIONS), "a b c d");
    for (size_t i = 0; i < 40; i++) { /* all columns, and around, in both directions */
        top_view_sort_next(&m.views[TOP_FUNCTIONS], i < 20 ? 1 : -1);
        top_view_sort_next(&m.views[TOP_WORKERS], i < 20 ? 1 : -1);
        top_model_arrange(&m);
        assert_int_equal(m.views[TOP_FUNCTIONS].n, 4);
    }
    assert_string_equal(shown(&m, TOP_FUNCTIONS), "a b c d");
    m.all_processes = true;
    top_model_arrange(&m);
    assert_string_equal(shown(&m, TOP_WORKERS), "2 3 1");
    top_model_deinit(&m);
}

static void what_is_selected_stays_selected(void **state)
{
    struct top_model m;

    (void)state;
    assert_int_equal(top_model_init(&m), 0);
    assert_null(top_selected_function(&m));
    assert_null(top_selected_process(&m));
    top_view_move(&m.views[TOP_FUNCTIONS], 3);
    take(&m, event);
    assert_string_equal(top_selected_function(&m)->name, "a");
    top_view_move(&m.views[TOP_FUNCTIONS], 2);
    assert_string_equal(top_selected_function(&m)->name, "c");
    take(&m, "{\"functions\": [{\"name\": \"c\", \"rate\": 9}, {\"name\": \"a\", \"rate\": 8},"
             " {\"name\": \"b\"}]}");
    assert_string_equal(shown(&m, TOP_FUNCTIONS), "c a b");
    assert_string_equal(top_selected_function(&m)->name, "c");
    take(&m, "{\"functions\": [{\"name\": \"b\"}]}");
    assert_string_equal(top_selected_function(&m)->name, "b");
    take(&m, "{}");
    assert_null(top_selected_function(&m));
    top_view_move(&m.views[TOP_FUNCTIONS], -100);
    top_view_move(&m.views[TOP_FUNCTIONS], 100);
    assert_null(top_selected_function(&m));
    top_model_deinit(&m);
}

static void a_filter_looks_at_both_tables(void **state)
{
    struct top_model m;

    (void)state;
    assert_int_equal(top_model_init(&m), 0);
    take(&m, event);
    (void)snprintf(m.filter, sizeof m.filter, "B");
    top_model_arrange(&m);
    assert_string_equal(shown(&m, TOP_FUNCTIONS), "b");
    assert_string_equal(shown(&m, TOP_WORKERS), "3");
    (void)snprintf(m.filter, sizeof m.filter, "01ab");
    top_model_arrange(&m);
    assert_string_equal(shown(&m, TOP_FUNCTIONS), "");
    assert_string_equal(shown(&m, TOP_WORKERS), "3");
    top_model_deinit(&m);
}

static void any_document_is_survived(void **state)
{
    static const char *const documents[] = {
        "[]",
        "{\"functions\": {}, \"processes\": 5, \"machine\": [], \"rate\": \"x\"}",
        "{\"functions\": [1, null, [], {\"name\": 5, \"rate\": -1, \"p50_us\": -5}],"
        " \"processes\": [{}, {\"kind\": \"worker\", \"pid\": -7, \"age_ms\": 1e300}]}",
        "{\"functions\": [{\"name\": \"\\u001b[31m\\u009b\", \"rate\": 1e308, \"cpu_percent\": "
        "1e99,"
        " \"memory_bytes\": 9223372036854775807, \"p99_us\": 9223372036854775807}]}",
    };
    struct top_model m;

    (void)state;
    assert_int_equal(top_model_init(&m), 0);
    for (size_t i = 0; i < ARRAY_SIZE(documents); i++) {
        take(&m, documents[i]);
        for (int pane = 0; pane < _TOP_PANE_MAX; pane++) {
            const struct top_view *v = &m.views[pane];

            for (size_t k = 0; k < v->n * v->n_columns; k++) {
                char text[128];

                v->columns[k % v->n_columns].write(v->rows[k / v->n_columns], text, sizeof text);
                assert_null(strchr(text, '\033'));
                assert_true(strlen(text) < 64);
            }
        }
    }
    for (int i = 0; i < 2 * TOP_HISTORY_MAX; i++)
        take(&m, "{\"rate\": 3}");
    assert_int_equal(m.n_history, TOP_HISTORY_MAX);
    top_model_deinit(&m);
}

static void more_rows_than_there_may_be_are_left_out(void **state)
{
    json_t *live = load("{\"functions\": [], \"processes\": []}");
    struct top_model m;

    (void)state;
    assert_int_equal(top_model_init(&m), 0);
    for (int i = 0; i < TOP_FUNCTIONS_MAX + 10; i++) {
        (void)json_array_append_new(json_object_get(live, "functions"), json_object());
        (void)json_array_append_new(json_object_get(live, "processes"),
                                    json_pack("{ss}", "kind", "worker"));
    }
    top_model_take(&m, live);
    assert_int_equal(m.views[TOP_FUNCTIONS].n, TOP_FUNCTIONS_MAX);
    assert_int_equal(m.views[TOP_WORKERS].n, TOP_PROCESSES_MAX);
    json_decref(live);
    top_model_deinit(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_sorted_and_equal_ones_do_not_dance),
        cmocka_unit_test(what_is_selected_stays_selected),
        cmocka_unit_test(a_filter_looks_at_both_tables),
        cmocka_unit_test(any_document_is_survived),
        cmocka_unit_test(more_rows_than_there_may_be_are_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
