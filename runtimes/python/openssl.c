/* OpenSSL takes two processes for one if they have the same PID: only where it has changed since
 * the last draw does a generator seed itself anew. A zygote may be PID 1 of a namespace, and each
 * worker is PID 1 of its own, so without this all workers would draw the same numbers, keys among
 * them.
 *
 * Seeding in every worker costs 35 page faults, needed or not. Instead the zygote has each copy of
 * OpenSSL draw once under another PID, the last thing it does: in a worker the first draw, if there
 * is one, then finds the PID changed.
 *
 * The other PID is that of a vfork() child: it shares all memory with this process, which waits
 * meanwhile. So there is one thread of execution, and locks and thread descriptor are its own. A
 * process that gets that same PID later on (children of workers count from 2, too) does it again.
 */

#include "extension.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define COPIES_MAX 16

typedef int draw_fn(unsigned char *dst, int n); /* RAND_bytes() */

static struct {
    draw_fn *draw[COPIES_MAX];
    size_t n;
    PyObject *others;
    pid_t pid; /* under which was drawn last */
} copies;

/* A wheel may bring a libcrypto of its own, as libcrypto-1a2b3c4d.so.3. */
static int on_object(struct dl_phdr_info *info, size_t size, void *ctx)
{
    const char *slash = info->dlpi_name ? strrchr(info->dlpi_name, '/') : NULL;
    void *handle, *symbol;

    if (!slash || strncmp(slash + 1, "libcrypto", 9) != 0 || copies.n == COPIES_MAX)
        return 0;
    handle = dlopen(info->dlpi_name, RTLD_LAZY | RTLD_NOLOAD); /* loaded for ever: not closed */
    symbol = handle ? dlsym(handle, "RAND_bytes") : NULL;
    if (symbol)
        memcpy(&copies.draw[copies.n++], &symbol, sizeof(symbol));
    return 0;
}

/* Context: in the vfork() child. */
static void draw_all(void)
{
    unsigned char byte;

    for (size_t i = 0; i < copies.n; i++)
        (void)copies.draw[i](&byte, 1);
    for (Py_ssize_t i = 0; i < PyTuple_Size(copies.others); i++) {
        PyObject *done = PyObject_CallObject(PyTuple_GetItem(copies.others, i), NULL);

        if (!done)
            PyErr_Clear();
        Py_XDECREF(done);
    }
}

static int draw_elsewhere(void)
{
    int status;
    pid_t pid = vfork();

    if (pid == 0) {
        draw_all();
        _exit(EXIT_SUCCESS);
    }
    if (pid < 0)
        return -errno;
    copies.pid = pid;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return 0;
}

void openssl_after_fork(void)
{
    if (copies.pid != 0 && copies.pid == getpid() && draw_elsewhere() < 0)
        _exit(EXIT_FAILURE); /* better none than one whose secrets are another's */
}

/* openssl_after_fork(): for processes that the function forks itself. */
PyObject *openssl_py_after_fork(PyObject *module, PyObject *unused)
{
    openssl_after_fork();
    Py_RETURN_NONE;
}

/* openssl_forget(others): `others` are callables that draw from copies which are not shared
 * libraries of OpenSSL's own name. */
PyObject *openssl_forget(PyObject *module, PyObject *others)
{
    int r;

    if (!PyTuple_Check(others)) {
        PyErr_SetString(PyExc_TypeError, "others must be a tuple");
        return NULL;
    }
    Py_INCREF(others);
    copies.others = others;
    (void)dl_iterate_phdr(on_object, NULL);
    if (copies.n == 0 && PyTuple_Size(others) == 0)
        Py_RETURN_FALSE;
    r = draw_elsewhere();
    if (r < 0) {
        errno = -r;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_RETURN_TRUE;
}
