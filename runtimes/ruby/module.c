/* mayfly-ruby: Ruby as a zygote, and the module Mayfly by which main.rb drives it. It is a program
 * with Ruby's library in it, not an extension, because a fork must be Ruby's own with our clone in
 * its middle (see ruby_fork()), and because Ruby opens files as it starts, which must not get the
 * numbers that a zygote needs.
 *
 * Mayfly.run() stays in C with the GVL held: the zygote runs no Ruby again but for the fork, so
 * that the heap which the workers share is hardly written to. The request and its answer are one,
 * so they are functions of a module. */

#include "shared/answer.h"
#include "shared/reserve.h"
#include "shared/stack.h"
#include "shared/variables.h"

#include "zygote/zygote.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#pragma GCC diagnostic ignored "-Wshadow"
#include <ruby.h>
#include <ruby/debug.h>
#include <ruby/encoding.h>
#include <ruby/thread.h>
#include <ruby/version.h>
#pragma GCC diagnostic pop

#define READ_BYTES 65536
#define REHEARSALS 8
#define FRAMES_MAX 64

static struct zygote *the_zygote;
static struct answer the_answer;
static VALUE the_host;
static ID id_serve, id_touch, id_fork;
static rb_encoding *latin1; /* what has no encoding of its own: bytes */

static VALUE text(struct slice s)
{
    return rb_enc_str_new(s.base ? s.base : "", (long)s.len, rb_utf8_encoding());
}

static struct slice slice_of(VALUE string)
{
    StringValue(string);
    return slice(RSTRING_PTR(string), (size_t)RSTRING_LEN(string));
}

static void check(int r)
{
    if (r == -EALREADY)
        rb_raise(rb_eRuntimeError, "the answer has begun already");
    if (r == -ENOTCONN)
        rb_raise(rb_eIOError, "the answer has not begun, or is complete");
    if (r == -EMSGSIZE)
        rb_raise(rb_eRuntimeError, "the body has another length than its Content-Length says");
    if (r < 0)
        rb_syserr_fail(-r, NULL);
}

/* ---- the request ---- */

static VALUE request_method(VALUE self)
{
    return text(the_answer.head->method);
}

static VALUE request_target(VALUE self)
{
    return text(the_answer.head->target);
}

static VALUE request_path(VALUE self)
{
    return text(the_answer.head->path);
}

static VALUE request_query(VALUE self)
{
    return text(the_answer.head->query);
}

static VALUE request_host(VALUE self)
{
    return text(the_answer.head->host);
}

static VALUE request_headers(VALUE self)
{
    const struct http_head *head = the_answer.head;
    VALUE list = rb_ary_new_capa((long)head->n_headers);

    for (uint32_t i = 0; i < head->n_headers; i++)
        rb_ary_push(list, rb_assoc_new(text(head->headers[i].name), text(head->headers[i].value)));
    return list;
}

static VALUE request_get(VALUE self, VALUE name)
{
    struct slice value;

    return http_head_find(the_answer.head, StringValueCStr(name), &value) ? text(value) : Qnil;
}

static VALUE request_length(VALUE self)
{
    return LL2NUM(answer_body_length(&the_answer));
}

static int add_variable(void *ctx, struct slice name, struct slice value)
{
    VALUE key = rb_enc_interned_str(name.base, (long)name.len, rb_utf8_encoding());

    /* Rack's variables are bytes without an encoding; what is ASCII is either. */
    rb_hash_aset(*(VALUE *)ctx, key,
                 rb_enc_str_new(value.base ? value.base : "", (long)value.len, latin1));
    return 0;
}

static VALUE request_fill(VALUE self, VALUE env)
{
    Check_Type(env, T_HASH);
    check(variables_each(the_answer.head, false, add_variable, &env));
    return env;
}

struct read_call {
    char *dst;
    size_t size;
    ssize_t n;
};

static void *read_without_gvl(void *data)
{
    struct read_call *call = data;

    call->n = answer_read(&the_answer, call->dst, call->size);
    return NULL;
}

