#pragma once

/* Where a function may send: addresses or ranges of them, each with a port. The text is what
 * mayfly.json and the snapshot hold; a rule is the same, taken apart. And the addresses that no
 * function may reach, whatever its network: there a cloud gives its credentials to whoever asks. */

#include "base/error.h"
#include "base/slice.h"

#define EGRESS_TEXT_MAX 64 /* of a rule, with its NUL */
#define EGRESS_PORT_DNS 53

struct egress_rule {
    bool v6;
    uint8_t prefix;      /* bits of the address that count: at most 32 or 128 */
    uint16_t port;       /* 0: any */
    uint8_t address[16]; /* network order; IPv4 has the first 4; 0 behind the prefix */
};

/* Reads "10.0.0.0/8:5432", "[::1]:443", "192.0.2.1:*" or "db.example:5432". For a name *ret_name is
 * the name (borrowed from text) and *ret has only the port; for an address it is empty. An IPv4
 * address in IPv6 clothes becomes what it is. Returns 0, or -EINVAL with *err. */
int egress_parse(struct slice text, struct egress_rule *ret, struct slice *ret_name,
                 struct error *err);

/* The text of a rule, which egress_parse() reads. Returns dst. */
char *egress_format(const struct egress_rule *rule, char dst[static EGRESS_TEXT_MAX]);

/* "192.0.2.1" and "::1" without a port; "fe80::1%eth0" loses its zone. Returns 0 or -EINVAL. */
int egress_address_parse(struct slice text, struct egress_rule *ret);

/* Whether all that the first rule allows is allowed by the second, ports apart. */
bool egress_is_within(const struct egress_rule *rule, const struct egress_rule *range);

/* Whether the rule is one address, not a range. */
bool egress_is_single(const struct egress_rule *rule);

/* The ranges that no function may reach. One thing may: to ask a resolver that lives there, on port
 * 53, as it does on some clouds. */
extern const struct egress_rule egress_refused[];
extern const size_t n_egress_refused;

/* Whether all of the rule's addresses are refused. */
bool egress_is_refused(const struct egress_rule *rule);
