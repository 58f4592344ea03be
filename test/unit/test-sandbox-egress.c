/* The network programs: what they decide, run here by an interpreter of the few instructions that
 * they use, and, where we may, that the kernel's verifier takes them. */

#include "sandbox/egress.h"

#include "os/bpf.h"
#include "os/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- running a program ---- */

#define STACK_BYTES 512

/* What the program is run on: a context as memory, and a packet. */
struct input {
    uint8_t context[128];
    const uint8_t *packet;
    size_t packet_len;
};

static bool compare(uint8_t op, uint32_t a, uint32_t b)
{
    switch (op) {
    case BPF_JEQ:
        return a == b;
    case BPF_JNE:
        return a != b;
    }
    fail_msg("jump %#x", op);
    return false;
}

static void calculate(const struct bpf_insn *i, uint64_t *r)
{
    bool wide = BPF_CLASS(i->code) == BPF_ALU64;
    uint64_t b = BPF_SRC(i->code) == BPF_X ? r[i->src_reg] : (uint64_t)(int64_t)i->imm;

    switch (BPF_OP(i->code)) {
    case BPF_MOV:
        r[i->dst_reg] = b;
        break;
    case BPF_ADD:
        r[i->dst_reg] += b;
        break;
    case BPF_AND:
        r[i->dst_reg] &= b;
        break;
    default:
        fail_msg("operation %#x", i->code);
    }
    if (!wide)
        r[i->dst_reg] &= UINT32_MAX;
}

static void move(const struct bpf_insn *i, uint64_t *r)
{
    size_t n = BPF_SIZE(i->code) == BPF_W ? 4 : BPF_SIZE(i->code) == BPF_H ? 2 : 1;
    bool is_load = BPF_CLASS(i->code) == BPF_LDX;
    uint8_t *p = (uint8_t *)(uintptr_t)r[is_load ? i->src_reg : i->dst_reg] + i->off;

    if (is_load) {
        r[i->dst_reg] = 0;
        memcpy(&r[i->dst_reg], p, n); /* little-endian, as all that CI runs on */
    } else {
        memcpy(p, &r[i->src_reg], n);
    }
}

static bool run(const struct egress_program *p, struct input *in)
{
    uint8_t stack[STACK_BYTES];
    uint64_t r[11] = {[1] = (uintptr_t)in->context, [10] = (uintptr_t)(stack + sizeof(stack))};

    for (size_t pc = 0; pc < p->n; pc++) {
        const struct bpf_insn *i = &p->insns[pc];
        uint8_t class = BPF_CLASS(i->code);

        if (class == BPF_ALU || class == BPF_ALU64) {
            calculate(i, r);
        } else if (class == BPF_LDX || class == BPF_STX) {
            move(i, r);
        } else if (i->code == (BPF_JMP | BPF_EXIT)) {
            return r[0] == 1;
        } else if (i->code == (BPF_JMP | BPF_CALL)) {
            bool fits = r[2] + r[4] <= in->packet_len;

            assert_int_equal(i->imm, 26);
            assert_int_equal(r[1], (uintptr_t)in->context);
            if (fits)
                memcpy((void *)(uintptr_t)r[3], in->packet + r[2], r[4]);
            r[0] = fits ? 0 : (uint64_t)-EFAULT;
            r[1] = r[2] = r[3] = r[4] = r[5] = 0xdeadbeef;
        } else if (class == BPF_JMP32) {
            pc += compare(BPF_OP(i->code), (uint32_t)r[i->dst_reg], (uint32_t)i->imm)
                      ? (size_t)i->off
                      : 0;
        } else {
            fail_msg("instruction %#x", i->code);
        }
    }
    fail_msg("the end is passed");
    return false;
}

/* ---- policies ---- */

static char *list[] = {"10.0.0.0/8:5432", "192.0.2.1:*",        "192.0.2.2:443",
                       "127.0.0.53:53",   "[2001:db8::1]:443",  "[2001:db8:2::/47]:*",
                       "[::1]:8080",      "169.254.169.253:53", NULL};
