/* The paths of the API that control answers; share/openapi.json describes them, and those of the
 * gateway. */

#include "control/api-handlers.h"

#define V1 "/api/v1"

#define PAGE " limit cursor"
#define SPAN " since until"

const struct endpoint endpoints[] = {
    {"GET", V1 "/functions", NULL, api_functions, 0},
    {"GET", V1 "/functions/{name}", NULL, api_function, 0},
    {"GET", V1 "/functions/{name}/launch", NULL, api_function_launch, ENDPOINT_LOCAL},
    {"GET", V1 "/records",
     "function version request outcome failed trigger grep min_us max_us order" SPAN PAGE,
     api_records, 0},
    {"GET", V1 "/records/{id}", NULL, api_record, 0},
    {"GET", V1 "/records/{id}/recording", NULL, api_recording, 0},
    {"POST", V1 "/records/{id}/replay", NULL, api_replay, ENDPOINT_BODY},
    {"GET", V1 "/logs", "function version request stream grep" SPAN PAGE, api_logs, 0},
    {"GET", V1 "/traces/{id}", NULL, api_trace, 0},
    {"GET", V1 "/series", "function step histogram" SPAN, api_series, 0},
    {"GET", V1 "/usage", "by function" SPAN, api_usage, 0},
    {"GET", V1 "/system", NULL, api_system, 0},
    {"GET", V1 "/live", NULL, api_live, 0},
    {"GET", V1 "/stream", "events function request", api_stream, 0},
    {"GET", V1 "/openapi.json", NULL, api_openapi, 0},
    {"GET", V1 "/tokens", NULL, api_tokens, 0},
    {"POST", V1 "/tokens", NULL, api_token_create, ENDPOINT_BODY},
    {"DELETE", V1 "/tokens/{name}", NULL, api_token_remove, 0},
    {"POST", V1 "/logins", NULL, api_login_create, ENDPOINT_LOCAL},
    {"DELETE", V1 "/logins", NULL, api_logout, 0},
    {"GET", "/login", "code", api_login, 0},
    {"GET", V1 "/functions/{name}/events", NULL, api_event_list, 0},
    {"GET", V1 "/functions/{name}/events/{event}", NULL, api_event, 0},
    {"PUT", V1 "/functions/{name}/events/{event}", NULL, api_event_put, ENDPOINT_BODY},
    {"DELETE", V1 "/functions/{name}/events/{event}", NULL, api_event_remove, 0},
};

const size_t n_endpoints = ARRAY_SIZE(endpoints);
