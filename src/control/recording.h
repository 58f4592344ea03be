#pragma once

/* Requests that are recorded (`recording` in mayfly.json) on their way into the store. */

#include "wire/wire.h"

struct control;

/* In a capture's flags, above the store's: the enum trigger that the request came by. */
#define RECORDING_TRIGGER_SHIFT 8

/* Takes out what is not to be kept, and keeps the rest. */
void recording_take(struct control *c, const struct wire_recording *m);