/* read(n): up to n bytes, nil at the end. */
static VALUE request_read(VALUE self, VALUE size)
{
    struct read_call call = {.size = MIN(NUM2SIZET(size), (size_t)READ_BYTES)};
    VALUE bytes = rb_str_new(NULL, (long)call.size);

    call.dst = RSTRING_PTR(bytes);
    (void)rb_thread_call_without_gvl(read_without_gvl, &call, RUBY_UBF_IO, NULL);
    if (call.n < 0)
        check((int)call.n);
    if (call.n == 0)
        return Qnil;
    rb_str_set_len(bytes, call.n);
    return bytes;
}

/* ---- the answer ---- */

/* start(status, [[name, value], ...], length): length is -1 when it is not known. */
static VALUE answer_rb_start(VALUE self, VALUE status, VALUE pairs, VALUE length)
{
    struct http_header headers[HTTP_HEADERS_MAX];
    int number = NUM2INT(status), r;
    long n;

    Check_Type(pairs, T_ARRAY);
    n = RARRAY_LEN(pairs);
    if (n > HTTP_HEADERS_MAX)
        rb_raise(rb_eArgError, "the answer has too many headers");
    for (long i = 0; i < n; i++) {
        VALUE pair = rb_ary_entry(pairs, i), name, value;

        Check_Type(pair, T_ARRAY);
        name = rb_ary_entry(pair, 0);
        value = rb_ary_entry(pair, 1);
        headers[i] = (struct http_header){slice_of(name), slice_of(value)};
        if (!http_is_token(headers[i].name) || !http_is_value(headers[i].value))
            rb_raise(rb_eArgError, "HTTP does not allow this header: %+" PRIsVALUE ": %+" PRIsVALUE,
                     name, value);
    }
    r = number < 0
            ? -EINVAL
            : answer_start(&the_answer, (unsigned)number, headers, (size_t)n, NUM2LL(length));
    if (r == -EINVAL)
        rb_raise(rb_eArgError, "HTTP does not allow the status %d here", number);
    check(r);
    RB_GC_GUARD(pairs);
    return Qnil;
}

struct write_call {
    struct slice data;
    int r;
};

static void *write_without_gvl(void *data)
{
    struct write_call *call = data;

    call->r = answer_write(&the_answer, call->data);
    return NULL;
}

static VALUE answer_rb_write(VALUE self, VALUE data)
{
    struct write_call call = {.data = slice_of(data)};

    data = rb_str_new_frozen(data); /* nobody changes it meanwhile */
    call.data = slice(RSTRING_PTR(data), (size_t)RSTRING_LEN(data));
    (void)rb_thread_call_without_gvl(write_without_gvl, &call, RUBY_UBF_IO, NULL);
    RB_GC_GUARD(data);
    check(call.r);
    return SIZET2NUM(call.data.len);
}

static void *flush_without_gvl(void *data)
{
    *(int *)data = answer_flush(&the_answer);
    return NULL;
}

static VALUE answer_rb_flush(VALUE self)
{
    int r = 0;

    (void)rb_thread_call_without_gvl(flush_without_gvl, &r, RUBY_UBF_IO, NULL);
    check(r);
    return Qnil;
}

static void *finish_without_gvl(void *data)
{
    *(int *)data = answer_finish(&the_answer);
    return NULL;
}

static VALUE answer_rb_finish(VALUE self)
{
    int r = 0;

    (void)rb_thread_call_without_gvl(finish_without_gvl, &r, RUBY_UBF_IO, NULL);
    check(r);
    return Qnil;
}

static VALUE answer_is_begun(VALUE self)
{
    return the_answer.state != ANSWER_NONE ? Qtrue : Qfalse;
}

/* fail(type, message, stack, errno): whether the answer could still become the error. */
static VALUE answer_rb_fail(VALUE self, VALUE type, VALUE message, VALUE stack, VALUE error)
{
    int r = answer_fail(&the_answer, NUM2INT(error), StringValueCStr(type),
                        StringValueCStr(message), StringValueCStr(stack));

    return r == 0 ? Qtrue : Qfalse;
}

/* ---- the host's calls ---- */

static VALUE call_serve(VALUE unused)
{
    return rb_funcall(the_host, id_serve, 0);
}

static VALUE call_touch(VALUE unused)
{
    return rb_funcall(the_host, id_touch, 0);
}

/* ---- the fork ---- */

static struct {
    int (*clone)(void *arg); /* NULL: a fork of the function's own */
    void *arg;
    int r;
} fork_call;

