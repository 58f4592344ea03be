/* The battery as an ordinary program: `standalone [ACT]` prints the same JSON. SECRET,
 * MAYFLY_SOCKET and ABSTRACT_SOCKET in the environment are what the query tells battery.c; with
 * BATTERY=inside it runs in a sandbox after all, as a program of runtime provided or web. */

#include "battery.h"

#include "all.h"

static pid_t start_victim(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            (void)pause();
    }
    return pid;
}

int main(int argc, char **argv)
{
    const char *separator = "[", *where = getenv("BATTERY");

    battery.secret = getenv("SECRET");
    battery.mayfly_socket = getenv("MAYFLY_SOCKET");
    battery.abstract_socket = getenv("ABSTRACT_SOCKET");
    battery.inside = where && strcmp(where, "inside") == 0;
    if (!battery.inside)
        battery.victim = start_victim();
    for (size_t i = 0; i < N_ACTS; i++) {
        const struct act *act = act_number(i);
        const char *got;
        bool forbidden;

        if (argc > 1 && strcmp(argv[1], act->name) != 0)
            continue;
        forbidden = carry_out(act, &got);
        printf("%s\n" ACT_FORMAT, separator, act->name, act->ordinary ? "allowed" : "denied", got,
               forbidden ? "true" : "false");
        separator = ",";
    }
    puts("\n]");
    if (battery.victim > 0)
        (void)kill(battery.victim, SIGKILL);
    return fflush(stdout) == 0 ? 0 : 1;
}
