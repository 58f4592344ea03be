/* mayfly logs: what there is, page by page; then, with -f, what comes. The stream is opened before
 * the pages are asked for, so that no line falls between them; what comes twice is known by its
 * number. */

#include "base/clock.h"
#include "base/parse.h"
#include "cli/api.h"
#include "cli/given.h"
#include "cli/lines.h"
#include "cli/output.h"
#include "cli/request-id.h"
#include "cli/stream.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define PAGE_MAX       1000
#define LINES_DEFAULT  100
#define FOLLOW_DEFAULT 10

struct logs {
    const struct cli *cli;
    struct client_peer peer;
    const char *function, *stream, *grep; /* or NULL */
    char request[REQUEST_ID_SIZE];        /* or "" */
    uint64_t since_us, until_us;          /* 0: not given */
    uint64_t lines_max;
    uint64_t last_id; /* of the newest line shown */
    uint64_t seen_us; /* and its time; before the first one, when it was begun to follow */
    uint64_t n;       /* lines shown */
    bool has_begun;   /* the stream has been connected once */
    bool is_live;     /* and what was before it has been shown */
};

static void show(struct logs *l, const json_t *line)
{
    l->last_id = MAX(l->last_id, api_number(line, "id"));
    l->seen_us = MAX(l->seen_us, api_number(line, "time_us"));
    l->n++;
    if (l->cli->json)
        api_print(line);
    else
        lines_print(l->cli, line, clock_wall_us());
}

/* ---- what there is ---- */

static void page_target(const struct logs *l, const char *cursor, uint64_t limit,
                        struct api_target *t)
{
    api_target_init(t, "/api/v1/logs");
    api_target_add(t, "function", l->function);
    api_target_add(t, "request", l->request[0] ? l->request : NULL);
    api_target_add(t, "stream", l->stream);
    api_target_add(t, "grep", l->grep);
    if (l->since_us)
        api_target_add_u64(t, "since", l->since_us);
    if (l->until_us)
        api_target_add_u64(t, "until", l->until_us);
    api_target_add_u64(t, "limit", limit);
    api_target_add(t, "cursor", cursor);
}

/* Of more lines than are wanted the last ones count, as with tail. */
static void keep_last(json_t *lines, uint64_t max)
{
    while (json_array_size(lines) > max)
        (void)json_array_remove(lines, 0);
}

static void show_all(struct logs *l, const json_t *lines)
{
    json_t *line;
    size_t i;

    json_array_foreach((json_t *)lines, i, line)
    {
        if (api_number(line, "id") > l->last_id)
            show(l, line);
    }
}

/* All pages since then: shown as they come, or if only the last lines are wanted, at the end. */
static enum cli_exit show_since(struct logs *l)
{
    bool all = l->lines_max == UINT64_MAX;
    json_t *kept = cli_check(json_array());
    enum cli_exit code;
    char *cursor = NULL;

    do {
        struct api_target target;
        json_t *answer = NULL;

        page_target(l, cursor, PAGE_MAX, &target);
        code = api_get(l->cli, &l->peer, api_target_end(&target), &answer);
        free(cursor);
        cursor = NULL;
        if (code != CLI_OK)
            break;
        (void)json_array_extend(kept, json_object_get(answer, "lines"));
        if (all) {
            show_all(l, kept);
            (void)json_array_clear(kept);
        } else {
            keep_last(kept, l->lines_max);
        }
        if (*api_string(answer, "next"))
            cursor = cli_printf("%s", api_string(answer, "next"));
        json_decref(answer);
    } while (cursor && !ferror(stdout));
    show_all(l, kept);
    json_decref(kept);
    return code;
}

static enum cli_exit show_newest(struct logs *l)
{
    struct api_target target;
    json_t *answer = NULL;
    enum cli_exit code;

    if (l->lines_max == 0)
        return CLI_OK;
    page_target(l, NULL, l->lines_max, &target);
    code = api_get(l->cli, &l->peer, api_target_end(&target), &answer);
    if (code == CLI_OK)
        show_all(l, json_object_get(answer, "lines"));
    json_decref(answer);
    return code;
}

static enum cli_exit show_past(struct logs *l)
{
    return l->since_us ? show_since(l) : show_newest(l);
}

/* ---- what comes ---- */

/* The stream knows function and request; the rest is looked at here. */
static bool is_wanted(const struct logs *l, const json_t *line)
{
    if (api_number(line, "id") <= l->last_id)
        return false;
    if (l->stream && strcmp(api_string(line, "stream"), l->stream) != 0)
        return false;
    return !l->grep || strstr(api_string(line, "text"), l->grep);
}

static void tell_loss(const struct logs *l, uint64_t n, const char *why)
{
    if (l->cli->json && n > 0) {
        (void)printf("{\"dropped\":%llu,\"why\":\"%s\"}\n", (unsigned long long)n, why);
    } else if (n > 0) {
        (void)fflush(stdout); /* in their order, if both are one terminal */
        cli_note(l->cli, "mayfly: logs: %llu line%s not shown here: %s", (unsigned long long)n,
                 n == 1 ? " is" : "s are", why);
    }
}

static int on_event(void *ctx, const struct sse_event *event)
{
    struct logs *l = ctx;
    json_t *body = NULL, *line;
    size_t i;

    if (!l->is_live) /* it came together with the head: the page that is asked for then has it */
        return 0;
    if (json_text_load(event->data, "event", &body, NULL) < 0)
        return 0; /* of a kind that does not concern us */
    if (slice_eq(event->name, SLICE_LIT("log"))) {
        json_array_foreach(json_object_get(body, "lines"), i, line)
        {
            if (is_wanted(l, line))
                show(l, line);
        }
        tell_loss(l, api_number(body, "omitted"), "too many at once");
    } else if (slice_eq(event->name, SLICE_LIT("gap"))) {
        tell_loss(l, api_number(body, "lines"), "too many while there was no connection");
    }
    json_decref(body);
    return 0;
}

