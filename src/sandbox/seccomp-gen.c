/* Writes the filter of system calls as C: run at build time, for the architecture that it runs on.
 *
 * libseccomp knows the numbers of the names, and lays out the test of the architecture and the
 * search for the number (a balanced tree). Arguments it can only compare in ways that leave no
 * room for "all but these", so that part is ours: for a call with checks libseccomp is told to
 * return SECCOMP_RET_TRACE and the number of the check, and in the finished program each such
 * return becomes a jump to instructions behind its end. */

#include "base/def.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SOCK_TYPE_MASK 0xf /* the rest of a socket's type are flags; include/linux/net.h */

#define VALUES_MAX       40
#define INSTRUCTIONS_MAX BPF_MAXINSNS

enum verdict { ALLOW, CHECK, REFUSE, ABSENT };

static const char *const verdict_names[] = {
    "SYSCALL_ALLOW",
    "SYSCALL_CHECK",
    "SYSCALL_REFUSE",
    "SYSCALL_ABSENT",
};

static const struct rule {
    const char *name;
    enum verdict verdict;
    const char *check;
} rules[] = {
#define ALLOW(name)       {#name, ALLOW, NULL},
#define CHECK(name, rows) {#name, CHECK, #rows},
#define REFUSE(name)      {#name, REFUSE, NULL},
#define ABSENT(name)      {#name, ABSENT, NULL},
#include "sandbox/syscalls.tbl.h"
#undef ALLOW
#undef CHECK
#undef REFUSE
#undef ABSENT
};

/* The second filter: rows that stand in the place of those of the same name. */
static const struct rule endpoint_rules[] = {
#define ALLOW(name)       {#name, ALLOW, NULL},
#define CHECK(name, rows) {#name, CHECK, #rows},
#include "sandbox/syscalls-endpoint.tbl.h"
#undef ALLOW
#undef CHECK
};

static const struct row {
    const char *check;
    unsigned argument;
    uint32_t mask;
    int error;
    bool wanted; /* the values are those that pass */
    size_t n;
    uint32_t values[VALUES_MAX];
} rows[] = {
#define COUNT(...) (sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))
#define UNLESS(check, argument, mask, error, ...)                                                  \
    {#check, argument, mask, error, true, COUNT(__VA_ARGS__), {__VA_ARGS__}},
#define IF(check, argument, mask, error, ...)                                                      \
    {#check, argument, mask, error, false, COUNT(__VA_ARGS__), {__VA_ARGS__}},
#include "sandbox/syscall-checks.tbl.h"
#undef UNLESS
#undef IF
};

/* Younger than the libseccomp of Debian 12; the same number on all architectures that we build on.
 */
static const struct {
    const char *name;
    int number;
} younger[] = {
    {"cachestat", 451},  {"fchmodat2", 452},  {"map_shadow_stack", 453},
    {"futex_wake", 454}, {"futex_wait", 455}, {"futex_requeue", 456},
    {"mseal", 462},
};

static struct sock_filter program[INSTRUCTIONS_MAX];
static size_t n_program;

static int fail(const char *what, const char *name, int error)
{
    (void)fprintf(stderr, "seccomp-gen: %s%s%s: %s\n", what, *name ? " " : "", name,
                  strerror(error < 0 ? -error : error));
    return 1;
}

/* Returns the number, -1 if this architecture does not have the call, -2 if nobody knows it. */
static int number_of(const char *name)
{
    int number = seccomp_syscall_resolve_name(name);

    if (number >= 0)
        return number;
    if (number != __NR_SCMP_ERROR)
        return -1;
    for (size_t i = 0; i < ARRAY_SIZE(younger); i++) {
        if (strcmp(younger[i].name, name) == 0)
            return younger[i].number;
    }
    return -2;
}

/* The first row of a check, which is also its number; or -1. */
static int check_number(const char *check)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (strcmp(rows[i].check, check) == 0)
            return (int)i;
    }
    return -1;
}

/* ---- the search for the number, by libseccomp ---- */

static int add_rule(scmp_filter_ctx ctx, const struct rule *rule)
{
    int number = number_of(rule->name), check;

    if (number == -2)
        return fail("no such system call:", rule->name, ENOSYS);
    if (number < 0 || rule->verdict == ABSENT)
        return 0;
    if (rule->verdict == ALLOW)
        return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, number, 0);
    if (rule->verdict == REFUSE)
        return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), number, 0);
    check = check_number(rule->check);
    if (check < 0)
        return fail("no rows for the check", rule->check, ENOENT);
    return seccomp_rule_add(ctx, SCMP_ACT_TRACE((uint32_t)check), number, 0);
}

