/* Tells where a worker was when its time was up, or that it ran out of heap.
 *
 * At the deadline JavaScript itself makes the report. If it is running, V8 is asked to interrupt
 * it, and the report runs on top of the stack that it tells; if the event loop waits, an async
 * handle wakes it. Both are asked at once, and the first that comes ends the process. What never
 * comes by is a synchronous call into C that does not return: then there is no stack, only the end.
 *
 * V8's interrupts are no part of Node-API. They are looked up by name and left out where a node
 * does not have them.
 *
 * Context: the handlers call async-signal-safe functions only, and V8's RequestInterrupt(), which
 * takes a lock that is held for a moment by who requests an interrupt. */

#include "node.h"

#include "zygote/worker.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EXIT_DEADLINE    124        /* as timeout(1) does */
#define EXIT_ABORT       134        /* as shells tell SIGABRT */
#define HEAP_RESERVE     (8u << 20) /* more heap for the way to the end */
#define REQUEST          "_ZN2v87Isolate16RequestInterruptEPFvPS0_PvES2_"
#define CURRENT          "_ZN2v87Isolate10GetCurrentEv"
#define ADD_HEAP_WATCHER "_ZN2v87Isolate24AddNearHeapLimitCallbackEPFmPvmmES1_"

typedef void interrupting(void *isolate, void *data);

static struct {
    napi_env env;
    napi_ref on_stack;
    void *async;
    void *isolate;
    void (*request_interrupt)(void *isolate, interrupting *callback, void *data);
    pid_t owner;
    bool is_woken;
    volatile sig_atomic_t is_asked;
    volatile sig_atomic_t heap_is_full;
} the;

static void *lookup(const char *name)
{
    return dlsym(RTLD_DEFAULT, name);
}

/* Ends the process: on_stack() does, or we do. */
static _noreturn_ void report(const char *why)
{
    napi_handle_scope scope;
    napi_value function, undefined, argument;

    if (napi_open_handle_scope(the.env, &scope) == napi_ok &&
        napi_get_reference_value(the.env, the.on_stack, &function) == napi_ok &&
        napi_get_undefined(the.env, &undefined) == napi_ok &&
        napi_create_string_utf8(the.env, why, NAPI_AUTO_LENGTH, &argument) == napi_ok)
        (void)napi_call_function(the.env, undefined, function, 1, &argument, NULL);
    _exit(EXIT_DEADLINE);
}

static void on_interrupt(void *isolate, void *data)
{
    if (!the.is_woken) /* or else it is the report itself that V8 interrupts */
        report("running");
}

static void on_wake(void *async)
{
    the.is_woken = true;
    report("waiting");
}

void stack_report_if_asked(void)
{
    if (the.is_asked)
        on_wake(NULL);
}

static void on_stack_signal(int number)
{
    int saved_errno = errno;

    if (the.owner == getpid()) {
        the.is_asked = 1;
        if (the.request_interrupt)
            the.request_interrupt(the.isolate, on_interrupt, NULL);
        (void)uv_async_send(the.async);
    }
    errno = saved_errno;
}

/* abort(), which V8 calls when it has no memory. A worker is PID 1 of its namespace, where the
 * signal itself ends nothing. */
static void on_abort(int number)
{
    if (the.owner == getpid())
        worker_tell_limit(the.heap_is_full ? ENOMEM : errno);
    _exit(EXIT_ABORT);
}

static size_t on_heap_limit(void *data, size_t current, size_t initial)
{
    if (the.heap_is_full)
        return current;
    the.heap_is_full = 1;
    return current + HEAP_RESERVE;
}

static void watch_heap(void)
{
    union {
        void *object;
        void (*function)(void *isolate, size_t (*callback)(void *, size_t, size_t), void *data);
    } add = {.object = lookup(ADD_HEAP_WATCHER)};

    if (add.object && the.isolate)
        add.function(the.isolate, on_heap_limit, NULL);
}

static void find_isolate(void)
{
    union {
        void *object;
        void *(*function)(void);
    } current = {.object = lookup(CURRENT)};
    union {
        void *object;
        void (*function)(void *isolate, interrupting *callback, void *data);
    } request = {.object = lookup(REQUEST)};

    the.isolate = current.object ? current.function() : NULL;
    the.request_interrupt = the.isolate && request.object ? request.function : NULL;
}

bool stack_catch_signals(napi_env env, napi_value on_stack)
{
    struct sigaction action = {.sa_handler = on_stack_signal, .sa_flags = SA_RESTART};
    struct uv_loop_s *loop;

    the.env = env;
    the.async = calloc(1, uv_handle_size(UV_HANDLE_ASYNC));
    if (!the.async || napi_create_reference(env, on_stack, 1, &the.on_stack) != napi_ok ||
        napi_get_uv_event_loop(env, &loop) != napi_ok ||
        uv_async_init(loop, the.async, on_wake) < 0) {
        (void)napi_throw_error(env, NULL, "cannot watch for the deadline");
        return false;
    }
    uv_unref(the.async);
    find_isolate();
    watch_heap();
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(WORKER_STACK_SIGNAL, &action, NULL);
    action.sa_handler = on_abort;
    (void)sigaction(SIGABRT, &action, NULL);
    return true;
}

void stack_set_owner(void)
{
    the.owner = getpid();
}
