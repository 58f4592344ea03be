/* Lines. A line that is a JSON object keeps its fields: its level becomes the severity, its message
 * the body, the rest attributes. Of other lines a level is believed that stands where loggers put
 * it; else the stream decides. */

#include "otlp/encode.h"
#include "otlp/values.h"

#include "base/clock.h"
#include "model/trace.h"
#include "json/text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ATTRIBUTE_REQUEST "faas.invocation_id"
#define ATTRIBUTE_STREAM  "log.iostream"

#define FIELDS_MAX    32 /* of a line that are kept */
#define LEVEL_LEN_MAX 9

/* opentelemetry/proto/logs/v1: SeverityNumber */
struct severity {
    const char *name;
    unsigned number;
};

static const struct severity severities[] = {
    {"TRACE", 1},    {"DEBUG", 5}, {"INFO", 9},   {"NOTICE", 10}, {"WARN", 13},
    {"WARNING", 13}, {"ERR", 17},  {"ERROR", 17}, {"FATAL", 21},  {"CRITICAL", 21},
};

static const struct severity stream_severities[_LOG_STREAM_MAX] = {
    [LOG_STDOUT] = {"INFO", 9},
    [LOG_STDERR] = {"ERROR", 17},
    [LOG_SYSTEM] = {"WARN", 13}, /* mayfly's own word is of limits that were hit */
};

static const struct severity *severity_named(struct slice name)
{
    for (size_t i = 0; i < ARRAY_SIZE(severities); i++) {
        if (slice_eq_nocase(name, slice_str(severities[i].name)))
            return &severities[i];
    }
    return NULL;
}

/* "WARNING:root:...", "[error] ...", "INFO ..." in capitals. */
static const struct severity *severity_of_text(struct slice text)
{
    bool bracket = text.len > 0 && text.base[0] == '[';
    struct slice word = text;
    size_t n = 0;

    if (bracket)
        word = slice(text.base + 1, text.len - 1);
    while (n < word.len && n < LEVEL_LEN_MAX && isalpha((unsigned char)word.base[n]))
        n++;
    if (n == 0 || n == word.len || (bracket && word.base[n] != ']') ||
        (!bracket && word.base[n] != ':' && word.base[n] != ' '))
        return NULL;
    if (!bracket && word.base[n] == ' ' && word.base[0] >= 'a')
        return NULL; /* "error in line 3" is a sentence */
    return severity_named(slice(word.base, n));
}

static struct slice json_slice(const json_t *value)
{
    return json_is_string(value) ? slice(json_string_value(value), json_string_length(value))
                                 : SLICE_NULL;
}

static void write_field(struct jsonw *w, const char *key, const json_t *value)
{
    char number[32];

    otlp_attribute_begin(w, slice_str(key));
    if (json_is_string(value)) {
        otlp_key_text(w, "stringValue", json_slice(value));
    } else if (json_is_boolean(value)) {
        jsonw_key(w, "boolValue");
        jsonw_bool(w, json_is_true(value));
    } else if (json_is_integer(value)) {
        (void)snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        otlp_key_text(w, "intValue", slice_str(number));
    } else if (json_is_real(value)) {
        char *real = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));

        jsonw_key(w, "doubleValue");
        jsonw_json(w, slice_str(real ? real : "0"));
        free(real);
    } else {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

        otlp_key_text(w, "stringValue", slice_str(text ? text : ""));
        free(text);
    }
    otlp_attribute_end(w);
}

static const char *const level_names[] = {"level", "severity", "lvl", "levelname"};
static const char *const message_names[] = {"message", "msg"};

/* The first of the names that the object has as text. */
static const char *find_text(json_t *object, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (json_is_string(json_object_get(object, names[i])))
            return names[i];
    }
    return NULL;
}

static void write_body(struct jsonw *w, struct slice text)
{
    jsonw_key(w, "body");
    jsonw_object_begin(w);
    otlp_key_text(w, "stringValue", text);
    jsonw_object_end(w);
}

static void write_severity(struct jsonw *w, const struct severity *s)
{
    otlp_key_number(w, "severityNumber", s->number);
    otlp_key_text(w, "severityText", slice_str(s->name));
}

static void write_fields(struct jsonw *w, json_t *object, const char *level, const char *message)
{
    unsigned n = 0;
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        bool said = (level && strcmp(key, level) == 0) || (message && strcmp(key, message) == 0) ||
                    strcmp(key, ATTRIBUTE_REQUEST) == 0 || strcmp(key, ATTRIBUTE_STREAM) == 0;

        if (!said && key[0] != '\0' && n++ < FIELDS_MAX) /* names are unique, by OTLP's rules */
            write_field(w, key, value);
    }
}

static void write_common(struct jsonw *w, const struct log_line *l)
{
    if (l->request_id.len > 0)
        otlp_attribute(w, ATTRIBUTE_REQUEST, l->request_id);
    otlp_attribute(w, ATTRIBUTE_STREAM, slice_str(log_stream_name(l->stream)));
}

static void write_content(struct jsonw *w, const struct log_line *l)
{
    const struct severity *s = NULL;
    json_t *object = NULL;
    struct error err;
    bool whole = !l->goes_on && !l->is_cut;

    if (whole && l->text.len > 1 && l->text.base[0] == '{' &&
        json_text_load(l->text, "line", &object, &err) == 0) {
        const char *level = find_text(object, level_names, ARRAY_SIZE(level_names));
        const char *message = find_text(object, message_names, ARRAY_SIZE(message_names));

        s = level ? severity_named(json_slice(json_object_get(object, level))) : NULL;
        write_severity(w, s ? s : &stream_severities[l->stream]);
        write_body(w, message ? json_slice(json_object_get(object, message)) : l->text);
        jsonw_key(w, "attributes");
        jsonw_array_begin(w);
        write_common(w, l);
        write_fields(w, object, s ? level : NULL, message);
        jsonw_array_end(w);
        json_decref(object);
        return;
    }
    s = l->stream == LOG_SYSTEM ? NULL : severity_of_text(l->text);
    write_severity(w, s ? s : &stream_severities[l->stream]);
    write_body(w, l->text);
    jsonw_key(w, "attributes");
    jsonw_array_begin(w);
    write_common(w, l);
    jsonw_array_end(w);
}

int otlp_write_log(struct buf *b, const struct log_line *l, uint64_t observed_us)
{
    struct jsonw w = JSONW_INIT(b);
    size_t len = buf_len(b);
    int r;

    jsonw_object_begin(&w);
    otlp_key_u64(&w, "timeUnixNano", l->time_us * NS_PER_US);
    otlp_key_u64(&w, "observedTimeUnixNano", observed_us * NS_PER_US);
    if (otlp_is_id(l->trace_id, TRACE_ID_LEN) && otlp_is_id(l->span_id, TRACE_SPAN_LEN)) {
        otlp_key_text(&w, "traceId", l->trace_id);
        otlp_key_text(&w, "spanId", l->span_id);
        otlp_key_number(&w, "flags", 1);
    }
    write_content(&w, l);
    jsonw_object_end(&w);
    r = jsonw_end(&w);
    if (r < 0)
        b->end = b->start + len;
    return r;
}
