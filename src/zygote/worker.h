#pragma once

/* The worker's end of the wire between gateway and worker: HTTP/1.1 on file descriptor 3. One
 * request, one response (with isolation `instance` one after the other), in blocking, straight-line
 * calls. Context: in a worker, after the fork. */

#include "base/buf.h"
#include "http/http.h"

/* The line on stderr behind which everything is a stack report: the runtime's answer to
 * WORKER_STACK_SIGNAL, or to a crash. See docs/RUNTIMES.md. */
#define WORKER_STACK_MARK   "\036stack\n"
#define WORKER_LIMIT_MARK   "\036limit " /* KEY USED MAX: the limit that a crash comes from */
#define WORKER_STACK_SIGNAL SIGQUIT      /* at the deadline: report the stack, then exit */

struct worker;

/* The head of the current request; slices live until serve() returns. The target is what the client
 * sent, with the route's [name] values put in front of the query. Headers are the client's without
 * hop-by-hop ones, and mayfly's own (Mayfly-Request-Id, Mayfly-Trigger, ...), which a client cannot
 * forge. */
const struct http_head *worker_head(const struct worker *w);

/* Reads decoded bytes of the request's body. Returns their number, 0 at the end, or -errno. */
ssize_t worker_read(struct worker *w, void *dst, size_t size);

/* The same without waiting: -EAGAIN if no more of it has come yet. For a runtime with an event
 * loop, which may watch ZYGOTE_FD_WORKER itself, but reads from it only here. */
ssize_t worker_read_now(struct worker *w, void *dst, size_t size);

/* Whether worker_write() of up to 64 KB would go out without waiting for the client. */
bool worker_is_writable(const struct worker *w);

/* Whether the request's sender has closed its end, so that nobody waits for the answer. */
bool worker_is_hung_up(const struct worker *w);

/* Begins the answer. Headers that are the gateway's affair (Connection, Transfer-Encoding,
 * Content-Length, hop-by-hop) are left out here. content_length is -1 when it is not known; then
 * the body goes out in chunks. Returns 0, -EINVAL for a status or header that HTTP does not allow,
 * or -errno. Nothing is sent before the buffer is full, worker_flush() or worker_finish(). */
int worker_start(struct worker *w, unsigned status, const struct http_header *headers, size_t n,
                 int64_t content_length);
bool worker_is_started(const struct worker *w);

/* Adds to the body. Returns 0, -EMSGSIZE beyond the content_length, or -errno (-EPIPE: the client
 * is gone). For a HEAD request, 204 and 304 the body is dropped. */
int worker_write(struct worker *w, const void *data, size_t len);
int worker_flush(struct worker *w);

/* Completes the answer. Returns 0, -EMSGSIZE if the body is shorter than announced, or -errno. */
int worker_finish(struct worker *w);

/* Start, body and finish in one. */
int worker_answer(struct worker *w, unsigned status, const struct http_header *headers, size_t n,
                  struct slice body);

/* Answers with an unhandled error of the function: 500, Mayfly-Error: Unhandled, and the JSON, in
 * which "[secret NAME]" stands for the values of secrets. If the answer has begun already, breaks
 * it off. The second form makes the JSON of its parts; `stack` has lines separated by '\n'. */
int worker_fail(struct worker *w, struct slice json);
int worker_fail_text(struct worker *w, const char *type, const char *message, const char *stack);

/* The same without a stack; the message is cut at 1 KB. */
int worker_failf(struct worker *w, const char *type, const char *format, ...) _printf_(3, 4);

/* Before worker_fail(): the errno that the error comes from, if it is known. ENOMEM, EMFILE, EFBIG,
 * ENOSPC and EAGAIN may mean a limit; which one, the answer then says (Mayfly-Limit). */
void worker_suspect(struct worker *w, int error);

/* The same by how a child ended on which the answer depended, as waitid() tells: CLD_..., the code
 * or signal, and what it used. */
struct rusage;
void worker_suspect_child(struct worker *w, int code, int status, const struct rusage *usage);

/* For a runtime that speaks HTTP by itself: the body of such an answer, made of the JSON, and the
 * value of its Mayfly-Limit header, "" if there is none. `error` is as for worker_suspect(), or 0.
 * Returns 0 or -errno. */
#define WORKER_LIMIT_MAX 64
int worker_error_body(int error, struct slice json, struct buf *ret_body,
                      char ret_limit[static WORKER_LIMIT_MAX]);

/* Before the end of a worker that crashes: names the limit on stderr, if it is one; `error` is
 * errno at that time. Context: async-signal-safe. */
void worker_tell_limit(int error);

/* After worker_start() with 101: flushes, and returns the socket for the program's own bytes. */
int worker_upgrade(struct worker *w);

/* The bytes that came behind the request already; after an upgrade they are the program's. */
struct slice worker_unread(const struct worker *w);

/* Writes a JSON string with its quotes: s as UTF-8, invalid bytes replaced. Returns 0 or -errno. */
int worker_json_string(struct buf *b, struct slice s);

/* ---- for a runtime that is in an event loop of its own (zygote_run_bare()) ---- */

/* The worker's end of the wire, which is made once, in the zygote or in the worker. */
struct worker *worker_open(void);

/* The next request's head, without waiting. Returns 1, 0 if there will be none, -EAGAIN if not all
 * of it has come yet, or -errno. */
int worker_next_now(struct worker *w);

/* Between these two `request` is the request, it has no body, and no answer goes out: a rehearsal.
 * Returns 0 or -EPROTO. */
int worker_touch_begin(struct worker *w, struct slice request);
void worker_touch_end(struct worker *w);
