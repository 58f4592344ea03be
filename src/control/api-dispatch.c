/* From a complete request to the function that answers it: path, method, parameters. */

#include "control/access.h"
#include "control/api-internal.h"

#include "base/parse.h"

#include <errno.h>
#include <stdio.h>

/* ---- paths ---- */

/* Adds the decoded form of s to call->text. Returns its place there, which moves with the buffer:
 * the whole of it is reserved beforehand. */
static int decode(struct api_call *call, struct slice s, bool plus_is_blank, struct slice *ret)
{
    char *dst = buf_tail(&call->text);
    ssize_t n = http_percent_decode(s, plus_is_blank, dst, s.len);

    if (n < 0)
        return (int)n;
    buf_commit(&call->text, (size_t)n);
    *ret = slice(dst, (size_t)n);
    return 0;
}

/* Whether the path is of this form. The segments that stand for {names} are returned as they came.
 */
static bool path_matches(const char *form, struct slice path, struct slice args[API_ARGS_MAX])
{
    struct slice left = slice_str(form);
    unsigned n = 0;

    while (left.len > 0 && path.len > 0) {
        bool more = memchr(left.base, '/', left.len) != NULL;
        bool path_more = memchr(path.base, '/', path.len) != NULL;
        struct slice want = slice_cut(&left, '/'), have = slice_cut(&path, '/');

        if (more != path_more)
            return false;
        if (want.len > 0 && want.base[0] == '{') {
            assert(n < API_ARGS_MAX);
            if (have.len == 0)
                return false;
            args[n++] = have;
        } else if (!slice_eq(want, have)) {
            return false;
        }
        if (!more)
            return true;
    }
    return left.len == 0 && path.len == 0;
}

/* ---- parameters ---- */

static bool is_listed(const char *names, struct slice name)
{
    struct slice left = slice_str(names);

    while (left.len > 0) {
        if (slice_eq(slice_cut(&left, ' '), name))
            return true;
    }
    return false;
}

static bool params_read(struct api_call *call)
{
    struct slice query = call->head->query;
    const char *known = call->endpoint->params;

    while (query.len > 0) {
        struct slice value = slice_cut(&query, '&');
        struct slice name = slice_cut(&value, '=');
        struct api_param *p = &call->params[call->n_params];

        if (name.len == 0 && value.len == 0)
            continue;
        if (call->n_params == API_PARAMS_MAX) {
            api_fail(call, 400, "more than %d parameters", API_PARAMS_MAX);
            return false;
        }
        if (decode(call, name, true, &p->name) < 0 || decode(call, value, true, &p->value) < 0) {
            api_fail(call, 400, "the query has a bad %%HH");
            return false;
        }
        if (!is_listed(known, p->name)) {
            api_fail(call, 400, "there is no parameter \"%.*s\" here; there are: %s",
                     (int)MIN(p->name.len, 64), p->name.base, known ? known : "none");
            return false;
        }
        for (uint32_t i = 0; i < call->n_params; i++) {
            if (slice_eq(call->params[i].name, p->name)) {
                api_fail(call, 400, "\"%.*s\" is given twice", SLICE_ARG(p->name));
                return false;
            }
        }
        call->n_params++;
    }
    return true;
}

struct slice api_param(const struct api_call *call, const char *name)
{
    for (uint32_t i = 0; i < call->n_params; i++) {
        if (slice_eq(call->params[i].name, slice_str(name)))
            return call->params[i].value;
    }
    return SLICE_NULL;
}

bool api_param_u64(struct api_call *call, const char *name, uint64_t max, uint64_t *ret)
{
    struct slice s = api_param(call, name);

    if (s.len == 0 || parse_u64(s, max, ret) == 0)
        return true;
    api_fail(call, 400, "\"%s\" is a number from 0 to %llu", name, (unsigned long long)max);
    return false;
}

bool api_param_bool(struct api_call *call, const char *name, bool *ret)
{
    struct slice s = api_param(call, name);

    if (s.len == 0)
        return true;
    if (slice_eq(s, SLICE_LIT("1")) || slice_eq(s, SLICE_LIT("0"))) {
        *ret = s.base[0] == '1';
        return true;
    }
    api_fail(call, 400, "\"%s\" is 0 or 1", name);
    return false;
}

bool api_param_choice(struct api_call *call, const char *name, const char *(*choice)(unsigned i),
                      unsigned n, int *ret)
{
    struct slice s = api_param(call, name);
    char names[256] = "";

    if (s.len == 0)
        return true;
    for (unsigned i = 0; i < n; i++) {
        size_t len = strlen(names);

        if (slice_eq(s, slice_str(choice(i)))) {
            *ret = (int)i;
            return true;
        }
        (void)snprintf(names + len, sizeof(names) - len, "%s%s", i > 0 ? ", " : "", choice(i));
    }
    api_fail(call, 400, "\"%s\" is one of: %s", name, names);
    return false;
}

