/* mayfly ps: the daemon says which processes there are, the kernel what they take. */

#include "cli/api.h"
#include "cli/output.h"
#include "cli/show.h"

#include "os/proc.h"

#include <string.h>
#include <unistd.h>

static void add_usage(json_t *process)
{
    pid_t pid = (pid_t)api_number(process, "pid");
    struct proc_stat stat;
    uint64_t own_bytes;

    if (pid <= 0 || proc_stat_read(pid, &stat) < 0) {
        return; /* it may have ended meanwhile */
    }
    (void)json_object_set_new(process, "cpu_us",
                              json_integer((json_int_t)(stat.user_us + stat.system_us)));
    (void)json_object_set_new(process, "rss_bytes", json_integer((json_int_t)stat.rss_bytes));
    if (proc_private_bytes(pid, &own_bytes) == 0) {
        (void)json_object_set_new(process, "own_bytes", json_integer((json_int_t)own_bytes));
    }
}

static int kind_rank(const char *kind)
{
    static const char *const kinds[] = {"zygote", "standby", "worker"};

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (strcmp(kinds[i], kind) == 0) {
            return (int)i;
        }
    }
    return (int)ARRAY_SIZE(kinds);
}

static int compare(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    int r = strcmp(api_string(x, "function"), api_string(y, "function"));

    if (r == 0) {
        r = kind_rank(api_string(x, "kind")) - kind_rank(api_string(y, "kind"));
    }
    return r ? r
             : (int)(api_number(x, "pid") > api_number(y, "pid")) -
                   (int)(api_number(x, "pid") < api_number(y, "pid"));
}

/* A member as a number in units, or "-" if the kernel did not tell. */
static char *amount(const json_t *process, const char *key, double unit, const char *text)
{
    return json_object_get(process, key)
               ? cli_printf("%.1f%s", (double)api_number(process, key) / unit, text)
               : cli_printf("-");
}

static void print_row(const struct cli *cli, const json_t *process)
{
    const char *kind = api_string(process, "kind");
    const char *paint = strcmp(kind, "worker") == 0   ? COLOR_GREEN
                        : strcmp(kind, "zygote") == 0 ? COLOR_BOLD
                                                      : COLOR_DIM;
    char age[SHOW_SIZE];
    struct column {
        int width; /* negative: to the left */
        char *text;
    } columns[] = {
        {-24, api_plain(process, "function")},
        {-16, api_plain(process, "version")},
        {-8, api_plain(process, "kind")},
        {8, cli_printf("%llu", (unsigned long long)api_number(process, "pid"))},
        {7, cli_printf("%s", show_age_ms(api_number(process, "age_ms"), age))},
        {10, amount(process, "cpu_us", 1e3, "ms")},
        {8, amount(process, "rss_bytes", 1024 * 1024, "M")},
        {8, amount(process, "own_bytes", 1024 * 1024, "M")},
        {-9, api_plain(process, "state")},
        {0, api_plain(process, "request_id")},
    };

    (void)fputs(color(cli->color_out, paint), stdout);
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
        (void)printf("%s%*s", i ? " " : "", columns[i].width, columns[i].text);
        free(columns[i].text);
    }
    (void)printf("%s\n", color(cli->color_out, COLOR_NONE));
}

static void print_table(const struct cli *cli, json_t **sorted, size_t n)
{
    unsigned counts[4] = {0};

    (void)printf("%s%-24s %-16s %-8s %8s %7s %10s %8s %8s %-9s %s%s\n",
                 color(cli->color_out, COLOR_BOLD), "FUNCTION", "VERSION", "KIND", "PID", "AGE",
                 "CPU", "RSS", "OWN", "STATE", "REQUEST", color(cli->color_out, COLOR_NONE));
    for (size_t i = 0; i < n; i++) {
        print_row(cli, sorted[i]);
        counts[kind_rank(api_string(sorted[i], "kind"))]++;
    }
    (void)fflush(stdout);
    cli_note(cli, "%u workers, %u standbys, %u zygotes", counts[2], counts[1], counts[0]);
}

static enum cli_exit look(const struct cli *cli, const struct client_peer *peer)
{
    json_t *answer = NULL;
    json_t *processes;
    enum cli_exit code = api_get(cli, peer, "/api/v1/ps", &answer);
    size_t n;

    if (code != CLI_OK) {
        return code;
    }
    processes = json_object_get(answer, "processes");
    n = json_array_size(processes);
    for (size_t i = 0; i < n && peer->state; i++) { /* PIDs of another machine say nothing here */
        add_usage(json_array_get(processes, i));
    }
    if (cli->json) {
        api_print(answer);
    } else {
        json_t **sorted = cli_check(calloc(n + 1, sizeof *sorted));

        for (size_t i = 0; i < n; i++) {
            sorted[i] = json_array_get(processes, i);
        }
        qsort(sorted, n, sizeof *sorted, compare);
        print_table(cli, sorted, n);
        free(sorted);
    }
    json_decref(answer);
    return CLI_OK;
}

enum cli_exit command_ps(struct cli *cli)
{
    struct client_peer peer;
    enum cli_exit code = api_find(cli, &peer);

    if (code != CLI_OK) {
        return code;
    }
    for (;;) {
        if (cli_flag(cli, "watch") && !cli->json && isatty(STDOUT_FILENO)) {
            (void)fputs("\033[H\033[2J", stdout);
        }
        code = look(cli, &peer);
        if (code != CLI_OK || !cli_flag(cli, "watch") || fflush(stdout) != 0) {
            return code;
        }
        (void)sleep(1);
    }
}
