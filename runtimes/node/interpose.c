/* Preloaded, this object's functions come before the C library's. Some of them must be ours for a
 * node that is forked by clone():
 *
 * V8 has its heap left out of forks (MADV_DONTFORK), to make the fork before an exec cheap. A
 * worker needs it.
 *
 * A clone by hand runs no handlers of pthread_atfork(). Most of them would only cost, but libuv's
 * make its thread pool and its signals new. So who registers some is noted, and theirs run in the
 * child.
 *
 * V8 strews its heap over the address space, and each piece costs each fork page tables of its own:
 * most of what a fork of a small heap costs. Side by side they share some.
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

#ifdef __LP64__ /* elsewhere the address space is small, and mmap() another system call */

/* Where V8 asks for memory at an address of its choice, which is a random one, it gets some from
 * here, as long as there is room. Where "here" is, the kernel has chosen at random. Large pieces
 * are code or WebAssembly's memory, of which V8 knows better. V8 asks for more than it needs and
 * gives back what is not aligned. */
#define HEAP_ROOM      (1UL << 30)
#define HEAP_PIECE_MAX (16UL << 20)
#define HEAP_ALIGNMENT (256UL << 10)
#define HEAP_PAGE      4096UL

static uintptr_t heap_next, heap_end;

static void *map(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    return (void *)syscall(SYS_mmap, address, size, protection, flags, fd, offset); /* NOLINT */
}

/* Ahead of all threads but the first. */
static __attribute__((constructor)) void find_room(void)
{
    void *room =
        map(NULL, HEAP_ROOM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (room == MAP_FAILED || munmap(room, HEAP_ROOM) < 0)
        return;
    heap_next = ((uintptr_t)room + HEAP_ALIGNMENT - 1) & ~(HEAP_ALIGNMENT - 1);
    heap_end = (uintptr_t)room + HEAP_ROOM;
}

/* Only a wish: where the place is taken, the kernel finds another one. */
static void *next_piece(size_t size)
{
    size_t kept = size > HEAP_ALIGNMENT ? size - (HEAP_ALIGNMENT - HEAP_PAGE) : size;
    size_t step = (kept + HEAP_ALIGNMENT - 1) & ~(HEAP_ALIGNMENT - 1);
    uintptr_t piece = __atomic_fetch_add(&heap_next, step, __ATOMIC_RELAXED);

    if (piece + size > heap_end) {
        (void)__atomic_fetch_sub(&heap_next, step, __ATOMIC_RELAXED);
        return NULL;
    }
    return (void *)piece; /* NOLINT */
}

typedef void *mapping(void *address, size_t size, int protection, int flags, int fd, off_t offset);

_public_ mapping mmap64;

_public_ void *mmap64(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    if (address && size <= HEAP_PIECE_MAX && fd < 0 && !(protection & PROT_EXEC) &&
        (flags & (MAP_ANONYMOUS | MAP_SHARED | MAP_FIXED | MAP_FIXED_NOREPLACE)) == MAP_ANONYMOUS) {
        void *piece = next_piece(size);

        address = piece ? piece : address;
    }
    return map(address, size, protection, flags, fd, offset);
}

/* The name that older nodes call it by; the header would make the other one of it. */
_public_ mapping mmap_by_its_old_name __asm__("mmap");

_public_ void *mmap_by_its_old_name(void *address, size_t size, int protection, int flags, int fd,
                                    off_t offset)
{
    return mmap64(address, size, protection, flags, fd, offset);
}

#endif

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
