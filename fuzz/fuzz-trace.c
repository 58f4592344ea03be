/* A traceparent from a client: what is taken is passed on as one that is taken again, with the same
 * trace; what is refused leaves nothing behind. */

#include "fuzz.h"
#include "model/trace.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t own[TRACE_SPAN_LEN / 2] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct trace t = {.flags = 0xaa}, again;
    char text[TRACE_PARENT_LEN + 1];
    int r = trace_parse(slice(data, size), &t);

    FUZZ_CHECK(r == 0 || r == -EINVAL);
    if (r < 0) {
        FUZZ_CHECK(t.trace_id[0] == '\0' && t.parent_span_id[0] == '\0' && t.flags == 0xaa);
        return 0;
    }
    FUZZ_CHECK(size >= TRACE_PARENT_LEN && memcmp(data + 3, t.trace_id, TRACE_ID_LEN) == 0);
    FUZZ_CHECK(strlen(t.trace_id) == TRACE_ID_LEN && strlen(t.parent_span_id) == TRACE_SPAN_LEN);
    trace_set_span(&t, own);
    trace_write_parent(&t, text);
    FUZZ_CHECK(strlen(text) == TRACE_PARENT_LEN);
    FUZZ_CHECK(trace_parse(slice_str(text), &again) == 0);
    FUZZ_CHECK(strcmp(again.trace_id, t.trace_id) == 0 && again.flags == t.flags);
    FUZZ_CHECK(strcmp(again.parent_span_id, t.span_id) == 0);
    return 0;
}
