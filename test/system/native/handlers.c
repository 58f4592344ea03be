/* What the tests of this folder ask for, by path. */

#include <mayfly.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int n_calls;

/* Names that mayfly has for functions of its own, too: they must not meet. */
int buf_append(void);
int log_event(void);
int request_init(void);
int buf_append(void)
{
    return 1;
}
int log_event(void)
{
    return 2;
}
int request_init(void)
{
    return 3;
}

/* ---- the request ---- */

static int about(mayfly_request *q, mayfly_response *p)
{
    const char *name, *value;

    mayfly_printf(p, "method=%s\ntarget=%s\npath=%s\nquery=%s\n", mayfly_method(q),
                  mayfly_target(q), mayfly_path(q), mayfly_query(q));
    mayfly_printf(p, "id=%s\nfunction=%s\nversion=%s\ntrigger=%s\n", mayfly_request_id(q),
                  mayfly_function_name(q), mayfly_function_version(q), mayfly_trigger(q));
    for (size_t i = 0; mayfly_param_at(q, i, &name, &value) == 0; i++)
        mayfly_printf(p, "param %s=%s\n", name, value);
    for (size_t i = 0; mayfly_header_at(q, i, &name, &value) == 0; i++)
        mayfly_printf(p, "header %s=%s\n", name, value);
    mayfly_printf(p, "counts=%zu,%zu\n", mayfly_param_count(q), mayfly_header_count(q));
    mayfly_printf(p, "beyond=%d,%d\n", mayfly_param_at(q, 1000, &name, NULL), errno == ERANGE);
    return 0;
}

static int find(mayfly_request *q, mayfly_response *p)
{
    const char *a = mayfly_param(q, "a"), *none = mayfly_param(q, "none");
    const char *header = mayfly_header(q, "x-SOME"), *no_header = mayfly_header(q, "X-None");

    return mayfly_printf(p, "%s %s %s %s %d", a, none ? none : "NULL", header,
                         no_header ? no_header : "NULL",
                         mayfly_header(q, "X-Some") == header && mayfly_param(q, "a") == a);
}

static int remaining(mayfly_request *q, mayfly_response *p)
{
    return mayfly_printf(p, "%lld", (long long)mayfly_remaining_ms(q));
}

static int body(mayfly_request *q, mayfly_response *p)
{
    size_t len;
    const char *data = mayfly_body(q, &len);

    if (!data)
        return mayfly_printf(p, "errno=%d too_big=%d", errno, errno == EMSGSIZE);
    if (data[len] != '\0' || mayfly_body(q, NULL) != data)
        return 1;
    return mayfly_write(p, data, len);
}

/* Answers while it reads: bytes of the body are on their way back before the last has come. */
static int echo(mayfly_request *q, mayfly_response *p)
{
    char bytes[10000];
    ssize_t n;

    while ((n = mayfly_read(q, bytes, sizeof(bytes))) > 0) {
        if (mayfly_write(p, bytes, (size_t)n) < 0 || mayfly_flush(p) < 0)
            return 1;
    }
    return n < 0;
}

/* ---- the response ---- */

static int head(mayfly_request *q, mayfly_response *p)
{
    mayfly_status(p, 201);
    mayfly_add_header(p, "Set-Cookie", "a=1");
    mayfly_add_header(p, "Set-Cookie", "b=2");
    mayfly_add_header(p, "Content-Type", "x/y");
    mayfly_add_header(p, "Content-Length", "99999");
    mayfly_add_header(p, "Transfer-Encoding", "gzip");
    return mayfly_puts(p, "made");
}

