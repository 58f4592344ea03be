/* What people and programs get to read: complete, in one line an event, and with nothing in it that
 * a terminal would obey. */

#include "control/printer.h"

#include "base/clock.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define ID      "01890a5d-ac96-774b-bcce-b302099a8057"
#define ID_LATE "01890a5d-ac96-774b-bcce-b302099a8058"

static struct output output;
static struct printer printer;

static void printer_begin(const struct printer_kind *kind, bool color)
{
    output = (struct output){.fd = -1, .buf = BUF_INIT(OUTPUT_BYTES_MAX)};
    printer_init(&printer, kind, &output, color);
}

static void printer_end(void)
{
    printer_deinit(&printer);
    output_deinit(&output);
}

static const struct record sample = {
    .request_id = SLICE_LIT(ID),
    .function = SLICE_LIT("api/hello"),
    .version = SLICE_LIT("0123456789abcdef"),
    .method = SLICE_LIT("GET"),
    .path = SLICE_LIT("/api/hello\x1b[2J\xff"),
    .error = SLICE_LIT("it raised"),
    .start_us = 1700000000123456,
    .trigger = TRIGGER_INVOKE,
    .outcome = OUTCOME_ERROR,
    .status = 500,
    .wait_ns = 1230000,
    .init_ns = 0,
    .run_ns = 45600000,
    .user_us = 1000,
    .system_us = 500,
    .memory_peak_bytes = 5 << 20,
};

static json_t *line_parse(void)
{
    struct slice line = buf_slice(&output.buf);
    json_t *json;

    assert_true(line.len > 0 && line.base[line.len - 1] == '\n');
    assert_null(memchr(line.base, '\n', line.len - 1));
    json = json_loadb(line.base, line.len - 1, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    assert_non_null(json);
    buf_clear(&output.buf);
    return json;
}

static void check_string(json_t *json, const char *key, const char *value)
{
    const char *got = json_string_value(json_object_get(json, key));

    if (!got || strcmp(got, value) != 0)
        fail_msg("%s is %s, not %s", key, got ? got : "missing", value);
}

static void a_record_is_one_line_of_json_with_every_field(void **state)
{
    static const char *const names[] = {
#define NAME_U64(name, text)      #name,
#define NAME_STR(name, max, text) #name,
        RECORD_FIELDS(NAME_U64, NAME_STR)};
    json_t *json;

    (void)state;
    printer_begin(&printer_json, false);
    printer.kind->record(&printer, &sample);
    json = line_parse();
    check_string(json, "type", "invocation");
    check_string(json, "time", "2023-11-14T22:13:20.123456Z");
    check_string(json, "outcome", "error");
    check_string(json, "trigger", "invoke");
    check_string(json, "path", "/api/hello\x1b[2J\xef\xbf\xbd");
    assert_int_equal(json_integer_value(json_object_get(json, "run_ns")), 45600000);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_non_null(json_object_get(json, names[i]));
    assert_int_equal(json_object_size(json), ARRAY_SIZE(names) + 2);
    json_decref(json);
    printer_end();
}

static void a_log_line_is_one_line_of_json_whatever_is_in_it(void **state)
{
    struct log_line line = {.time_us = 1700000000123456,
                            .stream = LOG_STDERR,
                            .request_id = SLICE_LIT(ID),
                            .function = SLICE_LIT("f"),
                            .text = SLICE_LIT("a\"b\\\n\xc3\x28\0z")};
    json_t *json;

    (void)state;
    printer_begin(&printer_json, false);
    printer.kind->log_line(&printer, &line, 0);
    assert_null(strchr(buf_cstr(&output.buf), 0x1b));
    json = line_parse();
    check_string(json, "type", "log");
    check_string(json, "stream", "stderr");
    check_string(json, "request_id", ID);
    json_decref(json);
    printer.kind->lost(&printer, "records", 7);
    json = line_parse();
    check_string(json, "type", "lost");
    check_string(json, "what", "records");
    json_decref(json);
    printer_end();
}

/* The record's line begins with the local time of day. */
static const char *without_time(void)
{
    const char *text = buf_cstr(&output.buf);

    assert_non_null(text);
    return strlen(text) > 13 && text[2] == ':' ? text + 13 : text;
}

static void people_get_a_line_and_below_it_what_was_printed(void **state)
{
    struct log_line line = {.stream = LOG_STDOUT,
                            .request_id = SLICE_LIT(ID),
                            .function = SLICE_LIT("api/hello"),
                            .text = SLICE_LIT("hello \x1b[31m")};

    (void)state;
    printer_begin(&printer_pretty, false);
    printer.kind->log_line(&printer, &line, 0);
    line.stream = LOG_STDERR;
    line.text = SLICE_LIT("");
    printer.kind->log_line(&printer, &line, 0);
    line.request_id = SLICE_LIT(ID_LATE);
    line.text = SLICE_LIT("other request");
    printer.kind->log_line(&printer, &line, 0);
    assert_int_equal(buf_len(&output.buf), 0);
    printer.kind->record(&printer, &sample);
    assert_string_equal(without_time(),
                        "GET  /api/hello\\x1b[2J\\xff 500  api/hello  wait 1.23ms run 46ms  cpu "
                        "1.50ms  5.0MB  error  099a8057\n"
                        "    it raised\n"
                        "    | hello \\x1b[31m\n"
                        "    ! \n");
    /* The other one has not ended: after a moment its line stands on its own. */
    buf_clear(&output.buf);
    assert_true(printer_tick(&printer, 1) > 1);
    assert_int_equal(buf_len(&output.buf), 0);
    assert_true(printer_tick(&printer, NS_PER_S) == UINT64_MAX);
    assert_string_equal(without_time(), "  api/hello 099a8058\n    ! other request\n");
    printer_end();
}

static const char *code_of(void *ctx, struct slice function)
{
    return slice_eq(function, SLICE_LIT("api/hello")) ? ctx : NULL;
}

static void places_in_the_code_are_told_as_an_editor_finds_them(void **state)
{
    static char folder[] = "/home/me/my\x1b project";
    struct log_line line = {.stream = LOG_STDERR,
                            .request_id = SLICE_LIT(ID),
                            .function = SLICE_LIT("api/hello"),
                            .text = SLICE_LIT("File \"/var/task/a.py\", /var/task/b /var/tasks/c")};

    (void)state;
    printer_begin(&printer_pretty, false);
    printer.find_code = code_of;
    printer.find_code_ctx = folder;
    printer.kind->log_line(&printer, &line, 0);
    printer.kind->record(&printer, &sample);
    assert_string_equal(strstr(without_time(), "    !"),
                        "    ! File \"/home/me/my\\x1b project/a.py\", /home/me/my\\x1b project/b "
                        "/var/tasks/c\n");
    buf_clear(&output.buf);
    line.request_id = SLICE_LIT("");
    line.function = SLICE_LIT("another");
    printer.kind->log_line(&printer, &line, 0);
    assert_non_null(strstr(without_time(), "File \"/var/task/a.py\", /var/task/b"));
    printer_end();
}

static void a_failure_is_told_as_people_read_it(void **state)
{
    struct record r = sample;

    (void)state;
    printer_begin(&printer_pretty, false);
    r.error = SLICE_NULL;
    r.stack = SLICE_LIT("{\"errorType\": \"ValueError\", \"errorMessage\": \"boom\\u001b\","
                        " \"stackTrace\": [\"File x\\n  line y\\n\", \"File z\", 3]}");
    printer.kind->record(&printer, &r);
    assert_string_equal(strchr(without_time(), '\n') + 1, "      ValueError: boom\\x1b\n"
                                                          "      File x\n"
                                                          "        line y\n"
                                                          "      File z\n");
    buf_clear(&output.buf);
    r.stack = SLICE_LIT("{\"errorType\": \"cut of");
    printer.kind->record(&printer, &r);
    assert_string_equal(strchr(without_time(), '\n') + 1, "      {\"errorType\": \"cut of\n");
    printer_end();
}

static void no_terminal_obeys_what_a_function_prints(void **state)
{
    char bytes[256];
    struct log_line line = {.text = slice(bytes, sizeof(bytes)), .function = SLICE_LIT("\x1b[1m")};

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)i;
    printer_begin(&printer_pretty, false);
    for (int stream = 0; stream < _LOG_STREAM_MAX; stream++) {
        line.stream = (enum log_stream)stream;
        printer.kind->log_line(&printer, &line, 0);
    }
    for (const char *p = buf_cstr(&output.buf); *p; p++)
        assert_true(*p == '\n' || ((unsigned char)*p >= 0x20 && *p != 0x7f));
    printer_end();
}

