/* The rules of routing: which of several routes gets a request, the same wherever it is asked. */

#include "model/route.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define ROUTES_MAX 16

/* Declares the routes in the order given; route.function tells which one was found. */
static uint32_t routes_make(struct route *routes, const char *const *texts)
{
    uint32_t n = 0;

    for (; texts[n]; n++) {
        struct slice method, pattern;
        char origin[32];

        assert_int_equal(route_parse(slice_str(texts[n]), &method, &pattern, NULL), 0);
        (void)snprintf(origin, sizeof(origin), "mayfly.json:%u", n + 1);
        routes[n] = (struct route){.method = method.len > 0 ? slice_dup(method) : NULL,
                                   .pattern = slice_dup(pattern),
                                   .origin = strdup(origin),
                                   .function = n};
    }
    return n;
}

static void routes_free(struct route *routes, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        route_deinit(&routes[i]);
}

static void match_text(struct route_table *t, const char *method, const char *path, char *dst,
                       size_t size)
{
    struct route_match m = {0};
    int r = route_table_match(t, slice_str(method), slice_str(path), &m);
    int n;

    if (r != ROUTE_E_OK) {
        (void)snprintf(dst, size, "%s", r == ROUTE_E_METHOD ? "405" : "404");
        return;
    }
    n = snprintf(dst, size, "%s%s%s", m.route->method ? m.route->method : "",
                 m.route->method ? " " : "", m.route->pattern);
    for (uint32_t i = 0; i < m.n_params; i++)
        n += snprintf(dst + n, size - (size_t)n, " %.*s=%.*s", SLICE_ARG(m.params[i].name),
                      SLICE_ARG(m.params[i].value));
}

static const char *const declared[] = {
    "/a/*",     "/a/[x]",     "/a/b",      "GET /a/b",        "/",
    "/a/[x]/c", "POST /only", "GET /only", "/[team]/[id]/x",  "/caf\xc3\xa9/[name]",
    "/files/*", "GET /h",     "HEAD /h",   "/deep/[a]/[b]/z", "/deep/q/[b]/y",
    NULL,
};

static const struct {
    const char *method, *path, *expect;
} matches[] = {
    {"GET", "/", "/"},
    {"GET", "/a/b", "GET /a/b"},
    {"POST", "/a/b", "/a/b"},
    {"GET", "/a/b/", "GET /a/b"},
    {"GET", "/a/%62", "GET /a/b"},
    {"GET", "/%61/%62/", "GET /a/b"},
    {"GET", "/a/B", "/a/[x] x=B"},
    {"GET", "/a/zz", "/a/[x] x=zz"},
    {"GET", "/a/z%20z", "/a/[x] x=z%20z"},
    {"GET", "/a/z%2Fz", "/a/[x] x=z%2Fz"},
    {"GET", "/a/zz/c", "/a/[x]/c x=zz"},
    {"GET", "/a/zz/d", "/a/*"},
    {"GET", "/a", "/a/*"},
    {"GET", "/a/", "/a/*"},
    {"GET", "/a//", "/a/*"},
    {"GET", "/a//c", "/a/*"},
    {"GET", "/a/b/c", "/a/[x]/c x=b"},
    {"GET", "/b", "404"},
    {"GET", "/A/b", "404"},
    {"GET", "/ab", "404"},
    {"GET", "//", "404"},
    {"GET", "/only", "GET /only"},
    {"HEAD", "/only", "GET /only"},
    {"POST", "/only", "POST /only"},
    {"PUT", "/only", "405"},
    {"get", "/only", "405"},
    {"HEAD", "/h", "HEAD /h"},
    {"GET", "/h", "GET /h"},
    {"GET", "/red/7/x", "/[team]/[id]/x team=red id=7"},
    {"GET", "/red/7/y", "404"},
    {"GET", "/caf%C3%A9/1", "/caf\xc3\xa9/[name] name=1"},
    {"GET", "/caf\xc3\xa9/1", "/caf\xc3\xa9/[name] name=1"},
    {"GET", "/files", "/files/*"},
    {"GET", "/files/x/y//z", "/files/*"},
    /* Text at the first segment that differs wins, but what it cannot finish falls back. */
    {"GET", "/deep/q/r/y", "/deep/q/[b]/y b=r"},
    {"GET", "/deep/q/r/z", "/deep/[a]/[b]/z a=q b=r"},
};

