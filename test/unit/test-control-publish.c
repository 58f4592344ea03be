/* Control as its neighbours see it: what it publishes and when, that it goes on after a failure,
 * what it compiles, and that it notices changes. The supervisor's and the gateway's ends of the
 * channels are held by the test. */

#include "control/compile.h"
#include "control/control.h"

#include "base/clock.h"
#include "os/fd.h"
#include "os/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PY "def handler(event, context): pass\n"

static char root[PATH_MAX]; /* root/p is the project, root/lib, root/state */
static char paths[3][PATH_MAX + 16];
static struct control control;
static struct wire supervisor;
static int printed[2]; /* a pipe: what control prints */
static int saved_stderr;

static void put(const char *file, const char *content, mode_t mode)
{
    char path[PATH_MAX + 256];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s", root, file);
    for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = '\0';
        (void)mkdir(path, 0755);
        *p = '/';
    }
    f = fopen(path, "w");
    assert_non_null(f);
    (void)fputs(content, f);
    (void)fclose(f);
    (void)chmod(path, mode);
}

static int control_setup(void **state)
{
    int fds[2], null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    (void)state;
    (void)strcpy(root, "/tmp/mayfly-test-XXXXXX");
    if (!mkdtemp(root) || wire_pair(fds) < 0 || fd_pipe(printed, 0) < 0)
        return -1;
    for (size_t i = 0; i < 3; i++)
        (void)snprintf(paths[i], sizeof(paths[i]), "%s/%s", root,
                       (const char *[]){"p", "state", "lib"}[i]);
    put("lib/python/main.py", "", 0644);
    put("p/api/a.py", PY, 0644);
    control = (struct control){.options = {.dir = paths[0],
                                           .state = paths[1],
                                           .lib = paths[2],
                                           .url = "http://127.0.0.1:8080",
                                           .dev = true},
                               .gateway = {.fd = -1},
                               .watch = {.fd = -1, .due_ns = UINT64_MAX}};
    list_init(&control.gateway.queue);
    output_init(&control.output, printed[1]);
    printer_init(&control.printer, &printer_json, &control.output, false);
    control.project = project_new(&control.options);
    /* What control says on stderr is not this test's subject. */
    saved_stderr = dup(STDERR_FILENO);
    (void)dup2(null, STDERR_FILENO);
    (void)close(null);
    return wire_init_consume(&control.supervisor, fds[0], WIRE_CONTROL, WIRE_SUPERVISOR) ||
           wire_init_consume(&supervisor, fds[1], WIRE_SUPERVISOR, WIRE_CONTROL);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)remove(path);
    return 0;
}

