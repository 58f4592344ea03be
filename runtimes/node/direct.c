/* A request that is read, and answered, in one go, for handlers that see neither happen (Lambda's).
 * Without node's sockets, streams and http.Server a worker calls a tenth of the functions; what a
 * function's first call writes to is what a worker has to copy.
 *
 * It waits in poll() instead of the event loop, so it is only for a process in which nothing else
 * can happen meanwhile: see is_quiet(). */

#include "node.h"

#include "zygote/worker.h"
#include "zygote/zygote.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#define HEADERS_MAX    256
#define BODY_READ      65536
#define TEXT_BYTES_MAX (1024UL * 1024)

static struct worker *the_worker;
static bool is_touch;

static napi_value fail_with(napi_env env, const char *code, const char *what)
{
    (void)napi_throw_error(env, code, what);
    return NULL;
}

static napi_value fail_with_errno(napi_env env, int r)
{
    return fail_with(env, strerrorname_np(-r), strerrordesc_np(-r));
}

static napi_value latin1(napi_env env, struct slice s)
{
    napi_value value = NULL;

    (void)napi_create_string_latin1(env, s.base, s.len, &value);
    return value;
}

/* ---- whether anything else can happen ---- */

/* Handles that are active, and do nothing by themselves: node's own, and those that wake up. */
static bool is_passive(int type)
{
    return type == UV_HANDLE_ASYNC || type == UV_HANDLE_CHECK || type == UV_HANDLE_PREPARE;
}

static void on_handle(struct uv_handle_s *handle, void *is_quiet)
{
    if (uv_is_active(handle) && !is_passive(uv_handle_get_type(handle)))
        *(bool *)is_quiet = false;
}

bool direct_is_quiet(struct uv_loop_s *loop)
{
    bool is_quiet = true;

    uv_walk(loop, on_handle, &is_quiet);
    return is_quiet && !uv_loop_alive(loop);
}

/* ---- the request ---- */

/* Until there is something to read. A signal may be the one that asks for the stack. */
static void await_bytes(void)
{
    struct pollfd p = {.fd = ZYGOTE_FD_WORKER, .events = POLLIN};

    while (poll(&p, 1, -1) < 0 && errno == EINTR)
        stack_report_if_asked();
}

/* [method, url, raw headers] */
static napi_value head_of(napi_env env, const struct http_head *head)
{
    napi_value array = NULL, headers = NULL;
    uint32_t n = 0;

    if (napi_create_array_with_length(env, 3, &array) != napi_ok ||
        napi_create_array_with_length(env, 2 * (size_t)head->n_headers, &headers) != napi_ok)
        return NULL;
    for (uint32_t i = 0; i < head->n_headers; i++) {
        (void)napi_set_element(env, headers, n++, latin1(env, head->headers[i].name));
        (void)napi_set_element(env, headers, n++, latin1(env, head->headers[i].value));
    }
    (void)napi_set_element(env, array, 0, latin1(env, head->method));
    (void)napi_set_element(env, array, 1, latin1(env, head->target));
    (void)napi_set_element(env, array, 2, headers);
    return array;
}

/* receive(): waits for the request. Does not return if there will be none. */
napi_value direct_receive(napi_env env, napi_callback_info info)
{
    struct uv_loop_s *loop;
    int r;

    while ((r = worker_next_now(the_worker)) == -EAGAIN)
        await_bytes();
    if (r <= 0)
        _exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
    if (napi_get_uv_event_loop(env, &loop) == napi_ok)
        uv_update_time(loop); /* or a handler's timers would count from before the fork */
    return head_of(env, worker_head(the_worker));
}

/* Adds the next piece. Returns 0 at the body's end, or a negative errno. */
static ssize_t add_piece(struct buf *body)
{
    int r = buf_reserve(body, BODY_READ);
    ssize_t n = r < 0 ? r : worker_read_now(the_worker, buf_tail(body), BODY_READ);

    if (n > 0)
        buf_commit(body, (size_t)n);
    return n;
}

