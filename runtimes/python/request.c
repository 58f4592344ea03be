/* The type Request: what an adapter reads and answers with. Everything is made on demand: an object
 * that nobody asks for costs no memory, and memory is what a fresh process pays for.
 *
 * Without a worker it is a rehearsal in the zygote: a fixed head, no body, and an answer that goes
 * nowhere. */

#include "extension.h"

#include <errno.h>

#define READ_BYTES     16384 /* of body at once; the worker reads as much from its socket */
#define BODY_BYTES_MAX (SIZE_MAX / 4)

enum state {
    STATE_NONE,
    STATE_STARTED, /* start() may still be called again */
    STATE_WRITTEN,
    STATE_DONE,
    STATE_UPGRADED, /* done as well */
};

struct request {
    PyObject_HEAD struct worker *w;
    enum state state;
    struct raw_answer raw;
};

static struct request *self_of(PyObject *object)
{
    return (struct request *)object;
}

static struct http_head rehearsal;

const struct http_head *request_head(PyObject *object)
{
    const struct request *self = self_of(object);

    return self->w ? worker_head(self->w) : &rehearsal;
}

void request_begin(PyObject *object, struct worker *w)
{
    struct request *self = self_of(object);

    self->w = w;
    self->state = STATE_NONE;
}

int request_begin_rehearsal(PyObject *object)
{
    static const char text[] = "GET /a?b=c HTTP/1.1\r\nHost: localhost:8080\r\nAccept: */*\r\n"
                               "User-Agent: mayfly\r\nMayfly-Request-Id: 0\r\n\r\n";
    struct http_parser parser;
    struct slice data;
    size_t used;

    http_parser_init(&parser, HTTP_REQUEST, &HTTP_LIMITS_DEFAULT);
    request_begin(object, NULL);
    return http_parse(&parser, slice_str(text), &used, &rehearsal, &data) == HTTP_EVENT_HEAD ? 0
                                                                                             : -1;
}

bool request_is_done(PyObject *object)
{
    return self_of(object)->state >= STATE_DONE;
}

static PyObject *raise_errno(int r)
{
    if (r == -EMSGSIZE) {
        PyErr_SetString(PyExc_ValueError, "the body's length is not that of Content-Length");
        return NULL;
    }
    errno = -r;
    return PyErr_SetFromErrno(PyExc_OSError);
}

/* ---- the head ---- */

static PyObject *get_method(PyObject *self, void *unused)
{
    return latin1(request_head(self)->method);
}

static PyObject *get_target(PyObject *self, void *unused)
{
    return latin1(request_head(self)->target);
}

static PyObject *get_path(PyObject *self, void *unused)
{
    return latin1(request_head(self)->path);
}

static PyObject *get_query(PyObject *self, void *unused)
{
    return latin1(request_head(self)->query);
}

static PyObject *get_host(PyObject *self, void *unused)
{
    return latin1(request_head(self)->host);
}

static PyObject *get_headers(PyObject *self, void *unused)
{
    return head_pairs(request_head(self));
}

static PyObject *py_asgi_headers(PyObject *self, PyObject *unused)
{
    return head_asgi_headers(request_head(self));
}

/* The body's length: 0 if there is none, -1 if it comes in chunks. */
static PyObject *get_content_length(PyObject *self, void *unused)
{
    const struct http_head *head = request_head(self);

    if (head->framing == HTTP_BODY_LENGTH)
        return PyLong_FromUnsignedLongLong(head->content_length);
    return PyLong_FromLong(head->framing == HTTP_BODY_NONE ? 0 : -1);
}

static PyObject *get_is_started(PyObject *self, void *unused)
{
    return PyBool_FromLong(self_of(self)->state != STATE_NONE);
}

static PyObject *get_is_written(PyObject *self, void *unused)
{
    return PyBool_FromLong(self_of(self)->state >= STATE_WRITTEN);
}

static PyObject *py_get(PyObject *self, PyObject *name)
{
    PyObject *bytes = PyUnicode_AsUTF8String(name);
    struct slice value;
    bool found;

    if (!bytes)
        return NULL;
    found = http_head_find(request_head(self), PyBytes_AsString(bytes), &value);
    Py_DECREF(bytes);
    if (!found)
        Py_RETURN_NONE;
    return latin1(value);
}

static PyObject *py_raw_head(PyObject *self, PyObject *unused)
{
    return head_raw(request_head(self));
}

