/* mayfly records: a search in what is kept of each request. */

#include "cli/records.h"

#include "base/clock.h"
#include "cli/api.h"
#include "cli/given.h"
#include "cli/output.h"
#include "cli/show.h"
#include "cli/table.h"

#include <string.h>

#define PAGE_MAX      1000
#define LIMIT_DEFAULT 20

struct search {
    const struct cli *cli;
    struct client_peer peer;
    uint64_t since_us, until_us, min_us, max_us, limit;
};

const char *record_paint(const json_t *record)
{
    const char *outcome = api_string(record, "outcome");

    if (strcmp(outcome, "ok") == 0)
        return api_number(record, "status") >= 500 ? COLOR_YELLOW : NULL;
    return strcmp(outcome, "hangup") == 0 ? COLOR_YELLOW : COLOR_RED;
}

static void add_number(struct api_target *t, const char *key, uint64_t value)
{
    if (value)
        api_target_add_u64(t, key, value);
}

static void make_target(const struct search *s, const char *cursor, uint64_t limit,
                        struct api_target *t)
{
    const struct cli *cli = s->cli;

    api_target_init(t, "/api/v1/records");
    api_target_add(t, "function", cli->n_operands ? cli->operands[0] : NULL);
    api_target_add(t, "version", cli_value(cli, "version"));
    api_target_add(t, "outcome", cli_value(cli, "outcome"));
    api_target_add(t, "trigger", cli_value(cli, "trigger"));
    api_target_add(t, "failed", cli_flag(cli, "failed") ? "1" : NULL);
    api_target_add(t, "order", cli_flag(cli, "slowest") ? "duration" : NULL);
    add_number(t, "since", s->since_us);
    add_number(t, "until", s->until_us);
    add_number(t, "min_us", s->min_us);
    add_number(t, "max_us", s->max_us);
    api_target_add_u64(t, "limit", limit);
    api_target_add(t, "cursor", cursor);
}

/* Page by page into one list, as many as are wanted. */
static enum cli_exit collect(const struct search *s, json_t *records)
{
    char *cursor = NULL;

    do {
        uint64_t left = s->limit - json_array_size(records);
        struct api_target target;
        json_t *answer = NULL;
        enum cli_exit code;

        make_target(s, cursor, MIN(left, (uint64_t)PAGE_MAX), &target);
        code = api_get(s->cli, &s->peer, api_target_end(&target), &answer);
        free(cursor);
        cursor = NULL;
        if (code != CLI_OK)
            return code;
        (void)json_array_extend(records, json_object_get(answer, "records"));
        if (*api_string(answer, "next"))
            cursor = cli_printf("%s", api_string(answer, "next"));
        json_decref(answer);
    } while (cursor && json_array_size(records) < s->limit);
    free(cursor);
    return CLI_OK;
}

static void print_table(const struct cli *cli, const json_t *records)
{
    static const char *const heads[] = {"<TIME", "<FUNCTION", ">STATUS", "<OUTCOME", ">TOTAL",
                                        ">WAIT", ">INIT",     ">RUN",    ">CPU",     ">MEMORY",
                                        "<",     "<REQUEST",  "<PATH",   NULL};
    struct table *table = table_new(heads);
    uint64_t now_us = clock_wall_us();
    json_t *r;
    size_t i;

    json_array_foreach((json_t *)records, i, r)
    {
        uint64_t start_us = api_number(r, "start_us");
        char text[SHOW_SIZE];

        table_row(table, record_paint(r));
        table_cell(table, "%s",
                   show_same_day(start_us, now_us) ? show_clock(start_us, text)
                                                   : show_moment(start_us, text));
        table_cell(table, "%s", api_string(r, "function"));
        table_cell(table, "%llu", (unsigned long long)api_number(r, "status"));
        table_cell(table, "%s", api_string(r, "outcome"));
        table_cell(table, "%s", show_us(api_number(r, "total_ns") / 1000, text));
        table_cell(table, "%s", show_us(api_number(r, "wait_ns") / 1000, text));
        table_cell(table, "%s",
                   api_number(r, "init_ns") ? show_us(api_number(r, "init_ns") / 1000, text) : "-");
        table_cell(table, "%s", show_us(api_number(r, "run_ns") / 1000, text));
        table_cell(table, "%s",
                   show_us(api_number(r, "user_us") + api_number(r, "system_us"), text));
        table_cell(table, "%s", show_bytes(api_number(r, "memory_peak_bytes"), text));
        table_cell(table, "%s", api_number(r, "cold") ? "cold" : "");
        table_cell(table, "%.*s", SHOW_ID_LEN, api_string(r, "request_id"));
        table_cell(table, "%s %s", api_string(r, "method"), api_string(r, "path"));
    }
    table_print(table, stdout, cli->color_out);
    (void)table_free(table);
}

static enum cli_exit read_options(struct search *s)
{
    enum cli_exit code;

    s->limit = LIMIT_DEFAULT;
    code = given_moment(s->cli, "since", &s->since_us);
    if (code == CLI_OK)
        code = given_moment(s->cli, "until", &s->until_us);
    if (code == CLI_OK)
        code = given_duration(s->cli, "min", &s->min_us);
    if (code == CLI_OK)
        code = given_duration(s->cli, "max", &s->max_us);
    if (code == CLI_OK)
        code = given_count(s->cli, "limit", 1000000, &s->limit);
    if (code == CLI_OK && s->limit == 0)
        code = cli_fail(s->cli, CLI_USAGE, NULL, "--limit 0: then there is nothing to show");
    return code;
}

enum cli_exit command_records(struct cli *cli)
{
    struct search s = {.cli = cli};
    json_t *records = cli_check(json_array());
    enum cli_exit code = read_options(&s);

    if (code == CLI_OK)
        code = api_find(cli, &s.peer);
    if (code == CLI_OK)
        code = collect(&s, records);
    if (code == CLI_OK && json_array_size(records) == 0)
        code = api_check_function(cli, &s.peer, cli->n_operands ? cli->operands[0] : NULL);
    if (code == CLI_OK && cli->json) {
        json_t *all = cli_check(json_pack("{sO}", "records", records));

        api_print(all);
        json_decref(all);
    } else if (code == CLI_OK && json_array_size(records) == 0) {
        cli_note(cli, "mayfly: records: none");
    } else if (code == CLI_OK) {
        print_table(cli, records);
    }
    json_decref(records);
    return code;
}
