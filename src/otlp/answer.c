#include "otlp/answer.h"

#include "base/log.h"
#include "base/parse.h"
#include "json/text.h"

#include <stdio.h>
#include <string.h>

/* A 64-bit number is a string in protobuf's JSON; a plain number is to be taken, too. */
static uint64_t read_count(const json_t *value)
{
    uint64_t n = 0;

    if (json_is_integer(value))
        return (uint64_t)MAX(json_integer_value(value), 0);
    if (json_is_string(value))
        (void)parse_u64(slice_str(json_string_value(value)), UINT64_MAX, &n);
    return n;
}

static void quote(char *why, const char *before, const json_t *text)
{
    size_t len = (size_t)snprintf(why, ANSWER_WHY_MAX, "%s", before);

    if (json_is_string(text) && len < ANSWER_WHY_MAX)
        (void)log_quote(slice(json_string_value(text), json_string_length(text)), why + len,
                        ANSWER_WHY_MAX - len);
}

static void say_status(long status, const json_t *body, char *why)
{
    char before[96];
    const char *hint = status == 404   ? " (is the address right?)"
                       : status == 401 ? " (see OTEL_EXPORTER_OTLP_HEADERS)"
                                       : "";
    const json_t *message = json_object_get(body, "message");

    (void)snprintf(before, sizeof(before), "the collector answers %ld%s%s", status, hint,
                   message ? ": " : "");
    quote(why, before, message);
}

enum answer otlp_answer_read(long status, struct slice body, const char *rejected,
                             uint64_t *ret_rejected, char why[static ANSWER_WHY_MAX])
{
    json_t *json = NULL, *partial;
    struct error err;

    *ret_rejected = 0;
    why[0] = '\0';
    if (body.len > 0 && json_text_load(body, "answer", &json, &err) < 0)
        json = NULL; /* of a proxy, say: then the status has to do */
    if (status < 200 || status > 299) {
        say_status(status, json, why);
        json_decref(json);
        return status == 429 || (status >= 502 && status <= 504) ? ANSWER_RETRY : ANSWER_REFUSED;
    }
    partial = json_object_get(json, "partialSuccess");
    if (json_is_object(partial)) {
        *ret_rejected = read_count(json_object_get(partial, rejected));
        quote(why, *ret_rejected > 0 ? "the collector rejects some: " : "",
              json_object_get(partial, "errorMessage"));
    }
    json_decref(json);
    return ANSWER_DELIVERED;
}
