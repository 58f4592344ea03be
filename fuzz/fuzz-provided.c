/* A program's bytes to the Runtime API: however they are cut, the same is answered and the API ends
 * in the same state; nothing that was refused moves it. */

#include "conn.h"
#include "fuzz.h"

struct reading {
    struct rapi api;
    struct conn conn;
    uint64_t n_body;
    bool over;
};

static void on_event(struct reading *r, enum conn_event event, struct slice data)
{
    static const struct rapi_event sample = {
        .id = {"id", 2}, .arn = {"arn", 3}, .deadline_ms = 1, .body = {"{}", 2}};
    enum rapi_call call = r->conn.request.call;

    if (event == CONN_DATA) {
        r->n_body += data.len;
    } else if (event == CONN_CUT) {
        if (call == RAPI_CALL_RESPONSE || call == RAPI_CALL_ERROR)
            rapi_cut(&r->api, true);
        r->over = true;
    } else if (event == CONN_BEGUN && r->conn.request.bad_mode) {
        rapi_complete(&r->api);
    } else if (event == CONN_END && call == RAPI_CALL_NEXT) {
        r->conn.parked = true;
        rapi_give(&r->api, sample.id);
        conn_give(&r->conn, &sample);
    } else if (event == CONN_END) {
        if (call == RAPI_CALL_RESPONSE || call == RAPI_CALL_ERROR)
            rapi_complete(&r->api);
        conn_answer(&r->conn);
    }
}

static void read_all(struct slice bytes, size_t piece_max, struct reading *r)
{
    uint64_t seed = fuzz_seed(bytes);

    *r = (struct reading){.n_body = 0};
    rapi_init(&r->api);
    conn_init(&r->conn, -1);
    for (size_t at = 0; at < bytes.len && !r->over;) {
        size_t n = piece_max > 0 ? 1 + fuzz_next(&seed) % piece_max : bytes.len;
        enum conn_event event;
        struct slice data;

        n = MIN(n, bytes.len - at);
        if (r->conn.closing || buf_append(&r->conn.in, bytes.base + at, n) < 0)
            break;
        at += n;
        do {
            event = conn_next(&r->conn, &r->api, &data);
            on_event(r, event, data);
        } while (event != CONN_MORE && event != CONN_CUT);
    }
    if (!r->over && !r->conn.closing)
        on_event(r, conn_eof(&r->conn), SLICE_NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct reading whole, cut;
    struct slice bytes = slice(data, size);

    if (size > CONN_IN_MAX / 2)
        return 0;
    read_all(bytes, 0, &whole);
    read_all(bytes, 20, &cut);
    FUZZ_CHECK(whole.api.state == cut.api.state);
    FUZZ_CHECK(whole.n_body == cut.n_body);
    FUZZ_CHECK(slice_eq(buf_slice(&whole.conn.out), buf_slice(&cut.conn.out)));
    conn_deinit(&whole.conn);
    conn_deinit(&cut.conn);
    return 0;
}
