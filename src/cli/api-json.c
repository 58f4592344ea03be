/* Members of foreign JSON, apart so that tests can link what reads it. */

#include "cli/api.h"

const char *api_string(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value ? value : "";
}

uint64_t api_number(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));

    return value > 0 ? (uint64_t)value : 0;
}

double api_real(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}
