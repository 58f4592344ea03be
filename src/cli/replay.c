/* mayfly replay: a recorded request carried out again, and what is different now. */

#include "cli/api.h"
#include "cli/debug.h"
#include "cli/output.h"
#include "cli/request-id.h"

static void print_value(const json_t *value, const char *paint, bool color_out)
{
    (void)fputs(color(color_out, paint), stdout);
    if (json_is_string(value))
        line_quoted(stdout, slice_str(json_string_value(value)));
    else
        (void)fputs("(not there)", stdout);
    (void)fputs(color(color_out, COLOR_NONE), stdout);
}

static void print_differences(const struct cli *cli, const json_t *list)
{
    json_t *row;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)list, i, row)
    {
        (void)printf("\n  %s\n    before  ", api_plain(row, "where"));
        print_value(json_object_get(row, "before"), COLOR_RED, cli->color_out);
        (void)fputs("\n    after   ", stdout);
        print_value(json_object_get(row, "after"), COLOR_GREEN, cli->color_out);
        (void)fputc('\n', stdout);
    }
}

static void print_run(const char *name, const json_t *run)
{
    (void)printf("%-8s  %llu  version %s  request %s\n", name,
                 (unsigned long long)api_number(run, "status"), api_plain(run, "version"),
                 api_plain(run, "request_id"));
}

static void print_result(const struct cli *cli, const json_t *answer)
{
    bool same = json_is_true(json_object_get(answer, "same"));

    print_run("recorded", json_object_get(answer, "original"));
    print_run("again", json_object_get(answer, "again"));
    if (json_is_true(json_object_get(answer, "redacted")))
        (void)puts("What was redacted in the recording was \"[redacted]\" this time, too.");
    if (same)
        (void)printf("%sthe same answer%s\n", color(cli->color_out, COLOR_GREEN),
                     color(cli->color_out, COLOR_NONE));
    else
        print_differences(cli, json_object_get(answer, "differences"));
}

static enum cli_exit replay(const struct cli *cli, const struct client_peer *peer, const char *id)
{
    const char *version = cli_value(cli, "version");
    json_t *body = version ? json_pack("{s:s}", "version", version) : NULL, *answer = NULL;
    enum cli_exit code = api_send_patiently(
        cli, peer, "POST", api_path("/api/v1/records/", id, "/replay"), body, &answer);

    if (code == CLI_OK) {
        if (cli->json)
            api_print(answer);
        else
            print_result(cli, answer);
        code = json_is_true(json_object_get(answer, "same")) ? CLI_OK : CLI_FAILURE;
    }
    json_decref(body);
    json_decref(answer);
    return code;
}

enum cli_exit command_replay(struct cli *cli)
{
    struct client_peer peer;
    char id[REQUEST_ID_SIZE];
    enum cli_exit code;

    if (!request_id_is_name(cli->operands[0]))
        return request_id_refuse(cli, cli->operands[0]);
    code = api_find(cli, &peer);
    if (code == CLI_OK)
        code = request_id_find(cli, &peer, cli->operands[0], id);
    if (code != CLI_OK)
        return code;
    return cli_flag(cli, "debug") ? debug_request(cli, &peer, id) : replay(cli, &peer, id);
}
