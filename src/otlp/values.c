#include "otlp/values.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void otlp_key_text(struct jsonw *w, const char *key, struct slice text)
{
    jsonw_key(w, key);
    jsonw_str(w, text);
}

void otlp_key_u64(struct jsonw *w, const char *key, uint64_t n)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRIu64, n);
    otlp_key_text(w, key, slice_str(text));
}

void otlp_key_number(struct jsonw *w, const char *key, uint64_t n)
{
    jsonw_key(w, key);
    jsonw_u64(w, n);
}

void otlp_attribute_begin(struct jsonw *w, struct slice name)
{
    jsonw_object_begin(w);
    otlp_key_text(w, "key", name);
    jsonw_key(w, "value");
    jsonw_object_begin(w);
}

void otlp_attribute_end(struct jsonw *w)
{
    jsonw_object_end(w);
    jsonw_object_end(w);
}

void otlp_attribute(struct jsonw *w, const char *name, struct slice text)
{
    otlp_attribute_begin(w, slice_str(name));
    otlp_key_text(w, "stringValue", text);
    otlp_attribute_end(w);
}

void otlp_attribute_u64(struct jsonw *w, const char *name, uint64_t n)
{
    otlp_attribute_begin(w, slice_str(name));
    otlp_key_u64(w, "intValue", MIN(n, (uint64_t)INT64_MAX));
    otlp_attribute_end(w);
}

void otlp_attribute_bool(struct jsonw *w, const char *name, bool is)
{
    otlp_attribute_begin(w, slice_str(name));
    jsonw_key(w, "boolValue");
    jsonw_bool(w, is);
    otlp_attribute_end(w);
}

bool otlp_is_id(struct slice id, size_t len)
{
    bool some = false;

    for (size_t i = 0; i < id.len; i++) {
        if (!strchr("0123456789abcdef", id.base[i]) || id.base[i] == '\0')
            return false;
        some = some || id.base[i] != '0';
    }
    return id.len == len && some;
}
