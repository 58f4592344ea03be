#pragma once

/* Inside runtimes/native only: what stands behind the opaque types of mayfly.h, and the host that
 * both programs share: the static one that a function's .c file is linked to (main.c), and the one
 * that loads a shared library (so.c). */

#include "mayfly.h"

#include "base/def.h"
#include "zygote/worker.h"
#include "zygote/zygote.h"

/* Memory of one request, given back in one piece. The first block is part of the request's own
 * pages, which are touched before the request comes. */
#define ARENA_FIRST_BYTES 2048

struct arena {
    struct arena_block *blocks;
    char *next;
    size_t left;
    char first[ARENA_FIRST_BYTES];
};

void arena_init(struct arena *a);
void arena_clear(struct arena *a); /* frees everything; the arena may be used again */

/* Never fails: a worker without memory ends with a stack report. Aligned for pointers. */
void *arena_alloc(struct arena *a, size_t n, size_t size);
char *arena_copy(struct arena *a, struct slice s); /* with a NUL behind it */

struct native_param {
    const char *name;
    const char *value;
};

/* Strings are made when they are asked for: most handlers look at few. */
struct mayfly_request {
    struct worker *worker;
    const struct http_head *head;
    struct arena *arena;
    const char *method, *target, *path, *query;
    struct native_param *headers; /* one a header of head, or NULL; its members NULL until asked */
    struct native_param *params;
    size_t n_params;
    bool params_known;
    char *body; /* on the heap; of mayfly_body() */
    size_t body_len;
    int body_error;
};

struct mayfly_response {
    struct worker *worker;
    struct arena *arena;
    unsigned status;
    int64_t length; /* announced, or -1 */
    struct http_header *headers;
    size_t n_headers;
    size_t header_bytes;
    bool has_type;
    bool started;
    bool failed;
    const char *error_type;
    const char *error_text;
};

void request_init(struct mayfly_request *q, struct worker *w, struct arena *a);
void request_deinit(struct mayfly_request *q);

void response_init(struct mayfly_response *p, struct worker *w, struct arena *a);

/* Completes the response after the handler returned `result`. Returns as a zygote_host's serve().
 */
int response_finish(struct mayfly_response *p, int result);

struct native_function {
    mayfly_handler *handler;
    int (*init)(void);    /* or NULL */
    void (*warmup)(void); /* or NULL */
};

/* Runs init, then serves. Does not return. */
_noreturn_ void native_run(struct zygote *z, const struct native_function *function);

/* Opens the zygote; ends the program if it was not started by mayfly. */
struct zygote *native_open(void);

/* What mayfly_fail(NULL, ...) said, or "". */
const char *native_init_error_type(void);
const char *native_init_error_text(void);

/* Reports the stack on stderr, behind WORKER_STACK_MARK, when the process crashes and at
 * WORKER_STACK_SIGNAL; inherited by forks. The report ends at the function at `root`, which is the
 * host's own. */
void crash_install(const void *root);

/* ---- names for addresses; async-signal-safe ---- */

struct symbol {
    char name[128];   /* "" if there is none */
    uint64_t offset;  /* of the address in it */
    char library[64]; /* that it is in, or "" for the program itself */
    char file[64];    /* source, or "" if that is not known */
    unsigned line;
    uint64_t start; /* address of its first byte, as loaded */
};

/* Finds the function that address is in, from the symbol table of the file it was loaded from. */
void symbol_find(const void *address, struct symbol *ret);

/* Lists functions that a shared library exports, as "a, b, c", for a message. May be empty. */
void symbol_list_exported(const char *path, char *dst, size_t dst_size);
