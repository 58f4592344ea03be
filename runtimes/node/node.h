#pragma once

/* What the files of mayfly.node share: one shared object that is both, an addon of Node-API and,
 * preloaded, what stands between node and the C library where forking needs it.
 *
 * Node's own symbols (napi_*, uv_*, V8's) are found in the program that has loaded us. Of libuv
 * only functions are used, no structures, so that one build serves every node. */

#include "base/def.h"

#include <node_api.h>

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

/* ---- libuv, as far as its ABI is functions ---- */

#define UV_HANDLE_ASYNC 1 /* enum uv_handle_type of libuv 1.x */

struct uv_loop_s;
int uv_loop_fork(struct uv_loop_s *loop);
size_t uv_handle_size(int type);
int uv_async_init(struct uv_loop_s *loop, void *async, void (*callback)(void *async));
int uv_async_send(void *async); /* async-signal-safe */
void uv_unref(void *handle);
