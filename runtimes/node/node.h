#pragma once

/* What the files of mayfly.node share: one shared object that is both, an addon of Node-API and,
 * preloaded, what stands between node and the C library where forking needs it.
 *
 * Node's own symbols (napi_*, uv_*, V8's) are found in the program that has loaded us. Of libuv
 * only functions are used, no structures, so that one build serves every node. */

#include "base/def.h"

#include <node_api.h>

struct uv_loop_s;
struct uv_handle_s;

/* ---- interpose.c ---- */

/* Ahead of the first fork: from here on madvise() is the C library's again. */
void interpose_end(void);

/* In the child: runs what libraries have asked for by pthread_atfork(), since a clone by hand
 * does not. */
void interpose_after_fork(void);

/* ---- stack.c: where the function is, when its time is up or it crashes ---- */

/* `on_stack` is a function(why) that tells the stack and ends the process. Returns false with an
 * exception. */
bool stack_catch_signals(napi_env env, napi_value on_stack);

/* In a worker: from here on a crash is one of a request. */
void stack_set_owner(void);

/* Where the way back to the event loop is long: makes the report if it was asked for meanwhile. */
void stack_report_if_asked(void);

/* ---- direct.c: a request without the event loop; functions for JavaScript ---- */

/* Whether nothing can happen in the event loop but what a handler will begin. */
bool direct_is_quiet(struct uv_loop_s *loop);

napi_value direct_receive(napi_env env, napi_callback_info info);
napi_value direct_body(napi_env env, napi_callback_info info);
napi_value direct_answer(napi_env env, napi_callback_info info);
napi_value direct_touch(napi_env env, napi_callback_info info);

/* ---- libuv, as far as its ABI is functions ---- */

enum { /* uv_handle_type of libuv 1.x */
       UV_HANDLE_ASYNC = 1,
       UV_HANDLE_CHECK = 2,
       UV_HANDLE_PREPARE = 9,
};

int uv_loop_fork(struct uv_loop_s *loop);
size_t uv_handle_size(int type);
int uv_async_init(struct uv_loop_s *loop, void *async, void (*callback)(void *async));
int uv_async_send(void *async); /* async-signal-safe */
void uv_unref(void *handle);
void uv_ref(void *handle);
void uv_walk(struct uv_loop_s *loop, void (*callback)(struct uv_handle_s *handle, void *arg),
             void *arg);
int uv_is_active(const struct uv_handle_s *handle);
int uv_has_ref(const struct uv_handle_s *handle);
int uv_handle_get_type(const struct uv_handle_s *handle);
int uv_loop_alive(const struct uv_loop_s *loop);
void uv_update_time(struct uv_loop_s *loop);
