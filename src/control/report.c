#include "control/report.h"

#include "base/clock.h"

#include <stdio.h>

#define NS_PER_TEN_US (10 * NS_PER_US)

bool report_is_for(const struct function *f)
{
    static const struct slice name = SLICE_LIT("handler");
    struct slice handler = slice_str(f->handler);

    switch (f->runtime) {
    case RUNTIME_PROVIDED:
        return true;
    case RUNTIME_PYTHON:
    case RUNTIME_NODE:
    case RUNTIME_RUBY:
        return handler.len >= name.len &&
               slice_eq_nocase(slice(handler.base + handler.len - name.len, name.len), name);
    default:
        return false;
    }
}

/* Milliseconds with two places, rounded, as AWS writes them. */
static char *milliseconds(uint64_t ns, char *dst, size_t size)
{
    uint64_t hundredths = (ns + NS_PER_TEN_US / 2) / NS_PER_TEN_US;

    (void)snprintf(dst, size, "%llu.%02llu", (unsigned long long)(hundredths / 100),
                   (unsigned long long)(hundredths % 100));
    return dst;
}

struct log_line report_line(const struct record *r, char dst[static REPORT_SIZE])
{
    uint64_t billed_ms = (r->run_ns + NS_PER_MS - 1) / NS_PER_MS;
    char run[32], init[32];
    int n =
        snprintf(dst, REPORT_SIZE,
                 "REPORT RequestId: %.*s\tDuration: %s ms\tBilled Duration: %llu ms\t"
                 "Memory Size: %llu MB\tMax Memory Used: %llu MB\t",
                 SLICE_ARG(r->request_id), milliseconds(r->run_ns, run, sizeof(run)),
                 (unsigned long long)billed_ms, (unsigned long long)(r->memory_limit_bytes / MIB),
                 (unsigned long long)((r->memory_peak_bytes + MIB - 1) / MIB));

    if (r->init_ns > 0 && n < REPORT_SIZE)
        n += snprintf(dst + n, (size_t)(REPORT_SIZE - n), "Init Duration: %s ms\t",
                      milliseconds(r->init_ns, init, sizeof(init)));
    return (struct log_line){
        .time_us = r->start_us + r->total_ns / NS_PER_US,
        .stream = LOG_SYSTEM,
        .request_id = r->request_id,
        .function = r->function,
        .version = r->version,
        .text = slice(dst, (size_t)MIN(n, REPORT_SIZE - 1)),
    };
}