static void what_is_held_back_has_a_ceiling(void **state)
{
    struct log_line line = {.request_id = SLICE_LIT(ID), .text = SLICE_LIT("x")};

    (void)state;
    printer_begin(&printer_pretty, true);
    for (int i = 0; i < 3 * PRINTER_HELD_MAX; i++)
        printer.kind->log_line(&printer, &line, 0);
    assert_int_equal(printer.n_held, PRINTER_HELD_MAX);
    assert_true(buf_len(&output.buf) > 0);
    printer_end();
}

/* ---- output ---- */

static void a_reader_that_does_not_read_is_not_waited_for(void **state)
{
    char piece[1000];
    int fds[2];

    (void)state;
    memset(piece, 'x', sizeof(piece));
    assert_int_equal(pipe(fds), 0);
    output_init(&output, fds[1]);
    for (size_t i = 0; i < 3 * OUTPUT_BYTES_MAX / 1000; i++) {
        output_begin(&output);
        output_end(&output, buf_append(&output.buf, piece, sizeof(piece)));
        if (i % 100 == 0)
            output_flush(&output);
    }
    assert_true(output.n_dropped > 0);
    assert_true(buf_len(&output.buf) <= OUTPUT_BYTES_MAX);
    /* The other side of the pipe still waits, as it did before. */
    assert_false(fcntl(fds[1], F_GETFL) & O_NONBLOCK);
    output_deinit(&output);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void a_reader_that_is_gone_is_no_reason_to_stop(void **state)
{
    int fds[2];

    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(fds), 0);
    output_init(&output, fds[1]);
    (void)close(fds[0]);
    for (int i = 0; i < 3; i++) {
        output_begin(&output);
        output_end(&output, buf_append(&output.buf, "x\n", 2));
        output_flush(&output);
    }
    assert_true(output.closed);
    assert_int_equal(output.n_dropped, 3);
    assert_false(output_is_pending(&output));
    output_deinit(&output);
    (void)close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_one_line_of_json_with_every_field),
        cmocka_unit_test(a_log_line_is_one_line_of_json_whatever_is_in_it),
        cmocka_unit_test(people_get_a_line_and_below_it_what_was_printed),
        cmocka_unit_test(places_in_the_code_are_told_as_an_editor_finds_them),
        cmocka_unit_test(a_failure_is_told_as_people_read_it),
        cmocka_unit_test(no_terminal_obeys_what_a_function_prints),
        cmocka_unit_test(what_is_held_back_has_a_ceiling),
        cmocka_unit_test(a_reader_that_does_not_read_is_not_waited_for),
        cmocka_unit_test(a_reader_that_is_gone_is_no_reason_to_stop),
    };

    return cmocka_run_group_tests_name("control-print", tests, NULL, NULL);
}
