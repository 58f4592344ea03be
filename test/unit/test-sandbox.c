/* Plans as text, and whether this machine can enter the profile that the probe names. */

#include "os/clone.h"
#include "sandbox/sandbox.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void a_plan_says_what_its_profile_does(void **state)
{
    static const struct {
        enum sandbox_profile profile;
        uint64_t flags;
        const char *text;
    } cases[] = {
        {SANDBOX_ROOT, CLONE_NEWPID,
         "user_namespace=0\npid_namespace=1\nuid=1000\ngid=100\ncore_bytes_max=0\n"
         "memlock_bytes_max=65536\noom_score_adj=1000\nno_new_privileges=1\n"},
        {SANDBOX_USER, CLONE_NEWUSER | CLONE_NEWPID,
         "user_namespace=1\npid_namespace=1\nuid=1000\ngid=100\ncore_bytes_max=0\n"
         "memlock_bytes_max=65536\noom_score_adj=1000\nno_new_privileges=1\n"},
        {SANDBOX_DEGRADED, 0,
         "user_namespace=0\npid_namespace=0\nuid=1000\ngid=100\ncore_bytes_max=0\n"
         "memlock_bytes_max=65536\noom_score_adj=1000\nno_new_privileges=1\n"},
    };

    assert_int_equal(ARRAY_SIZE(cases), _SANDBOX_PROFILE_MAX);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct sandbox_plan plan;
        struct buf b = BUF_INIT(4096);

        sandbox_plan_build(cases[i].profile, NULL, 1000, 100, &plan);
        assert_int_equal(sandbox_plan_print(&plan, &b), 0);
        assert_string_equal(buf_cstr(&b), cases[i].text);
        assert_true(sandbox_clone_flags(&plan) == cases[i].flags);
        buf_deinit(&b);
    }
}

static void every_profile_has_a_name(void **state)
{
    assert_string_equal(sandbox_profile_name(SANDBOX_ROOT), "root");
    assert_string_equal(sandbox_profile_name(SANDBOX_USER), "user");
    assert_string_equal(sandbox_profile_name(SANDBOX_DEGRADED), "degraded");
}

static void less_can_be_asked_for(void **state)
{
    assert_int_equal(setenv("MAYFLY_SANDBOX", "degraded", 1), 0);
    assert_int_equal(sandbox_probe(), SANDBOX_DEGRADED);
    assert_int_equal(unsetenv("MAYFLY_SANDBOX"), 0);
}

/* In the child: 0 if it is confined as the plan says, else the number of what is not. */
static int confined(const struct sandbox_plan *plan)
{
    struct rlimit l;

    if (sandbox_enter(plan, NULL) < 0)
        return 1;
    if (getuid() != plan->uid || getgid() != plan->gid)
        return 2;
    if (plan->pid_namespace && getpid() != 1)
        return 3;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 4;
    if (getrlimit(RLIMIT_CORE, &l) < 0 || l.rlim_max != 0)
        return 5;
    return 0;
}

static void the_profile_that_is_probed_can_be_entered(void **state)
{
    enum sandbox_profile profile;
    struct sandbox_plan plan;
    struct pidref child = PIDREF_NULL;
    siginfo_t info = {0};
    int r;

    unsetenv("MAYFLY_SANDBOX");
    profile = sandbox_probe();
    print_message("# sandbox profile here: %s\n", sandbox_profile_name(profile));
    assert_int_equal(sandbox_probe(), profile);
    sandbox_plan_build(profile, NULL, geteuid(), getegid(), &plan);
    r = os_clone(sandbox_clone_flags(&plan), &child);
    if (r == 0)
        _exit(confined(&plan));
    assert_int_equal(r, 1);
    assert_int_equal(waitid(P_PIDFD, (id_t)child.fd, &info, WEXITED), 0);
    assert_int_equal(info.si_code, CLD_EXITED);
    assert_int_equal(info.si_status, 0);
    pidref_done(&child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_says_what_its_profile_does),
        cmocka_unit_test(every_profile_has_a_name),
        cmocka_unit_test(less_can_be_asked_for),
        cmocka_unit_test(the_profile_that_is_probed_can_be_entered),
    };

    return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
