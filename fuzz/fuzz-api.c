/* Any bytes at the admin API, whole, with a store: each request gets one answer that is HTTP, in
 * JSON if it says so; no connection outlives its client, and nothing is left of it. */

#include "control/control.h"

#include "fuzz.h"
#include "os/fd.h"
#include "os/sock.h"
#include "json/text.h"

#include <ftw.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS       4
#define ANSWER_BYTES (1UL << 20)

static struct control control;
static char dir[] = "/tmp/mayfly-fuzz-XXXXXX";

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)remove(path);
    return 0;
}

static void clean(void)
{
    api_deinit(&control.api);
    streams_deinit(&control.streams);
    keep_deinit(&control.keep);
    loop_timer_cancel(&control.access.refresh);
    control.loop = loop_free(control.loop);
    (void)nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* A few rows, so that there is something to find. */
static void rows_add(void)
{
    struct record r = {.request_id = SLICE_LIT("01a22798-81ef-7dc4-9518-ca1aef360a8d"),
                       .function = SLICE_LIT("f"),
                       .version = SLICE_LIT("0123456789abcdef"),
                       .method = SLICE_LIT("GET"),
                       .path = SLICE_LIT("/\x1b[31m\xff"),
                       .start_us = 1795960635887190};
    struct log_line l = {.function = r.function,
                         .version = r.version,
                         .request_id = r.request_id,
                         .time_us = r.start_us,
                         .text = SLICE_LIT("{\"level\": \"info\", \"n\": [1, 2.5, \"\\u0000\"]}")};

    FUZZ_CHECK(keep_batch_begin(&control.keep, 1, 1));
    keep_record(&control.keep, &r);
    FUZZ_CHECK(keep_log(&control.keep, &l) > 0);
    l.text = SLICE_LIT("plain \x1b[2J");
    FUZZ_CHECK(keep_log(&control.keep, &l) > 0);
    keep_commit(&control.keep);
}

static void begin(void)
{
    FUZZ_CHECK(mkdtemp(dir) && loop_new(&control.loop) == 0);
    control.gateway.fd = -1;
    control.options.admin_url = "http://127.0.0.1:8081";
    list_init(&control.gateway.queue);
    streams_init(&control.streams, &control);
    keep_init(&control.keep, control.loop, dir, NULL, NULL);
    api_init(&control.api, &control, control.loop);
    rows_add();
    (void)atexit(clean);
}

static void check_body(const struct http_head *head, struct slice body)
{
    struct slice type = SLICE_NULL, coding;
    struct error err = ERROR_NULL;
    json_t *json;

    (void)http_head_find(head, "content-type", &type);
    if (!slice_eq(type, SLICE_LIT("application/json")) || body.len == 0 ||
        http_head_find(head, "content-encoding", &coding))
        return;
    FUZZ_CHECK(json_text_load(body, "answer", &json, &err) == 0);
    json_decref(json);
}

static void check_answer(struct slice bytes)
{
    static struct http_head head, later;
    struct http_parser p;
    struct slice data = SLICE_NULL;
    size_t used = 0;

    http_parser_init(&p, HTTP_RESPONSE, &HTTP_LIMITS_DEFAULT);
    FUZZ_CHECK(http_parse(&p, bytes, &used, &head, &data) == HTTP_EVENT_HEAD);
    FUZZ_CHECK(head.status >= 200 && head.status < 600 && !head.keep_alive);
    bytes = slice(bytes.base + used, bytes.len - used);
    if (bytes.len == 0 || http_parse(&p, bytes, &used, &later, &data) != HTTP_EVENT_DATA)
        return;
    if (head.has_content_length && data.len == head.content_length)
        check_body(&head, data);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static char answer[ANSWER_BYTES];
    int fds[2];
    ssize_t n;

    if (!control.loop)
        begin();
    if (size == 0 || size > API_HEAD_MAX)
        return 0;
    FUZZ_CHECK(sock_pair(SOCK_STREAM | SOCK_NONBLOCK, fds) == 0);
    /* Of the first byte only this is looked at: by which of the two ways it came. */
    api_take(&control.api, fds[0], slice(bytes + 1, size - 1), (bytes[0] & 1) != 0);
    for (int i = 0; i < ROUNDS; i++)
        FUZZ_CHECK(loop_round(control.loop, true) == 0);
    n = recv(fds[1], answer, sizeof(answer), MSG_DONTWAIT);
    if (n > 0)
        check_answer(slice(answer, (size_t)n));
    (void)fd_close(fds[1]);
    for (int i = 0; i < ROUNDS; i++)
        FUZZ_CHECK(loop_round(control.loop, true) == 0);
    FUZZ_CHECK(control.api.n_connections == 0 && control.api.n_bytes == 0);
    FUZZ_CHECK(control.streams.n_waiting == 0 && list_is_empty(&control.streams.list));
    return 0;
}
