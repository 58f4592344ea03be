/* Requests: what we accept, llhttp accepts and reads the same: method, target, headers, body, and
 * where the message ends. It is the parser of Node, so of much that stands before or behind us. And
 * however the bytes are cut, the same is told; and what our writer makes of a request is read as
 * the same request.
 *
 * Where we accept and llhttp 8.1.0 does not, with good reason, the comparison is left out:
 *  - methods: RFC 9110 9.1 has any token, llhttp a list;
 *  - a tab behind the value of Content-Length or Transfer-Encoding: RFC 9110 5.6.3 has it as a
 * blank around a value, llhttp knows the space only there.
 *
 * Where llhttp accepts and we do not (known, wanted, and not searched for here): obs-fold; a CR
 * that is followed by anything in place of LF, in the head and around chunks (its loose mode, which
 * is what Debian ships); blanks in names; several empty lines before a request, also bare LF;
 * control bytes and non-ASCII in the target, and fragments; HTTP/0.9; versions such as 2.0; no
 * Host, two, or a malformed one; Transfer-Encoding in HTTP/1.0; codings before chunked; "*" for any
 * method; CONNECT; sizes of 2^63 and more; lines and heads without limit. */

#include "http-reading.h"

#ifdef HAVE_LLHTTP
/* Both headers call them so. */
#define HTTP_REQUEST  LLHTTP_REQUEST
#define HTTP_RESPONSE LLHTTP_RESPONSE
#include <llhttp.h>
#undef HTTP_REQUEST
#undef HTTP_RESPONSE

struct oracle {
    struct buf target;
    struct buf body;
    struct buf headers; /* as told_bytes() tells them, trimmed: name, value, ... */
    struct buf field;   /* the name or value being read */
    uint32_t n_headers;
    bool has_head;
    bool is_complete;
};

static struct oracle *of(llhttp_t *parser)
{
    return parser->data;
}

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    FUZZ_CHECK(buf_append(&of(parser)->target, at, len) == 0);
    return 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t len)
{
    FUZZ_CHECK(buf_append(&of(parser)->field, at, len) == 0);
    return 0;
}

static int on_field_complete(llhttp_t *parser)
{
    struct oracle *o = of(parser);
    struct slice s = buf_slice(&o->field);

    while (s.len > 0 && (s.base[0] == ' ' || s.base[0] == '\t'))
        s = slice(s.base + 1, s.len - 1);
    while (s.len > 0 && (s.base[s.len - 1] == ' ' || s.base[s.len - 1] == '\t'))
        s.len--;
    if (!o->has_head)
        told_bytes(&o->headers, s);
    buf_clear(&o->field);
    return 0;
}

static int on_value_complete(llhttp_t *parser)
{
    if (!of(parser)->has_head) /* trailers come here too */
        of(parser)->n_headers++;
    return on_field_complete(parser);
}

static int on_headers_complete(llhttp_t *parser)
{
    of(parser)->has_head = true;
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    FUZZ_CHECK(buf_append(&of(parser)->body, at, len) == 0);
    return 0;
}

static int on_message_complete(llhttp_t *parser)
{
    of(parser)->is_complete = true;
    return HPE_PAUSED;
}

static bool oracle_knows_method(struct slice method)
{
#define ROW(number, name, string) SLICE_LIT(#string),
    static const struct slice known[] = {HTTP_METHOD_MAP(ROW)};
#undef ROW

    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (slice_eq(method, known[i]))
            return true;
    }
    return false;
}

/* A tab at the end of a framing header's line. */
static bool has_framing_tab(const struct http_head *head, struct slice input)
{
    for (uint32_t i = 0; i < head->n_headers; i++) {
        const struct http_header *h = &head->headers[i];
        const char *at = h->value.base + h->value.len;

        if (!slice_eq_nocase(h->name, SLICE_LIT("Content-Length")) &&
            !slice_eq_nocase(h->name, SLICE_LIT("Transfer-Encoding")))
            continue;
        for (; at < input.base + input.len && (*at == ' ' || *at == '\t'); at++) {
            if (*at == '\t')
                return true;
        }
    }
    return false;
}

/* llhttp has stopped in a body for one of the reasons listed above. */
static bool stopped_for_known_reason(const llhttp_t *parser, enum llhttp_errno result)
{
    switch (result) {
    case HPE_INVALID_CHUNK_SIZE: /* behind the ';' of a second extension */
        return llhttp_get_error_pos(parser)[-1] == ';';
    case HPE_INVALID_TRANSFER_ENCODING: /* the head is read: these come from a trailer */
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return true;
    default:
        return false;
    }
}