/* What holds for the call of rules[i] in this filter. */
static const struct rule *rule_of(size_t i, bool endpoint)
{
    for (size_t k = 0; endpoint && k < ARRAY_SIZE(endpoint_rules); k++) {
        if (strcmp(endpoint_rules[k].name, rules[i].name) == 0)
            return &endpoint_rules[k];
    }
    return &rules[i];
}

static int make_tree(bool endpoint)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    int fd = memfd_create("filter", MFD_CLOEXEC), r;
    ssize_t n;

    if (!ctx || fd < 0)
        return fail("cannot begin", "", ENOMEM);
    r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (r == 0)
        r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(rules); i++) {
        r = add_rule(ctx, rule_of(i, endpoint));
        if (r != 0)
            (void)fail("cannot add the rule for", rules[i].name, r);
    }
    if (r == 0)
        r = seccomp_export_bpf(ctx, fd);
    seccomp_release(ctx);
    if (r != 0)
        return fail("libseccomp", "", r);
    n = pread(fd, program, sizeof(program), 0);
    (void)close(fd);
    if (n <= 0 || (size_t)n == sizeof(program))
        return fail("the filter is too long", "", E2BIG);
    n_program = (size_t)n / sizeof(program[0]);
    return 0;
}

/* ---- the checks of arguments ---- */

static void emit(struct sock_filter instruction)
{
    if (n_program < INSTRUCTIONS_MAX)
        program[n_program++] = instruction;
}

static uint32_t low_half(unsigned argument)
{
    uint32_t offset = offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t);

    return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? offset + sizeof(uint32_t) : offset;
}

/* One row: load, mask, compare with each value; falls through to the next row when it passes. A
 * value that is found jumps over what follows: to `return error`, or over it. */
static void emit_row(const struct row *row)
{
    emit((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, low_half(row->argument)));
    if (row->mask != UINT32_MAX)
        emit((struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, row->mask));
    for (size_t i = 0; i < row->n; i++) {
        bool last = i + 1 == row->n;
        uint8_t to_return = (uint8_t)(row->n - i - 1), past_return = (uint8_t)(to_return + 1);
        uint8_t found = row->wanted ? past_return : to_return;
        uint8_t other = last && !row->wanted ? 1 : 0;

        emit((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, row->values[i], found, other));
    }
    emit((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)row->error));
}

static void emit_check(const char *check)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (strcmp(rows[i].check, check) == 0)
            emit_row(&rows[i]);
    }
    emit((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
}

static bool is_asked_for(size_t n_tree, size_t check)
{
    for (size_t k = 0; k < n_tree; k++) {
        if (program[k].code == (BPF_RET | BPF_K) &&
            program[k].k == (SECCOMP_RET_TRACE | (uint32_t)check))
            return true;
    }
    return false;
}

/* Appends every check and turns the returns that stand for it into jumps there. */
static int append_checks(void)
{
    size_t n_tree = n_program;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        size_t start = n_program;

        if (check_number(rows[i].check) != (int)i || !is_asked_for(n_tree, i))
            continue;
        emit_check(rows[i].check);
        for (size_t k = 0; k < n_tree; k++) {
            if (program[k].code == (BPF_RET | BPF_K) &&
                program[k].k == (SECCOMP_RET_TRACE | (uint32_t)i))
                program[k] =
                    (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, (uint32_t)(start - k - 1));
        }
    }
    return n_program < INSTRUCTIONS_MAX ? 0 : fail("the filter is too long", "", E2BIG);
}

/* ---- as C ---- */

static void print_rules(void)
{
    (void)printf("/* Made by seccomp-gen.c of syscalls.tbl.h and syscall-checks.tbl.h. */\n\n"
                 "#include \"sandbox/seccomp.h\"\n\n"
                 "const struct syscall_rule syscall_rules[] = {\n");
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
        (void)printf("    {\"%s\", %d, %s},\n", rules[i].name, number_of(rules[i].name),
                     verdict_names[rules[i].verdict]);
    (void)printf("};\nconst size_t n_syscall_rules = ARRAY_SIZE(syscall_rules);\n");
}

static int make_program(const char *name, bool endpoint)
{
    n_program = 0;
    if (make_tree(endpoint) != 0 || append_checks() != 0)
        return 1;
    (void)printf("\nconst struct sock_filter %s[] = {\n", name);
    for (size_t i = 0; i < n_program; i++)
        (void)printf("    {0x%02x, %u, %u, 0x%08x},\n", program[i].code, program[i].jt,
                     program[i].jf, program[i].k);
    (void)printf("};\nconst unsigned short n_%s = ARRAY_SIZE(%s);\n", name, name);
    return 0;
}

int main(void)
{
    print_rules();
    if (make_program("seccomp_program", false) != 0 ||
        make_program("seccomp_endpoint_program", true) != 0)
        return EXIT_FAILURE;
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
