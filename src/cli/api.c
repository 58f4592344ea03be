#include "cli/api.h"

#include "base/log.h"
#include "base/utf8.h"
#include "cli/paths.h"
#include "cli/url.h"

#include <errno.h>
#include <string.h>

#define API_TIMEOUT_MS 30000
#define TRY_TIMEOUT_MS 10000 /* of what somebody watches */
#define TARGET_MAX     8000  /* a request line has at most 8192 bytes */

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

/* ---- whom to ask ---- */

static const char *env(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

static enum cli_exit find_token(const struct cli *cli, const char **ret)
{
    const char *token = env("MAYFLY_TOKEN");

    if (token && !http_is_token(slice_str(token)))
        return cli_fail(cli, CLI_USAGE, "`mayfly token create NAME` makes one",
                        "MAYFLY_TOKEN: not a token");
    *ret = token;
    return CLI_OK;
}

static enum cli_exit use_url(const struct cli *cli, const char *text, const char *from,
                             struct client_peer *ret)
{
    struct url *url = cli_check(calloc(1, sizeof *url));
    struct error err = ERROR_NULL;
    enum cli_exit code;

    if (url_parse(slice_str(text), url, &err) < 0)
        return cli_fail(cli, CLI_USAGE, NULL, "%s %s: %s", from, text, err.text);
    code = find_token(cli, &ret->token);
    if (code != CLI_OK)
        return code;
    ret->host = url->host;
    ret->port = url->port;
    if (ret->token && !url_is_local(url))
        cli_note(
            cli,
            "mayfly: the token goes to %s unencrypted; `ssh -L 8081:127.0.0.1:8081 %s` is safer",
            url->host, url->host);
    return CLI_OK;
}

enum cli_exit api_look_for(const struct cli *cli, struct client_peer *ret)
{
    const char *url = cli_value(cli, "url"), *state = cli_value(cli, "state");

    *ret = (struct client_peer){0};
    if (url && state)
        return cli_fail(cli, CLI_USAGE, NULL, "--url and --state: which of the two?");
    if (url)
        return use_url(cli, url, "--url", ret);
    if (!state && env("MAYFLY_URL"))
        return use_url(cli, env("MAYFLY_URL"), "MAYFLY_URL", ret);
    ret->state = paths_find_daemon(state);
    return CLI_OK;
}

enum cli_exit api_find(const struct cli *cli, struct client_peer *ret)
{
    enum cli_exit code = api_look_for(cli, ret);

    if (code == CLI_OK && !ret->state && !ret->host)
        return cli_fail(cli, CLI_UNREACHABLE,
                        "start one with `mayfly dev`, or name its state folder with --state",
                        "no daemon of yours is running");
    return code;
}

/* ---- asking ---- */

enum cli_exit api_fail(const struct cli *cli, int r, const struct error *err)
{
    if (r == CLIENT_E_UNREACHABLE)
        return cli_fail(cli, CLI_UNREACHABLE,
                        "start the daemon with `mayfly dev` or `mayfly serve`", "%s", err->text);
    if (r == CLIENT_E_TIMEOUT)
        return cli_fail(cli, CLI_TIMEOUT, NULL, "%s", err->text);
    if (r == -EACCES || r == -EPERM)
        return cli_fail(cli, CLI_AUTH, "only its owner may talk to a daemon", "%s", err->text);
    return cli_fail(cli, CLI_FAILURE, NULL, "%s", err->text);
}

enum cli_exit api_refused(const struct cli *cli, unsigned status, struct slice body,
                          const char *target)
{
    static const struct {
        unsigned status;
        enum cli_exit code;
        const char *hint;
    } kinds[] = {
        {400, CLI_USAGE, NULL},
        {401, CLI_AUTH, "set MAYFLY_TOKEN; `mayfly token create NAME` on its machine makes one"},
        {403, CLI_AUTH, NULL},
        {404, CLI_NOT_FOUND, NULL},
        {409, CLI_CONFLICT, NULL},
        {421, CLI_AUTH, "the daemon's --admin-host names the hosts that it answers to"},
    };
    enum cli_exit code = CLI_FAILURE;
    const char *hint = NULL, *message;
    json_t *error = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (kinds[i].status == status) {
            code = kinds[i].code;
            hint = kinds[i].hint;
        }
    }
    (void)json_text_load(body, target, &error, NULL); /* else there is no error to tell of */
    message = api_string(error, "errorMessage");
    if (status == 401) /* the daemon's words are for any client */
        code = cli_fail(cli, code, hint, "%s",
                        env("MAYFLY_TOKEN") ? "MAYFLY_TOKEN does not hold there, or not any more"
                                            : "the admin listener asks for a token");
    else if (*message)
        code = cli_fail(cli, code, hint, "%s", message);
    else
        code = cli_fail(cli, code, hint ? hint : "are tool and daemon of the same version?",
                        "the daemon answers %u to %s", status, target);
    json_decref(error);
    return code;
}

static int ask(const struct client_request *request, struct answer *answer, struct error *err)
{
    struct client_sink sink = {.on_head = on_head, .on_data = on_data, .ctx = answer};
    int r;

    answer->body = BUF_INIT(API_ANSWER_MAX);
    r = client_call(request, &sink, err);
    if (r < 0 && err->text[0] == '\0')
        return error_set_errno(err, r, "the daemon's answer");
    return r;
}