/* Our target is what llhttp found, without scheme and authority. */
static void compare_targets(struct slice ours, struct slice theirs)
{
    const char *authority;

    if (theirs.base[0] == '/' || theirs.base[0] == '*') {
        FUZZ_CHECK(slice_eq(ours, theirs));
        return;
    }
    authority = memmem(theirs.base, theirs.len, "://", 3);
    FUZZ_CHECK(authority);
    authority += 3;
    theirs = slice(authority, theirs.len - (size_t)(authority - theirs.base));
    while (theirs.len > 0 && theirs.base[0] != '/')
        theirs = slice(theirs.base + 1, theirs.len - 1);
    if (theirs.len > 0)
        FUZZ_CHECK(slice_eq(ours, theirs));
    else
        FUZZ_CHECK(slice_eq(ours, SLICE_LIT("/")) || slice_eq(ours, SLICE_LIT("*")));
}

static void compare_heads(const struct http_head *head, const struct oracle *o,
                          const llhttp_t *parser)
{
    struct buf headers = BUF_INIT(SIZE_MAX / 2);

    FUZZ_CHECK(o->has_head);
    FUZZ_CHECK(
        slice_eq(head->method, slice_str(llhttp_method_name((llhttp_method_t)parser->method))));
    FUZZ_CHECK(parser->http_major == 1 && parser->http_minor == head->version_minor);
    compare_targets(head->target, buf_slice(&o->target));
    FUZZ_CHECK(head->n_headers == o->n_headers);
    for (uint32_t i = 0; i < head->n_headers; i++) {
        told_bytes(&headers, head->headers[i].name);
        told_bytes(&headers, head->headers[i].value);
    }
    FUZZ_CHECK(slice_eq(buf_slice(&headers), buf_slice(&o->headers)));
    buf_deinit(&headers);
}

static void compare(struct slice input, const struct http_message *m)
{
    static const llhttp_settings_t settings = {
        .on_url = on_url,
        .on_header_field = on_field,
        .on_header_field_complete = on_field_complete,
        .on_header_value = on_field,
        .on_header_value_complete = on_value_complete,
        .on_headers_complete = on_headers_complete,
        .on_body = on_body,
        .on_message_complete = on_message_complete,
    };
    struct buf none = BUF_INIT(SIZE_MAX / 2);
    struct oracle o = {.target = none, .body = none, .headers = none, .field = none};
    enum llhttp_errno result;
    llhttp_t parser;

    if (!m->has_head || !oracle_knows_method(m->head.method) || has_framing_tab(&m->head, input))
        return;
    llhttp_init(&parser, LLHTTP_REQUEST, &settings);
    parser.data = &o;
    result = llhttp_execute(&parser, input.base, input.len);
    compare_heads(&m->head, &o, &parser);
    if (m->last != HTTP_EVENT_ERROR && !stopped_for_known_reason(&parser, result)) {
        FUZZ_CHECK(o.is_complete == (m->last == HTTP_EVENT_END));
        FUZZ_CHECK(slice_eq(buf_slice(&m->body), buf_slice(&o.body)));
        if (o.is_complete)
            FUZZ_CHECK(llhttp_get_error_pos(&parser) == input.base + m->end);
        else /* we judge a line when it is complete, llhttp at once */
            FUZZ_CHECK(result == HPE_OK || llhttp_get_error_pos(&parser) >= input.base + m->end);
    }
    buf_deinit(&o.target);
    buf_deinit(&o.body);
    buf_deinit(&o.headers);
    buf_deinit(&o.field);
}

#else
static void compare(struct slice input, const struct http_message *m)
{
    (void)input; /* without llhttp's sources there is nothing to compare with */
    (void)m;
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_message m = {.body = {.max = SIZE_MAX / 2}};
    const struct http_how how = {.kind = HTTP_REQUEST, .limits = HTTP_LIMITS_DEFAULT};
    struct slice input = slice(data, size);

    http_check_cuts(input, how);
    http_check_cuts_small(input, how);
    for (;;) {
        http_read_one(input, &how, &m);
        compare(input, &m);
        if (m.last != HTTP_EVENT_END)
            break;
        if (m.head.version_minor == 1)
            http_check_written(&m, &how);
        if (m.end == input.len)
            break;
        input = slice(input.base + m.end, input.len - m.end);
    }
    buf_deinit(&m.body);
    return 0;
}
