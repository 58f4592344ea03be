/* What a function reaches beside its code: names become addresses without waiting for long, a
 * changed answer is seen, and what cannot be had breaks the function alone, with a sentence. */

#include "base/clock.h"
#include "control/project.h"
#include "control/reach.h"
#include "control/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- instead of glibc's: what the test says that names stand for ---- */

static struct {
    const char *name;
    const char *addresses[4];
    int error; /* EAI_INPROGRESS: never answers */
} answers[8];

static unsigned n_asked;

int getaddrinfo_a(int mode, struct gaicb *list[restrict], int n, struct sigevent *restrict event)
{
    n_asked += (unsigned)n;
    for (int i = 0; i < n; i++) {
        list[i]->__return = EAI_NONAME;
        list[i]->ar_result = NULL;
        for (size_t k = 0; k < ARRAY_SIZE(answers) && answers[k].name; k++) {
            struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
            struct addrinfo **end = &list[i]->ar_result;

            if (strcmp(answers[k].name, list[i]->ar_name) != 0)
                continue;
            list[i]->__return = answers[k].error;
            for (size_t a = 0; a < 4 && answers[k].addresses[a]; a++) {
                assert_int_equal(getaddrinfo(answers[k].addresses[a], NULL, &hints, end), 0);
                end = &(*end)->ai_next;
            }
        }
    }
    return 0;
}

int gai_error(struct gaicb *request)
{
    return request->__return;
}

int gai_suspend(const struct gaicb *const list[], int n, const struct timespec *timeout)
{
    return EAI_AGAIN;
}

static void answer(size_t i, const char *name, int error, const char *a, const char *b)
{
    answers[i].name = name;
    answers[i].error = error;
    answers[i].addresses[0] = a;
    answers[i].addresses[1] = a ? b : NULL;
}

/* ---- the resolver ---- */

static int break_off(void *ctx)
{
    unsigned *n = ctx;

    return ++*n > 3 ? -ECANCELED : 0;
}

static void expect_addresses(const struct resolver *r, const char *name, const char *expected)
{
    const struct egress_rule *rules;
    struct error err = ERROR_NULL;
    size_t n = resolver_get(r, slice_str(name), &rules, &err);
    char text[512] = "";

    for (size_t i = 0; i < n; i++) {
        char one[EGRESS_TEXT_MAX];

        (void)strncat(text, egress_format(&rules[i], one), 100);
        (void)strncat(text, " ", 2);
    }
    assert_string_equal(n > 0 ? text : err.text, expected);
}

static void answers_are_kept_and_changes_are_seen(void **state)
{
    struct resolver *r = resolver_new();
    uint64_t now_ns;

    (void)state;
    answer(0, "db", 0, "10.0.0.2", "10.0.0.1");
    answer(1, "gone", EAI_NONAME, NULL, NULL);
    n_asked = 0;
    assert_int_equal(resolver_due_ns(r, 1), UINT64_MAX);
    resolver_begin(r, RESOLVE_FRESH_MS);
    assert_int_equal(resolver_want(r, SLICE_LIT("db")), 0);
    assert_int_equal(resolver_want(r, SLICE_LIT("DB")), 0);
    assert_int_equal(resolver_want(r, SLICE_LIT("gone")), 0);
    assert_int_equal(resolver_wait(r, NULL, NULL), 0);
    assert_int_equal(n_asked, 2);
    expect_addresses(r, "db", "10.0.0.1:* 10.0.0.2:* ");
    expect_addresses(r, "gone", "Name or service not known");

    /* A load a moment later asks for what failed, not for what is known. */
    resolver_begin(r, RESOLVE_FRESH_MS);
    assert_int_equal(resolver_want(r, SLICE_LIT("db")), 0);
    assert_int_equal(resolver_want(r, SLICE_LIT("gone")), 0);
    assert_int_equal(resolver_wait(r, NULL, NULL), 0);
    assert_int_equal(n_asked, 3);
    resolver_begin(r, 0);
    assert_int_equal(resolver_want(r, SLICE_LIT("db")), 0);
    assert_int_equal(resolver_wait(r, NULL, NULL), 0);
    assert_int_equal(n_asked, 4);

    /* Another order is no change; another address is one, once; a failure is none. */
    answer(0, "db", 0, "10.0.0.1", "10.0.0.2");
    now_ns = resolver_due_ns(r, clock_now_ns());
    assert_false(resolver_tick(r, now_ns - 1));
    assert_int_equal(n_asked, 4);
    assert_false(resolver_tick(r, now_ns));
    assert_int_equal(n_asked, 5);
    assert_true(resolver_due_ns(r, now_ns) > now_ns);
    assert_false(resolver_tick(r, now_ns + 1));
    answer(0, "db", 0, "10.0.0.1", NULL);
    now_ns = resolver_due_ns(r, now_ns);
    assert_false(resolver_tick(r, now_ns));
    assert_true(resolver_tick(r, now_ns + 1));
    assert_false(resolver_tick(r, now_ns + 2));
    expect_addresses(r, "db", "10.0.0.1:* ");
    answer(0, "db", EAI_AGAIN, NULL, NULL);
    now_ns = resolver_due_ns(r, now_ns);
    assert_false(resolver_tick(r, now_ns));
    assert_false(resolver_tick(r, now_ns + 1));
    expect_addresses(r, "db", "10.0.0.1:* ");
    (void)resolver_free(r);
}

