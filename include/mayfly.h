#pragma once

/* mayfly.h: write a serverless function in C.
 *
 *     #include <mayfly.h>
 *
 *     int hello(mayfly_request *request, mayfly_response *response)
 *     {
 *         const char *name = mayfly_param(request, "name");
 *
 *         return mayfly_printf(response, "Hello, %s!\n", name ? name : "world");
 *     }
 *
 * Save it as api/hello.c, or name it in mayfly.json as "handler": "hello.hello". The file is
 * compiled into a static program that is started once; every request is then served by a fresh fork
 * of it. So globals, open files and heap are as mayfly_init() left them, in every request, and what
 * a request changes is gone when it ends.
 *
 * A handler is blocking, straight-line code. It may start threads and programs; none of them
 * outlives the request. What it prints to stdout and stderr goes to the function's log. If it
 * crashes, the client gets an error, the log gets the stack, and no other request notices.
 *
 * Conventions. Strings are UTF-8 or whatever the client sent, and end in NUL. A string that a
 * function returns belongs to mayfly and lives until the handler returns; strings that are passed
 * in are copied. Where nothing else is said, a function returns 0, or -1 with errno set. The
 * functions are to be called from the thread that runs the handler. */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Handlers in a shared library that is compiled with -fvisibility=hidden need this in front. */
#define MAYFLY_EXPORT __attribute__((visibility("default")))

#define MAYFLY_BODY_MAX         (64 * 1024 * 1024) /* bytes that mayfly_body() reads at most */
#define MAYFLY_HEADERS_MAX      100                /* headers that a response may have */
#define MAYFLY_HEADER_BYTES_MAX 16384              /* of all their names and values */

typedef struct mayfly_request mayfly_request;   /* what the client wants */
typedef struct mayfly_response mayfly_response; /* what it gets */

/* A handler has any name. It returns 0 when the response is as it should be; the client's mistakes
 * are ordinary responses, too (mayfly_status(response, 400)). Any other value is an unhandled
 * error: the client gets a 500, the record an error, and what was written is dropped or, if part of
 * it is sent already, broken off. mayfly_fail() says why. */
typedef int mayfly_handler(mayfly_request *request, mayfly_response *response);

/* ---- hooks: functions that the author may define ---- */

/* Runs once, before the function is ready: open files, fill tables, read the environment. What it
 * leaves behind is what every request starts with. It must not leave a thread running: a request
 * would not have it. Returns 0, or another value if the function cannot be used; mayfly_fail(NULL,
 * ...) says why. */
MAYFLY_EXPORT int mayfly_init(void);

/* Runs in a new process before it waits for its request, so that nobody waits for it: touch the
 * memory and make the connections that a request will need. It does not run when the request is
 * there already, and must have no effect that is wrong to have when none comes. */
MAYFLY_EXPORT void mayfly_warmup(void);

/* ---- the request ---- */

MAYFLY_EXPORT const char *mayfly_method(mayfly_request *request); /* "GET" */

/* As the client sent it: "/a%20b?x=1". With the route's [name] values put in front of the query. */
MAYFLY_EXPORT const char *mayfly_target(mayfly_request *request);

/* Percent-decoded: "/a b". A "%2F" within a segment reads like a separator here; where that
 * matters, look at the target. */
MAYFLY_EXPORT const char *mayfly_path(mayfly_request *request);

/* What stands behind the '?', not decoded; "" if there is nothing. */
MAYFLY_EXPORT const char *mayfly_query(mayfly_request *request);

/* The value of the query parameter of that name, or of the route's [name]: percent-decoded, '+' is
 * a blank. Of several the first. Returns "" for one without a value and NULL if there is none.
 * Names and values that are not properly encoded are returned as they were sent. */
MAYFLY_EXPORT const char *mayfly_param(mayfly_request *request, const char *name);

/* All parameters in the order of the query; those of the route come first. Returns 0, or -1
 * (ERANGE) for an index that is not below the count. Either ret may be NULL. */
MAYFLY_EXPORT size_t mayfly_param_count(mayfly_request *request);
MAYFLY_EXPORT int mayfly_param_at(mayfly_request *request, size_t index, const char **ret_name,
                                  const char **ret_value);

