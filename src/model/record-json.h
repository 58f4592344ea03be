#pragma once

/* A record as JSON, the same wherever it is shown. */

#include "model/record.h"
#include "json/writer.h"

/* Adds the record's fields to the object that is open: enums by name, the rest as they are. */
void record_write_json(const struct record *r, struct jsonw *w);
