/* The programs, instruction by instruction.
 *
 * Registers: r1 is the kernel's context; r2 an IPv4 address, or r2 to r5 the words of an IPv6 one,
 * as they lie in memory; r7 the port in the same way; r8 is scratch. Each rule is a run of
 * comparisons that leave for the next rule, then a verdict: no table, no loop, nothing that the
 * kernel's verifier could find hard. */

#include "sandbox/egress.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define INSNS_FIXED  128 /* around the rules */
#define INSNS_RULE   16  /* at most, of one IPv6 rule */
#define JUMPS_MAX    12
#define LOAD_BYTES   26 /* BPF_FUNC_skb_load_bytes */
#define TCP_SYN_ACK  0x12
#define TCP_FLAGS    13 /* offset in its header */
#define IPV4_BYTES   20
#define IPV6_BYTES   40
#define STACK_HEADER (-64) /* where the packet's header is read to, */
#define STACK_FLAGS  (-16) /* the TCP flags, */
#define STACK_PORT   (-8)  /* and the source port */

enum {
    DENY,
    ALLOW,
};

/* Jumps to a place further down. */
struct label {
    size_t jumps[JUMPS_MAX];
    unsigned n;
};

static void emit(struct egress_program *p, struct bpf_insn insn)
{
    assert(p->n < p->max);
    p->insns[p->n++] = insn;
}

static void label_bind(struct egress_program *p, struct label *l)
{
    for (unsigned i = 0; i < l->n; i++) {
        size_t distance = p->n - l->jumps[i] - 1;

        assert(distance <= INT16_MAX);
        p->insns[l->jumps[i]].off = (int16_t)distance;
    }
    l->n = 0;
}

static void jump(struct egress_program *p, uint8_t op, uint8_t reg, uint32_t imm, struct label *to)
{
    assert(to->n < JUMPS_MAX);
    to->jumps[to->n++] = p->n;
    emit(p, (struct bpf_insn){
                .code = BPF_JMP32 | BPF_K | op, .dst_reg = reg & 0xf, .imm = (int32_t)imm});
}

/* 32 bits of arithmetic with a constant; the upper half becomes 0. */
static void alu(struct egress_program *p, uint8_t op, uint8_t reg, uint32_t imm)
{
    emit(p, (struct bpf_insn){
                .code = BPF_ALU | BPF_K | op, .dst_reg = reg & 0xf, .imm = (int32_t)imm});
}

static void copy32(struct egress_program *p, uint8_t to, uint8_t from)
{
    emit(p, (struct bpf_insn){
                .code = BPF_ALU | BPF_X | BPF_MOV, .dst_reg = to & 0xf, .src_reg = from & 0xf});
}

static void copy64(struct egress_program *p, uint8_t to, uint8_t from)
{
    emit(p, (struct bpf_insn){
                .code = BPF_ALU64 | BPF_X | BPF_MOV, .dst_reg = to & 0xf, .src_reg = from & 0xf});
}

static void load(struct egress_program *p, uint8_t size, uint8_t to, uint8_t from, int offset)
{
    emit(p, (struct bpf_insn){.code = BPF_LDX | BPF_MEM | size,
                              .dst_reg = to & 0xf,
                              .src_reg = from & 0xf,
                              .off = (int16_t)offset});
}

static void store(struct egress_program *p, uint8_t to, int offset, uint8_t from)
{
    emit(p, (struct bpf_insn){.code = BPF_STX | BPF_MEM | BPF_W,
                              .dst_reg = to & 0xf,
                              .src_reg = from & 0xf,
                              .off = (int16_t)offset});
}

static void verdict(struct egress_program *p, int result)
{
    emit(p, (struct bpf_insn){.code = BPF_ALU64 | BPF_K | BPF_MOV, .imm = result});
    emit(p, (struct bpf_insn){.code = BPF_JMP | BPF_EXIT});
}

/* ---- rules ---- */

static uint32_t word(const uint8_t bytes[static 4])
{
    uint32_t v;

    memcpy(&v, bytes, sizeof(v));
    return v;
}

/* `bits` ones and then zeros, as they lie in memory. */
static uint32_t mask(unsigned bits)
{
    return htonl(bits >= 32 ? UINT32_MAX : ~(UINT32_MAX >> bits));
}

/* Returns false for a rule that leaves nothing to those behind it, whose code would be refused as
 * unreachable. */