/* What libruby calls for fork(): a program's own functions come before those of libc. */
__attribute__((visibility("default"))) pid_t fork(void)
{
    static pid_t (*next)(void);
    int (*clone)(void *arg) = fork_call.clone;

    if (!clone) {
        if (!next)
            *(void **)&next = dlsym(RTLD_NEXT, "fork");
        return next();
    }
    fork_call.clone = NULL;
    fork_call.r = clone(fork_call.arg);
    if (fork_call.r < 0)
        errno = EINVAL; /* of all others Ruby tries some again, in a second */
    return fork_call.r < 0 ? -1 : fork_call.r;
}

static VALUE call_fork(VALUE unused)
{
    return rb_funcall(rb_mProcess, id_fork, 0);
}

/* Process._fork stops Ruby's timer ahead of the fork, and in the child makes a new one and new
 * pipes by which signals wake threads, and calls rb_thread_atfork(): other threads are gone,
 * mutexes are free, Random has a new seed. None of it but the last can be called by itself. */
static int ruby_fork(void *ctx, int (*clone)(void *arg), void *arg)
{
    sigset_t none;
    int state = 0;

    fork_call.clone = clone;
    fork_call.arg = arg;
    fork_call.r = -EAGAIN;
    (void)rb_protect(call_fork, Qnil, &state);
    rb_set_errinfo(Qnil);
    fork_call.clone = NULL;
    sigemptyset(&none);
    if (fork_call.r == 0)
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
    return fork_call.r;
}

static void after_fork(void *ctx)
{
    stack_set_owner();
}

static void touch(void *ctx, struct worker *w)
{
    int state = 0;

    answer_begin(&the_answer, w);
    (void)rb_protect(call_touch, Qnil, &state);
    if (state != 0)
        rb_set_errinfo(Qnil);
}

/* The error that could not be told in Ruby: no memory, or no stack left. */
static int fail_plainly(void)
{
    VALUE error = rb_errinfo();
    bool no_memory = RTEST(rb_obj_is_kind_of(error, rb_eNoMemError));

    rb_set_errinfo(Qnil);
    (void)answer_fail(&the_answer, no_memory ? ENOMEM : 0,
                      NIL_P(error) ? "Runtime.Unknown" : rb_obj_classname(error),
                      "the handler failed, and so did the report of it", "");
    return -ECANCELED;
}

static int serve(void *ctx, struct worker *w)
{
    int state = 0;
    VALUE go_on;

    answer_begin(&the_answer, w);
    go_on = rb_protect(call_serve, Qnil, &state);
    if (state != 0)
        return fail_plainly();
    return RTEST(go_on) ? 0 : -ECANCELED;
}

/* ---- stacks ---- */

static struct slice string_part(VALUE string)
{
    return RB_TYPE_P(string, T_STRING) ? slice(RSTRING_PTR(string), (size_t)RSTRING_LEN(string))
                                       : SLICE_NULL;
}

/* rb_profile_frames() is made for signal handlers: it reads frames and allocates nothing, and the
 * names are strings that are there. */
static void tell_frames(void)
{
    VALUE frames[FRAMES_MAX];
    int lines[FRAMES_MAX];
    int n = rb_profile_frames(0, FRAMES_MAX, frames, lines);

    for (int i = 0; i < n; i++) {
        struct slice file = string_part(rb_profile_frame_path(frames[i]));
        struct slice name = string_part(rb_profile_frame_base_label(frames[i]));
        static const struct slice ours = SLICE_LIT("/mayfly_host/");

        if (file.len == 0 || memmem(file.base, file.len, ours.base, ours.len))
            continue; /* the host's, or a method in C that calls back: its caller says as much */
        if (file.len > 8 && memcmp(file.base + file.len - 8, "/main.rb", 8) == 0 &&
            memmem(file.base, file.len, "/lib/ruby/", 10))
            break;
        stack_frame(name, file, lines[i] > 0 ? (unsigned)lines[i] : 0);
    }
}

/* ---- the module ---- */

