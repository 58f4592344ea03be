/* All commands, once. Texts are for an 80-column terminal: lines of at most 76 characters. */

#include "cli/cli.h"

#include <string.h>

/* Of whatever asks a daemon. */
#define OPTIONS_DAEMON                                                                             \
    {"state", 's', "DIR", "state folder of the daemon to talk to", NULL},                          \
    {                                                                                              \
        "url", 'u', "URL", "its admin listener instead, with MAYFLY_TOKEN", NULL                   \
    }
#define OPTION_END                                                                                 \
    {                                                                                              \
        NULL, 0, NULL, NULL, NULL                                                                  \
    }

const struct cli_option cli_common_options[] = {
    {"json", 0, NULL, "print JSON for programs", NULL},
    {"color", 0, "WHEN", "use colours: auto, always or never", "auto always never"},
    {"help", 'h', NULL, "print this help", NULL},
    OPTION_END,
};

static const struct cli_option init_options[] = {
    {"lang", 'l', "LANGUAGE", "python, node, ruby, php, perl, c or exec (any)",
     "python node ruby php perl c exec"},
    {"name", 'n', "NAME", "name of the first function (hello)", NULL},
    OPTION_END,
};

/* What dev and serve have in common. */
#define OPTIONS_SERVE                                                                              \
    {"listen", 'l', "ADDR:PORT", "where to listen (127.0.0.1:8080)", NULL},                        \
        {"admin-listen", 0, "ADDR:PORT", "admin interface (127.0.0.1:8081), or off", NULL},        \
        {"admin-host", 0, "NAME", "a name that it answers to; may be repeated", NULL},             \
        {"env", 'e', "NAME[=VALUE]", "environment of all functions; may be repeated", NULL},       \
        {"workers-max", 0, "N", "most workers at once, of all functions", NULL},                   \
        {"otlp", 0, "URL", "send traces and logs to this OpenTelemetry collector", NULL},          \
        {"drain-timeout", 0, "TIME", "how long requests may finish at the end", NULL},             \
        {"line-max", 0, "BYTES", "longest request line", NULL},                                    \
        {"head-max", 0, "BYTES", "largest head of a request", NULL},                               \
        {"body-max", 0, "BYTES", "largest body of a request", NULL},                               \
        {"head-timeout", 0, "TIME", "how long a client may take for a head (10s)", NULL},          \
        {"idle-timeout", 0, "TIME", "how long it may wait between requests (60s)", NULL},          \
        {"body-timeout", 0, "TIME", "how long it may take for 5 KB of body (5s)", NULL},           \
    {                                                                                              \
        "write-timeout", 0, "TIME", "how long it may take for 5 KB of answer (30s)", NULL          \
    }

static const struct cli_option dev_options[] = {OPTIONS_SERVE, OPTION_END};

static const struct cli_option serve_options[] = {
    OPTIONS_SERVE,
    {"state", 's', "DIR", "where the daemon keeps its state", NULL},
    {"allow-degraded", 0, NULL, "serve though layers of the sandbox are missing", NULL},
    OPTION_END,
};

static const struct cli_option invoke_options[] = {
    {"data", 'd', "JSON", "the event; @FILE reads it from a file, @- from stdin", NULL},
    {"event", 'e', "FILE", "the same as -d @FILE", NULL},
    {"timeout", 't', "TIME", "how long to wait for the answer (for ever)", NULL},
    {"verbose", 'v', NULL, "print what the request took, on stderr", NULL},
    OPTIONS_DAEMON,
    OPTION_END,
};

static const struct cli_option ps_options[] = {
    {"watch", 'w', NULL, "look again every second", NULL},
    OPTIONS_DAEMON,
    OPTION_END,
};

static const struct cli_option top_options[] = {
    {"once", '1', NULL, "print what is now, and end", NULL},
    {"interval", 'i', "TIME", "without a screen: no oftener than that", NULL},
    OPTIONS_DAEMON,
    OPTION_END,
};

static const struct cli_option inspect_options[] = {
    {"project", 'p', "DIR", "look at this folder, not at the running daemon", NULL},
    {"names", 0, NULL, "print the names of the functions only", NULL},
    OPTIONS_DAEMON,
    OPTION_END,
};

