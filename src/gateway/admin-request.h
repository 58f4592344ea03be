#pragma once

/* The admin interface: the unix socket, whose peers are the daemon's own user, and the admin
 * listener (gateway/admin.h says who may). What the gateway knows it answers itself; for the rest
 * the connection goes to control, with what was read of it. */

#include "gateway/gateway.h"

void admin_request_begin(struct client *c, const struct http_head *head);