static char *none[] = {NULL};
static char *resolvers[] = {"169.254.169.254:53", "[fd00:ec2::254]:53", NULL};
static char *everything[] = {"0.0.0.0/0:*", "[::/0]:*", NULL};

static struct function function_of(enum network network, char **egress)
{
    return (struct function){.network = network, .egress = egress};
}

static struct egress_program build(enum network network, char **egress, enum egress_hook hook)
{
    struct function f = function_of(network, egress);
    struct egress_program program;
    struct egress_policy policy;

    assert_int_equal(egress_policy_init(&policy, &f), 0);
    assert_int_equal(egress_program_build(&policy, hook, &program), 0);
    egress_policy_deinit(&policy);
    return program;
}

/* "ADDR:PORT" into the context, as the kernel puts it there. */
static void address_put(struct input *in, const char *text)
{
    struct bpf_sock_addr context = {.family = 0};
    char copy[64], *colon;
    bool v6 = text[0] == '[';

    (void)snprintf(copy, sizeof(copy), "%s", text + v6);
    colon = strrchr(copy, ':');
    *colon = '\0';
    context.user_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    if (v6)
        colon[-1] = '\0';
    assert_int_equal(inet_pton(v6 ? AF_INET6 : AF_INET, copy,
                               v6 ? (void *)context.user_ip6 : (void *)&context.user_ip4),
                     1);
    memcpy(in->context, &context, sizeof(context));
}

struct address_case {
    const char *address;
    bool allowed;
    const char *becomes; /* or NULL: as it was */
};

static void expect_addresses(enum network network, char **egress, const struct address_case *cases,
                             size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool v6 = cases[i].address[0] == '[';

        for (int k = 0; k < 2; k++) {
            enum egress_hook hook = k    ? v6 ? EGRESS_SENDMSG6 : EGRESS_SENDMSG4
                                    : v6 ? EGRESS_CONNECT6
                                         : EGRESS_CONNECT4;
            struct egress_program p = build(network, egress, hook);
            struct input in = {.packet = NULL}, after = {.packet = NULL};

            address_put(&in, cases[i].address);
            if (run(&p, &in) != cases[i].allowed)
                fail_msg("%s of %s", cases[i].address, network_name(network));
            address_put(&after, cases[i].becomes ? cases[i].becomes : cases[i].address);
            assert_memory_equal(in.context, after.context, sizeof(struct bpf_sock_addr));
            egress_program_deinit(&p);
        }
    }
}

static void a_function_with_the_hosts_network_reaches_all_but_metadata(void **state)
{
    static const struct address_case cases[] = {
        {"127.0.0.1:80", true, NULL},
        {"8.8.8.8:53", true, NULL},
        {"169.254.169.254:80", false, NULL},
        {"169.254.170.2:80", false, NULL},
        {"169.254.0.1:1", false, NULL},
        {"169.254.169.254:53", false, NULL}, /* no resolver of ours */
        {"169.253.255.255:80", true, NULL},
        {"169.255.0.0:80", true, NULL},
        {"100.100.100.200:80", false, NULL},
        {"100.100.100.201:80", true, NULL},
        {"168.63.129.16:80", false, NULL},
        {"0.0.0.0:80", true, "127.0.0.1:80"},
        {"[::1]:80", true, NULL},
        {"[::]:80", true, "[::1]:80"},
        {"[::ffff:0.0.0.0]:80", true, "[::ffff:127.0.0.1]:80"},
        {"[::ffff:127.0.0.1]:80", true, NULL},
        {"[::ffff:169.254.169.254]:80", false, NULL},
        {"[::ffff:169.254.1.1]:80", false, NULL},
        {"[::fffe:169.254.169.254]:80", true, NULL},
        {"[64:ff9b::169.254.169.254]:80", false, NULL},
        {"[64:ff9b::8.8.8.8]:80", true, NULL},
        {"[fd00:ec2::254]:80", false, NULL},
        {"[fd00:ec2::253]:53", true, NULL},
        {"[fe80::a9fe:a9fe]:80", false, NULL},
        {"[2001:db8::1]:80", true, NULL},
    };

    (void)state;
    expect_addresses(NETWORK_HOST, none, cases, ARRAY_SIZE(cases));
}