static int mistakes(mayfly_request *q, mayfly_response *p)
{
    int n = 0;

    n += mayfly_status(p, 199) == -1 && errno == EINVAL;
    n += mayfly_status(p, 600) == -1 && errno == EINVAL;
    n += mayfly_add_header(p, "X", "a\r\nSet-Cookie: b") == -1 && errno == EINVAL;
    n += mayfly_add_header(p, "X Y", "a") == -1 && errno == EINVAL;
    n += mayfly_add_header(p, "", "a") == -1 && errno == EINVAL;
    mayfly_puts(p, "-");
    n += mayfly_status(p, 200) == -1 && errno == EALREADY;
    n += mayfly_add_header(p, "X", "a") == -1 && errno == EALREADY;
    n += mayfly_set_length(p, 1) == -1 && errno == EALREADY;
    return mayfly_printf(p, "%d", n);
}

static int limits(mayfly_request *q, mayfly_response *p)
{
    char value[1000] = "";
    int n = 0;

    memset(value, 'v', sizeof(value) - 1);
    while (mayfly_add_header(p, "X-Long", value) == 0)
        n++;
    n = n * 10000 + (errno == ENOBUFS);
    while (mayfly_add_header(p, "S", "") == 0)
        n += 10;
    return mayfly_printf(p, "%d", n);
}

static int nothing(mayfly_request *q, mayfly_response *p)
{
    return 0;
}

static int empty(mayfly_request *q, mayfly_response *p)
{
    return mayfly_status(p, 204);
}

static int stream(mayfly_request *q, mayfly_response *p)
{
    char byte;

    mayfly_puts(p, "first\n");
    mayfly_flush(p);
    (void)mayfly_read(q, &byte, 1); /* until the client says so */
    return mayfly_puts(p, "second\n");
}

static int big(mayfly_request *q, mayfly_response *p)
{
    static char block[100000];
    int n = 500;

    memset(block, 'b', sizeof(block));
    if (mayfly_param(q, "length"))
        mayfly_set_length(p, (uint64_t)n * sizeof(block));
    while (n-- > 0) {
        if (mayfly_write(p, block, sizeof(block)) < 0)
            return 1;
    }
    return 0;
}

static int long_printf(mayfly_request *q, mayfly_response *p)
{
    return mayfly_printf(p, "%5000d", 7);
}

static int too_long(mayfly_request *q, mayfly_response *p)
{
    mayfly_set_length(p, 3);
    return mayfly_puts(p, "four") == -1 && errno == EMSGSIZE ? mayfly_puts(p, "yes") : 1;
}

static int too_short(mayfly_request *q, mayfly_response *p)
{
    mayfly_set_length(p, 30);
    if (mayfly_param(q, "flush"))
        mayfly_flush(p);
    return mayfly_puts(p, "four");
}

/* ---- errors, the log ---- */

static int fail(mayfly_request *q, mayfly_response *p)
{
    mayfly_puts(p, "not to be seen");
    return mayfly_fail(p, "OutOfStock", "no %s \"left\"", "tea");
}

static int fail_late(mayfly_request *q, mayfly_response *p)
{
    mayfly_puts(p, "seen");
    mayfly_flush(p);
    return mayfly_fail(p, "Late", "too late");
}

static int return_3(mayfly_request *q, mayfly_response *p)
{
    return 3;
}

static int print(mayfly_request *q, mayfly_response *p)
{
    FILE *file = fdopen(dup(2), "w"); /* with a buffer that the handler never flushes */

    printf("a line\nand a piece");
    fprintf(stderr, "an error\n");
    return file ? fprintf(file, "in a file") < 0 : 1;
}

static int count(mayfly_request *q, mayfly_response *p)
{
    return mayfly_printf(p, "%d", ++n_calls);
}

static int names(mayfly_request *q, mayfly_response *p)
{
    return mayfly_printf(p, "%d%d%d", buf_append(), log_event(), request_init());
}

static int hog(mayfly_request *q, mayfly_response *p)
{
    for (int i = 0; i < 1000; i++) {
        if (mayfly_printf(p, "%s", mayfly_param(q, "a")) < 0)
            return 1;
    }
    return 0;
}

/* ---- crashes ---- */

