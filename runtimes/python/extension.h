#pragma once

/* What the files of the extension module _mayfly share. It keeps to the limited API of CPython 3.8,
 * so that one build serves every interpreter from there on. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x03080000
#include <Python.h>

#include "zygote/worker.h"
#include "zygote/zygote.h"

/* The request that an adapter sees, and its answer. One object serves a process for its whole life:
 * it is made in the zygote, so that a worker need not make it. */
struct request;

int request_type_init(PyObject *module); /* returns 0, or -1 with an exception */
PyObject *request_new(void);             /* NULL with an exception */
void request_begin(PyObject *request, struct worker *w);
int request_begin_rehearsal(
    PyObject *request); /* returns 0, or -1 if the built-in request is bad */

const struct http_head *request_head(PyObject *request);

/* Headers of an answer, with the objects that own their bytes. A zeroed list is empty. */
struct header_list {
    size_t n;
    size_t n_owned;
    struct http_header headers[HTTP_HEADERS_MAX];
    PyObject *owned[2 * HTTP_HEADERS_MAX];
};

void header_list_add(struct header_list *list, struct slice name, struct slice value); /* borrows */
/* name and value are str or bytes. Returns 0, or -1 with an exception. */
int header_list_take(struct header_list *list, PyObject *name, PyObject *value);
void header_list_deinit(struct header_list *list);

/* As worker_start() and its like, with exceptions: return None as a new reference, or NULL. */
PyObject *request_start(PyObject *request, unsigned status, const struct header_list *headers,
                        int64_t length);
PyObject *request_write(PyObject *request, PyObject *data);
PyObject *request_finish(PyObject *request, PyObject *unused);

/* Whether an answer was completed, so that nothing may follow. */
bool request_is_done(PyObject *request);

/* Raw HTTP as a server would write it to a socket, taken apart into head and body. */
struct raw_answer {
    struct http_parser parser;
    struct buf in;
    bool begun;
    bool ended;
};

enum {
    RAW_E_OK,
    RAW_E_BAD, /* it is not HTTP; *ret_text says why */
};

void raw_answer_begin(struct raw_answer *a, bool head_request);

/* Passes on what `bytes` hold of head and body; w is NULL in a rehearsal. Returns an outcome above
 * or -errno. */
int raw_answer_feed(struct raw_answer *a, struct worker *w, struct slice bytes,
                    const char **ret_text);

/* Tells that nothing more comes. An answer that lacks its end is RAW_E_BAD. */
int raw_answer_end(struct raw_answer *a, struct worker *w, const char **ret_text);

/* Maps and lists of the request's head as Python objects. Return a new reference, or NULL. */
PyObject *head_pairs(const struct http_head *head);
PyObject *
head_asgi_headers(const struct http_head *head); /* (name in small letters, value): bytes */
PyObject *head_lambda_headers(const struct http_head *head, PyObject **ret_cookies); /* or NULL */
PyObject *head_query(const struct http_head *head);
PyObject *head_raw(const struct http_head *head);
int head_fill_environ(const struct http_head *head, PyObject *environ);
PyObject *latin1(struct slice s);

/* Lambda's handler(event, context). lambda_answer() does everything but finish; it returns 0, or -1
 * with an exception. */
PyObject *lambda_setup(PyObject *module, PyObject *args);
int lambda_answer(PyObject *request, bool is_touch);

/* sys.stdout and sys.stderr, and what C code has printed. */
void flush_streams(void);

/* Called once, ahead of the first fork. */
void heap_settle(void);

/* No two processes draw the same numbers; see openssl.c. */
PyObject *openssl_forget(PyObject *module, PyObject *others);
PyObject *openssl_py_after_fork(PyObject *module, PyObject *unused);
void openssl_after_fork(void);

/* catch_signals(on_stack): reports of where the function is stuck, and of crashes. See stack.c. */
PyObject *stack_catch_signals(PyObject *module, PyObject *on_stack);
PyObject *stack_begin(PyObject *module, PyObject *unused);
void stack_set_owner(void); /* this process is a worker: its crash report carries the mark */