static PyObject *py_fill_environ(PyObject *self, PyObject *environ)
{
    if (!PyDict_Check(environ)) {
        PyErr_SetString(PyExc_TypeError, "environ must be a dict");
        return NULL;
    }
    if (head_fill_environ(request_head(self), environ) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* The path decoded, each byte as one character, as PEP 3333 wants it. */
static PyObject *py_decoded_path(PyObject *self, PyObject *unused)
{
    struct slice path = request_head(self)->path;
    char small[1024];
    char *dst = path.len > sizeof(small) ? PyMem_Malloc(path.len) : small;
    PyObject *text;
    ssize_t n;

    if (!dst)
        return PyErr_NoMemory();
    n = http_percent_decode(path, false, dst, path.len);
    text = n < 0 ? latin1(path) : latin1(slice(dst, (size_t)n));
    if (dst != small)
        PyMem_Free(dst);
    return text;
}

/* ---- the body ---- */

static ssize_t read_some(struct request *self, char *dst, size_t size)
{
    PyThreadState *thread;
    ssize_t n;

    if (!self->w || worker_head(self->w)->framing == HTTP_BODY_NONE)
        return 0;
    thread = PyEval_SaveThread();
    n = worker_read(self->w, dst, size);
    PyEval_RestoreThread(thread);
    return n;
}

static PyObject *read_known(struct request *self, uint64_t length)
{
    PyObject *bytes;
    size_t done = 0;
    char *dst;

    if (length > BODY_BYTES_MAX)
        return PyErr_NoMemory();
    bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)length);
    if (!bytes)
        return NULL;
    dst = PyBytes_AsString(bytes);
    while (done < length) {
        ssize_t n = read_some(self, dst + done, length - done);

        if (n <= 0) {
            Py_DECREF(bytes);
            return raise_errno(n < 0 ? (int)n : -EPIPE);
        }
        done += (size_t)n;
    }
    return bytes;
}

static PyObject *read_rest(struct request *self)
{
    struct buf b = BUF_INIT(BODY_BYTES_MAX);
    PyObject *bytes = NULL;
    ssize_t n;

    for (;;) {
        if (buf_reserve(&b, READ_BYTES) < 0) {
            n = -ENOMEM;
            break;
        }
        n = read_some(self, buf_tail(&b), READ_BYTES);
        if (n <= 0)
            break;
        buf_commit(&b, (size_t)n);
    }
    if (n < 0)
        (void)raise_errno((int)n);
    else
        bytes = PyBytes_FromStringAndSize(buf_slice(&b).base, (Py_ssize_t)buf_len(&b));
    buf_deinit(&b);
    return bytes;
}

/* read(n): up to n bytes, b"" at the end. */
static PyObject *py_read(PyObject *object, PyObject *arg)
{
    char chunk[READ_BYTES];
    size_t size = PyLong_AsSize_t(arg);
    ssize_t n;

    if (PyErr_Occurred())
        return NULL;
    n = read_some(self_of(object), chunk, MIN(size, sizeof(chunk)));
    if (n < 0)
        return raise_errno((int)n);
    return PyBytes_FromStringAndSize(chunk, n);
}

/* read_now(n): the same without waiting; None if nothing has come. */
static PyObject *py_read_now(PyObject *object, PyObject *arg)
{
    struct request *self = self_of(object);
    char chunk[READ_BYTES];
    size_t size = PyLong_AsSize_t(arg);
    ssize_t n = 0;

    if (PyErr_Occurred())
        return NULL;
    if (self->w && worker_head(self->w)->framing != HTTP_BODY_NONE)
        n = worker_read_now(self->w, chunk, MIN(size, sizeof(chunk)));
    if (n == -EAGAIN)
        Py_RETURN_NONE;
    if (n < 0)
        return raise_errno((int)n);
    return PyBytes_FromStringAndSize(chunk, n);
}

static PyObject *get_is_hung_up(PyObject *object, void *unused)
{
    struct request *self = self_of(object);

    return PyBool_FromLong(self->w && worker_is_hung_up(self->w));
}

/* body(): all of it; to be called once, before any read(). */
static PyObject *py_body(PyObject *object, PyObject *unused)
{
    struct request *self = self_of(object);
    const struct http_head *head = request_head(object);

    if (head->framing == HTTP_BODY_LENGTH)
        return read_known(self, head->content_length);
    return read_rest(self);
}

/* ---- the answer ---- */

void header_list_add(struct header_list *list, struct slice name, struct slice value)
{
    if (list->n < HTTP_HEADERS_MAX)
        list->headers[list->n++] = (struct http_header){name, value};
}

