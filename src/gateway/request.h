#pragma once

/* From a parsed request to what answers it: a function, the gateway itself, or an error. */

#include "gateway/gateway.h"

struct rules_plan;

/* Looks at a complete head and begins an invocation, or answers. */
void request_begin(struct client *c, const struct http_head *head);

/* The canonical head for the worker, all but its end (the deadline is known later). Returns 0 or
 * -errno. */
int request_write_head(struct buf *b, const struct client *c, const struct http_head *head,
                       const struct route_match *match, const struct rules_plan *plan,
                       const struct invocation *inv);

/* Makes the request an invocation of f; `plan` is what rules have said of it, or NULL. */
void request_invoke(struct client *c, const struct http_head *head, const struct function *f,
                    const struct route_match *match, const struct rules_plan *plan,
                    enum trigger trigger);

void builtin_answer(struct client *c, const struct route *route);

/* How many requests the functions of a project have completed; NULL without memory. */
uint64_t *counter_of(struct gateway *g, const char *project);

/* Answers what the gateway itself knows of what the admin interface is asked. Returns false if that
 * is for control to answer. */
bool local_answer(struct client *c, const struct http_head *head);
