/* Responses, as a worker may send them: however they are cut the same is told; and what our writer
 * makes of a message that was read is read as the same message. The second holds for HTTP/1.1,
 * which is what the writer writes. */

#include "http-reading.h"

static void check(struct slice input, bool head_request)
{
    static struct http_message m = {.body = {.max = SIZE_MAX / 2}};
    const struct http_how how = {
        .kind = HTTP_RESPONSE, .limits = HTTP_LIMITS_DEFAULT, .head_request = head_request};

    http_check_cuts(input, how);
    http_check_cuts_small(input, how);
    for (;;) {
        http_read_one(input, &how, &m);
        if (m.last != HTTP_EVENT_END)
            break;
        if (m.head.version_minor == 1)
            http_check_written(&m, &how);
        if (m.end == input.len)
            break;
        input = slice(input.base + m.end, input.len - m.end);
    }
    buf_deinit(&m.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(slice(data, size), false);
    check(slice(data, size), true);
    return 0;
}
