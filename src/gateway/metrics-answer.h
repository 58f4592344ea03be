#pragma once

/* GET /metrics, on whatever connection it comes. */

#include "gateway/gateway.h"

void metrics_answer(struct client *c);
