#include "model/egress.h"

#include "base/parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#define NAME_MAX_BYTES 253 /* of a host name, RFC 1035 */

/* clang-format off */
#define V4(bits, a, b, c, d) {.prefix = (bits), .address = {(a), (b), (c), (d)}}
#define V6(bits, ...)        {.v6 = true, .prefix = (bits), .address = {__VA_ARGS__}}

const struct egress_rule egress_refused[] = {
    V4(16, 169, 254, 0, 0),     /* link-local: metadata of AWS, Google, Azure and most others */
    V4(32, 168, 63, 129, 16),   /* Azure's wire server */
    V4(32, 100, 100, 100, 200), /* Alibaba */
    V4(32, 192, 0, 0, 192),     /* Oracle */
    V6(128, 0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54), /* AWS: instances */
    V6(128, 0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x23),    /* and pods */
    V6(128, 0xfd, 0x20, 0x00, 0xce, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54), /* Google */
    V6(128, 0xfd, 0x00, 0x00, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x42),    /* Scaleway */
    V6(128, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xa9, 0xfe, 0xa9, 0xfe), /* OpenStack */
    /* The IPv4 ones behind the well-known prefix of a translator (RFC 6052). */
    V6(112, 0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 169, 254),
    V6(128, 0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 168, 63, 129, 16),
    V6(128, 0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 100, 100, 100, 200),
    V6(128, 0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 192, 0, 0, 192),
};
/* clang-format on */

const size_t n_egress_refused = ARRAY_SIZE(egress_refused);

static unsigned bits(const struct egress_rule *rule)
{
    return rule->v6 ? 128 : 32;
}

bool egress_is_single(const struct egress_rule *rule)
{
    return rule->prefix == bits(rule);
}

static bool bits_are_equal(const uint8_t *a, const uint8_t *b, unsigned n)
{
    unsigned whole = n / 8, rest = n % 8;

    return memcmp(a, b, whole) == 0 && (rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0);
}

bool egress_is_within(const struct egress_rule *rule, const struct egress_rule *range)
{
    return rule->v6 == range->v6 && rule->prefix >= range->prefix &&
           bits_are_equal(rule->address, range->address, range->prefix);
}

bool egress_is_refused(const struct egress_rule *rule)
{
    for (size_t i = 0; i < n_egress_refused; i++) {
        if (egress_is_within(rule, &egress_refused[i]))
            return true;
    }
    return false;
}

/* ::ffff:192.0.2.1 is what it says behind the colons. A shorter prefix is more than IPv4. */
static void undress(struct egress_rule *rule)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (!rule->v6 || rule->prefix < 96 || memcmp(rule->address, mapped, sizeof(mapped)) != 0)
        return;
    *rule = (struct egress_rule){
        .prefix = rule->prefix - 96,
        .port = rule->port,
        .address = {rule->address[12], rule->address[13], rule->address[14], rule->address[15]}};
}

int egress_address_parse(struct slice text, struct egress_rule *ret)
{
    const char *zone = text.len > 0 ? memchr(text.base, '%', text.len) : NULL;
    size_t len = zone ? (size_t)(zone - text.base) : text.len;
    char copy[INET6_ADDRSTRLEN];
    struct egress_rule rule = {0};

    if (len >= sizeof(copy) || len == 0 || memchr(text.base, '\0', len))
        return -EINVAL;
    memcpy(copy, text.base, len);
    copy[len] = '\0';
    rule.v6 = strchr(copy, ':') != NULL;
    if (inet_pton(rule.v6 ? AF_INET6 : AF_INET, copy, rule.address) != 1)
        return -EINVAL;
    rule.prefix = (uint8_t)bits(&rule);
    undress(&rule);
    *ret = rule;
    return 0;
}

static bool host_bits_are_zero(const struct egress_rule *rule)
{
    for (unsigned i = rule->prefix; i < bits(rule); i++) {
        if (rule->address[i / 8] & 0x80 >> i % 8)
            return false;
    }
    return true;
}