static enum cli_exit send_json(const struct cli *cli, struct client_request *request,
                               const json_t *body, json_t **ret)
{
    _cleanup_free_ char *text = body ? cli_check(json_dumps(body, JSON_COMPACT)) : NULL;
    const char *target = request->target;
    struct answer answer = {0};
    struct error err = ERROR_NULL;
    enum cli_exit code = CLI_OK;
    int r;

    *ret = NULL;
    request->body = slice_str(text);
    r = ask(request, &answer, &err);
    if (r != CLIENT_E_OK)
        code = api_fail(cli, r, &err);
    else if (answer.status < 200 || answer.status > 299)
        code = api_refused(cli, answer.status, buf_slice(&answer.body), target);
    else if (buf_len(&answer.body) > 0 &&
             json_text_load(buf_slice(&answer.body), target, ret, &err) < 0)
        code = cli_fail(cli, CLI_FAILURE, NULL, "the daemon's answer: %s", err.text);
    buf_deinit(&answer.body);
    return code;
}

enum cli_exit api_send(const struct cli *cli, const struct client_peer *peer, const char *method,
                       const char *target, const json_t *body, json_t **ret)
{
    struct client_request request = {
        .peer = peer, .method = method, .target = target, .timeout_ms = API_TIMEOUT_MS};

    return send_json(cli, &request, body, ret);
}

enum cli_exit api_send_patiently(const struct cli *cli, const struct client_peer *peer,
                                 const char *method, const char *target, const json_t *body,
                                 json_t **ret)
{
    struct client_request request = {.peer = peer, .method = method, .target = target};

    return send_json(cli, &request, body, ret);
}

enum cli_exit api_get(const struct cli *cli, const struct client_peer *peer, const char *target,
                      json_t **ret)
{
    enum cli_exit code = api_send(cli, peer, "GET", target, NULL, ret);

    if (code == CLI_OK && !*ret)
        code = cli_fail(cli, CLI_FAILURE, NULL, "the daemon's answer to %s is empty", target);
    return code;
}

int api_try(const struct client_peer *peer, const char *method, const char *target,
            unsigned *ret_status, json_t **ret, struct error *err)
{
    struct client_request request = {
        .peer = peer, .method = method, .target = target, .timeout_ms = TRY_TIMEOUT_MS};
    struct answer answer = {0};
    int r = ask(&request, &answer, err);

    *ret = NULL;
    *ret_status = answer.status;
    if (r == CLIENT_E_OK && buf_len(&answer.body) > 0 &&
        json_text_load(buf_slice(&answer.body), target, ret, err) < 0)
        r = -EPROTO;
    buf_deinit(&answer.body);
    return r;
}

int api_look(const struct client_peer *peer, const char *target, json_t **ret)
{
    struct error err = ERROR_NULL;
    unsigned status;
    int r = api_try(peer, "GET", target, &status, ret, &err);

    if (r == 0 && status != 200) {
        json_decref(*ret);
        *ret = NULL;
        return status == 404 ? 0 : -EPROTO;
    }
    return r;
}

enum cli_exit api_check_function(const struct cli *cli, const struct client_peer *peer,
                                 const char *name)
{
    _cleanup_free_ char *target = name ? api_path("/api/v1/functions/", name, "") : NULL;
    json_t *function = NULL;
    int r = target ? api_look(peer, target, &function) : -1;

    if (r == 0 && !function)
        return cli_fail(cli, CLI_NOT_FOUND, "`mayfly inspect` lists them", "no function %s", name);
    json_decref(function);
    return CLI_OK;
}

/* ---- targets ---- */

static void check_room(int r)
{
    if (r == -ENOMEM)
        cli_no_memory();
    /* -ENOBUFS: what is too long for a request line is refused by the daemon as cut off */
}

void api_target_init(struct api_target *t, const char *path)
{
    t->b = BUF_INIT(TARGET_MAX);
    t->has_query = false;
    check_room(buf_append_str(&t->b, path));
}

void api_target_add(struct api_target *t, const char *key, const char *value)
{
    if (!value)
        return;
    check_room(buf_printf(&t->b, "%c%s=", t->has_query ? '&' : '?', key));
    check_room(http_percent_encode(&t->b, slice_str(value)));
    t->has_query = true;
}

void api_target_add_u64(struct api_target *t, const char *key, uint64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    api_target_add(t, key, text);
}

const char *api_target_end(struct api_target *t)
{
    return cli_check((void *)buf_cstr(&t->b));
}

char *api_path(const char *before, const char *name, const char *behind)
{
    struct buf b = BUF_INIT(TARGET_MAX);

    check_room(buf_append_str(&b, before));
    check_room(http_percent_encode(&b, slice_str(name)));
    check_room(buf_append_str(&b, behind));
    return cli_check((void *)buf_cstr(&b));
}

/* ---- answers ---- */

char *api_plain(const json_t *object, const char *key)
{
    struct slice value = slice_str(api_string(object, key));
    size_t size = 4 * value.len + 1;

    return log_quote(value, cli_check(malloc(size)), size);
}

/* The character that a valid sequence of n bytes stands for. */
static unsigned code_point(const unsigned char *p, size_t n)
{
    static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    unsigned c = p[0] & masks[n];

    for (size_t i = 1; i < n; i++)
        c = c << 6 | (p[i] & 0x3f);
    return c;
}

/* jansson escapes what JSON demands; a terminal obeys more than that, all of it in strings. */
void api_print(const json_t *value)
{
    _cleanup_free_ char *text = cli_check(json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY));
    size_t len = strlen(text);

    for (size_t i = 0; i < len;) {
        const unsigned char *p = (const unsigned char *)text + i;
        size_t n = MAX(utf8_len(p, len - i), 1);

        if (!utf8_is_control(p, n))
            (void)fwrite(p, 1, n, stdout);
        else if (code_point(p, n) < 0x10000)
            (void)printf("\\u%04x", code_point(p, n));
        i += n;
    }
    (void)fputc('\n', stdout);
}