void header_list_deinit(struct header_list *list)
{
    for (size_t i = 0; i < list->n_owned; i++)
        Py_DECREF(list->owned[i]);
    list->n = list->n_owned = 0;
}

/* The bytes of a str or bytes object, which the list goes on owning. */
static int take_text(struct header_list *list, PyObject *text, struct slice *ret)
{
    PyObject *bytes = text;
    Py_ssize_t len;
    char *base;

    if (PyUnicode_Check(text))
        bytes = PyUnicode_AsLatin1String(text);
    else
        Py_INCREF(text);
    if (!bytes)
        return -1;
    list->owned[list->n_owned++] = bytes;
    if (PyBytes_AsStringAndSize(bytes, &base, &len) < 0)
        return -1;
    *ret = slice(base, (size_t)len);
    return 0;
}

int header_list_take(struct header_list *list, PyObject *name, PyObject *value)
{
    struct http_header h;

    if (list->n == HTTP_HEADERS_MAX) {
        PyErr_SetString(PyExc_ValueError, "the answer has too many headers");
        return -1;
    }
    if (take_text(list, name, &h.name) < 0 || take_text(list, value, &h.value) < 0)
        return -1;
    if (!http_is_token(h.name) || !http_is_value(h.value)) {
        PyErr_Format(PyExc_ValueError, "HTTP does not allow this header: %R: %R", name, value);
        return -1;
    }
    list->headers[list->n++] = h;
    return 0;
}

static int take_pairs(struct header_list *list, PyObject *pairs)
{
    Py_ssize_t n = PySequence_Size(pairs);
    int r = n < 0 ? -1 : 0;

    for (Py_ssize_t i = 0; r == 0 && i < n; i++) {
        PyObject *pair = PySequence_GetItem(pairs, i);
        PyObject *name = pair ? PySequence_GetItem(pair, 0) : NULL;
        PyObject *value = name ? PySequence_GetItem(pair, 1) : NULL;

        r = value ? header_list_take(list, name, value) : -1;
        Py_XDECREF(pair);
        Py_XDECREF(name);
        Py_XDECREF(value);
    }
    return r;
}

PyObject *request_start(PyObject *object, unsigned status, const struct header_list *list,
                        int64_t length)
{
    struct request *self = self_of(object);
    int r;

    if (self->state >= STATE_WRITTEN) {
        PyErr_SetString(PyExc_RuntimeError, "the answer has begun already");
        return NULL;
    }
    r = self->w ? worker_start(self->w, status, list->headers, list->n, length) : 0;
    if (r == -EINVAL)
        return PyErr_Format(PyExc_ValueError, "HTTP does not allow the status %u here", status);
    if (r < 0)
        return raise_errno(r);
    self->state = STATE_STARTED;
    Py_RETURN_NONE;
}

static PyObject *py_start(PyObject *object, PyObject *args)
{
    struct header_list list = {.n = 0};
    unsigned status;
    PyObject *headers, *result = NULL;
    long long length = -1;

    if (!PyArg_ParseTuple(args, "IO|L", &status, &headers, &length))
        return NULL;
    if (take_pairs(&list, headers) == 0)
        result = request_start(object, status, &list, length);
    header_list_deinit(&list);
    return result;
}

static PyObject *write_bytes(struct request *self, PyObject *bytes)
{
    PyThreadState *thread;
    Py_ssize_t len;
    char *data;
    int r;

    if (self->state != STATE_STARTED && self->state != STATE_WRITTEN) {
        PyErr_SetString(PyExc_RuntimeError, "the answer is not begun, or done already");
        return NULL;
    }
    if (PyBytes_AsStringAndSize(bytes, &data, &len) < 0)
        return NULL;
    if (len == 0)
        Py_RETURN_NONE;
    self->state = STATE_WRITTEN;
    thread = PyEval_SaveThread();
    r = self->w ? worker_write(self->w, data, (size_t)len) : 0;
    PyEval_RestoreThread(thread);
    if (r < 0)
        return raise_errno(r);
    Py_RETURN_NONE;
}

/* Calls f with data as bytes, which it may have to be made first. */
static PyObject *with_bytes(PyObject *object, PyObject *data,
                            PyObject *(*f)(struct request *, PyObject *))
{
    PyObject *bytes, *result;

    if (PyBytes_Check(data))
        return f(self_of(object), data);
    if (PyUnicode_Check(data) || PyLong_Check(data)) {
        PyErr_SetString(PyExc_TypeError, "the body must be bytes");
        return NULL;
    }
    bytes = PyBytes_FromObject(data);
    result = bytes ? f(self_of(object), bytes) : NULL;
    Py_XDECREF(bytes);
    return result;
}

