/* The extension module _mayfly: CPython as a zygote.
 *
 * The zygote never runs Python again once it serves: run() stays in C with the GIL held, so that
 * the heap which the workers share is not written to. It calls PyOS_BeforeFork() at most once,
 * ahead of the first fork, and never PyOS_AfterFork_Parent(): the zygote is for ever about to fork.
 *
 * What a worker does after the fork is the host's choice (mayfly_host/after_fork.py says when
 * which): either PyOS_AfterFork_Child() or only the calls that correctness needs. */

#include "extension.h"

#include <errno.h>
#include <stdio_ext.h>

#define REHEARSALS 24

static struct zygote *the_zygote;

static struct {
    PyObject *request;
    PyObject *answer; /* answer(request), or None: it is lambda_answer() */
    PyObject *answer_null;
    PyObject *on_touch;   /* or None */
    PyObject *on_error;   /* on_error(request, exception): whether this process may go on */
    PyObject *after_fork; /* a tuple of callables */
    bool all_hooks;
} host;

static struct {
    PyObject *sys; /* its dict */
    PyObject *names[2];
    PyObject *flush;
} streams;

static int find_streams(void)
{
    PyObject *sys = PyImport_ImportModule("sys");

    streams.sys = sys ? PyModule_GetDict(sys) : NULL; /* sys stays for ever */
    streams.names[0] = PyUnicode_InternFromString("stdout");
    streams.names[1] = PyUnicode_InternFromString("stderr");
    streams.flush = PyUnicode_InternFromString("flush");
    return PyErr_Occurred() ? -1 : 0;
}

/* Whatever the author has made of them. */
void flush_streams(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(streams.names); i++) {
        PyObject *stream = PyDict_GetItemWithError(streams.sys, streams.names[i]);
        PyObject *done = stream ? PyObject_CallMethodObjArgs(stream, streams.flush, NULL) : NULL;

        if (!done)
            PyErr_Clear();
        Py_XDECREF(done);
    }
    if (__fpending(stdout) > 0)
        (void)fflush(stdout);
}

/* ---- secrets ---- */

static PyObject *environment; /* what os.environ keeps its bytes in, or NULL: it is another's */

/* os.environ was filled when the interpreter started. Its dict, of bytes, is what os.environb is,
 * too; what it would do beyond, putenv(), has been done. */
static void find_environment(void)
{
    PyObject *os = PyImport_ImportModule("os");
    PyObject *environ_object = os ? PyObject_GetAttrString(os, "environ") : NULL;

    environment = environ_object ? PyObject_GetAttrString(environ_object, "_data") : NULL;
    if (environment && !PyDict_Check(environment))
        Py_CLEAR(environment);
    Py_XDECREF(environ_object);
    Py_XDECREF(os);
    PyErr_Clear();
}

static void on_variable(void *ctx, const char *name, const char *value)
{
    PyObject *key = environment ? PyBytes_FromString(name) : NULL;
    PyObject *item = key ? PyBytes_FromString(value) : NULL;

    if (item && PyDict_SetItem(environment, key, item) < 0)
        PyErr_Clear(); /* no memory: getenv() has it all the same */
    Py_XDECREF(key);
    Py_XDECREF(item);
}

/* With "secrets": "load". */
static void set_variables(const struct zygote_start *start)
{
    find_environment();
    for (const char *const *name = start->secrets; start->secrets_at_load && *name; name++) {
        const char *value = getenv(*name);

        if (value)
            on_variable(NULL, *name, value);
    }
}

