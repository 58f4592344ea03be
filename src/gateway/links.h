#pragma once

/* The channels to supervisor and control. */

#include "gateway/gateway.h"

int links_open(struct gateway *g, int supervisor_fd);
void links_send_supervisor(struct gateway *g, struct wire_message *m);
void links_send_control(struct gateway *g, struct wire_message *m);
void gateway_drain(struct gateway *g);