static void a_resolver_at_a_refused_address_is_asked_for_names_only(void **state)
{
    static const struct address_case cases[] = {
        {"169.254.169.254:53", true, NULL},  {"169.254.169.254:80", false, NULL},
        {"169.254.169.253:53", false, NULL}, {"[fd00:ec2::254]:53", true, NULL},
        {"[fd00:ec2::254]:80", false, NULL}, {"[::ffff:169.254.169.254]:53", true, NULL},
        {"8.8.8.8:53", true, NULL},
    };

    (void)state;
    expect_addresses(NETWORK_HOST, resolvers, cases, ARRAY_SIZE(cases));
}

static void a_list_is_all_there_is(void **state)
{
    static const struct address_case cases[] = {
        {"10.255.0.1:5432", true, NULL},
        {"10.255.0.1:5433", false, NULL},
        {"11.0.0.1:5432", false, NULL},
        {"192.0.2.1:1", true, NULL},
        {"192.0.2.1:65535", true, NULL},
        {"192.0.2.2:443", true, NULL},
        {"192.0.2.2:80", false, NULL},
        {"127.0.0.1:8080", false, NULL},
        {"0.0.0.0:8080", false, "127.0.0.1:8080"},
        {"127.0.0.53:53", true, NULL},
        {"169.254.169.253:53", true, NULL},
        {"169.254.169.253:80", false, NULL},
        {"169.254.169.254:80", false, NULL},
        {"[2001:db8::1]:443", true, NULL},
        {"[2001:db8::1]:444", false, NULL},
        {"[2001:db8::2]:443", false, NULL},
        {"[2001:db8:1:ffff::]:1", false, NULL},
        {"[2001:db8:2::]:1", true, NULL},
        {"[2001:db8:3:ffff::]:1", true, NULL},
        {"[2001:db8:4::]:1", false, NULL},
        {"[::1]:8080", true, NULL},
        {"[::]:8080", true, "[::1]:8080"},
        {"[::]:8081", false, "[::1]:8081"},
        {"[::ffff:192.0.2.2]:443", true, NULL},
        {"[::ffff:192.0.2.2]:80", false, NULL},
        {"[::ffff:0.0.0.0]:80", false, "[::ffff:127.0.0.1]:80"},
        {"[::192.0.2.2]:443", false, NULL},
    };

    (void)state;
    expect_addresses(NETWORK_LIST, list, cases, ARRAY_SIZE(cases));
}

static void a_list_of_everything_leaves_metadata_out(void **state)
{
    static const struct address_case cases[] = {
        {"8.8.8.8:1", true, NULL},           {"169.254.169.254:80", false, NULL},
        {"169.254.169.254:53", false, NULL}, {"[2001:db8::1]:1", true, NULL},
        {"[fd00:ec2::254]:80", false, NULL}, {"[::ffff:169.254.169.254]:80", false, NULL},
        {"[::ffff:8.8.8.8]:80", true, NULL},
    };

    (void)state;
    expect_addresses(NETWORK_LIST, everything, cases, ARRAY_SIZE(cases));
}

