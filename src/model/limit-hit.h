#pragma once

/* Which limit of its function a request has hit, and how that is said: the same words in the
 * answer, the record and the log. */

#include "base/slice.h"
#include "model/function.h"

enum limit_hit {
    LIMIT_HIT_NONE,
    LIMIT_HIT_MEMORY,
    LIMIT_HIT_TIMEOUT,
    LIMIT_HIT_CPU_TIME,
    LIMIT_HIT_PROCESSES,
    LIMIT_HIT_FILES,
    LIMIT_HIT_FILE_SIZE,
    LIMIT_HIT_TMP,
    LIMIT_HIT_TMP_FILES,
    LIMIT_HIT_RESPONSE,
    LIMIT_HIT_LOG,
    _LIMIT_HIT_MAX,
};

/* A limit with how much of it was used, both in its base: bytes, milliseconds, or a count. */
struct limit_use {
    enum limit_hit hit;
    uint64_t used, max;
};

const char *limit_hit_key(enum limit_hit hit);  /* as in mayfly.json: "memory"; "" for none */
const char *limit_hit_type(enum limit_hit hit); /* as an errorType: "OutOfMemory"; "" for none */

/* Returns LIMIT_HIT_NONE for a key that is none. */
enum limit_hit limit_hit_from_key(struct slice key);

/* "OutOfMemory: used 128 MB of 128 MB", "Timeout after 3.00 s"; "" for none. Cut to fit. */
#define LIMIT_TEXT_MAX 128
void limit_use_text(const struct limit_use *u, char *dst, size_t size);

/* What somebody who is not believed says of a function's limit, made plausible: an unknown maximum
 * (0), or one above the function's own, is the function's, and no more is used than that. A limit
 * that the function does not have has not been hit. */
struct limit_use limit_use_believe(const struct limits *limits, enum limit_hit hit, uint64_t used,
                                   uint64_t max);

/* All of it is used. */
struct limit_use limit_use_all(const struct limits *limits, enum limit_hit hit);

/* As text between processes: "files 1024 1024", where 0 is "not known". Returns the length; dst is
 * terminated. The other way returns false for anything else.
 * Context: limit_use_write() is async-signal-safe. */
#define LIMIT_WORDS_MAX 64
size_t limit_use_write(const struct limit_use *u, char dst[static LIMIT_WORDS_MAX]);
bool limit_use_read(struct slice text, struct limit_use *ret);

/* ---- how a worker ended ---- */

struct limit_end {
    uint32_t status; /* wait status */
    uint64_t cpu_us; /* of the worker and what it has waited for */
    uint64_t memory_peak_bytes;
    uint64_t memory_own_bytes; /* by its page faults: at most so much was its own */
};

/* Which limit the end of a worker that mayfly has not killed itself speaks of: by the signal and by
 * what was used. Never touches the kernel. */
struct limit_use limit_use_of_end(const struct limits *limits, const struct limit_end *end);