static __attribute__((noinline)) int write_to(volatile int *address)
{
    *address = 1;
    return *address + 1;
}

static int segv(mayfly_request *q, mayfly_response *p)
{
    return write_to(NULL) + 1;
}

static int wild(mayfly_request *q, mayfly_response *p)
{
    return write_to((int *)(uintptr_t)0x1234567000) + 1;
}

static int noncanonical(mayfly_request *q, mayfly_response *p)
{
    return write_to((int *)(uintptr_t)0x8000000000000000) + 1;
}

static int bus(mayfly_request *q, mayfly_response *p)
{
    FILE *file = tmpfile(); /* empty: what is mapped of it is not there */

    return write_to(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0)) + 1;
}

static int fpe(mayfly_request *q, mayfly_response *p)
{
    volatile int zero = 0, seven = 7;

    return seven / zero;
}

static int ill(mayfly_request *q, mayfly_response *p)
{
    __builtin_trap();
}

static int abort_it(mayfly_request *q, mayfly_response *p)
{
    abort();
}

static int free_twice(mayfly_request *q, mayfly_response *p)
{
    void *volatile memory = malloc(10);

    free(memory);
    free(memory);
    return 0;
}

static __attribute__((noinline)) int recurse(volatile int depth)
{
    volatile char bytes[256];

    bytes[depth & 255] = (char)depth;
    return recurse(depth + 1) + bytes[depth & 255];
}

static int overflow(mayfly_request *q, mayfly_response *p)
{
    return recurse(0);
}

static int jump(mayfly_request *q, mayfly_response *p)
{
    int (*volatile target)(void) = NULL;

    return target() + 1;
}

static int in_heap(mayfly_request *q, mayfly_response *p)
{
    memset(malloc(24) - 64, 0x41, 4096); /* the heap is broken when the crash comes */
    free(malloc(2000));
    return write_to(NULL) + 1;
}

static int late_crash(mayfly_request *q, mayfly_response *p)
{
    mayfly_puts(p, "begun");
    mayfly_flush(p);
    return write_to(NULL) + 1;
}

static int sent_signal(mayfly_request *q, mayfly_response *p)
{
    raise(SIGSEGV);
    return 0;
}

static __attribute__((noinline)) int nap(void)
{
    printf("about to sleep\n");
    while (sleep(1) == 0)
        continue;
    return 1;
}

static int sleeper(mayfly_request *q, mayfly_response *p)
{
    return nap() + 1;
}

static int exit_it(mayfly_request *q, mayfly_response *p)
{
    exit(7);
}

/* ---- by path ---- */

#define ROW(name)                                                                                  \
    {                                                                                              \
        "/" #name, name                                                                            \
    }

static const struct {
    const char *path;
    mayfly_handler *handler;
} rows[] = {
    ROW(find),        ROW(remaining),  ROW(body),        ROW(echo),         ROW(head),
    ROW(mistakes),    ROW(limits),     ROW(nothing),     ROW(empty),        ROW(stream),
    ROW(big),         ROW(too_long),   ROW(too_short),   ROW(fail),         ROW(fail_late),
    ROW(return_3),    ROW(print),      ROW(count),       ROW(names),        ROW(hog),
    ROW(segv),        ROW(wild),       ROW(bus),         ROW(noncanonical), ROW(fpe),
    ROW(ill),         ROW(abort_it),   ROW(free_twice),  ROW(overflow),     ROW(jump),
    ROW(in_heap),     ROW(late_crash), ROW(sent_signal), ROW(sleeper),      ROW(exit_it),
    ROW(long_printf),
};

int dispatch(mayfly_request *q, mayfly_response *p);
int dispatch(mayfly_request *q, mayfly_response *p)
{
    mayfly_handler *handler = about;
    int r;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].path, mayfly_path(q)) == 0)
            handler = rows[i].handler;
    }
    r = handler(q, p);
    __asm__ volatile(""); /* so that this is a call, and on the stack */
    return r;
}
