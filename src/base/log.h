#pragma once

/* What the programs say of themselves: one line an event on stderr, `event key=value ...`, with a
 * constant name for each event. Libraries log nothing above debug; the program that decides what
 * happens with a failure logs it, once.
 *
 * Values from outside go through %s only after log_quote(): control bytes never reach a terminal.
 * Context: not async-signal-safe. */

#include "base/slice.h"

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
    _LOG_LEVEL_MAX,
};

/* `program` stands before each line; borrowed for ever. The level comes from MAYFLY_LOG
 * (error, warning, info, debug), else it is `level`. */
void log_init(const char *program, enum log_level level);

void log_event(enum log_level level, const char *event, const char *format, ...) _printf_(3, 4);

#define log_error(event, ...)   log_event(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warning(event, ...) log_event(LOG_LEVEL_WARNING, event, __VA_ARGS__)
#define log_info(event, ...)    log_event(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(event, ...)   log_event(LOG_LEVEL_DEBUG, event, __VA_ARGS__)

/* Copies s into dst with everything but printable ASCII and valid UTF-8 as \xHH; cut to fit, always
 * terminated. Returns dst. */
char *log_quote(struct slice s, char *dst, size_t dst_size);
