/* Tells where a worker crashed, or where it was when its time was up. Costs nothing per request:
 * all is installed once, in the zygote, and inherited.
 *
 * At the deadline the first choice is a report made in Python, since only that can say what
 * asyncio's tasks wait for. CPython runs it as soon as the interpreter comes by; it never does
 * while C code holds the GIL. So a timer is armed beside it, and when it rings faulthandler's dump,
 * which needs no interpreter, is written instead.
 *
 * Crashes: faulthandler's handlers do the dump; ours are put before them for the mark, and behind
 * them because a worker is PID 1 of its namespace: faulthandler ends by raising the signal anew,
 * which the kernel ignores there. A faulting instruction that runs again is not ignored, so after a
 * real fault returning is enough; after abort() only an exit code is left to tell by.
 *
 * Context: the handlers call async-signal-safe functions only, and what faulthandler calls. */

#include "extension.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS        50  /* for the interpreter to come by */
#define REPORT_PATIENCE_MS 500 /* for the report in Python, which reads source files */
#define EXIT_DEADLINE      124 /* as timeout(1) does */
#define EXIT_SIGNAL_BASE   128 /* as shells do */

static const int fatal_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

static void (*fatal_next[ARRAY_SIZE(fatal_signals)])(int);
static void (*dump)(int); /* faulthandler's, registered for WORKER_STACK_SIGNAL */
static void (*trip)(int); /* CPython's: has on_stack called */

static volatile sig_atomic_t is_asked;
static pid_t owner;
static int timer = -1; /* of the kernel's: glibc's timer_create() allocates */

void stack_set_owner(void)
{
    owner = getpid();
}

/* Not in a process that the function has forked: what it says is the function's own affair. */
static void write_mark(void)
{
    if (owner == 0 || owner == getpid())
        (void)!write(STDERR_FILENO, WORKER_STACK_MARK, sizeof(WORKER_STACK_MARK) - 1);
}

static void dump_and_exit(int signal)
{
    write_mark();
    dump(signal);
    _exit(EXIT_DEADLINE);
}

static bool arm(int ms)
{
    struct itimerspec t = {.it_value = {.tv_sec = 0, .tv_nsec = ms * 1000000L}};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = WORKER_STACK_SIGNAL};

    if (timer < 0 && syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) < 0)
        return false;
    return syscall(SYS_timer_settime, timer, 0, &t, NULL) == 0;
}

static void on_stack_signal(int signal, siginfo_t *info, void *context)
{
    int saved_errno = errno;

    if (is_asked && info->si_code == SI_TIMER)
        dump_and_exit(signal);
    if (!is_asked) {
        is_asked = 1;
        if (!arm(PATIENCE_MS))
            dump_and_exit(signal);
        trip(signal);
    }
    errno = saved_errno;
}

static void on_fatal_signal(int signal, siginfo_t *info, void *context)
{
    if (owner == getpid())
        worker_tell_limit(errno);
    write_mark();
    for (size_t i = 0; i < ARRAY_SIZE(fatal_signals); i++) {
        if (fatal_signals[i] == signal)
            fatal_next[i](signal);
    }
    /* The default is restored by now, and we are PID 1, or the signal would have ended us. */
    if (info->si_code > 0 && signal != SIGABRT)
        return;
    _exit(EXIT_SIGNAL_BASE + signal);
}

/* Puts `handler` in the place of what is installed for the signal, which is returned. */
static void (*interpose(int signal, void (*handler)(int, siginfo_t *, void *), int flags))(int)
{
    struct sigaction action = {.sa_sigaction = handler,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | flags};
    struct sigaction before;

    sigemptyset(&action.sa_mask);
    (void)sigaction(signal, &action, &before);
    return before.sa_handler;
}

PyObject *stack_begin(PyObject *module, PyObject *unused)
{
    (void)arm(REPORT_PATIENCE_MS);
    Py_RETURN_NONE;
}

/* catch_signals(on_stack): on_stack(signal, frame) is what signal.signal() takes. */
PyObject *stack_catch_signals(PyObject *module, PyObject *on_stack)
{
    PyObject *faulthandler = PyImport_ImportModule("faulthandler");
    PyObject *signals = PyImport_ImportModule("signal"), *r = NULL;
    struct sigaction action;

    if (!faulthandler || !signals)
        goto out;
    r = PyObject_CallMethod(faulthandler, "enable", "i", STDERR_FILENO);
    if (!r)
        goto out;
    Py_DECREF(r);
    r = PyObject_CallMethod(faulthandler, "register", "iiii", WORKER_STACK_SIGNAL, STDERR_FILENO, 1,
                            0);
    if (!r)
        goto out;
    Py_DECREF(r);
    (void)sigaction(WORKER_STACK_SIGNAL, NULL, &action);
    dump = action.sa_handler;
    r = PyObject_CallMethod(signals, "signal", "iO", WORKER_STACK_SIGNAL, on_stack);
    if (!r)
        goto out;
    trip = interpose(WORKER_STACK_SIGNAL, on_stack_signal, 0);
    for (size_t i = 0; i < ARRAY_SIZE(fatal_signals); i++)
        fatal_next[i] = interpose(fatal_signals[i], on_fatal_signal, SA_NODEFER);
out:
    Py_XDECREF(faulthandler);
    Py_XDECREF(signals);
    return r;
}
