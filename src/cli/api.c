#include "cli/api.h"

#include "base/log.h"
#include "cli/client.h"
#include "cli/paths.h"

#include <errno.h>

#define API_TIMEOUT_MS 10000

struct answer {
    unsigned status;
    struct buf body;
};

static void on_head(void *ctx, const struct http_head *head)
{
    struct answer *answer = ctx;

    answer->status = head->status;
}

static int on_data(void *ctx, struct slice data)
{
    struct answer *answer = ctx;

    return buf_append_slice(&answer->body, data);
}

char *api_find(const struct cli *cli)
{
    char *state = paths_find_daemon(cli_value(cli, "state"));

    if (!state) {
        (void)cli_fail(cli, CLI_UNREACHABLE,
                       "start one with `mayfly dev`, or name its state folder with --state",
                       "no daemon of yours is running");
    }
    return state;
}

enum cli_exit api_fail(const struct cli *cli, int r, const struct error *err)
{
    if (r == CLIENT_E_UNREACHABLE) {
        return cli_fail(cli, CLI_UNREACHABLE,
                        "start the daemon with `mayfly dev` or `mayfly serve`", "%s", err->text);
    }
    if (r == CLIENT_E_TIMEOUT) {
        return cli_fail(cli, CLI_TIMEOUT, NULL, "%s", err->text);
    }
    if (r == -EACCES || r == -EPERM) {
        return cli_fail(cli, CLI_AUTH, "only its owner may talk to a daemon", "%s", err->text);
    }
    return cli_fail(cli, CLI_FAILURE, NULL, "%s", err->text);
}

static int ask(const char *state, const char *target, struct answer *answer, struct error *err)
{
    struct client_request request = {
        .state = state, .method = "GET", .target = target, .timeout_ms = API_TIMEOUT_MS};
    struct client_sink sink = {.on_head = on_head, .on_data = on_data, .ctx = answer};
    int r;

    r = client_call(&request, &sink, err);
    if (r < 0 && err->text[0] == '\0') {
        return error_set_errno(err, r, "the daemon's answer");
    }
    return r;
}

enum cli_exit api_get(const struct cli *cli, const char *state, const char *target, json_t **ret)
{
    struct answer answer = {.body = BUF_INIT(API_ANSWER_MAX)};
    struct error err = ERROR_NULL;
    enum cli_exit code = CLI_OK;
    int r;

    r = ask(state, target, &answer, &err);
    if (r != CLIENT_E_OK) {
        code = api_fail(cli, r, &err);
    } else if (answer.status != 200) {
        code = cli_fail(cli, answer.status == 404 ? CLI_NOT_FOUND : CLI_FAILURE,
                        "are tool and daemon of the same version?", "the daemon answers %u to %s",
                        answer.status, target);
    } else if (json_text_load(buf_slice(&answer.body), target, ret, &err) < 0) {
        code = cli_fail(cli, CLI_FAILURE, NULL, "the daemon's answer: %s", err.text);
    }
    buf_deinit(&answer.body);
    return code;
}

int api_look(const char *state, const char *target, json_t **ret)
{
    struct answer answer = {.body = BUF_INIT(API_ANSWER_MAX)};
    struct error err = ERROR_NULL;
    int r;

    *ret = NULL;
    r = ask(state, target, &answer, &err);
    if (r == CLIENT_E_OK && answer.status != 404) {
        r = answer.status == 200 ? json_text_load(buf_slice(&answer.body), target, ret, &err)
                                 : -EPROTO;
    }
    buf_deinit(&answer.body);
    return r;
}

const char *api_string(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value ? value : "";
}

char *api_plain(const json_t *object, const char *key)
{
    struct slice value = slice_str(api_string(object, key));
    size_t size = 4 * value.len + 1;

    return log_quote(value, cli_check(malloc(size)), size);
}

uint64_t api_number(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));

    return value > 0 ? (uint64_t)value : 0;
}