static void sockets_have_no_other_protocols(void **state)
{
    static const struct {
        uint32_t type, protocol;
        bool allowed;
    } cases[] = {
        {SOCK_STREAM, IPPROTO_TCP, true},   {SOCK_DGRAM, IPPROTO_UDP, true},
        {SOCK_STREAM, IPPROTO_SCTP, false}, {SOCK_SEQPACKET, IPPROTO_SCTP, false},
        {SOCK_STREAM, 262, false},          {SOCK_DGRAM, IPPROTO_UDPLITE, false},
        {SOCK_DGRAM, IPPROTO_ICMP, false},  {SOCK_DGRAM, IPPROTO_ICMPV6, false},
        {SOCK_RAW, IPPROTO_TCP, false},     {SOCK_RAW, IPPROTO_UDP, false},
    };
    struct egress_program p = build(NETWORK_HOST, none, EGRESS_SOCKET);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct bpf_sock context = {.type = cases[i].type, .protocol = cases[i].protocol};
        struct input in = {.packet = NULL};

        memcpy(in.context, &context, sizeof(context));
        assert_int_equal(run(&p, &in), cases[i].allowed);
    }
    egress_program_deinit(&p);
}

/* ---- packets ---- */

#define SYN 0x02
#define ACK 0x10
#define RST 0x04

static size_t packet4(uint8_t *b, uint8_t first, uint8_t protocol, const char *source,
                      uint16_t port, uint8_t flags)
{
    memset(b, 0, 128);
    b[0] = first;
    b[9] = protocol;
    assert_int_equal(inet_pton(AF_INET, source, b + 12), 1);
    b[20] = (uint8_t)(port >> 8);
    b[21] = (uint8_t)port;
    b[33] = flags;
    return protocol == IPPROTO_UDP ? 28 : 40;
}

static size_t packet6(uint8_t *b, uint8_t next, const char *source, uint16_t port, uint8_t flags)
{
    memset(b, 0, 128);
    b[0] = 0x6f;
    b[6] = next;
    assert_int_equal(inet_pton(AF_INET6, source, b + 8), 1);
    b[40] = (uint8_t)(port >> 8);
    b[41] = (uint8_t)port;
    b[53] = flags;
    return next == IPPROTO_UDP ? 48 : 60;
}

static void packets_go_straight_and_answer_only_where_listed(void **state)
{
    static const struct {
        uint8_t first, protocol;
        const char *source;
        uint16_t port;
        uint8_t flags;
        bool allowed;
    } cases[] = {
        {0x45, IPPROTO_TCP, "192.0.2.9", 9, SYN, true},
        {0x45, IPPROTO_TCP, "192.0.2.9", 9, ACK, true},
        {0x45, IPPROTO_TCP, "192.0.2.9", 9, RST | ACK, true},
        {0x45, IPPROTO_TCP, "192.0.2.9", 9, SYN | ACK, false},
        {0x45, IPPROTO_TCP, "192.0.2.2", 443, SYN | ACK, true},
        {0x45, IPPROTO_TCP, "192.0.2.2", 444, SYN | ACK, false},
        {0x46, IPPROTO_TCP, "192.0.2.2", 443, SYN, false},
        {0x46, IPPROTO_UDP, "192.0.2.2", 443, 0, false},
        {0x45, IPPROTO_UDP, "192.0.2.9", 1, 0, true},
        {0x45, IPPROTO_ICMP, "192.0.2.2", 1, 0, false},
        {0x44, IPPROTO_UDP, "192.0.2.2", 443, 0, false},
        {0x60, IPPROTO_TCP, "::2", 9, SYN, true},
        {0x60, IPPROTO_TCP, "::2", 9, SYN | ACK, false},
        {0x60, IPPROTO_TCP, "2001:db8::1", 443, SYN | ACK, true},
        {0x60, IPPROTO_UDP, "::2", 9, 0, true},
        {0x60, IPPROTO_ROUTING, "2001:db8::1", 443, 0, false},
        {0x60, IPPROTO_DSTOPTS, "2001:db8::1", 443, 0, false},
    };
    struct egress_program p = build(NETWORK_LIST, list, EGRESS_PACKET);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        bool v6 = cases[i].first == 0x60;
        uint8_t packet[128];
        struct input in = {.packet = packet};

        in.packet_len =
            v6 ? packet6(packet, cases[i].protocol, cases[i].source, cases[i].port, cases[i].flags)
               : packet4(packet, cases[i].first, cases[i].protocol, cases[i].source, cases[i].port,
                         cases[i].flags);
        if (run(&p, &in) != cases[i].allowed)
            fail_msg("case %zu", i);
        /* Cut off anywhere, it never goes further than as a whole. */
        for (size_t n = 0; n < in.packet_len && !cases[i].allowed; n++) {
            struct input cut = {.packet = packet, .packet_len = n};

            assert_false(run(&p, &cut));
        }
    }
    egress_program_deinit(&p);
}

