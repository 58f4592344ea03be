#pragma once

/* The admin interface: the unix socket, whose peers are the daemon's own user. What the gateway
 * knows it answers itself; for the rest the connection goes to control, with what was read of it.
 */

#include "gateway/gateway.h"

void admin_answer(struct client *c, const struct http_head *head);
