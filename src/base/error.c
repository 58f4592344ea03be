#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, int code, const char *format, ...)
{
    va_list args;

    if (!err)
        return code;
    va_start(args, format);
    (void)vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    return code;
}

int error_set_errno(struct error *err, int code, const char *format, ...)
{
    va_list args;
    size_t len;

    if (!err)
        return code;
    va_start(args, format);
    (void)vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    len = strlen(err->text);
    (void)snprintf(err->text + len, sizeof(err->text) - len, ": %s", strerrordesc_np(-code));
    return code;
}

int error_wrap(struct error *err, int code, const char *format, ...)
{
    char inner[ERROR_TEXT_MAX];
    va_list args;
    size_t len;

    if (!err)
        return code;
    memcpy(inner, err->text, sizeof(inner));
    va_start(args, format);
    (void)vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    len = strlen(err->text);
    (void)snprintf(err->text + len, sizeof(err->text) - len, ": %s", inner);
    return code;
}
