#include "model/record-json.h"

static void put_u64(struct jsonw *w, const char *name, uint64_t value)
{
    jsonw_key(w, name);
    if (strcmp(name, "outcome") == 0)
        jsonw_str(w, slice_str(outcome_name((enum outcome)value)));
    else if (strcmp(name, "trigger") == 0)
        jsonw_str(w, slice_str(trigger_name((enum trigger)value)));
    else if (strcmp(name, "limit") == 0)
        jsonw_str(w, slice_str(limit_hit_key((enum limit_hit)value)));
    else
        jsonw_u64(w, value);
}

static void put_str(struct jsonw *w, const char *name, struct slice value)
{
    jsonw_key(w, name);
    jsonw_str(w, value);
}

void record_write_json(const struct record *r, struct jsonw *w)
{
#define RECORD_U64(name, text)      put_u64(w, #name, r->name);
#define RECORD_STR(name, max, text) put_str(w, #name, r->name);
    RECORD_FIELDS(RECORD_U64, RECORD_STR)
#undef RECORD_U64
#undef RECORD_STR
}
