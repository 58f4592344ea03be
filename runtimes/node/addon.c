/* mayfly.node: Node.js as a zygote.
 *
 * run() is called from JavaScript when all that workers share is there, and stays in C: the zygote
 * never runs JavaScript again, so that the heap which its workers share is not written to. In a
 * worker it returns, and JavaScript goes on where it was, in another process.
 *
 * What V8 and libuv need for that: no threads that matter (--single-threaded --v8-pool-size=0), the
 * heap in the fork and pthread_atfork()'s handlers run (interpose.c), and uv_loop_fork() for the
 * event loop. The process must end by exit(): node's own end joins threads that are not there. */

#include "node.h"

#include "zygote/worker.h"
#include "zygote/zygote.h"

#include "os/clone.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define JSON_BYTES_MAX (1024UL * 1024)

static struct zygote *the_zygote;

/* ---- values ---- */

static napi_value fail_with(napi_env env, const char *what)
{
    (void)napi_throw_error(env, NULL, what);
    return NULL;
}

static void set(napi_env env, napi_value object, const char *name, napi_value value)
{
    (void)napi_set_named_property(env, object, name, value);
}

static napi_value text(napi_env env, const char *s)
{
    napi_value value = NULL;

    (void)napi_create_string_utf8(env, s, NAPI_AUTO_LENGTH, &value);
    return value;
}

static napi_value number(napi_env env, double n)
{
    napi_value value = NULL;

    (void)napi_create_double(env, n, &value);
    return value;
}

static napi_value boolean(napi_env env, bool b)
{
    napi_value value = NULL;

    (void)napi_get_boolean(env, b, &value);
    return value;
}

/* The arguments of a call; those that are missing are undefined. */
static void arguments(napi_env env, napi_callback_info info, size_t n, napi_value *ret)
{
    (void)napi_get_cb_info(env, info, &n, ret, NULL, NULL);
}

/* A string's bytes. Returns 0 or -errno. */
static int bytes_of(napi_env env, napi_value value, struct buf *ret)
{
    size_t len;
    int r;

    if (napi_get_value_string_utf8(env, value, NULL, 0, &len) != napi_ok)
        return -EINVAL;
    r = buf_reserve(ret, len + 1);
    if (r < 0)
        return r;
    (void)napi_get_value_string_utf8(env, value, buf_tail(ret), len + 1, &len);
    buf_commit(ret, len);
    return 0;
}

/* ---- the zygote ---- */

static napi_value js_open(napi_env env, napi_callback_info info)
{
    struct error err = ERROR_NULL;
    const struct zygote_start *start;
    napi_value object;

    sigset_t chld;

    if (zygote_open(&the_zygote, &err) < 0)
        return fail_with(env, err.text);
    /* What the code starts while it is loaded ends by the usual signal; run() blocks it again. */
    (void)sigemptyset(&chld);
    (void)sigaddset(&chld, SIGCHLD);
    (void)sigprocmask(SIG_UNBLOCK, &chld, NULL);
    start = zygote_start(the_zygote);
    (void)napi_create_object(env, &object);
    set(env, object, "function", text(env, start->function));
    set(env, object, "version", text(env, start->version));
    set(env, object, "handler", text(env, start->handler));
    set(env, object, "isolation",
        text(env, start->isolation == ISOLATION_INSTANCE ? "instance" : "request"));
    set(env, object, "dev", boolean(env, start->dev));
    set(env, object, "timeoutMs", number(env, (double)start->timeout_ms));
    set(env, object, "memoryBytes", number(env, (double)start->memory_bytes));
    return object;
}

/* fail(json): tells why the function cannot be loaded, and exits. */
static napi_value js_fail(napi_env env, napi_callback_info info)
{
    struct buf json = BUF_INIT(JSON_BYTES_MAX);
    napi_value argument;

    arguments(env, info, 1, &argument);
    if (!the_zygote || bytes_of(env, argument, &json) < 0)
        _exit(EXIT_FAILURE);
    zygote_fail(the_zygote, buf_slice(&json));
}

