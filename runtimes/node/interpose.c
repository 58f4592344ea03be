/* Preloaded, this object's functions come before the C library's. Three of them must be ours for a
 * node that is forked by clone():
 *
 * V8 has its heap left out of forks (MADV_DONTFORK), to make the fork before an exec cheap. A
 * worker needs it.
 *
 * A clone by hand runs no handlers of pthread_atfork(). Most of them would only cost, but libuv's
 * make its thread pool and its signals new. So who registers some is noted, and theirs run in the
 * child.
 *
 * A zygote learns of its workers' ends by SIGCHLD, which the kernel gives to any thread that does
 * not block it. Node has threads of its own: all of them do, and the main thread takes it. */

#include "node.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HANDLERS_MAX 64 /* libuv has three; what is beyond is not run */

static void (*handlers[HANDLERS_MAX])(void);
static unsigned n_handlers;
static bool v8_is_done;

_public_ int madvise(void *address, size_t size, int advice)
{
    if (advice == MADV_DONTFORK && !v8_is_done)
        return 0;
    return (int)syscall(SYS_madvise, address, size, advice);
}

typedef int creating(pthread_t *ret, const pthread_attr_t *attr, void *(*run)(void *), void *arg);

_public_ creating pthread_create;

_public_ int pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*run)(void *),
                            void *arg)
{
    union {
        void *object;
        creating *function;
    } real = {.object = dlsym(RTLD_NEXT, "pthread_create")};
    sigset_t chld, before;
    int r;

    if (!real.function)
        return EAGAIN;
    (void)sigemptyset(&chld);
    (void)sigaddset(&chld, SIGCHLD);
    (void)pthread_sigmask(SIG_BLOCK, &chld, &before);
    r = real.function(ret, attr, run, arg);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

typedef int registering(void (*prepare)(void), void (*parent)(void), void (*child)(void),
                        void *dso);

/* What pthread_atfork() calls. */
_public_ registering __register_atfork;

_public_ int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void),
                               void *dso)
{
    union {
        void *object;
        registering *function;
    } real = {.object = dlsym(RTLD_NEXT, "__register_atfork")};

    if (child && n_handlers < HANDLERS_MAX)
        handlers[n_handlers++] = child;
    return real.function ? real.function(prepare, parent, child, dso) : 0;
}

void interpose_end(void)
{
    v8_is_done = true;
}

void interpose_after_fork(void)
{
    for (unsigned i = 0; i < n_handlers; i++)
        handlers[i]();
}

/* What a function starts is not to be preloaded with us. */
static __attribute__((constructor)) void leave_the_environment(void)
{
    (void)unsetenv("LD_PRELOAD");
}