/* ---- the kernel ---- */

static char **many_rules(void)
{
    char **rules = calloc(1025, sizeof(*rules));

    assert_non_null(rules);
    for (unsigned i = 0; i < 1024; i++) {
        int n = i % 2 ? asprintf(&rules[i], "[2001:db8:%x:%x::/67]:%u", i / 256, i % 256, i + 1)
                      : asprintf(&rules[i], "10.%u.%u.0/25:%u", i / 256, i % 256, i + 1);

        assert_true(n > 0);
    }
    return rules;
}

static void the_kernel_takes_every_program(void **state)
{
    static const struct {
        enum bpf_prog_type type;
        enum bpf_attach_type attach;
    } kinds[_EGRESS_HOOK_MAX] = {
        [EGRESS_CONNECT4] = {BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT},
        [EGRESS_CONNECT6] = {BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET6_CONNECT},
        [EGRESS_SENDMSG4] = {BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_UDP4_SENDMSG},
        [EGRESS_SENDMSG6] = {BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_UDP6_SENDMSG},
        [EGRESS_SOCKET] = {BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_CREATE},
        [EGRESS_PACKET] = {BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS},
    };
    char **many = many_rules();
    const struct {
        enum network network;
        char **egress;
    } policies[] = {{NETWORK_HOST, none},
                    {NETWORK_HOST, resolvers},
                    {NETWORK_LIST, list},
                    {NETWORK_LIST, everything},
                    {NETWORK_LIST, many}};
    bool may = true;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
        for (int hook = 0; hook < _EGRESS_HOOK_MAX && may; hook++) {
            struct egress_program p =
                build(policies[i].network, policies[i].egress, (enum egress_hook)hook);
            struct error err = ERROR_NULL;
            int fd = bpf_load(kinds[hook].type, kinds[hook].attach, "test", p.insns, p.n, &err);

            may = fd != -EPERM && fd != -ENOSYS;
            if (may && fd < 0)
                fail_msg("policy %zu, hook %d: %s", i, hook, err.text);
            fd_close(fd);
            egress_program_deinit(&p);
        }
    }
    for (unsigned i = 0; i < 1024; i++)
        free(many[i]);
    free(many);
    if (!may)
        print_message("# skipped: the kernel lets only root load programs\n");
}

static void a_rule_that_is_none_is_refused(void **state)
{
    static char *bad[][2] = {{"db:80", NULL}, {"1.2.3.4", NULL}, {"", NULL}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct function f = function_of(NETWORK_LIST, bad[i]);
        struct egress_policy policy;

        assert_int_equal(egress_policy_init(&policy, &f), -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_function_with_the_hosts_network_reaches_all_but_metadata),
        cmocka_unit_test(a_resolver_at_a_refused_address_is_asked_for_names_only),
        cmocka_unit_test(a_list_is_all_there_is),
        cmocka_unit_test(a_list_of_everything_leaves_metadata_out),
        cmocka_unit_test(sockets_have_no_other_protocols),
        cmocka_unit_test(packets_go_straight_and_answer_only_where_listed),
        cmocka_unit_test(a_rule_that_is_none_is_refused),
        cmocka_unit_test(the_kernel_takes_every_program),
    };

    return cmocka_run_group_tests_name("sandbox-egress", tests, NULL, NULL);
}