PyObject *request_write(PyObject *object, PyObject *data)
{
    return with_bytes(object, data, write_bytes);
}

static PyObject *py_flush(PyObject *object, PyObject *unused)
{
    struct request *self = self_of(object);
    PyThreadState *thread;
    int r;

    if (self->state != STATE_STARTED && self->state != STATE_WRITTEN)
        Py_RETURN_NONE;
    self->state = STATE_WRITTEN;
    thread = PyEval_SaveThread();
    r = self->w ? worker_flush(self->w) : 0;
    PyEval_RestoreThread(thread);
    if (r < 0)
        return raise_errno(r);
    Py_RETURN_NONE;
}

PyObject *request_finish(PyObject *object, PyObject *unused)
{
    struct request *self = self_of(object);
    PyThreadState *thread;
    int r;

    if (self->state != STATE_STARTED && self->state != STATE_WRITTEN) {
        PyErr_SetString(PyExc_RuntimeError, "the answer is not begun, or done already");
        return NULL;
    }
    thread = PyEval_SaveThread();
    r = self->w ? worker_finish(self->w) : 0;
    PyEval_RestoreThread(thread);
    if (r < 0)
        return raise_errno(r);
    self->state = STATE_DONE;
    Py_RETURN_NONE;
}

static PyObject *get_is_rehearsal(PyObject *object, void *unused)
{
    return PyBool_FromLong(!self_of(object)->w);
}

static PyObject *get_is_upgraded(PyObject *object, void *unused)
{
    return PyBool_FromLong(self_of(object)->state == STATE_UPGRADED);
}

static PyObject *get_is_writable(PyObject *object, void *unused)
{
    struct request *self = self_of(object);

    return PyBool_FromLong(!self->w || worker_is_writable(self->w));
}

/* complete(): finish(), behind all that was printed. An adapter that has something to do afterwards
 * calls it. */
static PyObject *py_complete(PyObject *object, PyObject *unused)
{
    flush_streams();
    return request_finish(object, NULL);
}

/* upgrade(): after start(101, ...), sends that. Returns the descriptor, which stays the worker's,
 * and what has come behind the request. */
static PyObject *py_upgrade(PyObject *object, PyObject *unused)
{
    struct request *self = self_of(object);
    struct slice rest;
    int fd;

    if (self->state != STATE_STARTED || !self->w) {
        PyErr_SetString(PyExc_RuntimeError, "the answer is not begun, or done already");
        return NULL;
    }
    fd = worker_upgrade(self->w);
    if (fd < 0)
        return raise_errno(fd);
    self->state = STATE_UPGRADED;
    rest = worker_unread(self->w);
    return Py_BuildValue("(iN)", fd, PyBytes_FromStringAndSize(rest.base, (Py_ssize_t)rest.len));
}

/* suspect(errno): what the error that fail() will tell may come from; 0 if it is not known. */
static PyObject *py_suspect(PyObject *object, PyObject *error)
{
    struct request *self = self_of(object);
    long number = PyLong_AsLong(error);

    if (number == -1 && PyErr_Occurred())
        return NULL;
    if (self->w)
        worker_suspect(self->w, (int)number);
    Py_RETURN_NONE;
}

/* fail(json): True, or False if the answer had gone too far to be taken back. */
static PyObject *py_fail(PyObject *object, PyObject *json)
{
    struct request *self = self_of(object);
    Py_ssize_t len;
    char *text;
    int r;

    if (PyBytes_AsStringAndSize(json, &text, &len) < 0)
        return NULL;
    if (self->state >= STATE_DONE)
        Py_RETURN_FALSE;
    r = !self->w ? 0 : worker_fail(self->w, slice(text, (size_t)len));
    if (r == 0)
        self->state = STATE_DONE;
    return PyBool_FromLong(r == 0);
}

/* ---- raw HTTP ---- */

static PyObject *py_raw_begin(PyObject *object, PyObject *unused)
{
    struct request *self = self_of(object);

    raw_answer_begin(&self->raw, slice_eq(request_head(object)->method, SLICE_LIT("HEAD")));
    Py_RETURN_NONE;
}

