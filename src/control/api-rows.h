#pragma once

/* What stands in several answers of the API, written once. */

#include "control/api.h"
#include "control/keep.h"
#include "json/text.h"

void api_write_record(struct jsonw *w, const struct record *r); /* an object */

/* An object; a line that is a JSON object has it as `fields`, too. */
void api_write_line(struct jsonw *w, uint64_t number, const struct log_line *l);

/* The body, which is to be an object: the caller's. NULL: it is not, and the call is answered. */
json_t *api_body(struct api_call *call);

void api_put_u64(struct jsonw *w, const char *key, uint64_t v);
void api_put_str(struct jsonw *w, const char *key, struct slice s);

/* The store, or NULL: then the call is answered by 503. */
struct store *api_store(struct api_call *call);

/* Whether a store function has done it: 0, or what is let pass. Else the call is answered. */
bool api_store_did(struct api_call *call, int r);

/* The parameters that records and logs are searched by. */
bool api_query_read(struct api_call *call, struct store_query *ret);
