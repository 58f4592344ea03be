/* mayfly invoke: one request to the daemon; what the function answers goes to stdout as it comes.
 */

#include "cli/api.h"
#include "cli/event.h"
#include "cli/lines.h"
#include "cli/output.h"

#include "base/parse.h"
#include "base/utf8.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define KEPT_MAX (64 * 1024 * 1024) /* of a body that --json repeats */
#define TOLD_MAX (64 * 1024)        /* of an error's body that is explained */

#define RECORD_TRIES   150
#define RECORD_WAIT_US 20000

struct invoke {
    struct cli *cli;
    struct client_peer peer;
    unsigned status;
    char *outcome;    /* of Mayfly-Outcome; "" if the request came to no function */
    char *request_id; /* or "" */
    struct buf kept;
    bool streams; /* the body goes to stdout at once */
    char last;    /* byte of the body */
};

static char *header(const struct http_head *head, const char *name)
{
    struct slice value = SLICE_NULL;

    (void)http_head_find(head, name, &value); /* absent is empty */
    return cli_check(slice_dup(value));
}

static void on_head(void *ctx, const struct http_head *head)
{
    struct invoke *in = ctx;

    in->status = head->status;
    in->outcome = header(head, "Mayfly-Outcome");
    in->request_id = header(head, "Mayfly-Request-Id");
    /* Of what is no answer of the function's, only its text is told. */
    in->streams = !in->cli->json && in->outcome[0] != '\0';
    in->kept = BUF_INIT(in->cli->json ? KEPT_MAX : TOLD_MAX);
}

static int on_data(void *ctx, struct slice data)
{
    struct invoke *in = ctx;
    size_t room = buf_room(&in->kept);

    if (in->cli->json && data.len > room) {
        return -EFBIG;
    }
    data.len = in->streams ? data.len : MIN(data.len, room);
    if (in->streams) {
        in->last = data.base[data.len - 1];
        (void)fwrite(data.base, 1, data.len, stdout); /* cli_finish() sees a failure */
        (void)fflush(stdout);
    }
    return buf_append(&in->kept, data.base, MIN(data.len, room));
}

/* ---- the record ---- */

/* The record is there when the worker's end has been seen, a moment after its answer. NULL without
 * one. */
static json_t *fetch_record(const struct invoke *in)
{
    _cleanup_free_ char *target = cli_printf("/api/v1/records/%s", in->request_id);
    json_t *record = NULL;

    for (int i = 0; i < RECORD_TRIES && in->request_id[0]; i++) {
        if (api_look(&in->peer, target, &record) != CLIENT_E_OK || record) {
            return record;
        }
        (void)usleep(RECORD_WAIT_US);
    }
    return NULL;
}

static void print_number(const char *name, double value)
{
    static const struct {
        const char *suffix;
        double unit;
        const char *text;
    } units[] = {{"_ns", 1e6, "ms"}, {"_us", 1e3, "ms"}, {"_bytes", 1024 * 1024, "MiB"}};
    size_t len = strlen(name);

    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        size_t n = strlen(units[i].suffix);

        if (len > n && strcmp(name + len - n, units[i].suffix) == 0) {
            (void)fprintf(stderr, "%-22.*s %12.3f %s\n", (int)(len - n), name,
                          value / units[i].unit, units[i].text);
            return;
        }
    }
    (void)fprintf(stderr, "%-22s %12.0f\n", name, value);
}

static void print_record(const json_t *record)
{
    const char *stack = api_string(record, "stack");
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)record, key, value)
    {
        if (strcmp(key, "stack") == 0 || strcmp(key, "start_us") == 0) {
            continue;
        }
        if (json_is_number(value)) {
            print_number(key, json_number_value(value));
        } else if (json_is_string(value) && *json_string_value(value)) {
            (void)fprintf(stderr, "%-22s ", key);
            text_quoted(stderr, slice_str(json_string_value(value)));
            (void)fputc('\n', stderr);
        } else if (json_is_boolean(value)) {
            (void)fprintf(stderr, "%-22s %s\n", key, json_is_true(value) ? "yes" : "no");
        }
    }
    if (*stack) {
        (void)fputs("stack\n", stderr);
        lines_print_stack(stderr, stack);
    }
}

/* ---- how it went ---- */

static enum cli_exit outcome_exit(const struct invoke *in)
{
    static const struct {
        const char *outcome;
        enum cli_exit code;
    } exits[] = {
        {"ok", CLI_OK},         {"error", CLI_FUNCTION},     {"crash", CLI_FUNCTION},
        {"init", CLI_FUNCTION}, {"bad_reply", CLI_FUNCTION}, {"timeout", CLI_TIMEOUT},
    };

    for (size_t i = 0; i < ARRAY_SIZE(exits); i++) {
        if (strcmp(in->outcome, exits[i].outcome) == 0) {
            return exits[i].code;
        }
    }
    if (in->outcome[0] == '\0' && in->status == 404) {
        return CLI_NOT_FOUND;
    }
    if (in->outcome[0] == '\0' && (in->status == 401 || in->status == 403)) {
        return CLI_AUTH;
    }
    return CLI_FAILURE; /* throttled, unavailable, hangup */
}

static const char *outcome_hint(enum cli_exit code)
{
    switch (code) {
    case CLI_NOT_FOUND:
        return "`mayfly inspect` lists the functions";
    case CLI_TIMEOUT:
        return "see \"timeout\" and \"cpu_time\" in mayfly.json";
    default:
        return NULL;
    }
}

