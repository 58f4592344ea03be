/* A limit shows as an errno, and that to the function alone: the kernel keeps no record of what it
 * has refused. So the worker says it, in one of two ways: the errno that the function's error came
 * from names the limit, if the limit exists and, where the same errno has other causes, if it is
 * still in force now; or, with no errno known, each limit is tried. What is tried is given back. */

#include "zygote/zygote-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEAR_PARTS    16 /* memory is at its limit when not even such a part of it can be had */
#define STACK_BYTES   (8ull << 20) /* of a new thread, if nothing else is said */
#define EXIT_SIGNALED 128

static struct {
    uint64_t memory_bytes;
    bool own_tmp;
    bool other_disks; /* that it may write to, and that may be full as well */
} known;

void limits_remember(const struct sandbox_worker *w)
{
    known.memory_bytes = w->memory_bytes;
    known.own_tmp = w->tmp_bytes > 0;
    known.other_disks = w->writes[0] != NULL;
}

/* ---- trying ---- */

static uint64_t rlimit_of(int resource)
{
    struct rlimit l;

    if (getrlimit((__rlimit_resource_t)resource, &l) < 0 || l.rlim_cur == RLIM_INFINITY)
        return 0;
    return l.rlim_cur;
}

static bool has_memory_limit(struct limit_use *u)
{
    return known.memory_bytes > 0;
}

static bool cannot_map(uint64_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);

    if (p != MAP_FAILED)
        (void)munmap(p, bytes);
    return p == MAP_FAILED;
}

static bool no_more_memory(struct limit_use *u)
{
    return known.memory_bytes > 0 && cannot_map(known.memory_bytes / NEAR_PARTS);
}

/* A thread needs its stack: the C library says of both that it cannot start one. */
static bool no_room_for_a_stack(struct limit_use *u)
{
    return known.memory_bytes > 0 && cannot_map(STACK_BYTES);
}

static bool no_more_files(struct limit_use *u)
{
    int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);

    if (fd >= 0)
        (void)close(fd);
    u->used = u->max = rlimit_of(RLIMIT_NOFILE);
    return fd < 0 && errno == EMFILE;
}

static bool has_files_limit(struct limit_use *u)
{
    u->used = u->max = rlimit_of(RLIMIT_NOFILE);
    return u->max > 0;
}

static bool no_more_processes(struct limit_use *u)
{
    return fork_is_refused();
}

static bool has_file_size_limit(struct limit_use *u)
{
    u->used = u->max = rlimit_of(RLIMIT_FSIZE);
    return u->max > 0;
}

static bool tmp_is_full(struct limit_use *u)
{
    struct statvfs s;

    return known.own_tmp && statvfs("/tmp", &s) == 0 && s.f_blocks > 0 && s.f_bfree == 0;
}

static bool tmp_has_no_files_left(struct limit_use *u)
{
    struct statvfs s;

    return known.own_tmp && statvfs("/tmp", &s) == 0 && s.f_files > 0 && s.f_ffree == 0;
}

/* The file that did not fit may be gone by now, and it can have been nowhere else. */
static bool has_only_tmp(struct limit_use *u)
{
    return known.own_tmp && !known.other_disks;
}

/* In this order; error 0 is tried without a hint. */
static const struct {
    int error;
    enum limit_hit hit;
    bool (*agrees)(struct limit_use *u);
} rows[] = {
    {ENOMEM, LIMIT_HIT_MEMORY, has_memory_limit},
    {EMFILE, LIMIT_HIT_FILES, has_files_limit},
    {EFBIG, LIMIT_HIT_FILE_SIZE, has_file_size_limit},
    {ENOSPC, LIMIT_HIT_TMP_FILES, tmp_has_no_files_left},
    {ENOSPC, LIMIT_HIT_TMP, has_only_tmp},
    {EAGAIN, LIMIT_HIT_PROCESSES, no_more_processes},
    {EAGAIN, LIMIT_HIT_MEMORY, no_room_for_a_stack},
    {0, LIMIT_HIT_FILES, no_more_files},
    {0, LIMIT_HIT_PROCESSES, no_more_processes},
    {0, LIMIT_HIT_TMP_FILES, tmp_has_no_files_left},
    {0, LIMIT_HIT_TMP, tmp_is_full},
    {0, LIMIT_HIT_MEMORY, no_more_memory},
};

static bool find(int error, struct limit_use *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct limit_use u = {.hit = rows[i].hit};

        if (rows[i].error == error && rows[i].agrees(&u)) {
            *ret = u;
            return true;
        }
    }
    return false;
}

bool limits_find(int error, struct limit_use *ret)
{
    int saved_errno = errno;
    bool found = (error > 0 && find(error, ret)) || find(0, ret);

    errno = saved_errno;
    return found;
}

/* ---- telling ---- */

void worker_tell_limit(int error)
{
    char line[sizeof(WORKER_LIMIT_MARK) + LIMIT_WORDS_MAX] = WORKER_LIMIT_MARK;
    size_t len = strlen(WORKER_LIMIT_MARK);
    struct limit_use u;

    if (!limits_find(error, &u))
        return;
    len += limit_use_write(&u, line + len);
    line[len++] = '\n';
    (void)!write(STDERR_FILENO, line, len);
}

bool limits_of_child(int code, int status, const struct rusage *usage, struct limit_use *ret)
{
    struct limits limits = {
        .memory_bytes = known.memory_bytes,
        .cpu_time_ms = rlimit_of(RLIMIT_CPU) * 1000,
        .file_size = rlimit_of(RLIMIT_FSIZE),
    };
    struct limit_end end = {
        .cpu_us = (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000 +
                  (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec),
        .memory_peak_bytes = (uint64_t)usage->ru_maxrss * 1024,
        .memory_own_bytes = (uint64_t)usage->ru_minflt * 4096,
    };

    /* One that noticed that it has no memory exits as it likes: taken for an abort. */
    end.status = code != CLD_EXITED       ? (uint32_t)status
                 : status > EXIT_SIGNALED ? (uint32_t)W_EXITCODE(status, 0)
                                          : (uint32_t)SIGABRT;
    *ret = limit_use_of_end(&limits, &end);
    ret->used = ret->max = 0; /* the gateway knows the function's own */
    return ret->hit != LIMIT_HIT_NONE;
}