/* ---- dispatch ---- */

/* The methods that this path has, for Allow. */
static void methods_allowed(struct slice path, char *dst, size_t size)
{
    struct slice args[API_ARGS_MAX];

    (void)snprintf(dst, size, "OPTIONS");
    for (size_t i = 0; i < n_endpoints; i++) {
        size_t len = strlen(dst);

        if (path_matches(endpoints[i].path, path, args))
            (void)snprintf(dst + len, size - len, ", %s%s", endpoints[i].method,
                           strcmp(endpoints[i].method, "GET") == 0 ? ", HEAD" : "");
    }
}

static void answer_other_methods(struct api_call *call)
{
    bool options = slice_eq(call->head->method, SLICE_LIT("OPTIONS"));
    char allowed[128];

    methods_allowed(call->head->path, allowed, sizeof(allowed));
    if (buf_printf(&call->extra, "Allow: %s\r\n", allowed) < 0)
        api_fail(call, 503, "out of memory");
    else if (options)
        api_answer(call, 204, "application/json", SLICE_NULL);
    else
        api_fail(call, 405, "this path is for: %s", allowed);
}

static void call_endpoint(struct api_call *call, const struct slice *args)
{
    const struct endpoint *e = call->endpoint;

    if (e->flags & ENDPOINT_LOCAL && !call->local) {
        api_fail(call, 403, "this is for the daemon's own user, by its unix socket");
        return;
    }
    if (!(e->flags & ENDPOINT_BODY) && call->body.len > 0) {
        api_fail(call, 400, "this request has no body");
        return;
    }
    for (unsigned i = 0; i < API_ARGS_MAX && args[i].len > 0; i++) {
        if (decode(call, args[i], false, &call->args[i]) < 0) {
            api_fail(call, 400, "the path has a bad %%HH");
            return;
        }
    }
    if (params_read(call))
        e->handle(call);
}

static void call_run(struct api_call *call)
{
    struct slice method = call->connection->head_only ? SLICE_LIT("GET") : call->head->method;
    struct slice path = call->head->path;
    bool known = false;

    for (size_t i = 0; i < n_endpoints; i++) {
        struct slice args[API_ARGS_MAX] = {SLICE_NULL};

        if (!path_matches(endpoints[i].path, path, args))
            continue;
        known = true;
        if (!slice_eq(method, slice_str(endpoints[i].method)))
            continue;
        call->endpoint = &endpoints[i];
        call_endpoint(call, args);
        return;
    }
    if (known)
        answer_other_methods(call);
    else if (!slice_starts(path, SLICE_LIT("/api/")) && slice_eq(method, SLICE_LIT("GET")))
        assets_answer(call);
    else
        api_fail(call, 404, "mayfly's API has no such path");
}

void connection_dispatch(struct api_connection *c)
{
    static struct http_head head; /* large; one at a time */
    struct http_parser parser;
    struct api_call call = {.control = c->api->control,
                            .connection = c,
                            .head = &head,
                            .body = buf_slice(&c->body),
                            .local = c->local,
                            .text = BUF_INIT(2 * API_HEAD_MAX),
                            .extra = BUF_INIT(4096),
                            .json = BUF_INIT(API_ANSWER_MAX)};
    struct slice data;
    size_t used;

    /* It was accepted before: the same bytes are the same head. */
    http_parser_init(&parser, HTTP_REQUEST, &c->parser.limits);
    if (http_parse(&parser, buf_slice(&c->head), &used, &head, &data) != HTTP_EVENT_HEAD ||
        buf_reserve(&call.text, API_HEAD_MAX) < 0) {
        connection_refuse(c, 503, "out of memory");
        return;
    }
    c->head_only = slice_eq(head.method, SLICE_LIT("HEAD"));
    if (!c->local && access_read(&head, c->hash))
        access_note_use(c->api->control, c->hash);
    call_run(&call);
    assert(call.answered);
    buf_deinit(&call.text);
    buf_deinit(&call.extra);
    buf_deinit(&call.json);
}

/* ---- the table ---- */

int endpoints_write(struct jsonw *w)
{
    jsonw_array_begin(w);
    for (size_t i = 0; i < n_endpoints; i++) {
        const struct endpoint *e = &endpoints[i];
        struct slice params = slice_str(e->params);

        jsonw_object_begin(w);
        jsonw_key(w, "method");
        jsonw_str(w, slice_str(e->method));
        jsonw_key(w, "path");
        jsonw_str(w, slice_str(e->path));
        jsonw_key(w, "params");
        jsonw_array_begin(w);
        while (params.len > 0)
            jsonw_str(w, slice_cut(&params, ' '));
        jsonw_array_end(w);
        jsonw_key(w, "local");
        jsonw_bool(w, (e->flags & ENDPOINT_LOCAL) != 0);
        jsonw_object_end(w);
    }
    jsonw_array_end(w);
    return jsonw_end(w);
}