static const struct cli_option secret_options[] = {
    {"project", 'p', "DIR", "whose secrets (those of the current folder)", NULL},
    {"state", 's', "DIR", "state folder, if mayfly serve was given one", NULL},
    {"names", 0, NULL, "ls: print the names only", NULL},
    OPTION_END,
};

#define STREAMS  "stdout stderr system"
#define OUTCOMES "ok error timeout crash bad_reply init hangup bad_request throttled unavailable"
#define TRIGGERS "http invoke schedule queue upload database replay"

static const struct cli_option logs_options[] = {
    {"follow", 'f', NULL, "go on with what comes", NULL},
    {"lines", 'n', "N", "the last N lines (100; with -f 10)", NULL},
    {"since", 0, "TIME", "from then on, all of them", NULL},
    {"until", 0, "TIME", "up to then", NULL},
    {"request", 'r', "ID", "of this request", NULL},
    {"grep", 'g', "TEXT", "that contain TEXT", NULL},
    {"stream", 0, "NAME", "of stdout, stderr, or system (mayfly's own)", STREAMS},
    OPTIONS_DAEMON,
    OPTION_END,
};

static const struct cli_option trace_options[] = {
    OPTIONS_DAEMON,
    OPTION_END,
};

static const struct cli_option replay_options[] = {
    {"version", 0, "VERSION", "only by this version", NULL},
    {"debug", 0, NULL, "in a debugger, here and outside of the sandbox", NULL},
    OPTIONS_DAEMON,
    OPTION_END,
};

static const struct cli_option records_options[] = {
    {"failed", 'f', NULL, "that failed, in whatever way", NULL},
    {"outcome", 'o', "NAME", "with this outcome: ok, error, timeout, ...", OUTCOMES},
    {"slowest", 0, NULL, "the slowest first, not the newest", NULL},
    {"since", 0, "TIME", "that arrived then or later", NULL},
    {"until", 0, "TIME", "that arrived before", NULL},
    {"min", 0, "TIME", "that took at least so long (10ms)", NULL},
    {"max", 0, "TIME", "that took at most so long", NULL},
    {"version", 0, "VERSION", "of this version of the function", NULL},
    {"trigger", 0, "NAME", "with this trigger: http, invoke, ...", TRIGGERS},
    {"limit", 'n', "N", "at most N (20)", NULL},
    OPTIONS_DAEMON,
    OPTION_END,
};

static const struct cli_option usage_options[] = {
    {"by", 'b', "WHAT", "a row for each function, version or day", "function version day"},
    {"since", 0, "TIME", "from then on (all that is kept)", NULL},
    {"until", 0, "TIME", "up to then", NULL},
    {"price", 'p', "FILE", "what it costs, by the prices in FILE", NULL},
    OPTIONS_DAEMON,
    OPTION_END,
};

static const struct cli_option token_options[] = {
    {"names", 0, NULL, "ls: print the names only", NULL},
    OPTIONS_DAEMON,
    OPTION_END,
};

static const struct cli_option dashboard_options[] = {
    {"no-open", 0, NULL, "print it, open nothing", NULL},
    {"print", 0, NULL, "print it and not a word more", NULL},
    OPTIONS_DAEMON,
    OPTION_END,
};

static const struct cli_option help_options[] = {
    {"man", 0, NULL, "print the manual page (for man -l -)", NULL},
    OPTION_END,
};

static const struct cli_option no_options[] = {OPTION_END};