/* body(): all of it, as a Buffer, or null if the request has none. Throws if it ends too soon. */
napi_value direct_body(napi_env env, napi_callback_info info)
{
    struct buf body = BUF_INIT(SIZE_MAX / 2);
    napi_value buffer = NULL;
    ssize_t n;

    if (is_touch || worker_head(the_worker)->framing == HTTP_BODY_NONE)
        return napi_get_null(env, &buffer) == napi_ok ? buffer : NULL;
    while ((n = add_piece(&body)) != 0) {
        if (n == -EAGAIN)
            await_bytes();
        else if (n < 0)
            break;
    }
    if (n == 0 && napi_create_buffer_copy(env, buf_len(&body), buf_slice(&body).base, NULL,
                                          &buffer) != napi_ok)
        buffer = NULL; /* an exception is pending */
    buf_deinit(&body);
    return n < 0 ? fail_with_errno(env, (int)n) : buffer;
}

/* ---- the answer ---- */

/* The strings of an array one after the other, and where each of them ends. Returns their number,
 * or -errno. */
static int texts_of(napi_env env, napi_value array, struct buf *ret, size_t *ends, uint32_t n_max)
{
    uint32_t n = 0;

    if (napi_get_array_length(env, array, &n) != napi_ok || n > n_max)
        return -E2BIG;
    for (uint32_t i = 0; i < n; i++) {
        napi_value value;
        size_t len = 0;

        if (napi_get_element(env, array, i, &value) != napi_ok ||
            napi_get_value_string_latin1(env, value, NULL, 0, &len) != napi_ok)
            return -EINVAL;
        if (buf_reserve(ret, len + 1) < 0)
            return -ENOBUFS;
        (void)napi_get_value_string_latin1(env, value, buf_tail(ret), len + 1, &len);
        buf_commit(ret, len);
        ends[i] = buf_len(ret);
    }
    return (int)n;
}

/* A 204 and a 304 have no length. */
static int send_out(unsigned status, const struct http_header *headers, size_t n, struct slice body)
{
    bool has_length = status != 204 && status != 304;
    int r = worker_start(the_worker, status, headers, n, has_length ? (int64_t)body.len : -1);

    if (r == 0)
        r = worker_write(the_worker, body.base, body.len);
    return r == 0 ? worker_finish(the_worker) : r;
}

/* answer(status, [name, value, ...], Buffer) */
napi_value direct_answer(napi_env env, napi_callback_info info)
{
    static size_t ends[2 * HEADERS_MAX];
    static struct http_header headers[HEADERS_MAX];
    struct buf text = BUF_INIT(TEXT_BYTES_MAX);
    napi_value args[3];
    struct slice body = SLICE_NULL;
    size_t n_args = 3, at = 0;
    uint32_t status = 0;
    void *data = NULL;
    int n, r;

    if (napi_get_cb_info(env, info, &n_args, args, NULL, NULL) != napi_ok ||
        napi_get_value_uint32(env, args[0], &status) != napi_ok ||
        napi_get_buffer_info(env, args[2], &data, &body.len) != napi_ok)
        return fail_with(env, NULL, "answer(status, headers, body)");
    body.base = data;
    n = texts_of(env, args[1], &text, ends, ARRAY_SIZE(ends));
    for (int i = 0; i < n; i++) {
        struct slice s = slice(buf_slice(&text).base + at, ends[i] - at);

        *(i % 2 ? &headers[i / 2].value : &headers[i / 2].name) = s;
        at = ends[i];
    }
    r = n < 0 ? n : send_out(status, headers, (size_t)n / 2, body);
    buf_deinit(&text);
    /* Nobody is there to hear it: that is no mistake of the function's. */
    return r < 0 && r != -EPIPE ? fail_with_errno(env, r) : NULL;
}

/* ---- rehearsals ---- */

/* touch(true): from here to touch(false) all of this is done to a request that nobody has sent. */
napi_value direct_touch(napi_env env, napi_callback_info info)
{
    static const char request[] =
        "GET /rehearsal?a=1 HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n"
        "User-Agent: rehearsal\r\nMayfly-Trigger: http\r\n"
        "Mayfly-Request-Id: 0\r\nMayfly-Deadline-Ms: 1\r\n\r\n";
    napi_value argument;
    size_t n = 1;

    if (!the_worker)
        the_worker = worker_open();
    if (napi_get_cb_info(env, info, &n, &argument, NULL, NULL) != napi_ok ||
        napi_get_value_bool(env, argument, &is_touch) != napi_ok)
        return fail_with(env, NULL, "touch(isBegun)");
    if (!is_touch)
        worker_touch_end(the_worker);
    else if (worker_touch_begin(the_worker, slice(request, sizeof(request) - 1)) == 0)
        return head_of(env, worker_head(the_worker));
    return NULL;
}