static VALUE rb_mayfly_open(VALUE self)
{
    struct error err = ERROR_NULL;
    const struct zygote_start *start;
    VALUE hash = rb_hash_new(), late = rb_ary_new();

    if (zygote_open(&the_zygote, &err) < 0)
        rb_raise(rb_eRuntimeError, "%s", err.text);
    stack_install(tell_frames, STACK_OVERFLOW_IS_THEIRS);
    start = zygote_start(the_zygote);
    for (const char *const *name = start->secrets; !start->secrets_at_load && *name; name++)
        rb_ary_push(late, text(slice_str(*name)));
    rb_hash_aset(hash, ID2SYM(rb_intern("late_variables")), late);
    rb_hash_aset(hash, ID2SYM(rb_intern("function")), text(slice_str(start->function)));
    rb_hash_aset(hash, ID2SYM(rb_intern("version")), text(slice_str(start->version)));
    rb_hash_aset(hash, ID2SYM(rb_intern("handler")), text(slice_str(start->handler)));
    rb_hash_aset(hash, ID2SYM(rb_intern("instance")),
                 start->isolation == ISOLATION_INSTANCE ? Qtrue : Qfalse);
    rb_hash_aset(hash, ID2SYM(rb_intern("timeout_ms")), ULL2NUM(start->timeout_ms));
    rb_hash_aset(hash, ID2SYM(rb_intern("memory_bytes")), ULL2NUM(start->memory_bytes));
    return hash;
}

/* fail(type, message, stack) */
static VALUE rb_mayfly_fail(VALUE self, VALUE type, VALUE message, VALUE stack)
{
    if (!the_zygote)
        rb_raise(rb_eRuntimeError, "open() comes first");
    zygote_fail_text(the_zygote, StringValueCStr(type), StringValueCStr(message),
                     StringValueCStr(stack));
}

/* Each rehearsal fills caches that every worker would fill, and copy, anew. */
static void rehearse(void)
{
    for (int i = 0; i < REHEARSALS; i++) {
        answer_begin(&the_answer, NULL);
        (void)call_touch(Qnil);
    }
}

/* run(host): host has serve, touch and settle. */
static VALUE rb_mayfly_run(VALUE self, VALUE host)
{
    static const struct zygote_host calls = {
        .after_fork = after_fork, .touch = touch, .fork = ruby_fork, .serve = serve};

    if (!the_zygote)
        rb_raise(rb_eRuntimeError, "open() comes first");
    the_host = host;
    rb_gc_register_address(&the_host);
    rehearse();
    (void)rb_funcall(host, rb_intern("settle"), 0);
    (void)malloc_trim(0);
    zygote_run(the_zygote, &calls, NULL);
}

static void define_module(void)
{
    VALUE module = rb_define_module("Mayfly"), request = rb_define_module_under(module, "Request");

    latin1 = rb_ascii8bit_encoding();
    id_serve = rb_intern("serve");
    id_touch = rb_intern("touch");
    id_fork = rb_intern("_fork");
    rb_define_module_function(module, "open", rb_mayfly_open, 0);
    rb_define_module_function(module, "fail", rb_mayfly_fail, 3);
    rb_define_module_function(module, "run", rb_mayfly_run, 1);
    rb_define_module_function(request, "http_method", request_method, 0);
    rb_define_module_function(request, "target", request_target, 0);
    rb_define_module_function(request, "path", request_path, 0);
    rb_define_module_function(request, "query", request_query, 0);
    rb_define_module_function(request, "host", request_host, 0);
    rb_define_module_function(request, "headers", request_headers, 0);
    rb_define_module_function(request, "get", request_get, 1);
    rb_define_module_function(request, "length", request_length, 0);
    rb_define_module_function(request, "fill", request_fill, 1);
    rb_define_module_function(request, "read", request_read, 1);
    rb_define_module_function(request, "start", answer_rb_start, 3);
    rb_define_module_function(request, "write", answer_rb_write, 1);
    rb_define_module_function(request, "flush", answer_rb_flush, 0);
    rb_define_module_function(request, "finish", answer_rb_finish, 0);
    rb_define_module_function(request, "begun?", answer_is_begun, 0);
    rb_define_module_function(request, "fail", answer_rb_fail, 4);
}

int main(int argc, char **argv)
{
    if (reserve_numbers() < 0)
        return EXIT_FAILURE;
    ruby_sysinit(&argc, &argv);
    {
        RUBY_INIT_STACK
        ruby_init();
        define_module();
        return ruby_run_node(ruby_options(argc, argv));
    }
}