static PyObject *raw_result(struct request *self, int r, const char *text)
{
    if (self->raw.begun && self->state == STATE_NONE)
        self->state = STATE_STARTED;
    if (r == RAW_E_BAD)
        PyErr_Format(PyExc_ValueError, "the handler's answer is not HTTP: %s", text);
    else if (r < 0)
        (void)raise_errno(r);
    if (r != RAW_E_OK)
        return NULL;
    return PyBool_FromLong(self->raw.begun);
}

static PyObject *feed_bytes(struct request *self, PyObject *bytes)
{
    const char *text = "";
    PyThreadState *thread;
    Py_ssize_t len;
    char *data;
    int r;

    if (self->state >= STATE_DONE || PyBytes_AsStringAndSize(bytes, &data, &len) < 0)
        return NULL;
    thread = PyEval_SaveThread();
    r = raw_answer_feed(&self->raw, self->w, slice(data, (size_t)len), &text);
    PyEval_RestoreThread(thread);
    return raw_result(self, r, text);
}

static PyObject *py_raw_feed(PyObject *object, PyObject *data)
{
    if (self_of(object)->state >= STATE_DONE)
        return raise_errno(-EPIPE);
    return with_bytes(object, data, feed_bytes);
}

static PyObject *py_raw_end(PyObject *object, PyObject *unused)
{
    struct request *self = self_of(object);
    const char *text = "";
    int r = raw_answer_end(&self->raw, self->w, &text);

    return raw_result(self, r, text);
}

/* ---- the type ---- */

static PyGetSetDef getters[] = {
    {"method", get_method, NULL, NULL, NULL},
    {"target", get_target, NULL, "as sent", NULL},
    {"path", get_path, NULL, "not decoded", NULL},
    {"query", get_query, NULL, "not decoded", NULL},
    {"host", get_host, NULL, NULL, NULL},
    {"headers", get_headers, NULL, "list of (name, value)", NULL},
    {"content_length", get_content_length, NULL, "0 without a body, -1 in chunks", NULL},
    {"is_started", get_is_started, NULL, NULL, NULL},
    {"is_hung_up", get_is_hung_up, NULL, "nobody waits for the answer", NULL},
    {"is_writable", get_is_writable, NULL, "write() would not wait", NULL},
    {"is_rehearsal", get_is_rehearsal, NULL, "in the zygote: nobody has asked", NULL},
    {"is_upgraded", get_is_upgraded, NULL, "the connection is the program's", NULL},
    {"is_written", get_is_written, NULL, "the head cannot be taken back", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef methods[] = {
    {"get", py_get, METH_O, "A header's value, or None."},
    {"asgi_headers", py_asgi_headers, METH_NOARGS, "Pairs of bytes, names in small letters."},
    {"raw_head", py_raw_head, METH_NOARGS, "The head as bytes."},
    {"fill_environ", py_fill_environ, METH_O, "Adds HTTP_... to a dict."},
    {"decoded_path", py_decoded_path, METH_NOARGS, "PATH_INFO"},
    {"read", py_read, METH_O, "Up to n bytes of the body; b'' at its end."},
    {"read_now", py_read_now, METH_O, "The same without waiting: None if nothing has come."},
    {"body", py_body, METH_NOARGS, "The whole body."},
    {"start", py_start, METH_VARARGS, "start(status, [(name, value)], length=-1)"},
    {"write", request_write, METH_O, "Adds to the body."},
    {"flush", py_flush, METH_NOARGS, "Sends what is held back."},
    {"finish", request_finish, METH_NOARGS, "Completes the answer."},
    {"complete", py_complete, METH_NOARGS, "The same, behind all that was printed."},
    {"upgrade", py_upgrade, METH_NOARGS, "After start(101, ...): (descriptor, bytes)."},
    {"suspect", py_suspect, METH_O, "Says which errno the error comes from."},
    {"fail", py_fail, METH_O, "Answers with an unhandled error, JSON as bytes."},
    {"raw_begin", py_raw_begin, METH_NOARGS, "The answer will be raw HTTP."},
    {"raw_feed", py_raw_feed, METH_O, "A piece of it. Returns whether its head is complete."},
    {"raw_end", py_raw_end, METH_NOARGS, "That was all of it."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_getset, getters},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "_mayfly.Request",
    .basicsize = sizeof(struct request),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = slots,
};

static PyObject *type;

int request_type_init(PyObject *module)
{
    type = PyType_FromSpec(&spec);
    return type ? 0 : -1;
}

PyObject *request_new(void)
{
    return PyType_GenericAlloc((PyTypeObject *)type, 0);
}