/* What was sent in the zygote, and not taken there, is not sent again: libuv holds it for pending,
 * but its wake-up stayed in the zygote's eventfd. V8's tasks for the main thread would wait for
 * ever. So each worker is woken once. */
static void *nudge;

static void on_nudge(void *async)
{
}

static bool nudge_init(struct uv_loop_s *loop)
{
    nudge = calloc(1, uv_handle_size(UV_HANDLE_ASYNC));
    if (!nudge || uv_async_init(loop, nudge, on_nudge) < 0)
        return false;
    uv_unref(nudge);
    return true;
}

static void after_fork(void *ctx)
{
    interpose_after_fork();
    if (uv_loop_fork(ctx) < 0 || uv_async_send(nudge) < 0)
        _exit(EXIT_FAILURE);
    stack_set_owner();
}

static struct uv_loop_s *loop_of(napi_env env)
{
    struct uv_loop_s *loop = NULL;

    return napi_get_uv_event_loop(env, &loop) == napi_ok ? loop : NULL;
}

/* isQuiet(): whether requests may be served without the event loop; see direct.c. */
static napi_value js_is_quiet(napi_env env, napi_callback_info info)
{
    struct uv_loop_s *loop = loop_of(env);

    return boolean(env, loop && direct_is_quiet(loop));
}

#define HANDLES_MAX                                                                                \
    1024 /* that keep the event loop alive; with more of them it counts as at work */

struct handles {
    struct uv_handle_s *list[HANDLES_MAX];
    size_t n;
};

static void on_reference(struct uv_handle_s *handle, void *arg)
{
    struct handles *handles = arg;

    if (uv_has_ref(handle) && handles->n < HANDLES_MAX)
        handles->list[handles->n++] = handle;
}

/* isAtWork(): whether the thread pool, or a native module in it, has still to answer: hashes,
 * images, name look-ups. Node lists handles and some requests only. Without its handles the event
 * loop lives for its requests alone. */
static napi_value js_is_at_work(napi_env env, napi_callback_info info)
{
    static struct handles handles;
    struct uv_loop_s *loop = loop_of(env);
    bool is_at_work;

    if (!loop)
        return boolean(env, false);
    handles.n = 0;
    uv_walk(loop, on_reference, &handles);
    for (size_t i = 0; i < handles.n; i++)
        uv_unref(handles.list[i]);
    is_at_work = uv_loop_alive(loop);
    for (size_t i = 0; i < handles.n; i++)
        uv_ref(handles.list[i]);
    return boolean(env, is_at_work);
}

/* run(): forks workers for ever, and returns in each of them. */
static napi_value js_run(napi_env env, napi_callback_info info)
{
    static const struct zygote_host host = {.after_fork = after_fork};
    struct uv_loop_s *loop;

    if (!the_zygote || napi_get_uv_event_loop(env, &loop) != napi_ok || !nudge_init(loop))
        return fail_with(env, "open() comes first");
    interpose_end();
    zygote_run_bare(the_zygote, &host, loop);
    return NULL;
}

/* canary(): forks as run() does. Returns a descriptor to read the child's words from, or in the
 * child -1; what it writes to its stdout is read there. */
static napi_value js_canary(napi_env env, napi_callback_info info)
{
    struct pidref child = PIDREF_NULL;
    struct uv_loop_s *loop;
    int fds[2], r;

    if (napi_get_uv_event_loop(env, &loop) != napi_ok || !nudge_init(loop) ||
        pipe2(fds, O_CLOEXEC) < 0)
        return fail_with(env, "cannot try to fork");
    r = os_clone(0, &child);
    if (r == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (dup2(fds[1], STDOUT_FILENO) < 0)
            _exit(EXIT_FAILURE);
        after_fork(loop);
        return number(env, -1);
    }
    (void)close(fds[1]);
    return r < 0 ? fail_with(env, strerrordesc_np(-r)) : number(env, fds[0]);
}

/* ---- the worker ---- */

/* exit(code), at once: nothing of node's own end. */
static napi_value js_exit(napi_env env, napi_callback_info info)
{
    napi_value argument;
    int32_t code = EXIT_FAILURE;

    arguments(env, info, 1, &argument);
    (void)napi_get_value_int32(env, argument, &code);
    _exit(code);
}

