/* What is read and written in the kernel's files, as text: needs no privilege. */

#include "cgroup/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MIB (1024ULL * 1024)

#define V1_HERE                                                                                    \
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"                          \
    "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"                         \
    "36 31 0:33 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"                   \
    "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n"            \
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
#define V2_ONLY                                                                                    \
    "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 master:4 - cgroup2 cgroup2 rw,nsdelegate\n"

static void our_groups_are_found(void **state)
{
    static const struct {
        const char *mountinfo, *self;
        const char *paths; /* each with its parts in front, blanks between */
    } cases[] = {
        {V1_HERE, "4:memory:/jobs/a\n1:cpu:/\n0::/\n",
         "1:/sys/fs/cgroup/cpu 4:/sys/fs/cgroup/memory/jobs/a 10:/sys/fs/cgroup/unified "},
        {V2_ONLY, "0::/system.slice/mayfly.service\n",
         "10:/sys/fs/cgroup/system.slice/mayfly.service "},
        {V2_ONLY, "0::/with:colon\n", "10:/sys/fs/cgroup/with:colon "},
        {"9 8 0:1 / /cg rw - cgroup c rw,cpu,cpuacct\n", "3:cpu,cpuacct:/x\n", "3:/cg/x "},
        /* a container that sees its own group as the root of the mount */
        {"9 8 0:1 /docker/ab /cg rw - cgroup c rw,memory\n", "3:memory:/docker/ab\n", "4:/cg "},
        {"9 8 0:1 /docker/ab /cg rw - cgroup c rw,memory\n", "3:memory:/docker/ab/c\n", "4:/cg/c "},
        {"9 8 0:1 /docker/a /cg rw - cgroup c rw,memory\n", "3:memory:/docker/ab\n", ""},
        {"9 8 0:1 /../.. /cg rw - cgroup2 c rw\n", "0::/\n", ""},
        {"9 8 0:1 / /cg rw - cgroup2 c rw\n", "0::/../other\n", ""},
        {"9 8 0:1 / /a\\040b rw - cgroup2 c rw\n", "0::/\n", ""},
        {V2_ONLY V2_ONLY, "0::/\n", "10:/sys/fs/cgroup "}, /* the first of two mounts */
        {V2_ONLY, "", ""},
        {"", "0::/\n", ""},
        {"x\n\n - cgroup2\n1 2 3 - cgroup2 - cgroup2\n", "0::/\n:\n::\n", ""},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct cgroup_mounts mounts;
        struct buf b = BUF_INIT(4096);

        cgroup_mounts_parse(cases[i].mountinfo, cases[i].self, &mounts);
        assert_int_equal(buf_append_str(&b, ""), 0);
        for (unsigned k = 0; k < mounts.n; k++)
            assert_int_equal(buf_printf(&b, "%x:%s ", mounts.list[k].parts, mounts.list[k].path),
                             0);
        assert_string_equal(buf_len(&b) ? buf_cstr(&b) : "", cases[i].paths);
        buf_deinit(&b);
    }
}

static void a_limit_is_written_as_its_back_end_wants_it(void **state)
{
    static const struct {
        enum cgroup_item item;
        uint64_t value;
        const char *v1, *v2; /* "file text" */
    } cases[] = {
        {CGROUP_ITEM_MEMORY_MAX, 128 * MIB, "memory.limit_in_bytes 134217728",
         "memory.max 134217728"},
        {CGROUP_ITEM_SWAP_MAX, 128 * MIB, "memory.memsw.limit_in_bytes 134217728",
         "memory.swap.max 0"},
        {CGROUP_ITEM_PROCESSES_MAX, 64, "pids.max 64", "pids.max 64"},
        {CGROUP_ITEM_CPU_MAX, 200, "cpu.cfs_quota_us 4000", "cpu.max 4000 20000"},
        {CGROUP_ITEM_CPU_MAX, 10, "cpu.cfs_quota_us 1000", "cpu.max 1000 100000"},
        {CGROUP_ITEM_CPU_MAX, 2500, "cpu.cfs_quota_us 50000", "cpu.max 50000 20000"},
        {CGROUP_ITEM_CPU_PERIOD, 200, "cpu.cfs_period_us 20000", NULL},
        {CGROUP_ITEM_CPU_WEIGHT, 0, "cpu.shares 1024", "cpu.weight 100"},
        {CGROUP_ITEM_CPU_WEIGHT, 1000, "cpu.shares 10240", "cpu.weight 1000"},
        {CGROUP_ITEM_CPU_WEIGHT, 1, "cpu.shares 10", "cpu.weight 1"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        for (int v2 = 0; v2 < 2; v2++) {
            const char *wanted = v2 ? cases[i].v2 : cases[i].v1, *file;
            char text[64], both[160];

            file = cgroup_item_text(cases[i].item, v2, cases[i].value, text);
            assert_int_equal(file == NULL, wanted == NULL);
            (void)snprintf(both, sizeof(both), "%s %s", file ? file : "", text);
            if (wanted)
                assert_string_equal(both, wanted);
        }
    }
}

static void numbers_and_words_are_found_in_the_kernels_texts(void **state)
{
    const char *text = "oom_kill_disable 0\nunder_oom 1\noom_kill 17\n";

    assert_int_equal(cgroup_text_number(text, "oom_kill"), 17);
    assert_int_equal(cgroup_text_number(text, "under_oom"), 1);
    assert_int_equal(cgroup_text_number(text, "oom"), 0);
    assert_int_equal(cgroup_text_number("4096\n", NULL), 4096);
    assert_int_equal(cgroup_text_number("", NULL), 0);
    assert_int_equal(cgroup_text_number("max\n", NULL), 0);
    assert_true(cgroup_text_number("99999999999999999999\n", NULL) == UINT64_MAX);
    assert_true(cgroup_text_has("cpuset cpu io memory\n", "cpu"));
    assert_true(cgroup_text_has("cpuset cpu io memory\n", "memory"));
    assert_false(cgroup_text_has("cpuset io\n", "cpu"));
    assert_false(cgroup_text_has("", "cpu"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_groups_are_found),
        cmocka_unit_test(a_limit_is_written_as_its_back_end_wants_it),
        cmocka_unit_test(numbers_and_words_are_found_in_the_kernels_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
