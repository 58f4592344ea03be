/* The battery as a mayfly function.
 *
 *   /battery            all acts, as JSON
 *   /battery?act=NAME   one of them
 *   /battery?plant=WORD leaves behind all that can be left behind, marked with the word
 *   /battery?look=WORD  what of it a later request finds, as a JSON list: nothing, or it has leaked
 *   /battery?stay=WORD  as plant, and then waits to be ended
 *
 * secret, socket and abstract are what the test outside wants to be looked for. */

#define _GNU_SOURCE
#include <mayfly.h>

#include "battery.h"

#include "all.h"
#include "leftovers.c"

static int run_acts(mayfly_request *request, mayfly_response *response)
{
    const char *only = mayfly_param(request, "act"), *separator = "[";

    battery.inside = true;
    battery.secret = mayfly_param(request, "secret");
    battery.mayfly_socket = mayfly_param(request, "socket");
    battery.abstract_socket = mayfly_param(request, "abstract");
    for (size_t i = 0; i < N_ACTS; i++) {
        const struct act *act = act_number(i);
        const char *got;
        bool forbidden;

        if (only && strcmp(only, act->name) != 0)
            continue;
        forbidden = carry_out(act, &got);
        if (mayfly_printf(response, "%s\n" ACT_FORMAT, separator, act->name,
                          act->ordinary ? "allowed" : "denied", got,
                          forbidden ? "true" : "false") < 0)
            return -1;
        separator = ",";
    }
    return mayfly_puts(response, "\n]\n");
}

int handler(mayfly_request *request, mayfly_response *response)
{
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
    return run_acts(request, response);
}
