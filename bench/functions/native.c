/* The trivial answer, and sleep_and_sum, in C. */

#include <mayfly.h>
#include <stdlib.h>
#include <unistd.h>

#define SLEEP_SECONDS 3

int hello(mayfly_request *request, mayfly_response *response);
int sleep_and_sum(mayfly_request *request, mayfly_response *response);

int hello(mayfly_request *request, mayfly_response *response)
{
    (void)request;
    if (mayfly_add_header(response, "Content-Type", "application/json") < 0)
        return -1;
    return mayfly_puts(response, "{\"hello\":\"mayfly\"}\n");
}

int sleep_and_sum(mayfly_request *request, mayfly_response *response)
{
    const char *a = mayfly_param(request, "a");
    const char *b = mayfly_param(request, "b");

    if (!a || !b)
        return mayfly_status(response, 400);

    (void)sleep(SLEEP_SECONDS);
    return mayfly_printf(response, "%ld", strtol(a, NULL, 10) + strtol(b, NULL, 10));
}
