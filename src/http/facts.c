#include "http/internal.h"

#define V HTTP_BYTE_VALUE
#define T HTTP_BYTE_TOKEN
#define G HTTP_BYTE_TARGET
#define U HTTP_BYTE_UNRESERVED
#define X HTTP_BYTE_HEX

const uint8_t http_byte_classes[256] = {
    ['\t'] = V,
    [' '] = V,
    ['!'] = V | T | G,
    ['"'] = V | G,
    ['#'] = V | T,
    ['$' ... '\''] = V | T | G,
    ['(' ... ')'] = V | G,
    ['*' ... '+'] = V | T | G,
    [','] = V | G,
    ['-' ... '.'] = V | T | G | U,
    ['/'] = V | G,
    ['0' ... '9'] = V | T | G | U | X,
    [':' ... '@'] = V | G,
    ['A' ... 'F'] = V | T | G | U | X,
    ['G' ... 'Z'] = V | T | G | U,
    ['[' ... ']'] = V | G,
    ['^'] = V | T | G,
    ['_'] = V | T | G | U,
    ['`'] = V | T | G,
    ['a' ... 'f'] = V | T | G | U | X,
    ['g' ... 'z'] = V | T | G | U,
    ['{'] = V | G,
    ['|'] = V | T | G,
    ['}'] = V | G,
    ['~'] = V | T | G | U,
    [0x80 ... 0xff] = V,
};

static const char *const reasons[600] = {
    [100] = "Continue",
    [101] = "Switching Protocols",
    [102] = "Processing",
    [103] = "Early Hints",
    [200] = "OK",
    [201] = "Created",
    [202] = "Accepted",
    [203] = "Non-Authoritative Information",
    [204] = "No Content",
    [205] = "Reset Content",
    [206] = "Partial Content",
    [207] = "Multi-Status",
    [208] = "Already Reported",
    [226] = "IM Used",
    [300] = "Multiple Choices",
    [301] = "Moved Permanently",
    [302] = "Found",
    [303] = "See Other",
    [304] = "Not Modified",
    [305] = "Use Proxy",
    [307] = "Temporary Redirect",
    [308] = "Permanent Redirect",
    [400] = "Bad Request",
    [401] = "Unauthorized",
    [402] = "Payment Required",
    [403] = "Forbidden",
    [404] = "Not Found",
    [405] = "Method Not Allowed",
    [406] = "Not Acceptable",
    [407] = "Proxy Authentication Required",
    [408] = "Request Timeout",
    [409] = "Conflict",
    [410] = "Gone",
    [411] = "Length Required",
    [412] = "Precondition Failed",
    [413] = "Content Too Large",
    [414] = "URI Too Long",
    [415] = "Unsupported Media Type",
    [416] = "Range Not Satisfiable",
    [417] = "Expectation Failed",
    [421] = "Misdirected Request",
    [422] = "Unprocessable Content",
    [423] = "Locked",
    [424] = "Failed Dependency",
    [425] = "Too Early",
    [426] = "Upgrade Required",
    [428] = "Precondition Required",
    [429] = "Too Many Requests",
    [431] = "Request Header Fields Too Large",
    [451] = "Unavailable For Legal Reasons",
    [500] = "Internal Server Error",
    [501] = "Not Implemented",
    [502] = "Bad Gateway",
    [503] = "Service Unavailable",
    [504] = "Gateway Timeout",
    [505] = "HTTP Version Not Supported",
    [506] = "Variant Also Negotiates",
    [507] = "Insufficient Storage",
    [508] = "Loop Detected",
    [511] = "Network Authentication Required",
};

const char *http_reason(unsigned status)
{
    return status < ARRAY_SIZE(reasons) && reasons[status] ? reasons[status] : "Unknown";
}

bool http_bytes_are(struct slice s, unsigned class)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!http_byte_is(s.base[i], class))
            return false;
    }
    return true;
}

unsigned http_hex_value(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a') + 10;
}

struct slice http_trim(struct slice s)
{
    while (s.len > 0 && (s.base[0] == ' ' || s.base[0] == '\t')) {
        s.base++;
        s.len--;
    }
    while (s.len > 0 && (s.base[s.len - 1] == ' ' || s.base[s.len - 1] == '\t'))
        s.len--;
    return s;
}

bool http_list_next(struct slice *rest, bool *more, struct slice *ret_element)
{
    const char *comma = rest->len > 0 ? memchr(rest->base, ',', rest->len) : NULL;
    size_t n = comma ? (size_t)(comma - rest->base) : rest->len;

    if (!*more)
        return false;
    *more = comma != NULL;
    *ret_element = http_trim(slice(rest->base, n));
    if (comma)
        *rest = slice(comma + 1, rest->len - n - 1);
    return true;
}

bool http_is_token(struct slice s)
{
    return s.len > 0 && http_bytes_are(s, HTTP_BYTE_TOKEN);
}

bool http_is_value(struct slice s)
{
    return http_bytes_are(s, HTTP_BYTE_VALUE);
}

bool http_is_hop_header(struct slice name)
{
    static const struct slice names[] = {
        SLICE_LIT("Connection"),
        SLICE_LIT("Keep-Alive"),
        SLICE_LIT("Proxy-Connection"),
        SLICE_LIT("Proxy-Authenticate"),
        SLICE_LIT("Proxy-Authorization"),
        SLICE_LIT("TE"),
        SLICE_LIT("Trailer"),
        SLICE_LIT("Transfer-Encoding"),
        SLICE_LIT("Upgrade"),
    };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (slice_eq_nocase(name, names[i]))
            return true;
    }
    return false;
}

bool http_head_find(const struct http_head *head, const char *name, struct slice *ret_value)
{
    struct slice wanted = slice_str(name);

    for (uint32_t i = 0; i < head->n_headers; i++) {
        if (slice_eq_nocase(head->headers[i].name, wanted)) {
            *ret_value = head->headers[i].value;
            return true;
        }
    }
    return false;
}

bool http_connection_lists(const struct http_head *head, struct slice name)
{
    for (uint32_t i = 0; i < head->n_headers; i++) {
        struct slice rest = head->headers[i].value, option;
        bool more = true;

        if (!slice_eq_nocase(head->headers[i].name, SLICE_LIT("Connection")))
            continue;
        while (http_list_next(&rest, &more, &option)) {
            if (slice_eq_nocase(option, name))
                return true;
        }
    }
    return false;
}
