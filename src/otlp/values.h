#pragma once

/* The pieces of OTLP's JSON: members of an object, attributes, ids. */

#include "json/writer.h"

void otlp_key_text(struct jsonw *w, const char *key, struct slice text);
/* 64 bits: more than many readers' numbers hold, so OTLP wants a string. */
void otlp_key_u64(struct jsonw *w, const char *key, uint64_t n);
void otlp_key_number(struct jsonw *w, const char *key, uint64_t n);

/* {"key": name, "value": { ... }}: between the two stands the value's one member. */
void otlp_attribute_begin(struct jsonw *w, struct slice name);
void otlp_attribute_end(struct jsonw *w);
void otlp_attribute(struct jsonw *w, const char *name, struct slice text);
void otlp_attribute_u64(struct jsonw *w, const char *name, uint64_t n);
void otlp_attribute_bool(struct jsonw *w, const char *name, bool is);

/* Whether it is a trace's or a span's id as OTLP wants it: hex in lower case, not all zero. */
bool otlp_is_id(struct slice id, size_t len);