/* From here on the event loop does not run empty: somebody else knows what is still awaited. */
static napi_value js_stay(napi_env env, napi_callback_info info)
{
    uv_ref(nudge);
    return NULL;
}

/* Whether a request waits already. */
static napi_value js_waits(napi_env env, napi_callback_info info)
{
    struct pollfd p = {.fd = ZYGOTE_FD_WORKER, .events = POLLIN};

    return boolean(env, poll(&p, 1, 0) > 0);
}

/* pair(): two descriptors that talk to each other, for a rehearsal. */
static napi_value js_pair(napi_env env, napi_callback_info info)
{
    napi_value array;
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return fail_with(env, strerrordesc_np(errno));
    (void)napi_create_array(env, &array);
    (void)napi_set_element(env, array, 0, number(env, fds[0]));
    (void)napi_set_element(env, array, 1, number(env, fds[1]));
    return array;
}

static napi_value js_pid(napi_env env, napi_callback_info info)
{
    return number(env, getpid());
}

/* draw(Uint32Array): fills it with random bits. */
static napi_value js_draw(napi_env env, napi_callback_info info)
{
    napi_value argument;
    napi_typedarray_type type;
    size_t n;
    void *data;

    arguments(env, info, 1, &argument);
    if (napi_get_typedarray_info(env, argument, &type, &n, &data, NULL, NULL) != napi_ok ||
        type != napi_uint32_array)
        return fail_with(env, "takes a Uint32Array");
    if (getrandom(data, n * sizeof(uint32_t), 0) != (ssize_t)(n * sizeof(uint32_t)))
        return fail_with(env, "the system has no random numbers");
    return NULL;
}

/* errorBody(errno, json): [body, limit or ""]. */
static napi_value js_error_body(napi_env env, napi_callback_info info)
{
    struct buf json = BUF_INIT(JSON_BYTES_MAX), body = BUF_INIT(2 * JSON_BYTES_MAX);
    char limit[WORKER_LIMIT_MAX];
    napi_value args[2], array = NULL, value;
    int32_t error = 0;

    arguments(env, info, 2, args);
    (void)napi_get_value_int32(env, args[0], &error);
    if (bytes_of(env, args[1], &json) == 0 &&
        worker_error_body(error, buf_slice(&json), &body, limit) == 0) {
        struct slice s = buf_slice(&body);

        (void)napi_create_array(env, &array);
        (void)napi_create_string_utf8(env, s.base, s.len, &value);
        (void)napi_set_element(env, array, 0, value);
        (void)napi_set_element(env, array, 1, text(env, limit));
    }
    buf_deinit(&json);
    buf_deinit(&body);
    return array ? array : fail_with(env, "no memory for the error");
}

/* catchSignals(onStack) */
static napi_value js_catch_signals(napi_env env, napi_callback_info info)
{
    napi_value argument;

    arguments(env, info, 1, &argument);
    (void)stack_catch_signals(env, argument);
    return NULL;
}

/* A process that serves one request and was not forked from a loaded one: see main.js. */
static napi_value js_single(napi_env env, napi_callback_info info)
{
    stack_set_owner();
    return NULL;
}

NAPI_MODULE_INIT(/* env, exports */)
{
    static const struct {
        const char *name;
        napi_callback function;
    } functions[] = {
        {"open", js_open},
        {"fail", js_fail},
        {"run", js_run},
        {"canary", js_canary},
        {"exit", js_exit},
        {"waits", js_waits},
        {"pair", js_pair},
        {"pid", js_pid},
        {"draw", js_draw},
        {"single", js_single},
        {"errorBody", js_error_body},
        {"catchSignals", js_catch_signals},
        {"isQuiet", js_is_quiet},
        {"isAtWork", js_is_at_work},
        {"stay", js_stay},
        {"receive", direct_receive},
        {"body", direct_body},
        {"answer", direct_answer},
        {"touch", direct_touch},
    };

    for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
        napi_value function;

        if (napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].function,
                                 NULL, &function) != napi_ok)
            return NULL;
        set(env, exports, functions[i].name, function);
    }
    return exports;
}
