/* The battery as a mayfly function.
 *
 *   /battery            all acts, as JSON
 *   /battery?act=NAME   one of them
 *   /battery?plant=WORD leaves behind all that can be left behind, marked with the word
 *   /battery?look=WORD  what of it a later request finds, as a JSON list: nothing, or it has leaked
 *   /battery?stay=WORD  as plant, and then waits to be ended
 *   /battery?loading=1  all acts, as they ended while the function was loaded, in the zygote (if
 * the environment had BATTERY=load)
 *
 * secret, socket and abstract are what the test outside wants to be looked for; in the environment
 * SECRET_FILE, MAYFLY_SOCKET and ABSTRACT_SOCKET. */

#define _GNU_SOURCE
#include <mayfly.h>

#include "battery.h"

#include "all.h"
#include "leftovers.c"

#define REPORT_MAX (64 * 1024)

static char while_loading[REPORT_MAX];

/* All acts, or the one of that name. */
static void run_acts(const char *only, char report[static REPORT_MAX])
{
    const char *separator = "[";
    size_t n = 0;

    battery.inside = true;
    for (size_t i = 0; i < N_ACTS; i++) {
        const struct act *act = act_number(i);
        const char *got;
        bool forbidden;

        if (only && strcmp(only, act->name) != 0)
            continue;
        forbidden = carry_out(act, &got);
        n += (size_t)snprintf(report + n, REPORT_MAX - n, "%s\n" ACT_FORMAT, separator, act->name,
                              act->ordinary ? "allowed" : "denied", got,
                              forbidden ? "true" : "false");
        separator = ",";
    }
    (void)snprintf(report + n, REPORT_MAX - n, "\n]\n");
}

/* What code does while it is loaded it does in the zygote, which has rights that a worker lacks. */
int mayfly_init(void)
{
    const char *when = getenv("BATTERY");

    battery.secret = getenv("SECRET_FILE");
    battery.mayfly_socket = getenv("MAYFLY_SOCKET");
    battery.abstract_socket = getenv("ABSTRACT_SOCKET");
    if (when && strcmp(when, "load") == 0)
        run_acts(NULL, while_loading);
    return 0;
}

int handler(mayfly_request *request, mayfly_response *response)
{
    static char report[REPORT_MAX];
    const char *plant = mayfly_param(request, "plant"), *look = mayfly_param(request, "look"),
               *stay = mayfly_param(request, "stay");

    if (plant)
        return mayfly_printf(response, "%u\n", plant_all(plant));
    if (look)
        return look_for_all(look, response);
    if (stay) {
        (void)plant_all(stay);
        (void)mayfly_puts(response, "planted\n");
        (void)mayfly_flush(response);
        for (;;)
            (void)pause();
    }
    if (mayfly_param(request, "loading"))
        return mayfly_puts(response, while_loading);
    battery.secret = mayfly_param(request, "secret");
    battery.mayfly_socket = mayfly_param(request, "socket");
    battery.abstract_socket = mayfly_param(request, "abstract");
    run_acts(mayfly_param(request, "act"), report);
    return mayfly_puts(response, report);
}
