/* A program's output, as a CGI reply: however it is cut the same is told; and the headers that are
 * told may go into an HTTP response. */

#include "cgi.h"
#include "fuzz.h"

struct reading {
    enum cgi_event event;
    struct cgi_parser parser;
    struct cgi_head head;
    size_t used;
};

/* In one piece, or in pieces of changing sizes up to `piece_max`. */
static void read_all(struct slice output, size_t piece_max, struct reading *r)
{
    uint64_t seed = fuzz_seed(output);

    cgi_parser_init(&r->parser);
    r->event = CGI_EVENT_MORE;
    r->used = 0;
    for (size_t len = 0; piece_max > 0 && len < output.len && r->event == CGI_EVENT_MORE;
         len += 1 + fuzz_next(&seed) % piece_max)
        r->event = cgi_parse(&r->parser, slice(output.base, len), false, &r->head, &r->used);
    if (r->event == CGI_EVENT_MORE)
        r->event = cgi_parse(&r->parser, output, true, &r->head, &r->used);
}

static void check_same(const struct reading *a, const struct reading *b)
{
    FUZZ_CHECK(a->event == b->event);
    if (a->event == CGI_EVENT_ERROR)
        return; /* the text quotes the line as far as it has come */
    FUZZ_CHECK(a->used == b->used);
    FUZZ_CHECK(a->head.status == b->head.status);
    FUZZ_CHECK(a->head.is_plain == b->head.is_plain);
    FUZZ_CHECK(a->head.content_length == b->head.content_length);
    FUZZ_CHECK(a->head.n_headers == b->head.n_headers);
    for (uint32_t i = 0; i < a->head.n_headers; i++) {
        FUZZ_CHECK(slice_eq(a->head.headers[i].name, b->head.headers[i].name));
        FUZZ_CHECK(slice_eq(a->head.headers[i].value, b->head.headers[i].value));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct reading whole, cut;
    struct slice output = slice(data, size);

    read_all(output, 0, &whole);
    read_all(output, 1, &cut);
    check_same(&whole, &cut);
    read_all(output, 40, &cut);
    check_same(&whole, &cut);
    FUZZ_CHECK(whole.event != CGI_EVENT_MORE); /* the end decides */
    if (whole.event == CGI_EVENT_ERROR) {
        FUZZ_CHECK(whole.parser.error_text[0] != '\0');
        return 0;
    }
    FUZZ_CHECK(whole.head.status >= 200 && whole.head.status <= 599);
    FUZZ_CHECK(whole.used <= size && (!whole.head.is_plain || whole.used == 0));
    for (uint32_t i = 0; i < whole.head.n_headers; i++) {
        FUZZ_CHECK(http_is_token(whole.head.headers[i].name));
        FUZZ_CHECK(http_is_value(whole.head.headers[i].value));
    }
    return 0;
}
