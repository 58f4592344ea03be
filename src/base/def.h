#pragma once

/* The few macros that every file uses. Context: all are async-signal-safe and fork-safe. */

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define container_of(ptr, type, member)                                                            \
    ((type *)((char *)(1 ? (ptr) : &((type *)0)->member) - offsetof(type, member)))

#define _printf_(fmt, args) __attribute__((format(printf, fmt, args)))
#define _noreturn_          __attribute__((noreturn))
#define _unused_            __attribute__((unused))
#define _public_            __attribute__((visibility("default")))

/* Runs f(&variable) when the variable leaves its scope. */
#define _cleanup_(f) __attribute__((cleanup(f)))

static inline void freep(void *p)
{
    free(*(void **)p);
}
#define _cleanup_free_ _cleanup_(freep)

/* Hands a pointer over: returns it and forgets it, so that its cleanup has nothing to do. */
#define take_ptr(p)                                                                                \
    ({                                                                                             \
        __typeof__(p) *_take_p = &(p);                                                             \
        __typeof__(p) _taken = *_take_p;                                                           \
        *_take_p = NULL;                                                                           \
        _taken;                                                                                    \
    })

/* The same for a file descriptor, where "none" is -1. */
static inline int take_fd(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}
