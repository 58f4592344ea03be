/* The extension module _mayfly: CPython as a zygote.
 *
 * The zygote never runs Python again once it serves: run() stays in C with the GIL held, so that the
 * heap which the workers share is not written to. It calls PyOS_BeforeFork() at most once, ahead of
 * the first fork, and never PyOS_AfterFork_Parent(): the zygote is for ever about to fork.
 *
 * What a worker does after the fork is the host's choice (mayfly_host/after_fork.py says when which):
 * either PyOS_AfterFork_Child() or only the calls that correctness needs. */

#include "extension.h"

#include <errno.h>
#include <stdio.h>

static struct zygote *the_zygote;

static struct {
    PyObject *request;
    PyObject *serve;
    PyObject *touch;
    PyObject *after_fork; /* a tuple of callables */
    bool all_hooks;
} host;

/* ---- the host's three calls ---- */

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
    stack_set_owner();
}

static void touch(void *ctx, struct worker *w)
{
    PyObject *result;

    request_begin(host.request, w);
    result = PyObject_CallFunctionObjArgs(host.touch, host.request, NULL);
    if (!result)
        PyErr_WriteUnraisable(host.touch);
    Py_XDECREF(result);
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
    r = worker_fail_text(w, text ? text : "Runtime.Unknown",
                         "the handler failed, and so did the report of it", "");
    Py_XDECREF(name);
    Py_XDECREF(bytes);
    PyErr_Restore(type, value, traceback);
    PyErr_Print();
    return r;
}

static int serve(void *ctx, struct worker *w)
{
    PyObject *result;
    int go_on;

    request_begin(host.request, w);
    result = PyObject_CallFunctionObjArgs(host.serve, host.request, NULL);
    go_on = result ? PyObject_IsTrue(result) : -1;
    Py_XDECREF(result);
    if (go_on < 0 && !request_is_done(host.request))
        return fail_plainly(w);
    (void)fflush(stdout); /* what C code has printed */
    return go_on == 1 ? 0 : -ECANCELED;
}

/* ---- the module's functions ---- */

static PyObject *py_open(PyObject *module, PyObject *unused)
{
    struct error err = ERROR_NULL;
    const struct zygote_start *start;
    int r = zygote_open(&the_zygote, &err);

    if (r < 0) {
        PyErr_SetString(PyExc_RuntimeError, err.text);
        return NULL;
    }
    start = zygote_start(the_zygote);
    return Py_BuildValue("{s:s,s:s,s:s,s:s,s:O,s:K,s:K}", "function", start->function, "version",
                         start->version, "handler", start->handler, "isolation",
                         start->isolation == ISOLATION_INSTANCE ? "instance" : "request", "dev",
                         start->dev ? Py_True : Py_False, "timeout_ms",
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

static PyObject *py_run(PyObject *module, PyObject *object)
{
    static const struct zygote_host calls = {
        .after_fork = after_fork, .touch = touch, .serve = serve};
    PyObject *all_hooks = PyObject_GetAttrString(object, "all_hooks");

    host.serve = PyObject_GetAttrString(object, "serve");
    host.touch = PyObject_GetAttrString(object, "touch");
    host.after_fork = PyObject_GetAttrString(object, "after_fork");
    host.request = request_new();
    if (!all_hooks || !host.serve || !host.touch || !host.after_fork || !host.request)
        return NULL;
    if (!PyTuple_Check(host.after_fork) || !the_zygote) {
        PyErr_SetString(PyExc_TypeError, "open() comes first, and after_fork is a tuple");
        return NULL;
    }
    host.all_hooks = PyObject_IsTrue(all_hooks) == 1;
    Py_DECREF(all_hooks);
    if (host.all_hooks)
        PyOS_BeforeFork();
    zygote_run(the_zygote, &calls, NULL);
}

static PyMethodDef methods[] = {
    {"open", py_open, METH_NOARGS, "Waits for START and returns it as a dict."},
    {"fail", py_fail, METH_O, "Tells (JSON as bytes) why the function cannot be loaded; exits."},
    {"run", py_run, METH_O, "Forks workers for ever: calls serve, touch and after_fork in them."},
    {"catch_signals", stack_catch_signals, METH_O, "Reports crashes, and calls on_stack(...)."},
    {"stack_begin", stack_begin, METH_NOARGS, "The stack report is being made: wait for it."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_mayfly", .m_doc = "The zygote, from Python.", .m_size = -1,
    .m_methods = methods,
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