/* The newest daemon may be another one by now: `mayfly dev` again. */
static void look_again(struct logs *l, struct stream *stream)
{
    struct client_peer peer;

    if (l->peer.host || cli_value(l->cli, "state") || getenv("MAYFLY_STATE"))
        return;
    if (api_look_for(l->cli, &peer) != CLI_OK || !peer.state)
        return;
    if (strcmp(peer.state, l->peer.state) == 0) {
        free((char *)(uintptr_t)peer.state); /* it may be asked for often */
        return;
    }
    l->peer = peer;
    l->last_id = 0;
    l->is_live = false;
    stream_set_peer(stream, &peer);
}

/* The stream is there, for the first time or again. Where it does not go on by itself, because it
 * had brought nothing yet, what was meanwhile is asked for. */
static enum cli_exit take_up(struct logs *l)
{
    enum cli_exit code = CLI_OK;

    if (!l->has_begun) {
        code = show_past(l);
    } else {
        cli_note(l->cli, "mayfly: logs: connected again");
        if (!l->is_live) {
            l->since_us = l->seen_us;
            l->lines_max = UINT64_MAX;
            code = show_since(l);
        }
    }
    l->has_begun = l->is_live = true;
    return code;
}

static enum cli_exit take_step(struct logs *l, struct stream *stream, int r,
                               const struct error *err)
{
    switch (r) {
    case STREAM_E_OK:
        return CLI_OK;
    case STREAM_E_LIVE:
        return take_up(l);
    case STREAM_E_LOST:
        if (!l->has_begun)
            return api_fail(l->cli, CLIENT_E_UNREACHABLE, err);
        l->is_live = stream_resumes(stream);
        cli_note(l->cli, "mayfly: logs: the connection is lost (%s); trying again", err->text);
        return CLI_OK;
    case STREAM_E_REFUSED:
        return api_refused(l->cli, stream_status(stream), stream_refusal(stream), "/api/v1/stream");
    default:
        return cli_fail(l->cli, CLI_FAILURE, NULL, "the daemon's stream: %s",
                        strerror(r < 0 ? -r : EPROTO));
    }
}

static enum cli_exit follow(struct logs *l)
{
    struct api_target target;
    struct stream *stream;
    enum cli_exit code = CLI_OK;

    api_target_init(&target, "/api/v1/stream");
    api_target_add(&target, "events", "log");
    api_target_add(&target, "function", l->function);
    api_target_add(&target, "request", l->request[0] ? l->request : NULL);
    l->seen_us = clock_wall_us();
    stream = stream_new(&l->peer, api_target_end(&target), on_event, l);
    while (code == CLI_OK) {
        struct pollfd fds[] = {{.fd = stream_fd(stream), .events = stream_events(stream)},
                               {.fd = STDOUT_FILENO}}; /* POLLERR: nobody reads any more */
        struct error err = ERROR_NULL;

        if (fflush(stdout) != 0)
            break;
        if (poll(fds, ARRAY_SIZE(fds), stream_timeout_ms(stream)) > 0 &&
            (fds[1].revents & (POLLERR | POLLHUP)))
            break;
        code = take_step(l, stream, stream_step(stream, &err), &err);
        if (stream_fd(stream) < 0)
            look_again(l, stream);
    }
    (void)stream_free(stream);
    return code;
}

/* ---- what was asked for ---- */

static enum cli_exit read_count(struct logs *l, bool follows)
{
    const char *text = cli_value(l->cli, "lines");
    uint64_t max = l->since_us ? UINT64_MAX - 1 : PAGE_MAX;

    l->lines_max = l->since_us ? UINT64_MAX : follows ? FOLLOW_DEFAULT : LINES_DEFAULT;
    if (text && parse_u64(slice_str(text), max, &l->lines_max) < 0)
        return cli_fail(l->cli, CLI_USAGE, l->since_us ? NULL : "for more give --since",
                        "--lines %s: not a number, or more than %d", text, PAGE_MAX);
    if (!text && cli_flag(l->cli, "request") && !l->since_us)
        l->lines_max = PAGE_MAX;
    return CLI_OK;
}

enum cli_exit command_logs(struct cli *cli)
{
    struct logs l = {.cli = cli,
                     .function = cli->n_operands ? cli->operands[0] : NULL,
                     .stream = cli_value(cli, "stream"),
                     .grep = cli_value(cli, "grep")};
    const char *request = cli_value(cli, "request");
    bool follows = cli_flag(cli, "follow");
    enum cli_exit code = given_moment(cli, "since", &l.since_us);

    if (code == CLI_OK)
        code = given_moment(cli, "until", &l.until_us);
    if (code == CLI_OK && follows && l.until_us)
        code = cli_fail(cli, CLI_USAGE, NULL, "--follow and --until: which of the two?");
    if (code == CLI_OK)
        code = read_count(&l, follows);
    if (code == CLI_OK && request && !request_id_is_name(request))
        code = request_id_refuse(cli, request);
    if (code == CLI_OK)
        code = api_find(cli, &l.peer);
    if (code == CLI_OK && request)
        code = request_id_find(cli, &l.peer, request, l.request);
    if (code == CLI_OK)
        code = follows ? follow(&l) : show_past(&l);
    if (code == CLI_OK && !follows && l.n == 0)
        code = api_check_function(cli, &l.peer, l.function);
    if (code == CLI_OK && !follows && l.n == 0)
        cli_note(cli, "mayfly: logs: no lines");
    return code;
}