/* "f: error: ValueError: no such item" and its stack, by what the answer or the record tell. */
static enum cli_exit tell_failure(const struct invoke *in, enum cli_exit code, const json_t *record)
{
    const char *name = in->cli->operands[0];
    const char *what = in->outcome[0] ? in->outcome : http_reason(in->status);
    const char *why = api_string(record, "error");
    json_t *error = NULL;

    if (json_text_load(buf_slice(&in->kept), "answer", &error, NULL) == 0 &&
        *api_string(error, "errorType")) {
        const char *type = api_string(error, "errorType");
        const char *message = api_string(error, "errorMessage");
        bool said = strncmp(message, type, strlen(type)) == 0; /* "Timeout after 3.00 s" */

        (void)cli_fail(in->cli, code, outcome_hint(code), "%s: %s: %s%s%s", name, what,
                       said ? "" : type, said ? "" : ": ", message);
        lines_print_trace(stderr, error);
    } else if (*why || in->outcome[0]) {
        (void)cli_fail(in->cli, code, outcome_hint(code), "%s: %s%s%s", name, what,
                       *why ? ": " : "", why);
    } else {
        struct slice text = buf_slice(&in->kept);

        while (text.len > 0 && text.base[text.len - 1] == '\n') {
            text.len--;
        }
        (void)cli_fail(in->cli, code, outcome_hint(code), "%s: %s: %.*s", name, what,
                       SLICE_ARG(text));
    }
    json_decref(error);
    return code;
}

static void print_json(const struct invoke *in, enum cli_exit code, json_t *record)
{
    struct buf quoted = BUF_INIT(6 * KEPT_MAX + 64);
    json_t *all = cli_check(json_object());
    json_t *body;

    if (utf8_write_json(&quoted, buf_slice(&in->kept)) < 0) {
        cli_no_memory();
    }
    body =
        cli_check(json_loadb(quoted.data + quoted.start, buf_len(&quoted), JSON_DECODE_ANY, NULL));
    (void)json_object_set_new(all, "function", json_string(in->cli->operands[0]));
    (void)json_object_set_new(all, "exit", json_integer(code));
    (void)json_object_set_new(all, "status", json_integer(in->status));
    (void)json_object_set_new(all, "outcome", json_string(in->outcome));
    (void)json_object_set_new(all, "request_id", json_string(in->request_id));
    (void)json_object_set_new(all, "body", body);
    (void)json_object_set(all, "record", record ? record : json_null());
    api_print(all);
    json_decref(all);
    buf_deinit(&quoted);
}

/* `broken`: what is wrong with the answer, if it did not come whole. */
static enum cli_exit report(struct invoke *in, const struct error *broken)
{
    bool verbose = cli_flag(in->cli, "verbose");
    bool wanted = in->cli->json || verbose || broken;
    json_t *record = wanted ? fetch_record(in) : NULL;
    enum cli_exit code;

    if (broken && record) { /* its head still said that all was well */
        in->outcome = cli_printf("%s", api_string(record, "outcome"));
    }
    code = outcome_exit(in);
    if (broken && (code == CLI_OK || !record)) {
        return cli_fail(in->cli, CLI_FAILURE, NULL, "%s", broken->text);
    }
    if (in->cli->json) {
        print_json(in, code, record);
        json_decref(record);
        return code;
    }
    if (in->streams && in->last && in->last != '\n' && isatty(STDOUT_FILENO)) {
        (void)fputc('\n', stdout);
    }
    (void)fflush(stdout);
    if (verbose && record) {
        print_record(record);
    } else if (verbose) {
        (void)fprintf(stderr, "no record of request %s\n", in->request_id);
    }
    if (code != CLI_OK) {
        code = tell_failure(in, code, record);
    }
    json_decref(record);
    return code;
}

enum cli_exit command_invoke(struct cli *cli)
{
    const char *timeout = cli_value(cli, "timeout");
    struct invoke in = {.cli = cli};
    struct client_sink sink = {.on_head = on_head, .on_data = on_data, .ctx = &in};
    struct client_request request = {.method = "POST"};
    struct error err = ERROR_NULL;
    enum cli_exit code;
    struct buf event;
    int r;

    if (timeout && parse_duration_ms(slice_str(timeout), &request.timeout_ms) < 0) {
        return cli_fail(cli, CLI_USAGE, "write it like 30s", "--timeout %s: not a time", timeout);
    }
    request.target = api_path("/api/v1/functions/", cli->operands[0], "/invoke");
    if (strlen(cli->operands[0]) > 256) {
        return cli_fail(cli, CLI_USAGE, "`mayfly inspect` lists the functions",
                        "the name is too long for a function");
    }
    code = event_read(cli, &event);
    if (code != CLI_OK) {
        return code;
    }
    request.body = buf_slice(&event);
    code = api_find(cli, &in.peer);
    if (code != CLI_OK) {
        return code;
    }
    request.peer = &in.peer;
    r = client_call(&request, &sink, &err);
    if (r < 0 && err.text[0] == '\0') {
        (void)error_set_errno(&err, r, "the answer");
    }
    if (r == CLIENT_E_OK) {
        return report(&in, NULL);
    }
    return r == -EPROTO && in.request_id ? report(&in, &err) : api_fail(cli, r, &err);
}