/* "10.0.0.0/8", "::1". Returns 0, -EINVAL with *err, or -ENOENT if it does not look like one. */
static int range_parse(struct slice text, struct egress_rule *ret, struct error *err)
{
    const char *slash = text.len > 0 ? memchr(text.base, '/', text.len) : NULL;
    size_t len = slash ? (size_t)(slash - text.base) : text.len;
    struct egress_rule rule = {0};
    uint64_t prefix;

    if ((text.len > 0 && memchr(text.base, '%', text.len)) ||
        egress_address_parse(slice(text.base, len), &rule) < 0)
        return slash ? error_set(err, -EINVAL, "has no address before its '/'") : -ENOENT;
    if (slash) {
        bool v6 = memchr(text.base, ':', len) != NULL;

        if (parse_u64(slice(slash + 1, text.len - len - 1), v6 ? 128 : 32, &prefix) < 0)
            return error_set(err, -EINVAL, "must have a number from 0 to %d behind its '/'",
                             v6 ? 128 : 32);
        if (v6 && !rule.v6 && prefix < 96)
            return error_set(err, -EINVAL, "mixes IPv4 and IPv6; write the IPv4 range");
        rule.prefix = (uint8_t)(v6 && !rule.v6 ? prefix - 96 : prefix);
    }
    if (!host_bits_are_zero(&rule))
        return error_set(err, -EINVAL,
                         "has an address with bits behind its prefix; is it one "
                         "host (leave out the prefix) or a range (make them 0)?");
    *ret = rule;
    return 0;
}

/* Letters, digits, '-' and '_' in parts of up to 63 between dots. One that ends in a number would
 * be read as an address by some and not by others. */
static bool name_is_valid(struct slice name)
{
    size_t part = 0;
    bool number = true;

    if (name.len == 0 || name.len > NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.base[i];
        bool digit = c >= '0' && c <= '9';

        if (c == '.') {
            if (part == 0)
                return false;
            part = 0;
            number = true;
            continue;
        }
        if (!digit && c != '-' && c != '_' && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
            return false;
        if (++part > 63 || (c == '-' && part == 1))
            return false;
        /* 0x7f000001 is a number, too. */
        number = number && (digit || (part == 2 && (c | 0x20) == 'x' && name.base[i - 1] == '0') ||
                            (part > 2 && (c | 0x20) >= 'a' && (c | 0x20) <= 'f'));
    }
    return part > 0 && !number;
}

/* Splits at the last colon, with the brackets of an IPv6 address taken off. */
static int split(struct slice text, struct slice *ret_host, struct slice *ret_port,
                 struct error *err)
{
    const char *colon = text.len > 0 ? memrchr(text.base, ':', text.len) : NULL;
    struct slice host;

    if (!colon || (size_t)(colon - text.base) + 1 == text.len)
        return error_set(err, -EINVAL, "has no port; add \":443\", or \":*\" for any");
    host = slice(text.base, (size_t)(colon - text.base));
    *ret_port = slice(colon + 1, text.len - host.len - 1);
    if (host.len > 0 && host.base[0] == '[') {
        if (host.base[host.len - 1] != ']' || !memchr(host.base, ':', host.len))
            return error_set(err, -EINVAL,
                             "must have an IPv6 address between the brackets, and a "
                             "port behind them, as in \"[2001:db8::1]:443\"");
        host = slice(host.base + 1, host.len - 2);
    } else if (host.len > 0 && memchr(host.base, ':', host.len)) {
        return error_set(err, -EINVAL,
                         "needs brackets around an IPv6 address, as in \"[2001:db8::1]:443\"");
    }
    *ret_host = host;
    return 0;
}

int egress_parse(struct slice text, struct egress_rule *ret, struct slice *ret_name,
                 struct error *err)
{
    struct egress_rule rule = {0};
    struct slice host = SLICE_NULL, port = SLICE_NULL;
    uint64_t number = 0;
    int r;

    r = split(text, &host, &port, err);
    if (r < 0)
        return r;
    if (!slice_eq(port, SLICE_LIT("*")) && (parse_u64(port, 65535, &number) < 0 || number == 0))
        return error_set(err, -EINVAL, "must have a port from 1 to 65535 or \"*\" at its end");
    r = range_parse(host, &rule, err);
    if (r == -EINVAL)
        return r;
    if (r == -ENOENT && !name_is_valid(host))
        return error_set(err, -EINVAL,
                         "must begin with a host name, an IPv4 address or an IPv6 address in "
                         "brackets, with a prefix such as /8 for a range");
    *ret_name = r == -ENOENT ? host : SLICE_NULL;
    *ret = rule;
    ret->port = (uint16_t)number;
    return 0;
}

char *egress_format(const struct egress_rule *rule, char dst[static EGRESS_TEXT_MAX])
{
    char address[INET6_ADDRSTRLEN], prefix[8] = "", port[8] = "*";

    (void)inet_ntop(rule->v6 ? AF_INET6 : AF_INET, rule->address, address, sizeof(address));
    if (!egress_is_single(rule))
        (void)snprintf(prefix, sizeof(prefix), "/%u", rule->prefix);
    if (rule->port)
        (void)snprintf(port, sizeof(port), "%u", rule->port);
    (void)snprintf(dst, EGRESS_TEXT_MAX, rule->v6 ? "[%s%s]:%s" : "%s%s:%s", address, prefix, port);
    return dst;
}
