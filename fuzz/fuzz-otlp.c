/* What is exported is JSON whatever a function prints or says of its error, and a collector's
 * answer may be any bytes. The first byte says which of them the rest is. */

#include "fuzz.h"

#include "otlp/answer.h"
#include "otlp/encode.h"
#include "json/text.h"

#include <stdlib.h>

static void must_be_json(struct buf *b, const char *before, const char *behind)
{
    struct buf whole = BUF_INIT(4 << 20);
    struct slice text;
    json_error_t err;
    json_t *json;

    FUZZ_CHECK(buf_append_str(&whole, before) == 0 && buf_append_slice(&whole, buf_slice(b)) == 0 &&
               buf_append_str(&whole, behind) == 0);
    text = buf_slice(&whole);
    json = json_loadb(text.base, text.len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &err);
    FUZZ_CHECK(json != NULL);
    json_decref(json);
    buf_deinit(&whole);
}

static void try_line(struct slice text, uint8_t stream)
{
    struct log_line l = {.time_us = 1,
                         .stream = (enum log_stream)(stream % _LOG_STREAM_MAX),
                         .request_id = SLICE_LIT("id"),
                         .text = slice(text.base, MIN(text.len, (size_t)LOG_LINE_BYTES_MAX))};
    struct buf b = BUF_INIT(1 << 20);

    if (otlp_write_log(&b, &l, 2) == 0)
        must_be_json(&b, "", "");
    buf_deinit(&b);
}

static void try_error(struct slice text, uint8_t outcome)
{
    struct record r = {.trace_id = SLICE_LIT("4bf92f3577b34da6a3ce929d0e0e4736"),
                       .span_id = SLICE_LIT("00f067aa0ba902b7"),
                       .function = text,
                       .path = text,
                       .error = text,
                       .stack = slice(text.base, MIN(text.len, (size_t)RECORD_STACK_MAX)),
                       .outcome = outcome % _OUTCOME_MAX,
                       .run_ns = 1};
    struct buf b = BUF_INIT(2 << 20);

    if (otlp_write_spans(&b, &r) > 0)
        must_be_json(&b, "[", "]");
    buf_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice(data + 1, size > 0 ? size - 1 : 0);
    char why[ANSWER_WHY_MAX];
    uint64_t rejected;

    if (size == 0)
        return 0;
    if (data[0] % 3 == 0)
        try_line(rest, data[0] / 3);
    else if (data[0] % 3 == 1)
        try_error(rest, data[0] / 3);
    else
        (void)otlp_answer_read(data[0] & 0x80 ? 200 : 400, rest, "rejectedSpans", &rejected, why);
    return 0;
}
