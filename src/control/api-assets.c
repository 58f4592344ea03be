/* What is not the API: the dashboard. Whoever is not signed in may have it, too: it holds nothing.
 */

#include "control/api-internal.h"
#include "control/dashboard.h"

void assets_answer(struct api_call *call)
{
    struct api_connection *c = call->connection;
    struct dashboard_query q = {
        .path = call->head->path, .dir = getenv("MAYFLY_UI_DIR"), .is_head = c->head_only};

    (void)http_head_find(call->head, "if-none-match", &q.if_none_match);
    (void)http_head_find(call->head, "accept-encoding", &q.accept_encoding);
    if (dashboard_answer(&q, &c->out) < 0) {
        api_fail(call, 503, "out of memory");
        return;
    }
    call->answered = true;
    connection_answer(c);
}