static void the_most_specific_route_wins_wherever_it_was_declared(void **state)
{
    struct route routes[ROUTES_MAX];
    const char *reversed[ROUTES_MAX] = {0};
    struct route_table table;
    struct error err = ERROR_NULL;
    size_t n_declared = ARRAY_SIZE(declared) - 1;

    (void)state;
    for (size_t i = 0; i < n_declared; i++)
        reversed[i] = declared[n_declared - 1 - i];
    for (int round = 0; round < 2; round++) {
        uint32_t n = routes_make(routes, round == 0 ? declared : reversed);

        assert_int_equal(route_table_init(&table, routes, n, &err), 0);
        for (size_t i = 0; i < ARRAY_SIZE(matches); i++) {
            char got[256];

            match_text(&table, matches[i].method, matches[i].path, got, sizeof(got));
            if (strcmp(got, matches[i].expect) != 0)
                fail_msg("%s %s: %s instead of %s", matches[i].method, matches[i].path, got,
                         matches[i].expect);
        }
        routes_free(routes, n);
    }
}

static void a_405_names_the_methods_that_fit(void **state)
{
    static const char *const texts[] = {"POST /x", "GET /[a]", "DELETE /x", "PUT /y", NULL};
    struct route routes[ROUTES_MAX];
    struct route_table table;
    char allowed[64], narrow[11];
    uint32_t n = routes_make(routes, texts);

    (void)state;
    assert_int_equal(route_table_init(&table, routes, n, NULL), 0);
    route_table_allowed(&table, SLICE_LIT("/x"), allowed, sizeof(allowed));
    assert_string_equal(allowed, "DELETE, POST, GET, HEAD");
    route_table_allowed(&table, SLICE_LIT("/z"), allowed, sizeof(allowed));
    assert_string_equal(allowed, "GET, HEAD");
    route_table_allowed(&table, SLICE_LIT("/z/z"), allowed, sizeof(allowed));
    assert_string_equal(allowed, "");
    route_table_allowed(&table, SLICE_LIT("/x"), narrow, sizeof(narrow));
    assert_string_equal(narrow, "DELETE");
    routes_free(routes, n);
}

static const struct {
    const char *a, *b;
    const char *error; /* NULL: they may stand side by side */
} clashes[] = {
    {"/a", "/a",
     "mayfly.json:2: route \"/a\" claims the same requests as \"/a\" of mayfly.json:1; change one "
     "of them"},
    {"GET /a/[x]", "GET /a/[y]",
     "mayfly.json:2: route \"GET /a/[y]\" claims the same requests as \"GET /a/[x]\" of "
     "mayfly.json:1; change one of them"},
    {"/a/*", "/a/*",
     "mayfly.json:2: route \"/a/*\" claims the same requests as \"/a/*\" of mayfly.json:1; change "
     "one of them"},
    {"GET /a", "/a", NULL},
    {"GET /a", "POST /a", NULL},
    {"/a/[x]", "/a/*", NULL},
    {"/a", "/a/*", NULL},
    {"/a/[x]/b", "/a/[y]/c", NULL},
};

static void two_routes_for_the_same_requests_are_refused_by_both_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(clashes); i++) {
        const char *const texts[] = {clashes[i].a, clashes[i].b, NULL};
        struct route routes[2];
        struct route_table table;
        struct error err = ERROR_NULL;
        uint32_t n = routes_make(routes, texts);
        int r = route_table_init(&table, routes, n, &err);

        assert_int_equal(r, clashes[i].error ? -EEXIST : 0);
        assert_string_equal(err.text, clashes[i].error ? clashes[i].error : "");
        routes_free(routes, n);
    }
}

