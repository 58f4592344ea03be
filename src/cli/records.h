#pragma once

/* What is the same wherever a record is shown. */

#include "json/text.h"

/* For a record's outcome: one of the COLOR_ of output.h, or NULL for nothing worth a colour. */
const char *record_paint(const json_t *record);
