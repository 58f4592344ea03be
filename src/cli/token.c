/* mayfly token: who may use the admin listener. */

#include "base/clock.h"
#include "cli/api.h"
#include "cli/output.h"
#include "cli/show.h"
#include "cli/table.h"

#include <string.h>

static enum cli_exit token_create(const struct cli *cli, const struct client_peer *peer)
{
    json_t *body = cli_check(json_pack("{ss}", "name", cli->operands[1]));
    json_t *answer = NULL;
    enum cli_exit code = api_send(cli, peer, "POST", "/api/v1/tokens", body, &answer);

    if (code == CLI_OK && !*api_string(answer, "token"))
        code = cli_fail(cli, CLI_FAILURE, NULL, "the daemon tells no token");
    if (code == CLI_OK && cli->json) {
        api_print(answer);
    } else if (code == CLI_OK) {
        (void)printf("%s\n", api_plain(answer, "token"));
        (void)fflush(stdout);
        cli_note(cli, "mayfly: this is the only time that it is shown; use it as MAYFLY_TOKEN");
    }
    json_decref(body);
    json_decref(answer);
    return code;
}

static void print_tokens(const struct cli *cli, const json_t *tokens)
{
    static const char *const heads[] = {"<NAME", "<CREATED", "<LAST USED", NULL};
    struct table *table = table_new(heads);
    json_t *token;
    size_t i;

    json_array_foreach((json_t *)tokens, i, token)
    {
        uint64_t used_us = api_number(token, "used_us");
        char text[SHOW_SIZE];

        table_row(table, NULL);
        table_cell(table, "%s", api_string(token, "name"));
        table_cell(table, "%.19s", show_moment(api_number(token, "created_us"), text));
        table_cell(table, "%.19s", used_us ? show_moment(used_us, text) : "never");
    }
    table_print(table, stdout, cli->color_out);
    (void)table_free(table);
}

static enum cli_exit token_ls(const struct cli *cli, const struct client_peer *peer)
{
    json_t *answer = NULL;
    enum cli_exit code = api_get(cli, peer, "/api/v1/tokens", &answer);
    json_t *tokens = json_object_get(answer, "tokens"), *token;
    size_t i;

    if (code != CLI_OK)
        return code;
    if (cli->json) {
        api_print(answer);
    } else if (cli_flag(cli, "names")) {
        json_array_foreach(tokens, i, token)
        {
            (void)printf("%s\n", api_plain(token, "name"));
        }
    } else if (json_array_size(tokens) == 0) {
        cli_note(cli, "mayfly: token: none; `mayfly token create NAME` makes one");
    } else {
        print_tokens(cli, tokens);
    }
    json_decref(answer);
    return CLI_OK;
}

static enum cli_exit token_rm(const struct cli *cli, const struct client_peer *peer)
{
    _cleanup_free_ char *target = api_path("/api/v1/tokens/", cli->operands[1], "");
    json_t *answer = NULL;
    enum cli_exit code = api_send(cli, peer, "DELETE", target, NULL, &answer);

    if (code == CLI_OK && cli->json)
        (void)puts("{}");
    json_decref(answer);
    return code;
}

enum cli_exit command_token(struct cli *cli)
{
    static const struct {
        const char *name;
        unsigned n_operands;
        enum cli_exit (*run)(const struct cli *cli, const struct client_peer *peer);
    } actions[] = {{"create", 2, token_create}, {"ls", 1, token_ls}, {"rm", 2, token_rm}};
    struct client_peer peer;
    enum cli_exit code;

    for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
        if (strcmp(actions[i].name, cli->operands[0]) != 0)
            continue;
        if (cli->n_operands != actions[i].n_operands)
            return cli_fail(cli, CLI_USAGE, NULL, "usage: mayfly token %s%s", actions[i].name,
                            actions[i].n_operands > 1 ? " NAME" : "");
        code = api_find(cli, &peer);
        return code == CLI_OK ? actions[i].run(cli, &peer) : code;
    }
    return cli_fail(cli, CLI_USAGE, "there are create, ls and rm", "no such action: %s",
                    cli->operands[0]);
}
