#include "base/log.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_LINE_MAX 4096

static struct {
    const char *program;
    enum log_level level;
} state = {.program = "mayfly", .level = LOG_LEVEL_INFO};

static const char *const level_names[_LOG_LEVEL_MAX] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARNING] = "warning",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
};

void log_init(const char *program, enum log_level level)
{
    const char *wanted = getenv("MAYFLY_LOG");

    state.program = program;
    state.level = level;
    for (size_t i = 0; wanted && i < _LOG_LEVEL_MAX; i++) {
        if (strcmp(wanted, level_names[i]) == 0)
            state.level = (enum log_level)i;
    }
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
    char line[LOG_LINE_MAX];
    va_list args;
    int n;

    if (level > state.level)
        return;
    n = snprintf(line, sizeof(line), "%s: %s: %s ", state.program, level_names[level], event);
    va_start(args, format);
    if (n > 0 && (size_t)n < sizeof(line))
        n += vsnprintf(line + n, sizeof(line) - (size_t)n, format, args);
    va_end(args);
    if (n < 0)
        return;
    if ((size_t)n > sizeof(line) - 2)
        n = (int)sizeof(line) - 2;
    line[n++] = '\n';
    /* One write a line, so that lines of several processes do not mix. There is nowhere to report
     * a failure to. */
    if (write(STDERR_FILENO, line, (size_t)n) < 0)
        return;
}

char *log_quote(struct slice s, char *dst, size_t dst_size)
{
    const unsigned char *p = (const unsigned char *)s.base;
    size_t out = 0;

    assert(dst_size > 0);
    for (size_t i = 0; i < s.len;) {
        size_t n = utf8_len(p + i, s.len - i);
        bool keep = n > 0 && !utf8_is_control(p + i, n);

        if (out + MAX(n, 4) >= dst_size)
            break;
        if (keep) {
            memcpy(dst + out, p + i, n);
            out += n;
            i += n;
        } else {
            out += (size_t)snprintf(dst + out, dst_size - out, "\\x%02x", p[i]);
            i++;
        }
    }
    dst[out] = '\0';
    return dst;
}
