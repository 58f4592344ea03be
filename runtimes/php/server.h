#pragma once

/* What the files of mayfly-php share: PHP's library as a server of its own kind (a SAPI). */

#include "base/slice.h"
#include "shared/answer.h"

/* The error that ended a script. */
struct php_failure {
    bool is_set;
    bool no_memory;
    char *text; /* as PHP says it; "Uncaught TYPE: MESSAGE in FILE:LINE\nStack trace:\n..." */
    char *file;
    unsigned line;
};

/* Starts PHP; `script` is the function's file, absolute, `root` its document root, memory_bytes
 * what PHP may use itself. Returns 0 or -1 after a word on stderr. */
int server_start(const char *script, const char *root, uint64_t memory_bytes);

/* Compiles the script, and what else of PHP lies in the folder as far as there is room. The failure
 * is set if the script itself is wrong. */
void server_compile(struct php_failure *failure);

/* Runs the script for one request. `rehearsal`: runs nothing in its place. */
void server_run(struct answer *a, bool rehearsal, struct php_failure *failure);

/* In a worker, ahead of all: nothing is shared with others. */
void server_after_fork(void);

void php_failure_clear(struct php_failure *failure);

/* Writes the frames that are running; see stack.h. */
void server_tell_frames(void);

/* Makes what opcache shares among processes this process's own, and its forks' own. */
void cache_make_private(void);
void cache_after_fork(void);
