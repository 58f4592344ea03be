#pragma once

/* Commands that a load has to wait for: compilers, package managers. Some run at once, each within
 * its time, with their words kept, while the caller goes on with what is urgent. What such a
 * command does and where its result stands is its kind's affair (compile.c, deps.c). */

#include "base/buf.h"
#include "base/error.h"

#define BUILD_PARALLEL 2

struct build_context {
    const char *state; /* the daemon's folder */
    const char *lib;
    const char *libexec;
    const char *deps; /* where dependencies are kept; NULL: they cannot be installed */
    bool progress;    /* stderr is a terminal: say what is being waited for */
    /* Called while waiting, about every 50 ms; a negative value ends it all. May be NULL. */
    int (*idle)(void *ctx);
    void *idle_ctx;
};

struct build_job;

/* A command of which the kind says what to run. */
struct build_command {
    char *const *argv; /* NULL-terminated; argv[0] is a path */
    const char *dir;   /* where it runs; NULL: where we are */
    int input_fd;      /* its stdin; 0: /dev/null. Borrowed */
};

struct build_kind {
    uint64_t timeout_ms;
    bool keeps_end;   /* of many words the last are kept, not the first */
    bool tells_lines; /* says when it begins and when it has ended where nobody looks at progress */
    /* What is being done, for the progress line: "compiling 1 of 2: a.c". Returns dst. */
    const char *(*describe)(const struct build_job *job, size_t n_done, size_t n, char *dst,
                            size_t size);
    /* Whether there is a result already, or none can come. */
    bool (*is_settled)(struct build_job *job, const struct build_context *ctx);
    /* Prepares and calls build_spawn(). Returns 0, a negative errno with *err for the author: then
     * finish() is not called. */
    int (*start)(struct build_job *job, const struct build_context *ctx, struct error *err);
    /* The command has ended. status is as from wait(); timed_out: it was ended. */
    void (*finish)(struct build_job *job, const struct build_context *ctx, int status,
                   bool timed_out, struct slice words);
    void (*clean)(struct build_job *job); /* after finish(), or when it is broken off; or NULL */
};

/* Part of what a kind has of each job. */
struct build_job {
    const struct build_kind *kind;
    char *broken; /* out: why there is no result, for the author; the caller's */

    /* Of build.c: */
    pid_t pid; /* 0: it does not run */
    int fd;    /* what it says */
    uint64_t started_ns;
    bool timed_out;
    struct buf words;
};

/* In start(): starts the command in a process group of its own. Returns 0 or -errno. */
int build_spawn(struct build_job *job, const struct build_command *command);

void build_break(struct build_job *job, const char *format, ...) _printf_(2, 3);

/* Carries out the jobs, some at a time. What fails for the author's reasons shows in job->broken.
 * Returns 0, -ENOMEM, or what idle() said. */
int build_run(struct build_job *const *jobs, size_t n_jobs, const struct build_context *ctx);

/* Makes the folder and those above it. Returns 0 or -errno. */
int path_make(const char *path);

/* An executable of that name in the PATH, or NULL. The caller's. */
char *path_search(const char *name);