static void a_name_without_an_answer_does_not_hold_a_load_up(void **state)
{
    struct resolver *r = resolver_new();
    unsigned n = 0;

    (void)state;
    answer(0, "slow", EAI_INPROGRESS, NULL, NULL);
    resolver_begin(r, 0);
    assert_int_equal(resolver_want(r, SLICE_LIT("slow")), 0);
    assert_int_equal(resolver_wait(r, break_off, &n), -ECANCELED);
    assert_int_equal(n, 4);
    expect_addresses(r, "slow", "no answer within 5 s");
    /* What comes late is a reason to load again. */
    assert_false(resolver_tick(r, clock_now_ns()));
    (void)resolver_free(r);
}

static void resolvers_are_read_from_the_file(void **state)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"nameserver 127.0.0.53\noptions edns0\n", "127.0.0.53:53 "},
        {"# nameserver 1.1.1.1\n;x\nnameserver\t192.0.2.1 \nnameserver fe80::1%eth0\n",
         "192.0.2.1:53 [fe80::1]:53 "},
        {"nameserver 169.254.169.254\nnameservers 1.2.3.4\nnameserver x\n", "169.254.169.254:53 "},
        {"search example.com\n", "127.0.0.1:53 "},
        {"", "127.0.0.1:53 "},
    };
    char path[] = "/tmp/mayfly-test-XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct egress_rule rules[REACH_RESOLVERS_MAX];
        char text[512] = "", one[EGRESS_TEXT_MAX];
        size_t n;

        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, cases[i].text, strlen(cases[i].text), 0),
                         strlen(cases[i].text));
        n = reach_resolvers_read(path, rules);
        for (size_t k = 0; k < n; k++) {
            (void)strncat(text, egress_format(&rules[k], one), 100);
            (void)strncat(text, " ", 2);
        }
        assert_string_equal(text, cases[i].expected);
    }
    (void)close(fd);
    (void)unlink(path);
    {
        struct egress_rule rules[REACH_RESOLVERS_MAX];

        assert_int_equal(reach_resolvers_read(path, rules), 1);
    }
}

/* ---- a project ---- */

static char root[64], dir[80], state_dir[80], lib[80];

static void put(const char *file, const char *text)
{
    char path[256];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s", root, file);
    f = fopen(path, "w");
    assert_non_null(f);
    (void)fputs(text, f);
    (void)fclose(f);
    (void)chmod(path, 0755);
}