static const struct {
    const char *text;
    const char *error;
} bad_routes[] = {
    {"", "route \"\": the path must begin with '/', as in \"/path\" or \"GET /path\""},
    {"a", "route \"a\": the path must begin with '/', as in \"/path\" or \"GET /path\""},
    {"GET", "route \"GET\": the path must begin with '/', as in \"/path\" or \"GET /path\""},
    {"GET  /a",
     "route \"GET  /a\": the path must begin with '/', as in \"/path\" or \"GET /path\""},
    {"get /a", "route \"get /a\": a method is written in capital letters, as in \"GET /path\""},
    {" /a", "route \" /a\": the method before the path is no method; write \"GET /path\" or "
            "\"/path\""},
    {"/a//b", "route \"/a//b\": has an empty segment"},
    {"/a/", "route \"/a/\": leave out the '/' at the end, it is ignored in requests"},
    {"/a/../b", "route \"/a/../b\": a segment may not be \".\" or \"..\""},
    {"/a b", "route \"/a b\": blanks, control characters, '?', '#' and '\\' are not allowed in a "
             "path"},
    {"/a?b", "route \"/a?b\": blanks, control characters, '?', '#' and '\\' are not allowed in a "
             "path"},
    {"/a%20b", "route \"/a%20b\": '%' is not allowed; write the character itself, it is compared "
               "decoded"},
    {"/a[b]", "route \"/a[b]\": [name] and * stand for a whole segment"},
    {"/a*", "route \"/a*\": [name] and * stand for a whole segment"},
    {"/*/a", "route \"/*/a\": * stands for the rest, nothing may follow it"},
    {"/[]", "route \"/[]\": [] has no name between its brackets"},
    {"/[a b]", "route \"/[a b]\": the name in [a b] may have letters, digits, '_', '-' and '.' "
               "only"},
    {"/[a]/[b]/[a]", "route \"/[a]/[b]/[a]\": [a] stands there twice; give each its own name"},
    {"/[a]/[b]/[c]/[d]/[e]/[f]/[g]/[h]/[i]/[j]/[k]/[l]/[m]/[n]/[o]/[p]/[q]",
     "route \"/[a]/[b]/[c]/[d]/[e]/[f]/[g]/[h]/[i]/[j]/[k]/[l]/[m]/[n]/[o]/[p]/[q]\": has more "
     "than 64 segments or 16 parameters"},
};

static void a_route_that_cannot_be_meant_is_refused_with_the_mend(void **state)
{
    struct slice method, pattern;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad_routes); i++) {
        struct error err = ERROR_NULL;

        assert_int_equal(route_parse(slice_str(bad_routes[i].text), &method, &pattern, &err),
                         -EINVAL);
        assert_string_equal(err.text, bad_routes[i].error);
    }
}

static void a_search_visits_few_routes_of_many(void **state)
{
    enum { N = 20000 };
    struct route *routes = calloc(N, sizeof(*routes));
    struct route_table table;

    (void)state;
    for (uint32_t i = 0; i < N; i++) {
        char pattern[64];

        (void)snprintf(pattern, sizeof(pattern), "/t%u/[x]/p%u", i % 100, i);
        routes[i] =
            (struct route){.pattern = strdup(pattern), .origin = strdup("t"), .function = i};
    }
    assert_int_equal(route_table_init(&table, routes, N, NULL), 0);
    for (uint32_t i = 0; i < N; i++) {
        struct route_match m;
        char path[64];

        (void)snprintf(path, sizeof(path), "/t%u/v/p%u", i % 100, i);
        assert_int_equal(route_table_match(&table, SLICE_LIT("GET"), slice_str(path), &m), 0);
        assert_int_equal(m.route->function, i);
        assert_int_equal(m.n_params, 1);
    }
    routes_free(routes, N);
    free(routes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_specific_route_wins_wherever_it_was_declared),
        cmocka_unit_test(a_405_names_the_methods_that_fit),
        cmocka_unit_test(two_routes_for_the_same_requests_are_refused_by_both_names),
        cmocka_unit_test(a_route_that_cannot_be_meant_is_refused_with_the_mend),
        cmocka_unit_test(a_search_visits_few_routes_of_many),
    };

    return cmocka_run_group_tests_name("model-route", tests, NULL, NULL);
}
