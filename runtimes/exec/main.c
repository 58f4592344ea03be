/* The host of programs: mayfly-exec PROGRAM. Each request is carried out by a run of the program of
 * its own, as a CGI/1.1 server does it; the worker relays. */

#include "program.h"
#include "relay.h"

#include "zygote/zygote.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static char program[PATH_MAX];

static void touch(void *ctx, struct worker *w)
{
    if (relay_prepare() < 0)
        _exit(EXIT_FAILURE);
}

static int serve(void *ctx, struct worker *w)
{
    return relay_serve(w, program);
}

/* As a path below the project's folder, which is the working directory, if it is there: that is how
 * its author knows it. Never looked up in PATH. */
static void set_program(const char *path)
{
    char folder[PATH_MAX];
    size_t len = getcwd(folder, sizeof(folder)) ? strlen(folder) : 0;

    if (len > 1 && strncmp(path, folder, len) == 0 && path[len] == '/')
        path += len + 1;
    (void)snprintf(program, sizeof(program), "%s%s",
                   *path == '/' || strncmp(path, "./", 2) == 0 ? "" : "./", path);
}

static void load(struct zygote *z, const char *path)
{
    struct error err = ERROR_NULL;

    set_program(path);
    if (zygote_start(z)->isolation == ISOLATION_INSTANCE)
        zygote_fail_text(z, "ConfigurationError",
                         "a program is started anew for each request, so the runtime exec has no "
                         "\"isolation\": \"instance\"; leave it out",
                         "");
    if (program_check(program, &err) < 0)
        zygote_fail_text(z, "LoadError", err.text, "");
}

int main(int argc, char **argv)
{
    static const struct zygote_host host = {.touch = touch, .serve = serve};
    struct sigaction action = {.sa_handler = relay_on_deadline, .sa_flags = SA_RESTART};
    struct error err = ERROR_NULL;
    struct zygote *z;

    if (argc != 2) {
        fputs("usage: mayfly-exec PROGRAM\n", stderr);
        return 2;
    }
    if (zygote_open(&z, &err) < 0) {
        fprintf(stderr, "mayfly-exec: %s\n", err.text);
        return EXIT_FAILURE;
    }
    load(z, argv[1]);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigaction(WORKER_STACK_SIGNAL, &action, NULL);
    zygote_run(z, &host, NULL);
}
