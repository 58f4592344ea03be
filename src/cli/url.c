#include "cli/url.h"

#include "base/parse.h"

#include <errno.h>
#include <stdio.h>

/* A name or an address: nothing that could end a header or begin another part of a URL. */
static bool is_host(struct slice s, bool is_v6)
{
    if (s.len == 0 || s.len > URL_HOST_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.base[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '.' || c == '-' || c == '_';

        if (!plain && !(is_v6 && (c == ':' || c == '%')))
            return false;
    }
    return true;
}

/* Cuts "[::1]:8081" or "host:8081" in two. Returns whether the form is right. */
static bool split(struct slice s, struct slice *ret_host, struct slice *ret_port, bool *ret_is_v6)
{
    *ret_is_v6 = s.len > 0 && s.base[0] == '[';
    if (*ret_is_v6) {
        (void)slice_cut(&s, '[');
        *ret_host = slice_cut(&s, ']');
        if (s.len > 0 && s.base[0] != ':')
            return false;
        if (s.len > 0)
            s = slice(s.base + 1, s.len - 1);
    } else {
        *ret_host = slice_cut(&s, ':');
    }
    *ret_port = s;
    return true;
}

int url_parse(struct slice text, struct url *ret, struct error *err)
{
    struct slice http = SLICE_LIT("http://"), https = SLICE_LIT("https://");
    struct slice rest = text, host, port;
    uint64_t number = 80;
    bool is_v6;

    if (slice_starts(text, https))
        return error_set(err, -EINVAL,
                         "the admin listener speaks http only; reach it through a tunnel, as "
                         "`ssh -L 8081:127.0.0.1:8081 HOST` makes one");
    if (slice_starts(text, http))
        rest = slice(text.base + http.len, text.len - http.len);
    if (rest.len > 0 && rest.base[rest.len - 1] == '/')
        rest.len--;
    if (!split(rest, &host, &port, &is_v6) || !is_host(host, is_v6) ||
        (port.len > 0 && (parse_u64(port, 65535, &number) < 0 || number == 0)))
        return error_set(err, -EINVAL,
                         "not an address; write it like http://127.0.0.1:8081 or "
                         "http://[::1]:8081");
    (void)snprintf(ret->host, sizeof ret->host, "%.*s", SLICE_ARG(host));
    (void)snprintf(ret->port, sizeof ret->port, "%u", (unsigned)number);
    return 0;
}

bool url_is_local(const struct url *url)
{
    struct slice host = slice_str(url->host);

    return slice_eq_nocase(host, SLICE_LIT("localhost")) || slice_eq(host, SLICE_LIT("::1")) ||
           slice_starts(host, SLICE_LIT("127."));
}
