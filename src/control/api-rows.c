#include "control/api-rows.h"

#include "control/control.h"
#include "model/record-json.h"
#include "json/text.h"

#include <errno.h>

#define FIELDS_BYTES_MAX LOG_LINE_BYTES_MAX

/* ---- rows ---- */

void api_put_u64(struct jsonw *w, const char *key, uint64_t v)
{
    jsonw_key(w, key);
    jsonw_u64(w, v);
}

void api_put_str(struct jsonw *w, const char *key, struct slice s)
{
    jsonw_key(w, key);
    jsonw_str(w, s);
}

void api_write_record(struct jsonw *w, const struct record *r)
{
    jsonw_object_begin(w);
    record_write_json(r, w);
    jsonw_object_end(w);
}

/* Written anew, not as it came: what is in there has been read, and so can be read by others. */
static void put_fields(struct jsonw *w, struct slice text)
{
    struct error err; /* it is not JSON: that is no error */
    json_t *object;
    char *fields;

    text = slice_trim(text);
    if (text.len < 2 || text.base[0] != '{' || text.base[text.len - 1] != '}' ||
        text.len > FIELDS_BYTES_MAX || json_text_load(text, "", &object, &err) < 0)
        return;
    fields = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII);
    if (fields) {
        jsonw_key(w, "fields");
        jsonw_json(w, slice_str(fields));
    }
    free(fields);
    json_decref(object);
}

void api_write_line(struct jsonw *w, uint64_t number, const struct log_line *l)
{
    jsonw_object_begin(w);
    api_put_u64(w, "id", number);
    api_put_u64(w, "time_us", l->time_us);
    api_put_str(w, "function", l->function);
    api_put_str(w, "version", l->version);
    api_put_str(w, "request_id", l->request_id);
    api_put_str(w, "stream", slice_str(log_stream_name(l->stream)));
    api_put_str(w, "text", l->text);
    put_fields(w, l->text);
    jsonw_object_end(w);
}

/* ---- the store ---- */

struct store *api_store(struct api_call *call)
{
    const struct keep *k = &call->control->keep;

    if (!keep_store(k))
        api_fail(call, 503, "there is no store: %s", k->detail);
    return keep_store(k);
}

bool api_store_did(struct api_call *call, int r)
{
    const char *why =
        keep_store(&call->control->keep) ? store_error(call->control->keep.store) : "";

    if (r == 0)
        return true;
    if (r == -ENOENT)
        api_fail(call, 404, "there is none of this name");
    else if (r == -EINVAL)
        api_fail(call, 400, "%s", why[0] ? why : "a parameter is not what it should be");
    else if (r == -EEXIST)
        api_fail(call, 409, "there is one of this name already");
    else if (r == -EDQUOT)
        api_fail(call, 409, "there are as many as there may be; remove one first");
    else if (r == -EFBIG)
        api_fail(call, 413, "it is larger than what is kept");
    else if (r == -EROFS || r == -ENOSPC || r == -EBUSY)
        api_fail(call, 503, "%s", why);
    else
        api_fail(call, 500, "%s", why);
    keep_read_failed(&call->control->keep, r);
    return false;
}

/* ---- searching ---- */

static const char *outcome_choice(unsigned i)
{
    return outcome_name((enum outcome)i);
}

static const char *trigger_choice(unsigned i)
{
    return trigger_name((enum trigger)i);
}

static const char *stream_choice(unsigned i)
{
    return log_stream_name((enum log_stream)i);
}

static const char *order_choice(unsigned i)
{
    return i == STORE_BY_TIME ? "time" : "duration";
}

bool api_query_read(struct api_call *call, struct store_query *ret)
{
    uint64_t limit = 100;
    int order = STORE_BY_TIME;

    *ret = STORE_QUERY_ANY;
    ret->function = api_param(call, "function");
    ret->version = api_param(call, "version");
    ret->request_id = api_param(call, "request");
    ret->text = api_param(call, "grep");
    ret->cursor = api_param(call, "cursor");
    if (!api_param_choice(call, "outcome", outcome_choice, _OUTCOME_MAX, &ret->outcome) ||
        !api_param_choice(call, "trigger", trigger_choice, _TRIGGER_MAX, &ret->trigger) ||
        !api_param_choice(call, "stream", stream_choice, _LOG_STREAM_MAX, &ret->stream) ||
        !api_param_choice(call, "order", order_choice, 2, &order) ||
        !api_param_bool(call, "failed", &ret->failed) ||
        !api_param_u64(call, "since", INT64_MAX, &ret->since_us) ||
        !api_param_u64(call, "until", INT64_MAX, &ret->until_us) ||
        !api_param_u64(call, "min_us", INT64_MAX, &ret->min_us) ||
        !api_param_u64(call, "max_us", INT64_MAX, &ret->max_us) ||
        !api_param_u64(call, "limit", STORE_LIMIT_MAX, &limit))
        return false;
    ret->order = (enum store_order)order;
    ret->limit = (uint32_t)limit;
    if (limit > 0)
        return true;
    api_fail(call, 400, "\"limit\" is a number from 1 to %d", STORE_LIMIT_MAX);
    return false;
}
