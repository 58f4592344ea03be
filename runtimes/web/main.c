/* The host of HTTP servers: mayfly-web --port N --readiness PATH --per-process N --concurrency N
 * --init-timeout MS --bin FOLDER -- COMMAND... The zygote starts the program when the function is
 * loaded; each worker carries requests to it, one at a time. */

#include "relay.h"
#include "servers.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int serve(void *ctx, struct worker *w)
{
    return relay_serve(w);
}

static int usage(void)
{
    fputs("usage: mayfly-web --port N --readiness PATH|tcp --per-process N --concurrency N "
          "--init-timeout MS --bin FOLDER -- COMMAND [WORD...]\n",
          stderr);
    return 2;
}

static bool number(const char *text, uint64_t max, uint64_t *ret)
{
    char *end;

    errno = 0;
    *ret = strtoull(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *ret > 0 && *ret <= max;
}

static bool parse_options(int argc, char **argv, struct servers_options *ret)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},
        {"readiness", required_argument, NULL, 'r'},
        {"per-process", required_argument, NULL, 'n'},
        {"concurrency", required_argument, NULL, 'c'},
        {"init-timeout", required_argument, NULL, 't'},
        {"bin", required_argument, NULL, 'b'},
        {NULL, 0, NULL, 0},
    };
    uint64_t port = 0, per_process = 0, concurrency = 0;
    bool ok = true;
    int c;

    *ret = (struct servers_options){.readiness = "/", .bin = ""};
    while (ok && (c = getopt_long(argc, argv, "+", options, NULL)) >= 0) {
        if (c == 'p')
            ok = number(optarg, UINT16_MAX, &port);
        else if (c == 'n')
            ok = number(optarg, UINT32_MAX, &per_process);
        else if (c == 'c')
            ok = number(optarg, UINT32_MAX, &concurrency);
        else if (c == 't')
            ok = number(optarg, UINT32_MAX, &ret->init_timeout_ms);
        else if (c == 'r')
            ret->readiness = optarg;
        else if (c == 'b')
            ret->bin = optarg;
        else
            ok = false;
    }
    ret->port = (uint16_t)port;
    ret->per_process = (uint32_t)per_process;
    ret->concurrency = (uint32_t)concurrency;
    ret->words = argv + optind;
    return ok && port > 0 && per_process > 0 && concurrency > 0 && ret->init_timeout_ms > 0 &&
           optind < argc;
}

int main(int argc, char **argv)
{
    static const struct zygote_host host = {.serve = serve,
                                            .polls = servers_polls,
                                            .on_polls = servers_on_polls,
                                            .on_child_end = servers_on_child_end,
                                            .on_end = servers_on_end};
    static struct servers_options options;
    struct sigaction action = {.sa_handler = relay_on_deadline};
    struct error err = ERROR_NULL;
    struct zygote *z;

    if (!parse_options(argc, argv, &options))
        return usage();
    if (zygote_open(&z, &err) < 0) {
        fprintf(stderr, "mayfly-web: %s\n", err.text);
        return EXIT_FAILURE;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    servers_load(z, &options);
    (void)sigaction(WORKER_STACK_SIGNAL, &action, NULL);
    relay_init(servers_lease_fd());
    zygote_run(z, &host, z);
}