/* The value of the header of that name, in whatever case. Of several the first. NULL if there is
 * none. Headers that belong to the connection only (Connection, Transfer-Encoding) are not there.
 */
MAYFLY_EXPORT const char *mayfly_header(mayfly_request *request, const char *name);

/* All headers in the order in which they came; as mayfly_param_at(). */
MAYFLY_EXPORT size_t mayfly_header_count(mayfly_request *request);
MAYFLY_EXPORT int mayfly_header_at(mayfly_request *request, size_t index, const char **ret_name,
                                   const char **ret_value);

/* The id under which this request is in the log and the records: 36 characters. */
MAYFLY_EXPORT const char *mayfly_request_id(mayfly_request *request);

MAYFLY_EXPORT const char *mayfly_function_name(mayfly_request *request);
MAYFLY_EXPORT const char *mayfly_function_version(mayfly_request *request);

/* What caused it: "http", "invoke", "schedule", "queue", "upload" or "database". */
MAYFLY_EXPORT const char *mayfly_trigger(mayfly_request *request);

/* Milliseconds until the request is ended by force, 0 if that is overdue, -1 without a deadline. */
MAYFLY_EXPORT int64_t mayfly_remaining_ms(mayfly_request *request);

/* Reads up to size bytes of the body, as they come; waits for the first. Returns their number, 0 at
 * the end, or -1. May be called before, after and between writing the response. */
MAYFLY_EXPORT ssize_t mayfly_read(mayfly_request *request, void *dst, size_t size);

/* Reads the whole body, or what mayfly_read() left of it, into memory. It ends in a NUL that is not
 * counted in *ret_len (may be NULL). The same again when called again. Returns NULL on failure:
 * EMSGSIZE above MAYFLY_BODY_MAX, ENOMEM, or as mayfly_read(). */
MAYFLY_EXPORT const char *mayfly_body(mayfly_request *request, size_t *ret_len);

/* ---- the response ----
 *
 * Status and headers come first; from the first write on they are fixed (EALREADY). What is written
 * is held back until the handler returns, 64 KB have come together, or mayfly_flush() is called. */

/* 200 to 599; 200 if this is not called. EINVAL for others. */
MAYFLY_EXPORT int mayfly_status(mayfly_response *response, int status);

/* Adds a header; the same name may be added again (Set-Cookie). Without a Content-Type a body goes
 * as "text/plain; charset=utf-8". Content-Length and what belongs to the connection (Connection,
 * Transfer-Encoding, ...) are mayfly's affair and left out. EINVAL for bytes that HTTP does not
 * allow, line ends above all; ENOBUFS over the limits. */
MAYFLY_EXPORT int mayfly_add_header(mayfly_response *response, const char *name, const char *value);

/* Announces the length of the body, in bytes, for a long one that is streamed; without it such a
 * body goes in chunks. The handler must then write exactly as many. */
MAYFLY_EXPORT int mayfly_set_length(mayfly_response *response, uint64_t length);

/* These add to the body. EPIPE: the client is gone. EMSGSIZE: more than mayfly_set_length(). For
 * HEAD requests and for status 204 and 304 the body is dropped. */
MAYFLY_EXPORT int mayfly_write(mayfly_response *response, const void *data, size_t len);
MAYFLY_EXPORT int mayfly_puts(mayfly_response *response, const char *text); /* adds no line end */
MAYFLY_EXPORT int mayfly_printf(mayfly_response *response, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
MAYFLY_EXPORT int mayfly_vprintf(mayfly_response *response, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Sends what there is now: for events, progress, and long computations with early results. */
MAYFLY_EXPORT int mayfly_flush(mayfly_response *response);

/* Says why the handler, or with NULL mayfly_init(), cannot do its work. `type` is a short name for
 * the kind of error ("OutOfStock"), the rest a sentence for people. Always returns 1, so that a
 * handler can end in `return mayfly_fail(response, "NoTable", "cannot open %s", path);`. */
MAYFLY_EXPORT int mayfly_fail(mayfly_response *response, const char *type, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif
