/* Plans as text, and whether this machine can enter the profile that the probe names. */

#include "cgroup/cgroup.h"
#include "os/clone.h"
#include "os/fd.h"
#include "sandbox/layers.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char *example_argv[] = {"/tmp/shop/.venv/bin/python", "/opt/mayfly/lib/python/main.py",
                               NULL};
static char *example_reads[] = {"/data/models", "/tmp/cache", NULL};
static char *example_writes[] = {"/srv/uploads", "/tmp/shop/data", NULL};
static struct function example = {
    .name = "shop",
    .code_dir = "/tmp/shop",
    .argv = example_argv,
    .reads = example_reads,
    .writes = example_writes,
};

static void example_plan(enum sandbox_profile profile, struct sandbox_plan *ret)
{
    const struct sandbox_request request = {.profile = profile,
                                            .function = &example,
                                            .lib = "/opt/mayfly/lib",
                                            .uid = 1000,
                                            .gid = 100,
                                            .index = 3};

    limits_init(&example.limits);
    sandbox_plan_build(&request, ret);
}

#define LIMITS_TEXT                                                                                \
    "core_bytes_max=1\nmemlock_bytes_max=65536\nfile_bytes_max=536870912\nfiles_max=1024\n"        \
    "oom_score_adj=500\n"
#define BINDS_TEXT                                                                                 \
    "bind=/usr /usr\nbind=/etc/ssl /etc/ssl optional\n"                                            \
    "bind=/etc/alternatives /etc/alternatives optional\nbind=/tmp/shop /var/task\n"                \
    "bind=/opt/mayfly/lib /run/mayfly/lib\nbind=/data/models /data/models exact\n"                 \
    "bind=/tmp/cache /run/mayfly/path6 exact\n"                                                    \
    "bind=/srv/uploads /srv/uploads writable exact\n"                                              \
    "bind=/tmp/shop/data /var/task/data writable exact\n"

static void a_function_without_a_network_has_a_namespace_of_its_own(void **state)
{
    (void)state;
    for (int profile = 0; profile < _SANDBOX_PROFILE_MAX; profile++) {
        for (int network = 0; network < _NETWORK_MAX; network++) {
            bool own = network == NETWORK_NONE && profile != SANDBOX_DEGRADED;
            struct sandbox_plan plan;

            example.network = (enum network)network;
            example_plan((enum sandbox_profile)profile, &plan);
            assert_int_equal((plan.init_namespaces & CLONE_NEWNET) != 0, own);
        }
    }
    example.network = NETWORK_HOST;
}

static void only_an_endpoint_has_more_rights(void **state)
{
    (void)state;
    for (int profile = 0; profile < _SANDBOX_PROFILE_MAX; profile++) {
        for (int runtime = 0; runtime < _RUNTIME_MAX; runtime++) {
            bool whole = profile != SANDBOX_DEGRADED;
            bool web = runtime == RUNTIME_WEB, endpoint = web || runtime == RUNTIME_PROVIDED;
            struct sandbox_plan plan;

            example.runtime = (enum runtime)runtime;
            example_plan((enum sandbox_profile)profile, &plan);
            assert_int_equal(plan.endpoint, web ? whole : endpoint);
            assert_int_equal((plan.zygote_capabilities >> CAP_SYS_PTRACE) & 1, whole && endpoint);
            assert_int_equal((plan.zygote_capabilities >> CAP_NET_ADMIN) & 1, whole && web);
            assert_int_equal(plan.worker.drop_capabilities, whole);
        }
    }
    example.runtime = RUNTIME_PYTHON;
}

static void a_plan_says_what_its_profile_does(void **state)
{
    static const char *const texts[_SANDBOX_PROFILE_MAX] = {
        [SANDBOX_ROOT] =
            "profile=root\ninit_namespaces=0x2e020000\nzygote_namespaces=0x10020000\n"
            "worker_namespaces=0x20020000\nzygote_capabilities=0x2000e0\nuid=1000\ngid=100\n"
            "ids_first=1879244800\ntmp_bytes=67108864\ntmp_inodes=4096\n" LIMITS_TEXT
            "own_root=1\nfilter=1\nendpoint=0\nlandlock=1\nworker.tmp_bytes=67108864\n"
            "worker.tmp_inodes=4096\nworker.slot_uid=2\nworker.drop_capabilities=1\n"
            "worker.landlock=1\n"
            "worker.processes=64\nworker.memory_bytes=134217728\nworker.cpu_seconds=0\n" BINDS_TEXT,
        [SANDBOX_USER] =
            "profile=user\ninit_namespaces=0x3e020000\nzygote_namespaces=0x10020000\n"
            "worker_namespaces=0x20020000\nzygote_capabilities=0x200000\nuid=1000\ngid=100\n"
            "ids_first=0\ntmp_bytes=67108864\ntmp_inodes=4096\n" LIMITS_TEXT
            "own_root=1\nfilter=1\nendpoint=0\nlandlock=1\nworker.tmp_bytes=67108864\n"
            "worker.tmp_inodes=4096\nworker.slot_uid=0\nworker.drop_capabilities=1\n"
            "worker.landlock=1\n"
            "worker.processes=64\nworker.memory_bytes=134217728\nworker.cpu_seconds=0\n" BINDS_TEXT,
        [SANDBOX_DEGRADED] =
            "profile=degraded\ninit_namespaces=0\nzygote_namespaces=0\nworker_namespaces=0\n"
            "zygote_capabilities=0\nuid=1000\ngid=100\nids_first=0\ntmp_bytes=67108864\n"
            "tmp_inodes=4096\n" LIMITS_TEXT "own_root=0\nfilter=0\nendpoint=0\nlandlock=0\nworker."
            "tmp_bytes=0\nworker.tmp_inodes=0\n"
            "worker.slot_uid=0\nworker.drop_capabilities=0\nworker.landlock=0\nworker.processes=0\n"
            "worker.memory_bytes=134217728\nworker.cpu_seconds=0\n",
    };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct sandbox_plan plan;
        struct buf b = BUF_INIT(8192);

        example_plan((enum sandbox_profile)i, &plan);
        assert_int_equal(sandbox_plan_print(&plan, &b), 0);
        assert_string_equal(buf_cstr(&b), texts[i]);
        buf_deinit(&b);
    }
}

static void a_function_without_a_tmp_saves_its_workers_a_mount_namespace(void **state)
{
    const struct sandbox_request request = {.profile = SANDBOX_ROOT, .function = &example};
    struct sandbox_plan plan;

    limits_init(&example.limits);
    example.limits.tmp_bytes = 0;
    sandbox_plan_build(&request, &plan);
    assert_true(plan.worker.namespaces == CLONE_NEWPID);
}

static void paths_of_the_host_are_found_inside(void **state)
{
    static const struct {
        const char *host, *inside;
    } cases[] = {
        {"/tmp/shop", "/var/task"},
        {"/tmp/shop/.venv/bin/python", "/var/task/.venv/bin/python"},
        {"/tmp/shopping", "/tmp/shopping"},
        {"/opt/mayfly/lib/python/main.py", "/run/mayfly/lib/python/main.py"},
        {"/usr/bin/perl", "/usr/bin/perl"},
        {"/data/models/a", "/data/models/a"},
        {"/tmp/cache/x", "/run/mayfly/path6/x"},
        {"/tmp/shop/data/x.db", "/var/task/data/x.db"},
        {"handler", "handler"},
    };
    struct sandbox_plan plan;
    char dst[PATH_MAX];

    example_plan(SANDBOX_USER, &plan);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_string_equal(sandbox_plan_path(&plan, cases[i].host, dst, sizeof(dst)),
                            cases[i].inside);
    example_plan(SANDBOX_DEGRADED, &plan);
    assert_string_equal(sandbox_plan_path(&plan, "/tmp/shop", dst, sizeof(dst)), "/tmp/shop");
}

static void a_path_of_the_project_that_keeps_its_place_is_at_both(void **state)
{
    static char *writes[] = {"/srv/app/data", "/srv/apple", NULL};
    char *code_dir = example.code_dir, **others = example.writes;
    struct sandbox_plan plan;

    example.code_dir = (char *)(uintptr_t) "/srv/app";
    example.writes = writes;
    example_plan(SANDBOX_ROOT, &plan);
    assert_string_equal(plan.worker.writes[0], "/var/task/data");
    assert_string_equal(plan.worker.writes[1], "/srv/app/data");
    assert_string_equal(plan.worker.writes[2], "/srv/apple");
    assert_null(plan.worker.writes[3]);
    example.code_dir = code_dir;
    example.writes = others;
}

static void what_is_mounted_elsewhere_is_found_there(void **state)
{
    static char *mounts[] = {"/tmp/state/deps/python-1/tree", "/var/deps/python",
                             "/tmp/state/deps/node-2/tree/node_modules", "/var/node_modules", NULL};
    struct sandbox_plan plan;
    char dst[PATH_MAX];

    (void)state;
    example.mounts = mounts;
    example_plan(SANDBOX_ROOT, &plan);
    example.mounts = NULL;
    assert_string_equal(
        sandbox_plan_path(&plan, "/tmp/state/deps/python-1/tree/bin/python", dst, sizeof(dst)),
        "/var/deps/python/bin/python");
    assert_string_equal(plan.binds[plan.n_binds - 1].target, "/var/node_modules");
    assert_false(plan.binds[plan.n_binds - 1].writable);
}

static void a_compiled_function_has_a_place_of_its_own(void **state)
{
    struct function native = {.code_dir = "/home/me/f",
                              .argv = (char *[]){"/home/me/.cache/mayfly/abc", NULL}};
    const struct sandbox_request request = {.profile = SANDBOX_ROOT, .function = &native};
    struct sandbox_plan plan;
    char dst[PATH_MAX];

    sandbox_plan_build(&request, &plan);
    assert_string_equal(sandbox_plan_path(&plan, native.argv[0], dst, sizeof(dst)),
                        SANDBOX_PROGRAM);
}

static void a_workers_part_travels_whole(void **state)
{
    struct sandbox_plan plan;
    struct sandbox_worker w;
    struct buf b = BUF_INIT(4096);

    example_plan(SANDBOX_ROOT, &plan);
    assert_int_equal(sandbox_worker_encode(&plan.worker, &b), 0);
    memset(&w, 0xff, sizeof(w));
    assert_int_equal(sandbox_worker_decode(buf_slice(&b), &w), 0);
    assert_true(w.namespaces == plan.worker.namespaces && w.tmp_bytes == plan.worker.tmp_bytes &&
                w.tmp_inodes == plan.worker.tmp_inodes && w.slot_uid == plan.worker.slot_uid &&
                w.drop_capabilities == plan.worker.drop_capabilities &&
                w.processes == plan.worker.processes &&
                w.memory_bytes == plan.worker.memory_bytes &&
                w.cpu_seconds == plan.worker.cpu_seconds);
    assert_string_equal(w.writes[0], "/srv/uploads");
    assert_string_equal(w.writes[1], "/var/task/data");
    assert_null(w.writes[2]);
    for (size_t i = 0; i < 2; i++)
        free((char *)(uintptr_t)w.writes[i]);
    assert_int_equal(sandbox_worker_decode(slice(b.data, 70), &w), -EBADMSG);
    buf_deinit(&b);
}

static void every_profile_has_a_name(void **state)
{
    assert_string_equal(sandbox_profile_name(SANDBOX_ROOT), "root");
    assert_string_equal(sandbox_profile_name(SANDBOX_USER), "user");
    assert_string_equal(sandbox_profile_name(SANDBOX_DEGRADED), "degraded");
}

static int open_init(void)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    char *slash;

    assert_true(n > 0);
    path[n] = '\0';
    for (int i = 0; i < 3; i++) { /* build/test/unit/test-sandbox */
        slash = strrchr(path, '/');
        assert_non_null(slash);
        *slash = '\0';
    }
    assert_true(strlen(path) + 32 < sizeof(path));
    strcat(path, "/libexec/mayfly-init");
    return open(path, O_PATH | O_CLOEXEC);
}

static void less_can_be_asked_for(void **state)
{
    struct sandbox_report report;
    char names[LAYER_NAMES_MAX];

    assert_int_equal(setenv("MAYFLY_SANDBOX", "degraded", 1), 0);
    sandbox_probe(-1, &report);
    assert_int_equal(unsetenv("MAYFLY_SANDBOX"), 0);
    assert_int_equal(report.profile, SANDBOX_DEGRADED);
    assert_int_equal(report.layers[LAYER_OWN_ROOT].state, LAYER_OFF);
    assert_string_equal(report.layers[LAYER_OWN_ROOT].reason, "MAYFLY_SANDBOX asks for less");
    assert_int_equal(report.layers[LAYER_UID_RANGE].state,
                     geteuid() == 0 ? LAYER_OFF : LAYER_ABSENT);
    assert_int_equal(report.layers[LAYER_SECCOMP].state, LAYER_OFF);
    assert_in_range(sandbox_report_missing(&report), 14, _LAYER_MAX);
    sandbox_report_names(&report, ",", names, sizeof(names));
    assert_memory_equal(names, "user-namespace,own-root,", 24);
}

static void a_report_is_json(void **state)
{
    struct sandbox_report report = {.wanted = SANDBOX_ROOT, .profile = SANDBOX_USER};
    struct buf b = BUF_INIT(16384);
    char text[16384];

    report.layers[LAYER_UID_RANGE].state = LAYER_OFF;
    strcpy(report.layers[LAYER_UID_RANGE].reason, "\"quoted\"");
    assert_int_equal(sandbox_report_missing(&report), 1);
    assert_int_equal(sandbox_report_json(&report, &b), 0);
    (void)snprintf(text, sizeof(text), "%.*s", (int)buf_len(&b), buf_slice(&b).base);
    assert_non_null(
        strstr(text, "{\"profile\": \"user\", \"layers\": {\"user-namespace\": \"on\""));
    assert_non_null(strstr(text, "\"uid-range\": \"off\""));
    assert_non_null(strstr(text, "\"missing\": {\"uid-range\": \"\\\"quoted\\\"\"}}"));
    buf_deinit(&b);
}

/* In the zygote: 0 if it is confined as the plan says, else the number of what is not. */
static int confined(const struct sandbox_plan *plan, int init_fd)
{
    bool whole = plan->init_namespaces != 0;
    struct rlimit l;

    if (sandbox_enter(plan, init_fd, NULL) < 0)
        return 1;
    if (getuid() != (plan->ids_first ? 1 : plan->uid))
        return 2;
    if (whole && getpid() != 2)
        return 3;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 4;
    if (getrlimit(RLIMIT_CORE, &l) < 0 || l.rlim_max > 1)
        return 5;
    if (whole && (access("/home", F_OK) == 0 || access("/usr/bin", X_OK) < 0))
        return 6;
    if (whole && (mkdir("/x", 0700) == 0 || errno != EROFS))
        return 7;
    return 0;
}

static void the_profile_that_is_probed_can_be_entered(void **state)
{
    struct sandbox_request request = {.uid = geteuid(), .gid = getegid()};
    _cleanup_close_ int init_fd = open_init();
    struct pidref child = PIDREF_NULL;
    struct sandbox_plan plan;
    siginfo_t info = {0};
    struct sandbox_report report;
    struct cgroups groups;
    char names[LAYER_NAMES_MAX];
    int r;

    unsetenv("MAYFLY_SANDBOX");
    sandbox_probe(init_fd, &report);
    cgroups_probe(cgroups_wanted(), &groups);
    sandbox_report_groups(&report, &groups);
    request.profile = report.profile;
    print_message("# sandbox profile here: %s, missing: %s\n", sandbox_profile_name(report.profile),
                  sandbox_report_names(&report, ", ", names, sizeof(names)));
    for (enum sandbox_layer i = 0; i < _LAYER_MAX && report.profile == report.wanted; i++)
        assert_int_not_equal(report.layers[i].state, LAYER_OFF);
    sandbox_plan_build(&request, &plan);
    r = os_clone(plan.init_namespaces, &child);
    if (r == 0)
        _exit(confined(&plan, init_fd));
    assert_int_equal(r, 1);
    assert_int_equal(waitid(P_PIDFD, (id_t)child.fd, &info, WEXITED), 0);
    assert_int_equal(info.si_code, CLD_EXITED);
    assert_int_equal(info.si_status, 0);
    pidref_done(&child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_an_endpoint_has_more_rights),
        cmocka_unit_test(a_plan_says_what_its_profile_does),
        cmocka_unit_test(a_function_without_a_network_has_a_namespace_of_its_own),
        cmocka_unit_test(a_function_without_a_tmp_saves_its_workers_a_mount_namespace),
        cmocka_unit_test(paths_of_the_host_are_found_inside),
        cmocka_unit_test(a_path_of_the_project_that_keeps_its_place_is_at_both),
        cmocka_unit_test(what_is_mounted_elsewhere_is_found_there),
        cmocka_unit_test(a_compiled_function_has_a_place_of_its_own),
        cmocka_unit_test(a_workers_part_travels_whole),
        cmocka_unit_test(every_profile_has_a_name),
        cmocka_unit_test(less_can_be_asked_for),
        cmocka_unit_test(a_report_is_json),
        cmocka_unit_test(the_profile_that_is_probed_can_be_entered),
    };

    return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