/* The names of the variables that only workers have; NULL with an exception. */
static PyObject *late_variables(const struct zygote_start *start)
{
    PyObject *list = PyList_New(0);

    for (const char *const *name = start->secrets; list && !start->secrets_at_load && *name;
         name++) {
        PyObject *item = PyUnicode_DecodeFSDefault(*name);

        if (!item || PyList_Append(list, item) < 0)
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

/* ---- the host's calls ---- */

static void after_fork(void *ctx)
{
    if (host.all_hooks)
        PyOS_AfterFork_Child();
    for (Py_ssize_t i = 0; i < PyTuple_Size(host.after_fork); i++) {
        PyObject *hook = PyTuple_GetItem(host.after_fork, i);
        PyObject *result = PyObject_CallObject(hook, NULL);

        if (!result)
            PyErr_WriteUnraisable(hook);
        Py_XDECREF(result);
    }
    openssl_after_fork();
    stack_set_owner();
}

/* Returns 0, or -1 with an exception. */
static int answer(bool is_touch)
{
    PyObject *f = is_touch ? host.answer_null : host.answer, *result;

    if (host.answer == Py_None)
        return lambda_answer(host.request, is_touch);
    result = PyObject_CallFunctionObjArgs(f, host.request, NULL);
    Py_XDECREF(result);
    return result ? 0 : -1;
}

static void touch(void *ctx, struct worker *w)
{
    request_begin(host.request, w);
    if (answer(true) < 0)
        PyErr_WriteUnraisable(host.answer_null);
    if (host.on_touch != Py_None) {
        PyObject *result = PyObject_CallObject(host.on_touch, NULL);

        if (!result)
            PyErr_WriteUnraisable(host.on_touch);
        Py_XDECREF(result);
    }
    flush_streams();
}

/* The error that could not be told in Python: no memory, or no stack left. */
static int fail_plainly(struct worker *w)
{
    PyObject *type, *value, *traceback, *name = NULL, *bytes = NULL;
    const char *text = NULL;
    int r;

    PyErr_Fetch(&type, &value, &traceback);
    name = type ? PyObject_GetAttrString(type, "__name__") : NULL;
    bytes = name ? PyUnicode_AsUTF8String(name) : NULL;
    text = bytes ? PyBytes_AsString(bytes) : NULL;
    if (type && PyErr_GivenExceptionMatches(type, PyExc_MemoryError))
        worker_suspect(w, ENOMEM);
    r = worker_fail_text(w, text ? text : "Runtime.Unknown",
                         "the handler failed, and so did the report of it", "");
    Py_XDECREF(name);
    Py_XDECREF(bytes);
    PyErr_Restore(type, value, traceback);
    PyErr_Print();
    return r;
}

/* Has the error told by Python. Returns whether the process may go on, or -1. */
static int on_error(void)
{
    PyObject *type, *value, *traceback, *result;
    int go_on;

    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback)
        (void)PyException_SetTraceback(value, traceback);
    result = PyObject_CallFunctionObjArgs(host.on_error, host.request, value, NULL);
    go_on = result ? PyObject_IsTrue(result) : -1;
    Py_XDECREF(result);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    return go_on;
}

static int serve(void *ctx, struct worker *w)
{
    PyObject *done;
    int go_on;

    request_begin(host.request, w);
    if (answer(false) == 0) {
        if (request_is_done(host.request))
            return 0;
        flush_streams();
        done = request_finish(host.request, NULL);
        Py_XDECREF(done);
        if (done)
            return 0;
    }
    go_on = on_error();
    if (go_on < 0)
        return request_is_done(host.request) ? -ECANCELED : fail_plainly(w);
    return go_on ? 0 : -ECANCELED;
}

/* ---- the module's functions ---- */

static PyObject *py_open(PyObject *module, PyObject *unused)
{
    struct error err = ERROR_NULL;
    const struct zygote_start *start;
    PyObject *late;
    int r = zygote_open(&the_zygote, &err);

    if (r < 0) {
        PyErr_SetString(PyExc_RuntimeError, err.text);
        return NULL;
    }
    start = zygote_start(the_zygote);
    set_variables(start);
    late = late_variables(start);
    if (!late)
        return NULL;
    return Py_BuildValue("{s:s,s:s,s:s,s:s,s:O,s:N,s:K,s:K}", "function", start->function,
                         "version", start->version, "handler", start->handler, "isolation",
                         start->isolation == ISOLATION_INSTANCE ? "instance" : "request", "dev",
                         start->dev ? Py_True : Py_False, "late_variables", late, "timeout_ms",
                         (unsigned long long)start->timeout_ms, "memory_bytes",
                         (unsigned long long)start->memory_bytes);
}

static PyObject *py_fail(PyObject *module, PyObject *json)
{
    char *text;
    Py_ssize_t len;

    if (PyBytes_AsStringAndSize(json, &text, &len) < 0)
        return NULL;
    if (!the_zygote) {
        PyErr_SetString(PyExc_RuntimeError, "open() comes first");
        return NULL;
    }
    zygote_fail(the_zygote, slice(text, (size_t)len));
}

/* Runs our own code often enough for the interpreter to have adapted it and filled its caches: or
 * else each worker does so anew, and what it writes to, it has to copy. */
static int rehearse(void)
{
    for (int i = 0; i < REHEARSALS; i++) {
        if (request_begin_rehearsal(host.request) < 0 || answer(true) < 0)
            return -1;
        flush_streams();
    }
    return 0;
}

static int take_host(PyObject *object)
{
    struct {
        const char *name;
        PyObject **ret;
    } attributes[] = {
        {"answer", &host.answer},         {"answer_null", &host.answer_null},
        {"on_touch", &host.on_touch},     {"on_error", &host.on_error},
        {"after_fork", &host.after_fork},
    };
    PyObject *all_hooks = PyObject_GetAttrString(object, "all_hooks");

    host.request = request_new();
    host.all_hooks = all_hooks == Py_True;
    Py_XDECREF(all_hooks);
    if (!host.request || !all_hooks)
        return -1;
    for (size_t i = 0; i < ARRAY_SIZE(attributes); i++) {
        *attributes[i].ret = PyObject_GetAttrString(object, attributes[i].name);
        if (!*attributes[i].ret)
            return -1;
    }
    if (PyTuple_Check(host.after_fork) && the_zygote)
        return 0;
    PyErr_SetString(PyExc_TypeError, "open() comes first, and after_fork is a tuple");
    return -1;
}

/* run(host, freeze): freeze() is called when all that the workers share is there. */
static PyObject *py_run(PyObject *module, PyObject *args)
{
    static const struct zygote_host calls = {
        .on_variable = on_variable, .after_fork = after_fork, .touch = touch, .serve = serve};
    PyObject *object, *freeze, *done;

    if (!PyArg_ParseTuple(args, "OO", &object, &freeze))
        return NULL;
    if (take_host(object) < 0 || find_streams() < 0 || rehearse() < 0)
        return NULL;
    done = PyObject_CallObject(freeze, NULL);
    if (!done)
        return NULL;
    heap_settle();
    if (host.all_hooks)
        PyOS_BeforeFork();
    zygote_run(the_zygote, &calls, NULL);
}

static PyMethodDef methods[] = {
    {"open", py_open, METH_NOARGS, "Waits for START and returns it as a dict."},
    {"fail", py_fail, METH_O, "Tells (JSON as bytes) why the function cannot be loaded; exits."},
    {"openssl_forget", openssl_forget, METH_O, "Makes OpenSSL notice the next change of process."},
    {"openssl_after_fork", openssl_py_after_fork, METH_NOARGS, "For processes forked by a worker."},
    {"lambda_setup", lambda_setup, METH_VARARGS, "What answers with handler(event, context)."},
    {"run", py_run, METH_VARARGS, "run(host, freeze): forks workers for ever."},
    {"catch_signals", stack_catch_signals, METH_O, "Reports crashes, and calls on_stack(...)."},
    {"stack_begin", stack_begin, METH_NOARGS, "The stack report is being made: wait for it."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_mayfly",  .m_doc = "The zygote, from Python.",
    .m_size = -1,          .m_methods = methods,
};

PyMODINIT_FUNC PyInit__mayfly(void);

PyMODINIT_FUNC PyInit__mayfly(void)
{
    PyObject *module = PyModule_Create(&definition);

    if (module && (PyModule_AddStringConstant(module, "STACK_MARK", WORKER_STACK_MARK) < 0 ||
                   request_type_init(module) < 0)) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
