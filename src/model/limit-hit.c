#include "model/limit-hit.h"

#include "base/parse.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#define EXIT_SIGNAL_BASE 128 /* of a worker that could not die by its own signal: it is an init */

/* How a limit's use is said behind its name. */
enum phrase {
    PHRASE_USED,    /* used 128 MB of 128 MB */
    PHRASE_AFTER,   /* after 3.00 s; the name has no colon */
    PHRASE_SECONDS, /* 2.00 s of 2.00 s */
    PHRASE_COUNT,   /* 64 of 64 */
    PHRASE_FILES,   /* 4096 of 4096 files */
    PHRASE_SIZE,    /* 64 MB of 64 MB */
    PHRASE_MORE,    /* more than 6 MB */
};

#define ROW(key, type, field, phrase)                                                              \
    {                                                                                              \
        key, type, offsetof(struct limits, field), phrase                                          \
    }

static const struct {
    const char *key;
    const char *type;
    size_t offset; /* of the uint64_t in struct limits */
    enum phrase phrase;
} rows[_LIMIT_HIT_MAX] = {
    [LIMIT_HIT_NONE] = {"", "", 0, PHRASE_COUNT},
    [LIMIT_HIT_MEMORY] = ROW("memory", "OutOfMemory", memory_bytes, PHRASE_USED),
    [LIMIT_HIT_TIMEOUT] = ROW("timeout", "Timeout", timeout_ms, PHRASE_AFTER),
    [LIMIT_HIT_CPU_TIME] = ROW("cpu_time", "CpuTime", cpu_time_ms, PHRASE_SECONDS),
    [LIMIT_HIT_PROCESSES] = ROW("processes", "TooManyProcesses", processes, PHRASE_COUNT),
    [LIMIT_HIT_FILES] = ROW("files", "TooManyFiles", files, PHRASE_COUNT),
    [LIMIT_HIT_FILE_SIZE] = ROW("file_size", "FileTooLarge", file_size, PHRASE_MORE),
    [LIMIT_HIT_TMP] = ROW("tmp", "TmpFull", tmp_bytes, PHRASE_SIZE),
    [LIMIT_HIT_TMP_FILES] = ROW("tmp_files", "TmpFull", tmp_inodes, PHRASE_FILES),
    [LIMIT_HIT_RESPONSE] = ROW("response", "ResponseTooLarge", response_max, PHRASE_MORE),
    [LIMIT_HIT_LOG] = ROW("log", "LogTooLarge", log_bytes, PHRASE_MORE),
};

static bool is_hit(enum limit_hit hit)
{
    return hit > LIMIT_HIT_NONE && hit < _LIMIT_HIT_MAX;
}

const char *limit_hit_key(enum limit_hit hit)
{
    assert((unsigned)hit < _LIMIT_HIT_MAX);
    return rows[hit].key;
}

const char *limit_hit_type(enum limit_hit hit)
{
    assert((unsigned)hit < _LIMIT_HIT_MAX);
    return rows[hit].type;
}

enum limit_hit limit_hit_from_key(struct slice key)
{
    for (int i = LIMIT_HIT_NONE + 1; i < _LIMIT_HIT_MAX; i++) {
        if (slice_eq(key, slice_str(rows[i].key)))
            return (enum limit_hit)i;
    }
    return LIMIT_HIT_NONE;
}

/* Whole ones: what has been begun counts. */
static unsigned long long megabytes(uint64_t bytes)
{
    return bytes / MIB + (bytes % MIB > 0);
}

void limit_use_text(const struct limit_use *u, char *dst, size_t size)
{
    unsigned long long used = u->used, max = u->max;
    const char *type = limit_hit_type(u->hit);

    if (u->hit == LIMIT_HIT_NONE) {
        dst[0] = '\0';
        return;
    }
    switch (rows[u->hit].phrase) {
    case PHRASE_USED:
        (void)snprintf(dst, size, "%s: used %llu MB of %llu MB", type, megabytes(used),
                       megabytes(max));
        break;
    case PHRASE_AFTER:
        (void)snprintf(dst, size, "%s after %.2f s", type, (double)max / 1000);
        break;
    case PHRASE_SECONDS:
        (void)snprintf(dst, size, "%s: %.2f s of %.2f s", type, (double)used / 1000,
                       (double)max / 1000);
        break;
    case PHRASE_COUNT:
        (void)snprintf(dst, size, "%s: %llu of %llu", type, used, max);
        break;
    case PHRASE_FILES:
        (void)snprintf(dst, size, "%s: %llu of %llu files", type, used, max);
        break;
    case PHRASE_SIZE:
        (void)snprintf(dst, size, "%s: %llu MB of %llu MB", type, megabytes(used), megabytes(max));
        break;
    case PHRASE_MORE:
        (void)snprintf(dst, size, "%s: more than %llu MB", type, megabytes(max));
        break;
    }
}

