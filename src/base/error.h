#pragma once

/* An error that a person will read: one line that names the place, what is wrong and the mend.
 *
 * Functions have three kinds of result: 0 is done; a negative errno is unexpected and handed up;
 * a positive value is an outcome, named X_E_..., that the direct caller must handle. Functions
 * whose failure somebody has to understand take a `struct error *err` last and fill it in before
 * they return a negative value.
 *
 * Context: async-signal-safe as far as vsnprintf is; used after fork. */

#include "base/def.h"

#define ERROR_TEXT_MAX 2048 /* a compiler's first complaint, or a path of PATH_MAX and a reason */

struct error {
    char text[ERROR_TEXT_MAX]; /* always terminated; empty means none */
};

#define ERROR_NULL ((struct error){.text = ""})

/* Writes the text (cut at ERROR_TEXT_MAX) and returns `code`, so that a failing function can end
 * in `return error_set(err, -EINVAL, ...)`. err may be NULL. */
int error_set(struct error *err, int code, const char *format, ...) _printf_(3, 4);

/* The same with ": " and the text of the errno behind it. code is negative. */
int error_set_errno(struct error *err, int code, const char *format, ...) _printf_(3, 4);

/* Puts "context: " before the text that is there. Returns code. */
int error_wrap(struct error *err, int code, const char *format, ...) _printf_(3, 4);