const struct cli_command cli_commands[] = {
    {"init", "[DIR]", 0, 1, "start a project",
     "Makes DIR (or the current folder) a project with one function. Files that\n"
     "are there already are never overwritten.\n",
     init_options, command_init},
    {"dev", "[DIR]", 0, 1, "serve a project while you work on it",
     "Serves the project in DIR (or the current folder) and loads it anew when a\n"
     "file changes. It is `mayfly serve` on a temporary state folder: development\n"
     "and production are the same daemon. Stop it with Ctrl-C.\n",
     dev_options, command_dev},
    {"serve", "[DIR]", 0, 1, "serve a project",
     "Serves the project in DIR (or the current folder) until SIGTERM or SIGINT;\n"
     "SIGHUP loads it anew. Prints the record of each request as a line of JSON.\n"
     "\n"
     "The state folder is, without --state, one for each project: in\n"
     "/var/lib/mayfly for root, else in $XDG_STATE_HOME/mayfly, which is\n"
     "~/.local/state/mayfly where that is not set.\n"
     "\n"
     "ADDR:PORT may be a port alone (on 127.0.0.1), or :PORT (on all addresses).\n"
     "--env NAME hands on a variable that mayfly itself has. What a function says\n"
     "in mayfly.json goes before.\n"
     "The admin interface (dashboard, API, /healthz, /metrics) is at 127.0.0.1:8081\n"
     "for who has a token; --admin-host names the hosts that it answers to beside\n"
     "its address, as behind a proxy.\n"
     "Where a layer of the sandbox is missing it does not start, unless\n"
     "--allow-degraded is given; `mayfly doctor` tells what is missing and why.\n"
     "TIME is seconds, or 250ms, 30s, 5m, 1h. BYTES may end in K, M or G.\n",
     serve_options, command_serve},
    {"invoke", "NAME", 1, 1, "call a function",
     "Calls the function NAME with an event and prints what it answers. Without\n"
     "-d and --event the event is read from stdin if that is a pipe or a file,\n"
     "else it is {}.\n",
     invoke_options, command_invoke},
    {"ps", "", 0, 0, "show what runs now",
     "Shows the processes of the daemon: workers (each carries out one request),\n"
     "standbys (forked ahead of need) and zygotes (in which a function is loaded).\n"
     "RSS is all the memory that a process sees, OWN what it shares with nobody.\n",
     ps_options, command_ps},
    {"top", "", 0, 0, "watch what runs, live",
     "Shows functions and workers as they are, once a second: rates, errors and\n"
     "latencies of the last 10 seconds, CPU and memory; each worker is one request.\n"
     "Keys: ? for help, Tab for the other table, Enter for log lines, k to kill a\n"
     "request, / to filter, < and > to sort, p to pause, q to quit.\n"
     "Where nothing can be drawn (no terminal, TERM=dumb) tables are printed one\n"
     "after the other, with --json one line for each second.\n",
     top_options, command_top},
    {"logs", "[NAME]", 0, 1, "show what functions print",
     "Shows the log lines of the function NAME, or of all: time, function, the\n"
     "beginning of the request's id, and the line, behind a sign for where it was\n"
     "written to: | stdout, ! stderr, * mayfly itself. --json prints a line of JSON\n"
     "for each.\n"
     "\n"
     "TIME is a duration before now (90s, 10m, 2h30m, 3d), a time of today (13:05),\n"
     "or a date with or without a time (2026-11-29, 2026-11-29T13:05:10Z).\n"
     "With -f it survives restarts of the daemon, and says when it missed lines.\n",
     logs_options, command_logs},
    {"trace", "ID", 1, 1, "show one request whole",
     "Shows how the time of a request went by, what it took of CPU and memory, what\n"
     "it printed and when, and the stack if it died. ID may be the first 8 digits\n"
     "of an id, or more where those fit many, or \"last\" for the newest request.\n",
     trace_options, command_trace},
    {"replay", "ID", 1, 1, "carry out a recorded request again, and compare",
     "Sends the request ID again to its function, in a new process, and shows where\n"
     "the answer differs from the one that was recorded; exits with 1 if it does.\n"
     "Functions with \"recording\": BYTES in mayfly.json are recorded.\n"
     "--debug runs it in this terminal under pdb (Python), node inspect (Node.js)\n"
     "or gdb (native); it is not confined then, and has no time limit.\n",
     replay_options, command_replay},
    {"records", "[NAME]", 0, 1, "search the requests that were",
     "Lists requests, of the function NAME or of all, the newest first.\n"
     "Durations are written like 250us, 10ms, 1.5s or 2m; for times see\n"
     "`mayfly help logs`.\n",
     records_options, command_records},
    {"usage", "", 0, 0, "show what ran and what it took: the bill",
     "Adds up what requests took: run time, CPU time (user and system, children\n"
     "included), memory times run time (by the function's \"memory\" limit, else by\n"
     "the peak), and bytes. What is idle is in none of it.\n"
     "--price FILE adds what it costs. FILE is JSON:\n"
     "  {\"currency\": \"EUR\", \"per_request\": 0.0000002,\n"
     "   \"per_gb_second\": 0.0000166667, \"per_cpu_second\": 0.00001}\n",
     usage_options, command_usage},
    {"inspect", "[NAME]", 0, 1, "show functions and routes",
     "Shows the functions that the daemon serves, or with --project (and where no\n"
     "daemon runs) what it would serve of that folder: a check of mayfly.json.\n",
     inspect_options, command_inspect},
    {"secret", "set SECRET | ls | rm SECRET", 1, 2, "keep what mayfly.json only names",
     "Keeps secrets, sealed, in the state folder. A variable of mayfly.json gets one\n"
     "by its name: \"env\": {\"PASSWORD\": \"${secret:DB_PASSWORD}\"}.\n"
     "  set  reads the value from stdin (a line end at its end is left out), or on a\n"
     "       terminal asks for it twice without showing it\n"
     "  ls   shows the names, and when each was set; values are shown nowhere\n"
     "  rm   forgets one\n"
     "A daemon that runs takes a change over at once: the functions that use the\n"
     "secret become a new version. The key is STATE/secrets.key, or mayfly.key of\n"
     "systemd's credentials ($CREDENTIALS_DIRECTORY).\n",
     secret_options, command_secret, .actions = "set ls rm"},
    {"token", "create NAME | ls | rm NAME", 1, 2, "say who may use the admin listener",
     "Makes, lists and removes tokens for the API and the metrics on the admin\n"
     "listener. A token is shown once, when it is made; the daemon keeps its hash.\n"
     "  MAYFLY_TOKEN=$(mayfly token create laptop) mayfly ps --url http://...\n"
     "A removed token is refused at once.\n",
     token_options, command_token, .actions = "create ls rm"},
    {"dashboard", "", 0, 0, "open the dashboard",
     "Prints an address of the dashboard that lets in once, within 5 minutes, and\n"
     "where there is a desktop opens it in a browser.\n",
     dashboard_options, command_dashboard},
    {"doctor", "", 0, 0, "show what this machine offers",
     "Tries what mayfly needs of the kernel, each layer of the sandbox that this\n"
     "user's functions get, and the tools of each language. Exits with 1 if\n"
     "`mayfly serve` would not start.\n",
     no_options, command_doctor},
    {"completion", "SHELL", 1, 1, "print completions for bash, zsh or fish",
     "Prints a script for the shell: bash, zsh or fish. To have it in each shell:\n"
     "  bash: eval \"$(mayfly completion bash)\" in ~/.bashrc\n"
     "  zsh:  eval \"$(mayfly completion zsh)\" in ~/.zshrc, behind compinit\n"
     "  fish: mayfly completion fish > ~/.config/fish/completions/mayfly.fish\n",
     no_options, command_completion},
    {"help", "[COMMAND]", 0, 1, "tell about a command",
     "Tells about mayfly or one of its commands. --json prints all commands with\n"
     "their options.\n",
     help_options, command_help},
    {"version", "", 0, 0, "print the version", "Prints the version of this tool.\n", no_options,
     command_version},
};

const size_t n_cli_commands = ARRAY_SIZE(cli_commands);

const struct cli_exit_info cli_exit_infos[_CLI_EXIT_MAX] = {
#define EXIT(NAME, name, code, text) [code] = {name, text},
    CLI_EXITS(EXIT)
#undef EXIT
};

const struct cli_command *cli_find(const char *name)
{
    for (size_t i = 0; i < n_cli_commands; i++) {
        if (strcmp(cli_commands[i].name, name) == 0) {
            return &cli_commands[i];
        }
    }
    return NULL;
}

const struct cli_option *cli_option_at(const struct cli_command *command, size_t i)
{
    size_t n = 0;

    while (command->options[n].name) {
        n++;
    }
    if (i < n) {
        return &command->options[i];
    }
    i -= n;
    return i < ARRAY_SIZE(cli_common_options) - 1 ? &cli_common_options[i] : NULL;
}