static int control_teardown(void **state)
{
    (void)state;
    (void)dup2(saved_stderr, STDERR_FILENO);
    (void)close(saved_stderr);
    wire_deinit(&supervisor);
    wire_deinit(&control.supervisor);
    wire_deinit(&control.gateway);
    watch_deinit(&control.watch);
    keep_deinit(&control.keep);
    printer_deinit(&control.printer);
    output_deinit(&control.output);
    (void)close(printed[0]);
    (void)close(printed[1]);
    (void)snapshot_free(control.last);
    free(control.warned);
    (void)project_free(control.project);
    return nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* What has been published, as the supervisor decodes it. */
static struct snapshot *expect_published(uint64_t generation)
{
    struct slice bytes = SLICE_NULL;
    struct snapshot *s = NULL;
    struct wire_message m;

    assert_int_equal(wire_recv(&supervisor, &m), 0);
    assert_int_equal(m.type, WIRE_PUBLISH);
    assert_int_equal(memfd_map(m.fds[0], SNAPSHOT_BYTES_MAX, &bytes), 0);
    assert_int_equal(snapshot_decode(bytes, &s), 0);
    memfd_unmap(&bytes);
    assert_int_equal(m.publish.n_functions, s->n_functions);
    assert_int_equal(s->generation, generation);
    wire_message_deinit(&m);
    return s;
}

static void expect_failed(const char *error)
{
    struct wire_message m;

    assert_int_equal(wire_recv(&supervisor, &m), 0);
    assert_int_equal(m.type, WIRE_PUBLISH_FAILED);
    assert_true(slice_eq(m.publish_failed.error, slice_str(error)));
    wire_message_deinit(&m);
}

static void expect_silence(void)
{
    struct wire_message m;

    assert_int_equal(wire_recv(&supervisor, &m), WIRE_E_AGAIN);
}

static void a_failed_load_is_told_and_the_next_good_one_published(void **state)
{
    (void)state;
    publish(&control);
    (void)snapshot_free(expect_published(1));
    put("p/mayfly.json", "{", 0644);
    publish(&control);
    expect_failed("mayfly.json:1:1: string or '}' expected near end of file; close what is open: a "
                  "quote, a bracket");
    assert_int_equal(control.last->generation, 1);
    put("p/mayfly.json", "{}", 0644);
    publish(&control);
    (void)snapshot_free(expect_published(2)); /* though it is the same as before */
    expect_silence();
}

static void nothing_is_published_when_nothing_has_changed_unless_asked(void **state)
{
    struct wire_message reload = {.type = WIRE_RELOAD};

    (void)state;
    publish(&control);
    (void)snapshot_free(expect_published(1));
    publish(&control);
    expect_silence();
    put("p/api/b.py", PY, 0644);
    publish(&control);
    (void)snapshot_free(expect_published(2));
    assert_int_equal(wire_send(&supervisor, &reload), 0);
    assert_int_equal(channels_serve(&control), 0);
    assert_true(control.load_wanted);
    publish(&control);
    (void)snapshot_free(expect_published(3));
    assert_false(control.load_wanted);
}

static void control_ends_with_the_supervisor_or_when_told(void **state)
{
    struct wire_message stopping = {.type = WIRE_STOPPING};

    (void)state;
    assert_int_equal(channels_serve(&control), 0);
    assert_int_equal(wire_send(&supervisor, &stopping), 0);
    assert_int_equal(channels_serve(&control), -ECANCELED);
    assert_true(control.stopping);
    control.stopping = false;
    wire_deinit(&supervisor);
    assert_int_equal(channels_serve(&control), -ECANCELED);
}

/* Introduces a gateway; returns its end. */
static void gateway_link(struct wire *gateway)
{
    struct wire_message link = {.type = WIRE_GATEWAY_LINK, .n_fds = 1};
    int fds[2];

    assert_int_equal(wire_pair(fds), 0);
    link.fds[0] = fds[0];
    assert_int_equal(wire_send(&supervisor, &link), 0);
    assert_int_equal(wire_init_consume(gateway, fds[1], WIRE_GATEWAY, WIRE_CONTROL), 0);
    assert_int_equal(channels_serve(&control), 0);
    assert_true(wire_is_open(&control.gateway));
}

static void send_records(struct wire *gateway, uint32_t n, const char *id)
{
    struct record r = {.request_id = slice_str(id)};
    struct wire_message m = {.type = WIRE_RECORDS};
    struct buf b = BUF_INIT(10000);

    assert_int_equal(record_encode(&r, &b), 0);
    m.records = (struct wire_records){.n = n, .lost = 3, .bytes = buf_slice(&b)};
    assert_int_equal(wire_send(gateway, &m), 0);
    buf_deinit(&b);
}

static void records_are_printed_and_a_new_gateway_takes_over(void **state)
{
    struct wire first, second;
    char text[32768] = "";

    (void)state;
    gateway_link(&first);
    send_records(&first, 1, "id-one");
    gateway_link(&second); /* its last words are not lost */
    send_records(&second, 1, "id-two");
    send_records(&second, 9, "id-bad"); /* says nine, brings one */
    assert_int_equal(channels_serve(&control), 0);
    assert_true(read(printed[0], text, sizeof(text) - 1) > 0);
    assert_non_null(strstr(text, "\"request_id\":\"id-one\""));
    assert_non_null(strstr(text, "\"request_id\":\"id-two\""));
    assert_non_null(strstr(text, "\"what\":\"records\",\"n\":3"));
    wire_deinit(&first);
    wire_deinit(&second);
    assert_int_equal(channels_serve(&control), 0);
    assert_false(wire_is_open(&control.gateway));
}

static void a_gateway_that_breaks_the_rules_is_dropped_alone(void **state)
{
    struct wire gateway;

    (void)state;
    gateway_link(&gateway);
    assert_int_equal(write(gateway.fd, "nonsense", 8), 8);
    assert_int_equal(channels_serve(&control), 0);
    assert_false(wire_is_open(&control.gateway));
    publish(&control);
    (void)snapshot_free(expect_published(1));
    wire_deinit(&gateway);
}

/* ---- watching ---- */

static bool watch_notices(void)
{
    struct pollfd fd = {.fd = control.watch.fd, .events = POLLIN};
    uint64_t now_ns = clock_now_ns();

    while (poll(&fd, 1, 20) > 0)
        watch_read(&control.watch, now_ns);
    assert_false(watch_is_due(&control.watch, now_ns)); /* it waits for quiet */
    return watch_is_due(&control.watch, now_ns + NS_PER_S);
}

static void changes_are_noticed_where_they_count(void **state)
{
    struct error err = ERROR_NULL;
    char path[PATH_MAX + 64];

    (void)state;
    put("p/.git/HEAD", "", 0644);
    put("p/__pycache__/x.pyc", "", 0644);
    put("p/state/build/x", "", 0644);
    (void)snprintf(path, sizeof(path), "%s/state", paths[0]);
    assert_int_equal(watch_init(&control.watch, &err), 0);
    assert_int_equal(watch_scan(&control.watch, paths[0], path, &err), 0);
    assert_false(watch_notices());
    put("p/api/a.py", PY "#\n", 0644);
    assert_true(watch_notices());
    put("p/api/new.py", PY, 0644);
    assert_true(watch_notices());
    (void)snprintf(path, sizeof(path), "%s/api/new.py", paths[0]);
    (void)unlink(path);
    assert_true(watch_notices());
    put("p/.git/HEAD", "x", 0644);
    put("p/__pycache__/y.pyc", "x", 0644);
    put("p/state/build/y", "x", 0644);
    put("p/api/.a.py.swp", "x", 0644);
    put("p/api/a.py~", "x", 0644);
    put("p/api/4913", "x", 0644);
    assert_false(watch_notices());
    put("p/deep/er/x.py", PY, 0644);
    assert_true(watch_notices());
    (void)snprintf(path, sizeof(path), "%s/state", paths[0]);
    assert_int_equal(watch_scan(&control.watch, paths[0], path, &err), 0);
    put("p/deep/er/x.py", PY "#\n", 0644);
    assert_true(watch_notices());
}

static void however_busy_a_folder_is_a_load_comes(void **state)
{
    struct error err = ERROR_NULL;
    uint64_t now_ns = clock_now_ns(), begun_ns = now_ns;

    (void)state;
    assert_int_equal(watch_init(&control.watch, &err), 0);
    assert_int_equal(watch_scan(&control.watch, paths[0], NULL, &err), 0);
    while (!watch_is_due(&control.watch, now_ns)) {
        put("p/api/a.py", PY, 0644);
        watch_read(&control.watch, now_ns);
        now_ns += WATCH_QUIET_MS * NS_PER_MS / 2;
        assert_true(now_ns - begun_ns < 2 * WATCH_LATEST_MS * NS_PER_MS);
    }
}

/* ---- compiling ---- */

/* Stands in for the host that the native runtime builds. */
static void native_put(void)
{
    char command[6 * PATH_MAX];

    put("lib/include/mayfly.h",
        "typedef struct q mayfly_request; typedef struct r mayfly_response;\n", 0644);
    put("main.c",
        "#include <mayfly.h>\n"
        "extern int (*const mayfly_entry)(mayfly_request *, mayfly_response *);\n"
        "int main(void) { return mayfly_entry(0, 0); }\n",
        0644);
    (void)mkdir(strcat(strcpy(command, paths[2]), "/native"), 0755);
    (void)snprintf(command, sizeof(command),
                   "cc -c -I%s/include %s/main.c -o %s/main.o && ar rcs "
                   "%s/native/libmayfly-native.a %s/main.o",
                   paths[2], root, root, paths[2], root);
    assert_int_equal(system(command), 0);
}

static void c_functions_are_compiled_once_for_each_content(void **state)
{
    struct snapshot *s;
    const struct function *f;
    char program[PATH_MAX + 64], ino[2][32];
    struct stat st;

    (void)state;
    native_put();
    put("p/sums.c",
        "#include <mayfly.h>\n#include \"seven.h\"\n"
        "int seven(mayfly_request *q, mayfly_response *r) { return SEVEN; }\n",
        0644);
    put("p/seven.h", "#define SEVEN 7\n", 0644);
    put("p/mayfly.json",
        "{\"functions\": {\"s\": {\"handler\": \"sums.seven\"}, \"t\": {\"handler\": "
        "\"sums.seven\"},\n \"none\": {\"handler\": \"sums.eight\"}}}",
        0644);
    publish(&control);
    s = expect_published(1);
    f = snapshot_find(s, SLICE_LIT("s"));
    assert_null(f->broken);
    (void)snprintf(program, sizeof(program), "%s", f->argv[0]);
    assert_string_equal(program, snapshot_find(s, SLICE_LIT("t"))->argv[0]);
    assert_int_equal(WEXITSTATUS(system(program)), 7);
    assert_int_equal(stat(program, &st), 0);
    (void)snprintf(ino[0], sizeof(ino[0]), "%lu", (unsigned long)st.st_ino);
    assert_non_null(strstr(snapshot_find(s, SLICE_LIT("none"))->broken,
                           "mayfly.json:2: sums.c: does not compile:\n"));
    assert_non_null(
        strstr(snapshot_find(s, SLICE_LIT("none"))->broken, "undefined reference to `eight'"));
    (void)snapshot_free(s);

    control.load_forced = true;
    publish(&control);
    (void)snapshot_free(expect_published(2));
    assert_int_equal(stat(program, &st), 0);
    (void)snprintf(ino[1], sizeof(ino[1]), "%lu", (unsigned long)st.st_ino);
    assert_string_equal(ino[0], ino[1]);

    put("p/seven.h", "#define SEVEN 77\n", 0644);
    publish(&control);
    s = expect_published(3);
    f = snapshot_find(s, SLICE_LIT("s"));
    assert_string_not_equal(f->argv[0], program);
    assert_int_equal(WEXITSTATUS(system(f->argv[0])), 77);
    assert_int_equal(stat(program, &st), 0); /* the last snapshot's may still be started */
    (void)snapshot_free(s);

    control.load_forced = true;
    publish(&control);
    (void)snapshot_free(expect_published(4));
    assert_int_equal(stat(program, &st), -1); /* and then it goes */
}

static int on_idle(void *ctx)
{
    return ++*(int *)ctx > 2 ? -ECANCELED : 0;
}

static void a_compilation_can_be_broken_off(void **state)
{
    struct compile_job job = {.build.kind = &compile_kind,
                              .dir = paths[0],
                              .file = "slow.c",
                              .symbol = "slow",
                              .key = "0123"};
    int n_idle = 0;
    struct build_context ctx = {
        .state = paths[1], .lib = paths[2], .idle = on_idle, .idle_ctx = &n_idle};
    uint64_t begun_ns = clock_now_ns();

    (void)state;
    native_put();
    put("p/slow.c", "#include \"/dev/zero\"\n", 0644);
    assert_int_equal(build_run((struct build_job *const[]){&job.build}, 1, &ctx), -ECANCELED);
    assert_true(clock_now_ns() - begun_ns < 5 * NS_PER_S);
    free(job.program);
    free(job.build.broken);
}

static void without_a_compiler_the_function_says_what_to_install(void **state)
{
    struct compile_job job = {
        .build.kind = &compile_kind, .dir = paths[0], .file = "x.c", .symbol = "x", .key = "0123"};
    struct build_context ctx = {.state = paths[1], .lib = paths[2]};
    char *path = strdup(getenv("PATH"));

    (void)state;
    (void)setenv("PATH", "/nowhere", 1);
    assert_int_equal(build_run((struct build_job *const[]){&job.build}, 1, &ctx), 0);
    (void)setenv("PATH", path, 1);
    free(path);
    assert_string_equal(job.build.broken, "there is no C compiler; run: apt install gcc libc6-dev");
    free(job.build.broken);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, control_setup, control_teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_failed_load_is_told_and_the_next_good_one_published),
        CASE(nothing_is_published_when_nothing_has_changed_unless_asked),
        CASE(control_ends_with_the_supervisor_or_when_told),
        CASE(records_are_printed_and_a_new_gateway_takes_over),
        CASE(a_gateway_that_breaks_the_rules_is_dropped_alone),
        CASE(changes_are_noticed_where_they_count),
        CASE(however_busy_a_folder_is_a_load_comes),
        CASE(c_functions_are_compiled_once_for_each_content),
        CASE(a_compilation_can_be_broken_off),
        CASE(without_a_compiler_the_function_says_what_to_install),
    };

    return cmocka_run_group_tests_name("control-publish", tests, NULL, NULL);
}