struct limit_use limit_use_believe(const struct limits *limits, enum limit_hit hit, uint64_t used,
                                   uint64_t max)
{
    struct limit_use u = {.hit = LIMIT_HIT_NONE};
    uint64_t own;

    if (!is_hit(hit))
        return u;
    own = *(const uint64_t *)(const void *)((const char *)limits + rows[hit].offset);
    if (own == 0)
        return u;
    u.hit = hit;
    u.max = max > 0 ? MIN(max, own) : own;
    u.used = used > 0 ? MIN(used, u.max) : u.max;
    return u;
}

struct limit_use limit_use_all(const struct limits *limits, enum limit_hit hit)
{
    return limit_use_believe(limits, hit, 0, 0);
}

/* " 1024" */
static size_t put_number(char *dst, uint64_t value)
{
    char digits[20];
    size_t n = 0, len = 0;

    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    dst[len++] = ' ';
    while (n > 0)
        dst[len++] = digits[--n];
    return len;
}

size_t limit_use_write(const struct limit_use *u, char dst[static LIMIT_WORDS_MAX])
{
    const char *key = limit_hit_key(u->hit);
    size_t len = strlen(key);

    memcpy(dst, key, len);
    len += put_number(dst + len, u->used);
    len += put_number(dst + len, u->max);
    dst[len] = '\0';
    return len;
}

/* Takes the word before the next blank, or all that is left. */
static struct slice next_word(struct slice *text)
{
    const char *blank = text->len > 0 ? memchr(text->base, ' ', text->len) : NULL;
    struct slice word = slice(text->base, blank ? (size_t)(blank - text->base) : text->len);
    size_t skip = word.len + (blank != NULL);

    *text = slice(text->base + skip, text->len - skip);
    return word;
}

bool limit_use_read(struct slice text, struct limit_use *ret)
{
    struct slice key, used;
    struct limit_use u;

    if (text.len == 0 || text.len >= LIMIT_WORDS_MAX)
        return false;
    key = next_word(&text);
    used = next_word(&text);
    u.hit = limit_hit_from_key(key);
    if (u.hit == LIMIT_HIT_NONE || parse_u64(used, INT64_MAX, &u.used) < 0 ||
        parse_u64(text, INT64_MAX, &u.max) < 0)
        return false;
    *ret = u;
    return true;
}

/* ---- how a worker ended ---- */

static int signal_of(uint32_t status)
{
    int s = (int)status;

    if (WIFSIGNALED(s))
        return WTERMSIG(s);
    return WIFEXITED(s) && WEXITSTATUS(s) > EXIT_SIGNAL_BASE ? WEXITSTATUS(s) - EXIT_SIGNAL_BASE
                                                             : 0;
}

static bool is_nearly(uint64_t used, uint64_t max)
{
    return max > 0 && used >= max - max / 8;
}

struct limit_use limit_use_of_end(const struct limits *limits, const struct limit_end *end)
{
    uint64_t memory = MIN(end->memory_peak_bytes, end->memory_own_bytes);
    uint64_t cpu_ms = end->cpu_us / 1000;
    int signal = signal_of(end->status);

    if (signal == SIGXFSZ)
        return limit_use_all(limits, LIMIT_HIT_FILE_SIZE);
    if (signal == SIGXCPU) /* the kernel's word, whatever the count says */
        return limit_use_all(limits, LIMIT_HIT_CPU_TIME);
    if (signal == SIGKILL && limits->cpu_time_ms > 0 && cpu_ms >= limits->cpu_time_ms)
        return limit_use_believe(limits, LIMIT_HIT_CPU_TIME, cpu_ms, 0);
    /* Both have to say so: the peak counts what is shared with the zygote, too, and page faults
     * count again what was given back in between. */
    if ((signal == SIGKILL || signal == SIGSEGV || signal == SIGBUS || signal == SIGABRT) &&
        is_nearly(memory, limits->memory_bytes))
        return limit_use_believe(limits, LIMIT_HIT_MEMORY, memory, 0);
    return (struct limit_use){.hit = LIMIT_HIT_NONE};
}
