#include "otlp/error.h"

#include "json/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TEXT_BYTES_MAX (4 * RECORD_STACK_MAX)

static struct slice text_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_string(value) ? slice(json_string_value(value), json_string_length(value))
                                 : SLICE_NULL;
}

static int add_lines(struct buf *b, const json_t *lines)
{
    const json_t *line;
    size_t i;
    int r = 0;

    json_array_foreach(lines, i, line)
    {
        if (r == 0 && json_is_string(line))
            r = buf_printf(b, "%s%s", i > 0 ? "\n" : "", json_string_value(line));
    }
    return r;
}

int otlp_error_read(struct otlp_error *e, const struct record *r)
{
    json_t *json = NULL;
    struct slice type, message;
    struct error err;
    int x;

    *e =
        (struct otlp_error){.message = BUF_INIT(TEXT_BYTES_MAX), .trace = BUF_INIT(TEXT_BYTES_MAX)};
    if (r->stack.len > 0 && r->stack.base[0] == '{' &&
        json_text_load(r->stack, "error", &json, &err) < 0)
        json = NULL;
    type = text_of(json, "errorType");
    message = text_of(json, "errorMessage");
    if (type.len == 0 || type.len >= sizeof(e->type))
        type = slice_str(outcome_name((enum outcome)r->outcome));
    memcpy(e->type, type.base, type.len);
    e->type[type.len] = '\0';
    x = buf_append_slice(&e->message, message.len > 0 ? message : r->error);
    if (x == 0 && json_is_array(json_object_get(json, "stackTrace")))
        x = add_lines(&e->trace, json_object_get(json, "stackTrace"));
    else if (x == 0)
        x = buf_append_slice(&e->trace, r->stack);
    json_decref(json);
    return x;
}

void otlp_error_deinit(struct otlp_error *e)
{
    buf_deinit(&e->message);
    buf_deinit(&e->trace);
}