static bool match(struct egress_program *p, const struct egress_rule *rule, int result)
{
    bool conditional = rule->prefix > 0 || rule->port > 0;

    struct label next = {.n = 0};

    for (unsigned i = 0; i * 32 < rule->prefix; i++) {
        unsigned bits = MIN(rule->prefix - i * 32, 32u);
        uint8_t reg = (uint8_t)(BPF_REG_2 + i);

        if (bits < 32) {
            copy32(p, BPF_REG_8, reg);
            alu(p, BPF_AND, BPF_REG_8, mask(bits));
            reg = BPF_REG_8;
        }
        jump(p, BPF_JNE, reg, word(&rule->address[i * 4]), &next);
    }
    if (rule->port)
        jump(p, BPF_JNE, BPF_REG_7, htons(rule->port), &next);
    verdict(p, result);
    label_bind(p, &next);
    return conditional;
}

/* A resolver at an address that is refused otherwise. */
static bool is_exception(const struct egress_rule *rule)
{
    return egress_is_single(rule) && rule->port == EGRESS_PORT_DNS && egress_is_refused(rule);
}

static void decide(struct egress_program *p, const struct egress_policy *policy, bool v6)
{
    for (size_t i = 0; i < policy->n_rules; i++) {
        if (policy->rules[i].v6 == v6 && is_exception(&policy->rules[i]))
            (void)match(p, &policy->rules[i], ALLOW);
    }
    for (size_t i = 0; i < n_egress_refused; i++) {
        if (egress_refused[i].v6 == v6)
            (void)match(p, &egress_refused[i], DENY);
    }
    for (size_t i = 0; i < policy->n_rules && policy->list; i++) {
        if (policy->rules[i].v6 == v6 && !is_exception(&policy->rules[i]) &&
            !match(p, &policy->rules[i], ALLOW))
            return;
    }
    verdict(p, policy->list ? DENY : ALLOW);
}

/* ---- an address given to connect() or sendmsg() ---- */

#define CONTEXT(field) ((int)offsetof(struct bpf_sock_addr, field))

/* The unspecified address means this machine; said so, it cannot mean anything else. */
static void decide_address4(struct egress_program *p, const struct egress_policy *policy, int place)
{
    struct label given = {.n = 0};

    jump(p, BPF_JNE, BPF_REG_2, 0, &given);
    alu(p, BPF_MOV, BPF_REG_2, htonl(INADDR_LOOPBACK));
    store(p, BPF_REG_1, place, BPF_REG_2);
    label_bind(p, &given);
    decide(p, policy, false);
}

static void build_address4(struct egress_program *p, const struct egress_policy *policy)
{
    load(p, BPF_W, BPF_REG_7, BPF_REG_1, CONTEXT(user_port));
    load(p, BPF_W, BPF_REG_2, BPF_REG_1, CONTEXT(user_ip4));
    decide_address4(p, policy, CONTEXT(user_ip4));
}

static void build_address6(struct egress_program *p, const struct egress_policy *policy)
{
    struct label native = {.n = 0}, mapped = {.n = 0};

    load(p, BPF_W, BPF_REG_7, BPF_REG_1, CONTEXT(user_port));
    for (int i = 0; i < 4; i++)
        load(p, BPF_W, (uint8_t)(BPF_REG_2 + i), BPF_REG_1, CONTEXT(user_ip6) + i * 4);
    jump(p, BPF_JNE, BPF_REG_2, 0, &native);
    jump(p, BPF_JNE, BPF_REG_3, 0, &native);
    jump(p, BPF_JEQ, BPF_REG_4, htonl(0xffff), &mapped);
    jump(p, BPF_JNE, BPF_REG_4, 0, &native);
    jump(p, BPF_JNE, BPF_REG_5, 0, &native);
    alu(p, BPF_MOV, BPF_REG_5, htonl(1));
    store(p, BPF_REG_1, CONTEXT(user_ip6) + 12, BPF_REG_5);
    label_bind(p, &native);
    decide(p, policy, true);

    label_bind(p, &mapped);
    copy32(p, BPF_REG_2, BPF_REG_5);
    decide_address4(p, policy, CONTEXT(user_ip6) + 12);
}

/* ---- a new socket ---- */

static void build_socket(struct egress_program *p, const struct egress_policy *policy)
{
    static const struct {
        uint32_t protocol, type;
    } kinds[] = {{IPPROTO_TCP, SOCK_STREAM}, {IPPROTO_UDP, SOCK_DGRAM}};

    (void)policy;
    load(p, BPF_W, BPF_REG_2, BPF_REG_1, offsetof(struct bpf_sock, protocol));
    load(p, BPF_W, BPF_REG_3, BPF_REG_1, offsetof(struct bpf_sock, type));
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct label next = {.n = 0};

        jump(p, BPF_JNE, BPF_REG_2, kinds[i].protocol, &next);
        jump(p, BPF_JNE, BPF_REG_3, kinds[i].type, &next);
        verdict(p, ALLOW);
        label_bind(p, &next);
    }
    verdict(p, DENY);
}

