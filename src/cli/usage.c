/* mayfly usage: the bill, only for what ran, to the microsecond. */

#include "cli/api.h"
#include "cli/given.h"
#include "cli/output.h"
#include "cli/price.h"
#include "cli/show.h"
#include "cli/table.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>

typedef unsigned long long ull;

struct usage {
    const struct cli *cli;
    const char *by;
    const struct price *price; /* or NULL */
    json_t *rows;
    int decimals; /* of amounts of money */
};

/* The figures of a row that add up. */
static const char *const sums[] = {"invocations", "errors", "run_us",   "user_us",
                                   "system_us",   "gb_us",  "bytes_in", "bytes_out"};

static void set_number(json_t *object, const char *key, uint64_t value)
{
    (void)json_object_set_new(object, key, json_integer((json_int_t)value));
}

static struct price_sum cost_of(const struct price *price, const json_t *row)
{
    struct price_use use = {.requests = api_number(row, "invocations"),
                            .gb_us = api_number(row, "gb_us"),
                            .cpu_us = api_number(row, "user_us") + api_number(row, "system_us")};

    return price_of(price, &use);
}

static json_t *cost_json(const struct price *price, const struct price_sum *sum)
{
    return cli_check(json_pack("{ss,sI,sI,sI,sI}", "currency", price->currency, "requests_nano",
                               (json_int_t)sum->requests, "memory_nano", (json_int_t)sum->memory,
                               "cpu_nano", (json_int_t)sum->cpu, "total_nano",
                               (json_int_t)sum->total));
}

/* Adds to each row what it costs. Returns the row of totals. */
static json_t *add_up(const struct usage *u)
{
    json_t *total = cli_check(json_object()), *row;
    struct price_sum all = {0};
    size_t i;

    for (size_t k = 0; k < ARRAY_SIZE(sums); k++)
        set_number(total, sums[k], 0);
    json_array_foreach(u->rows, i, row)
    {
        for (size_t k = 0; k < ARRAY_SIZE(sums); k++)
            set_number(total, sums[k], api_number(total, sums[k]) + api_number(row, sums[k]));
        if (u->price) {
            struct price_sum cost = cost_of(u->price, row);

            price_add(&all, &cost);
            (void)json_object_set_new(row, "cost", cost_json(u->price, &cost));
        }
    }
    if (u->price)
        (void)json_object_set_new(total, "cost", cost_json(u->price, &all));
    return total;
}

static void money_cell(struct table *t, const struct usage *u, const json_t *row, const char *key)
{
    json_int_t nano = json_integer_value(json_object_get(json_object_get(row, "cost"), key));
    char text[SHOW_SIZE];

    table_cell(t, "%s", show_nano((int64_t)nano, u->decimals, text));
}

static void print_row(struct table *t, const struct usage *u, const json_t *row, const char *name,
                      const char *paint)
{
    uint64_t cpu_us = api_number(row, "user_us") + api_number(row, "system_us");
    uint64_t gb_us = api_number(row, "gb_us"), run_us = api_number(row, "run_us");
    char text[SHOW_SIZE];

    table_row(t, paint);
    table_cell(t, "%s", name);
    if (strcmp(u->by, "version") == 0)
        table_cell(t, "%s", api_string(row, "version"));
    table_cell(t, "%llu", (ull)api_number(row, "invocations"));
    table_cell(t, "%llu", (ull)api_number(row, "errors"));
    table_cell(t, "%llu.%06llu", (ull)(run_us / US_PER_S), (ull)(run_us % US_PER_S));
    table_cell(t, "%llu.%06llu", (ull)(cpu_us / US_PER_S), (ull)(cpu_us % US_PER_S));
    table_cell(t, "%llu.%06llu", (ull)(gb_us / US_PER_S), (ull)(gb_us % US_PER_S));
    table_cell(t, "%s", show_bytes(api_number(row, "bytes_in"), text));
    table_cell(t, "%s", show_bytes(api_number(row, "bytes_out"), text));
    if (u->price) {
        money_cell(t, u, row, "requests_nano");
        money_cell(t, u, row, "memory_nano");
        money_cell(t, u, row, "cpu_nano");
        money_cell(t, u, row, "total_nano");
    }
}

