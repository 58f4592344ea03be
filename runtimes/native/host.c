/* The zygote's side: loading, and what a worker does with its one request. What a worker writes to
 * lies together in `the_request`, so that it costs one or two page faults. */

#include "native.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define STACK_TOUCH_BYTES 4096 /* what a small handler with a printf uses beyond what is there */
#define STDOUT_BYTES      4096

static struct {
    struct mayfly_request request;
    struct mayfly_response response;
    struct arena arena;
} the_request __attribute__((aligned(4096)));

static char stdout_bytes[STDOUT_BYTES];

static __attribute__((noinline)) int run_handler(mayfly_handler *handler, struct worker *w)
{
    int r;

    arena_init(&the_request.arena);
    request_init(&the_request.request, w, &the_request.arena);
    response_init(&the_request.response, w, &the_request.arena);
    r = handler(&the_request.request, &the_request.response);
    worker_suspect(w, errno); /* if it says that it failed */
    /* The log is complete before the answer is: the gateway may end the worker then. */
    (void)fflush(NULL);
    r = response_finish(&the_request.response, r);
    request_deinit(&the_request.request);
    arena_clear(&the_request.arena);
    return r;
}

static int serve(void *ctx, struct worker *w)
{
    const struct native_function *function = ctx;

    return run_handler(function->handler, w);
}

/* ---- touching ---- */

static int touch_handler(mayfly_request *request, mayfly_response *response)
{
    (void)mayfly_param(request, "a");
    (void)mayfly_header(request, "Host");
    (void)mayfly_path(request);
    (void)mayfly_add_header(response, "Content-Type", "text/plain");
    return mayfly_printf(response, "%s %d\n", mayfly_method(request), 1);
}

static __attribute__((noinline)) void touch_stack(void)
{
    volatile char pages[STACK_TOUCH_BYTES];

    for (size_t i = 0; i < sizeof(pages); i += 4096)
        pages[i] = 0;
}

static void touch(void *ctx, struct worker *w)
{
    const struct native_function *function = ctx;

    touch_stack();
    (void)run_handler(touch_handler, w);
    if (function->warmup)
        function->warmup();
}

/* ---- loading ---- */

struct zygote *native_open(void)
{
    struct error err = ERROR_NULL;
    struct zygote *z;

    if (zygote_open(&z, &err) < 0) {
        fprintf(stderr, "mayfly: %s\n", err.text);
        _exit(EXIT_FAILURE);
    }
    (void)setvbuf(stdout, stdout_bytes, _IOLBF, sizeof(stdout_bytes));
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* EFBIG says it, as it does to an init */
    crash_install(run_handler);
    return z;
}

static void init(struct zygote *z, const struct native_function *function)
{
    const char *type, *text;
    char returned[64];
    int r = function->init ? function->init() : 0;

    (void)fflush(NULL); /* or every worker would say it again */
    if (r == 0)
        return;
    type = native_init_error_type();
    text = native_init_error_text();
    (void)snprintf(returned, sizeof(returned), "mayfly_init() returned %d", r);
    zygote_fail_text(z, *type ? type : "InitError", *text ? text : returned, "");
}

void native_run(struct zygote *z, const struct native_function *function)
{
    static const struct zygote_host host = {.touch = touch, .serve = serve};

    init(z, function);
    zygote_run(z, &host, (void *)(uintptr_t)function);
}