/* ---- a packet that leaves ---- */

/* Copies bytes of the packet to the stack. The call uses up r1 to r5; r6 has the context. */
static void read_packet(struct egress_program *p, unsigned from, int to, unsigned n,
                        struct label *fail)
{
    copy64(p, BPF_REG_1, BPF_REG_6);
    alu(p, BPF_MOV, BPF_REG_2, from);
    copy64(p, BPF_REG_3, BPF_REG_10);
    emit(p,
         (struct bpf_insn){.code = BPF_ALU64 | BPF_K | BPF_ADD, .dst_reg = BPF_REG_3, .imm = to});
    alu(p, BPF_MOV, BPF_REG_4, n);
    emit(p, (struct bpf_insn){.code = BPF_JMP | BPF_CALL, .imm = LOAD_BYTES});
    jump(p, BPF_JNE, BPF_REG_0, 0, fail);
}

/* With the header read. Only the answer to one who wants to connect to us is of interest: what we
 * begin ourselves has been judged. */
static void decide_packet(struct egress_program *p, const struct egress_policy *policy, bool v6,
                          struct label *allow, struct label *deny)
{
    unsigned header = v6 ? IPV6_BYTES : IPV4_BYTES;
    int protocol = v6 ? 6 : 9, source = v6 ? 8 : 12;

    load(p, BPF_B, BPF_REG_2, BPF_REG_10, STACK_HEADER + protocol);
    jump(p, BPF_JEQ, BPF_REG_2, IPPROTO_UDP, allow);
    jump(p, BPF_JNE, BPF_REG_2, IPPROTO_TCP, deny);
    read_packet(p, header + TCP_FLAGS, STACK_FLAGS, 1, deny);
    load(p, BPF_B, BPF_REG_2, BPF_REG_10, STACK_FLAGS);
    alu(p, BPF_AND, BPF_REG_2, TCP_SYN_ACK);
    jump(p, BPF_JNE, BPF_REG_2, TCP_SYN_ACK, allow);
    read_packet(p, header, STACK_PORT, 2, deny);
    load(p, BPF_H, BPF_REG_7, BPF_REG_10, STACK_PORT);
    for (int i = 0; i < (v6 ? 4 : 1); i++)
        load(p, BPF_W, (uint8_t)(BPF_REG_2 + i), BPF_REG_10, STACK_HEADER + source + i * 4);
    decide(p, policy, v6);
}

/* A header of IPv4 with options, or one of IPv6 with another behind it, is one that a function has
 * asked for, to lead the packet elsewhere. */
static void build_packet(struct egress_program *p, const struct egress_policy *policy)
{
    struct label allow = {.n = 0}, deny = {.n = 0}, v4 = {.n = 0};

    copy64(p, BPF_REG_6, BPF_REG_1);
    read_packet(p, 0, STACK_HEADER, IPV4_BYTES, &deny);
    load(p, BPF_B, BPF_REG_2, BPF_REG_10, STACK_HEADER);
    jump(p, BPF_JEQ, BPF_REG_2, 0x45, &v4);
    alu(p, BPF_AND, BPF_REG_2, 0xf0);
    jump(p, BPF_JNE, BPF_REG_2, 0x60, &deny);
    read_packet(p, IPV4_BYTES, STACK_HEADER + IPV4_BYTES, IPV6_BYTES - IPV4_BYTES, &deny);
    decide_packet(p, policy, true, &allow, &deny);
    label_bind(p, &v4);
    decide_packet(p, policy, false, &allow, &deny);
    label_bind(p, &allow);
    verdict(p, ALLOW);
    label_bind(p, &deny);
    verdict(p, DENY);
}

int egress_program_build(const struct egress_policy *policy, enum egress_hook hook,
                         struct egress_program *ret)
{
    static void (*const builders[_EGRESS_HOOK_MAX])(struct egress_program *,
                                                    const struct egress_policy *) = {
        [EGRESS_CONNECT4] = build_address4, [EGRESS_CONNECT6] = build_address6,
        [EGRESS_SENDMSG4] = build_address4, [EGRESS_SENDMSG6] = build_address6,
        [EGRESS_SOCKET] = build_socket,     [EGRESS_PACKET] = build_packet,
    };
    size_t max = INSNS_FIXED + (policy->n_rules + n_egress_refused) * INSNS_RULE;

    *ret = (struct egress_program){.insns = calloc(max, sizeof(*ret->insns)), .max = max};
    if (!ret->insns)
        return -ENOMEM;
    builders[hook](ret, policy);
    return 0;
}

void egress_program_deinit(struct egress_program *p)
{
    free(p->insns);
    *p = (struct egress_program){.n = 0};
}