static int folder_setup(void **state)
{
    char path[128];

    (void)state;
    (void)strcpy(root, "/tmp/mayfly-test-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    (void)snprintf(dir, sizeof(dir), "%s/p", root);
    (void)snprintf(state_dir, sizeof(state_dir), "%s/state", root);
    (void)snprintf(lib, sizeof(lib), "%s/lib", root);
    (void)snprintf(path, sizeof(path), "%s/lib/exec", root);
    (void)mkdir(dir, 0755);
    (void)mkdir(state_dir, 0755);
    (void)mkdir(lib, 0755);
    (void)mkdir(path, 0755);
    (void)snprintf(path, sizeof(path), "%s/data", root);
    (void)mkdir(path, 0755);
    put("lib/exec/mayfly-exec", "");
    put("p/run", "#!/bin/sh\n");
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)remove(path);
    return 0;
}

static int folder_teardown(void **state)
{
    (void)state;
    memset(answers, 0, sizeof(answers));
    return nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static struct project *project(void)
{
    static struct project_options options;

    options = (struct project_options){
        .dir = dir, .state = state_dir, .lib = lib, .url = "http://127.0.0.1:8080"};
    return project_new(&options);
}

/* Loads a function f with these settings. */
static struct snapshot *load(struct project *p, const char *settings)
{
    struct error err = ERROR_NULL;
    struct snapshot *s = NULL;
    char text[2048];

    (void)snprintf(text, sizeof(text),
                   "{\"functions\": {\n\"f\": {\"handler\": \"run\", \"routes\": [\"/f\"], %s}}}",
                   settings);
    put("p/mayfly.json", text);
    if (project_load(p, 1, &s, &err) < 0)
        fail_msg("%s", err.text);
    return s;
}

static const char *joined(char *const *list)
{
    static char text[1024];

    text[0] = '\0';
    for (; *list; list++) {
        (void)strncat(text, *list, 100);
        (void)strncat(text, " ", 2);
    }
    return text;
}

static void a_list_becomes_addresses(void **state)
{
    struct egress_rule resolvers[REACH_RESOLVERS_MAX];
    struct project *p = project();
    struct snapshot *s;
    char expected[1024];

    (void)state;
    answer(0, "db", 0, "10.0.0.2", "2001:db8::1");
    s = load(p, "\"network\": [\"192.0.2.1:80\", \"10.0.0.0/8:*\", \"192.0.2.1:80\"]");
    assert_null(s->functions[0].broken);
    assert_int_equal(s->functions[0].network, NETWORK_LIST);
    assert_string_equal(joined(s->functions[0].egress), "192.0.2.1:80 10.0.0.0/8:* ");
    (void)snapshot_free(s);

    s = load(p, "\"network\": [\"db:5432\"]");
    assert_null(s->functions[0].broken);
    (void)strcpy(expected, "10.0.0.2:5432 [2001:db8::1]:5432 ");
    for (size_t i = 0, n = reach_resolvers_read("/etc/resolv.conf", resolvers); i < n; i++) {
        char one[EGRESS_TEXT_MAX];

        (void)strncat(expected, egress_format(&resolvers[i], one), 100);
        (void)strncat(expected, " ", 2);
    }
    assert_string_equal(joined(s->functions[0].egress), expected);
    (void)snapshot_free(s);

    s = load(p, "\"network\": \"none\"");
    assert_int_equal(s->functions[0].network, NETWORK_NONE);
    assert_string_equal(joined(s->functions[0].egress), "");
    (void)snapshot_free(s);
    (void)project_free(p);
}

static void another_address_is_another_snapshot_but_not_another_version(void **state)
{
    struct project *p = project();
    struct snapshot *a, *b, *c;

    (void)state;
    answer(0, "db", 0, "10.0.0.2", NULL);
    a = load(p, "\"network\": [\"db:5432\"]");
    answer(0, "db", 0, "10.0.0.3", NULL);
    project_renew(p);
    b = load(p, "\"network\": [\"db:5432\"]");
    c = load(p, "\"network\": [\"db:5433\"]");
    assert_string_equal(a->functions[0].egress[0], "10.0.0.2:5432");
    assert_string_equal(b->functions[0].egress[0], "10.0.0.3:5432");
    assert_string_equal(a->functions[0].version, b->functions[0].version);
    assert_string_not_equal(a->functions[0].version, c->functions[0].version);
    (void)snapshot_free(a);
    (void)snapshot_free(b);
    (void)snapshot_free(c);
    (void)project_free(p);
}

static void what_cannot_be_had_breaks_the_function(void **state)
{
    const struct {
        const char *settings, *broken;
    } cases[] = {
        {"\"network\": [\"nowhere.example:80\"]",
         "mayfly.json:2: network: \"nowhere.example:80\": cannot find its address: Name or service "
         "not known"},
        {"\"network\": [\"evil:80\"]", "mayfly.json:2: network: \"evil:80\": its address "
                                       "169.254.169.254:80 is where machines get "
                                       "their credentials; no function may reach it"},
        {"\"network\": [\"evil6:80\"]", "mayfly.json:2: network: \"evil6:80\": its address "
                                        "[fd00:ec2::254]:80 is where machines get "
                                        "their credentials; no function may reach it"},
        {"\"reads\": [\"ROOT/missing\"]",
         "mayfly.json:2: reads: \"ROOT/missing\": No such file or directory"},
        {"\"writes\": [\"ROOT/data\", \"ROOT/state\"]",
         "mayfly.json:2: writes: \"ROOT/state\" is, contains or is in mayfly's state folder "
         "ROOT/state, which is closed to functions"},
        {"\"reads\": [\"ROOT\"]",
         "mayfly.json:2: reads: \"ROOT\" is, contains or is in mayfly's state folder ROOT/state, "
         "which is closed to functions"},
        {"\"reads\": [\"ROOT/state/x\"]",
         "mayfly.json:2: reads: \"ROOT/state/x\" is, contains or is in mayfly's state folder "
         "ROOT/state, which is closed to functions"},
        {"\"reads\": [\"ROOT/link\"]",
         "mayfly.json:2: reads: \"ROOT/link\" leads through a symbolic link; write \"ROOT/state\""},
    };
    struct project *p = project();
    char path[128];

    (void)state;
    answer(0, "evil", 0, "192.0.2.1", "169.254.169.254");
    answer(1, "evil6", 0, "fd00:ec2::254", NULL);
    put("state/x", "");
    (void)snprintf(path, sizeof(path), "%s/link", root);
    assert_int_equal(symlink(state_dir, path), 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char settings[512] = "", broken[1024] = "";
        struct snapshot *s;

        for (int k = 0; k < 2; k++) {
            const char *from = k ? cases[i].broken : cases[i].settings;
            char *to = k ? broken : settings;

            for (const char *at; (at = strstr(from, "ROOT")); from = at + 4) {
                (void)strncat(to, from, (size_t)(at - from));
                (void)strcat(to, root);
            }
            (void)strcat(to, from);
        }
        s = load(p, settings);
        assert_non_null(s->functions[0].broken);
        assert_string_equal(s->functions[0].broken, broken);
        (void)snapshot_free(s);
    }
    (void)project_free(p);
}

static void what_can_be_had_is_handed_on(void **state)
{
    struct project *p = project();
    char settings[256], expected[256];
    struct snapshot *s;

    (void)state;
    (void)snprintf(settings, sizeof(settings),
                   "\"reads\": [\"%s/data\", \"/etc/passwd\"], \"writes\": [\"%s/p\"]", root, root);
    s = load(p, settings);
    assert_null(s->functions[0].broken);
    (void)snprintf(expected, sizeof(expected), "%s/data /etc/passwd ", root);
    assert_string_equal(joined(s->functions[0].reads), expected);
    (void)snprintf(expected, sizeof(expected), "%s/p ", root);
    assert_string_equal(joined(s->functions[0].writes), expected);
    (void)snapshot_free(s);
    (void)project_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_kept_and_changes_are_seen),
        cmocka_unit_test(a_name_without_an_answer_does_not_hold_a_load_up),
        cmocka_unit_test(resolvers_are_read_from_the_file),
        cmocka_unit_test_setup_teardown(a_list_becomes_addresses, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(another_address_is_another_snapshot_but_not_another_version,
                                        folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_had_breaks_the_function, folder_setup,
                                        folder_teardown),
        cmocka_unit_test_setup_teardown(what_can_be_had_is_handed_on, folder_setup,
                                        folder_teardown),
    };

    return cmocka_run_group_tests_name("control-reach", tests, NULL, NULL);
}