static const char *name_of(const struct usage *u, const json_t *row)
{
    const char *name = api_string(row, strcmp(u->by, "day") == 0 ? "day" : "function");

    return *name ? name : api_string(row, "key");
}

static void print_table(struct usage *u, const json_t *total)
{
    const char *heads[TABLE_COLUMNS_MAX] = {strcmp(u->by, "day") == 0 ? "<DAY" : "<FUNCTION"};
    static const char *const figures[] = {">INVOCATIONS", ">ERRORS", ">RUN s", ">CPU s",
                                          ">GB-s",        ">IN",     ">OUT",   ">REQUESTS",
                                          ">MEMORY",      ">CPU",    ">COST"};
    json_int_t all =
        json_integer_value(json_object_get(json_object_get(total, "cost"), "total_nano"));
    struct table *table;
    size_t n = 1, i;
    json_t *row;

    if (strcmp(u->by, "version") == 0)
        heads[n++] = "<VERSION";
    for (size_t k = 0; k < ARRAY_SIZE(figures) - (u->price ? 0 : 4); k++)
        heads[n++] = figures[k];
    if (u->price && u->price->currency[0])
        heads[n - 1] = cli_printf(">%s", u->price->currency);
    u->decimals = all < 1000000000 ? 9 : 6;
    table = table_new(heads);
    json_array_foreach(u->rows, i, row)
    {
        print_row(table, u, row, name_of(u, row), NULL);
    }
    print_row(table, u, total, "total", COLOR_BOLD);
    table_print(table, stdout, u->cli->color_out);
    (void)table_free(table);
}

static enum cli_exit fetch(const struct usage *u, uint64_t since_us, uint64_t until_us,
                           json_t **ret)
{
    struct api_target target;
    struct client_peer peer;
    enum cli_exit code = api_find(u->cli, &peer);

    if (code != CLI_OK)
        return code;
    api_target_init(&target, "/api/v1/usage");
    api_target_add(&target, "by", u->by);
    if (since_us)
        api_target_add_u64(&target, "since", since_us);
    if (until_us)
        api_target_add_u64(&target, "until", until_us);
    return api_get(u->cli, &peer, api_target_end(&target), ret);
}

static enum cli_exit load_price(const struct cli *cli, const char *path, struct price *ret)
{
    struct error err = ERROR_NULL;
    int r = price_load(path, ret, &err);

    if (r < 0)
        return cli_fail(cli, r == -ENOENT ? CLI_NOT_FOUND : CLI_USAGE, NULL, "%s", err.text);
    return CLI_OK;
}

static void tell_span(const struct cli *cli, const json_t *answer)
{
    uint64_t since_us = api_number(answer, "since_us"), until_us = api_number(answer, "until_us");
    char since[SHOW_SIZE], until[SHOW_SIZE];

    (void)fflush(stdout);
    if (until_us)
        cli_note(cli, "from %.16s to %.16s",
                 since_us ? show_moment(since_us, since) : "the beginning",
                 show_moment(until_us, until));
}

enum cli_exit command_usage(struct cli *cli)
{
    const char *by = cli_value(cli, "by"), *path = cli_value(cli, "price");
    struct usage u = {.cli = cli, .by = by ? by : "function"};
    uint64_t since_us = 0, until_us = 0;
    struct price price;
    json_t *answer = NULL, *total;
    enum cli_exit code = given_moment(cli, "since", &since_us);

    if (code == CLI_OK)
        code = given_moment(cli, "until", &until_us);
    if (code == CLI_OK && path)
        code = load_price(cli, path, &price);
    if (code == CLI_OK)
        code = fetch(&u, since_us, until_us, &answer);
    if (code != CLI_OK)
        return code;
    u.price = path ? &price : NULL;
    u.rows = json_object_get(answer, "rows");
    total = add_up(&u);
    if (cli->json) {
        (void)json_object_set(answer, "total", total);
        api_print(answer);
    } else {
        print_table(&u, total);
        tell_span(cli, answer);
    }
    json_decref(total);
    json_decref(answer);
    return CLI_OK;
}
