/* The SAPI: where PHP's requests come from and where its output goes.
 *
 * It says to be fpm-fcgi: opcache works for servers that it knows by name only, and programs ask
 * for the name to tell a command line from the web. */

#include "server.h"

#include "shared/stack.h"
#include "shared/variables.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#pragma GCC diagnostic ignored "-Wshadow"
#include <main/php.h>

#include <main/SAPI.h>
#include <main/php_main.h>
#include <main/php_output.h>
#include <main/php_variables.h>

#include <Zend/zend_exceptions.h>
#include <Zend/zend_signal.h>
#pragma GCC diagnostic pop

#define PATH_BYTES 4096

static const char settings[] = "display_errors=0\nlog_errors=1\nerror_log=\nhtml_errors=0\n"
                               "max_execution_time=0\nmax_input_time=-1\nexpose_php=0\n"
                               "register_argc_argv=0\nimplicit_flush=0\npost_max_size=0\n"
                               "upload_max_filesize=100G\n"
                               "opcache.enable=1\nopcache.memory_consumption=64\n"
                               "opcache.validate_timestamps=0\nopcache.file_update_protection=0\n"
                               "opcache.lockfile_path=/tmp\nopcache.jit=disable\n"
                               "opcache.huge_code_pages=0\n";

static struct {
    char script[PATH_BYTES]; /* absolute */
    char name[PATH_BYTES];   /* as a URL has it, from the document root */
    char root[PATH_BYTES];
    struct answer *answer;
    bool rehearsal;
    struct php_failure *failure;
    struct buf cookies;
    char method[32];
    char *target;
    char *query;
    char *content_type;
} now = {.cookies = {.max = 1024UL * 1024}};

/* ---- what PHP asks of a server ---- */

static size_t server_write(const char *s, size_t len)
{
    if (!SG(headers_sent))
        (void)sapi_send_headers();
    if (answer_write(now.answer, slice(s, len)) < 0)
        php_handle_aborted_connection();
    return len;
}

static void server_flush(void *unused)
{
    if (!SG(headers_sent))
        (void)sapi_send_headers();
    if (answer_flush(now.answer) < 0)
        php_handle_aborted_connection();
}

/* "Name: value" taken apart. */
static bool header_cut(struct slice line, struct http_header *ret)
{
    const char *colon = line.len > 0 ? memchr(line.base, ':', line.len) : NULL;

    if (!colon)
        return false;
    ret->name = slice(line.base, (size_t)(colon - line.base));
    ret->value = slice(colon + 1, line.len - ret->name.len - 1);
    while (ret->value.len > 0 && *ret->value.base == ' ') {
        ret->value.base++;
        ret->value.len--;
    }
    return http_is_token(ret->name) && http_is_value(ret->value);
}

static int server_send_headers(sapi_headers_struct *sent)
{
    struct http_header headers[HTTP_HEADERS_MAX];
    char *type = NULL;
    int64_t length = -1;
    bool has_type = false;
    size_t n = 0;
    zend_llist_position at;
    int status = sent->http_response_code > 0 ? sent->http_response_code : 200;

    for (sapi_header_struct *h = zend_llist_get_first_ex(&sent->headers, &at); h;
         h = zend_llist_get_next_ex(&sent->headers, &at)) {
        if (n == HTTP_HEADERS_MAX - 1 || !header_cut(slice(h->header, h->header_len), &headers[n]))
            continue;
        has_type = has_type || slice_eq_nocase(headers[n].name, SLICE_LIT("content-type"));
        if (slice_eq_nocase(headers[n].name, SLICE_LIT("content-length")))
            length = strtoll(headers[n].value.base, NULL, 10);
        else
            n++;
    }
    if (!has_type && (type = sapi_get_default_content_type())) {
        headers[n++] = (struct http_header){SLICE_LIT("Content-Type"), slice_str(type)};
    }
    if (answer_start(now.answer, (unsigned)status, headers, n, length) == -EINVAL)
        php_error_docref(NULL, E_WARNING, "HTTP does not allow the status %d here", status);
    if (type)
        efree(type);
    return SAPI_HEADER_SENT_SUCCESSFULLY;
}

static size_t server_read_post(char *dst, size_t size)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = answer_read(now.answer, dst + done, size - done);

        if (n <= 0)
            break;
        done += (size_t)n;
    }
    return done;
}

static char *server_read_cookies(void)
{
    const struct http_head *head = now.answer->head;

    buf_clear(&now.cookies);
    for (uint32_t i = 0; i < head->n_headers; i++) {
        if (!slice_eq_nocase(head->headers[i].name, SLICE_LIT("cookie")))
            continue;
        if (buf_len(&now.cookies) > 0)
            (void)buf_append_str(&now.cookies, "; ");
        (void)buf_append_slice(&now.cookies, head->headers[i].value);
    }
    return buf_len(&now.cookies) > 0 ? (char *)(uintptr_t)buf_cstr(&now.cookies) : NULL;
}

static void add_text(zval *vars, const char *name, struct slice value)
{
    php_register_variable_safe(name, value.base ? value.base : "", value.len, vars);
}

static int add_variable(void *ctx, struct slice name, struct slice value)
{
    char terminated[600];

    if (slice_eq(name, SLICE_LIT("PATH_INFO")) || slice_eq(name, SLICE_LIT("SCRIPT_NAME")))
        return 0; /* the script's affair */
    (void)snprintf(terminated, sizeof(terminated), "%.*s", SLICE_ARG(name));
    add_text(ctx, terminated, value);
    return 0;
}

static void server_register_variables(zval *vars)
{
    php_import_environment_variables(vars);
    (void)variables_each(now.answer->head, false, add_variable, vars);
    add_text(vars, "GATEWAY_INTERFACE", SLICE_LIT("CGI/1.1"));
    add_text(vars, "REQUEST_SCHEME", SLICE_LIT("http"));
    add_text(vars, "DOCUMENT_ROOT", slice_str(now.root));
    add_text(vars, "SCRIPT_FILENAME", slice_str(now.script));
    add_text(vars, "SCRIPT_NAME", slice_str(now.name));
    add_text(vars, "PHP_SELF", slice_str(now.name));
}

static void server_log(const char *message, int type)
{
    (void)fprintf(stderr, "%s\n", message);
}

static int server_startup(sapi_module_struct *module)
{
    return php_module_startup(module, NULL);
}

static int server_deactivate(void)
{
    return SUCCESS;
}

static sapi_module_struct server = {
    .name = "fpm-fcgi",
    .pretty_name = "mayfly",
    .startup = server_startup,
    .shutdown = php_module_shutdown_wrapper,
    .deactivate = server_deactivate,
    .ub_write = server_write,
    .flush = server_flush,
    .sapi_error = php_error,
    .send_headers = server_send_headers,
    .read_post = server_read_post,
    .read_cookies = server_read_cookies,
    .register_server_variables = server_register_variables,
    .log_message = server_log,
};

/* ---- errors ---- */

static void (*next_error_cb)(int type, zend_string *file, const uint32_t line,
                             zend_string *message);

static void on_error(int type, zend_string *file, const uint32_t line, zend_string *message)
{
    static const int fatal =
        E_ERROR | E_CORE_ERROR | E_COMPILE_ERROR | E_PARSE | E_USER_ERROR | E_RECOVERABLE_ERROR;
    struct php_failure *f = now.failure;

    if (f && (type & fatal) && !f->is_set) {
        f->is_set = true;
        f->text = strdup(ZSTR_VAL(message));
        f->file = file ? strdup(ZSTR_VAL(file)) : NULL;
        f->line = line;
        f->no_memory = strncmp(ZSTR_VAL(message), "Out of memory", 13) == 0 ||
                       strncmp(ZSTR_VAL(message), "Allowed memory size", 19) == 0;
    }
    next_error_cb(type, file, line, message);
}

void php_failure_clear(struct php_failure *failure)
{
    free(failure->text);
    free(failure->file);
    *failure = (struct php_failure){0};
}

/* 0: an instruction that the optimizer made has none. */
static unsigned line_of(const zend_execute_data *frame)
{
    uint32_t line = frame->opline ? frame->opline->lineno : 0;

    return line <= frame->func->op_array.line_end ? line : frame->func->op_array.line_start;
}

void server_tell_frames(void)
{
    for (const zend_execute_data *frame = EG(current_execute_data); frame;
         frame = frame->prev_execute_data) {
        const zend_function *f = frame->func;
        char text[256];
        const char *name;

        if (!f)
            continue;
        name = f->common.function_name ? ZSTR_VAL(f->common.function_name) : "{main}";
        if (f->common.scope && f->common.function_name) {
            size_t n = MIN(ZSTR_LEN(f->common.scope->name), (size_t)120);

            memcpy(text, ZSTR_VAL(f->common.scope->name), n);
            memcpy(text + n, "::", 2);
            n += 2;
            for (size_t i = 0; name[i] && n < sizeof(text) - 1; i++)
                text[n++] = name[i];
            text[n] = '\0';
            name = text;
        }
        if (!ZEND_USER_CODE(f->type))
            stack_frame(slice_str(name), SLICE_NULL, 0);
        else
            stack_frame(slice_str(name), slice_str(ZSTR_VAL(f->op_array.filename)), line_of(frame));
    }
}

/* ---- a request ---- */

static char *copy_of(struct slice s)
{
    return s.len > 0 ? slice_dup(s) : NULL;
}

static void request_describe(void)
{
    const struct http_head *head = now.answer->head;
    struct slice type = SLICE_NULL;
    int64_t length = answer_body_length(now.answer);

    (void)snprintf(now.method, sizeof(now.method), "%.*s", SLICE_ARG(head->method));
    (void)http_head_find(head, "Content-Type", &type);
    now.target = slice_dup(head->target);
    now.query = copy_of(head->query);
    now.content_type = copy_of(type);
    SG(request_info).request_method = now.method;
    SG(request_info).query_string = now.query;
    SG(request_info).request_uri = now.target;
    SG(request_info).path_translated = now.script;
    SG(request_info).content_type = now.content_type;
    SG(request_info).content_length = length;
    SG(request_info).proto_num = 1001;
    SG(sapi_headers).http_response_code = 200;
    SG(server_context) = &now;
}

static void request_forget(void)
{
    free(now.target);
    free(now.query);
    free(now.content_type);
    now.target = now.query = now.content_type = NULL;
    SG(server_context) = NULL;
}

void server_run(struct answer *a, bool rehearsal, struct php_failure *failure)
{
    zend_file_handle file;

    now.answer = a;
    now.failure = failure;
    request_describe();
    if (php_request_startup() == SUCCESS) {
        zend_first_try
        {
            if (rehearsal) {
                (void)zend_eval_string("echo 'touched', $_SERVER['REQUEST_METHOD'], count($_GET);",
                                       NULL, "mayfly");
            } else {
                zend_stream_init_filename(&file, now.script);
                file.primary_script = true;
                (void)php_execute_script(&file);
                zend_destroy_file_handle(&file);
            }
        }
        zend_end_try();
        if (failure->is_set && a->state != ANSWER_WRITTEN)
            php_output_discard_all();
        php_request_shutdown(NULL);
    }
    now.failure = NULL;
    request_forget();
}

/* ---- start ---- */

static int compile_script(void)
{
    zend_file_handle file;
    zend_op_array *ops;

    zend_stream_init_filename(&file, now.script);
    ops = zend_compile_file(&file, ZEND_REQUIRE);
    zend_destroy_file_handle(&file);
    if (ops) {
        destroy_op_array(ops);
        efree(ops);
    }
    if (EG(exception))
        (void)zend_exception_error(EG(exception), E_ERROR);
    return ops ? 0 : -1;
}

/* Each of these is compiled on its own; what is wrong with one shows when it is included. */
static const char compile_rest[] =
    "if (function_exists('opcache_compile_file')) { $n = 0; $skip = 0;"
    "foreach (new RecursiveIteratorIterator(new RecursiveDirectoryIterator(getcwd(),"
    " FilesystemIterator::SKIP_DOTS), RecursiveIteratorIterator::LEAVES_ONLY,"
    " RecursiveIteratorIterator::CATCH_GET_CHILD) as $f) {"
    " if ($f->getExtension() !== 'php' || preg_match('~/(tests?|Tests?|node_modules)/~', $f)) "
    "continue;"
    " if (++$n > 4000 || opcache_get_status(false)['memory_usage']['free_memory'] < 8 << 20) break;"
    " try { @opcache_compile_file((string)$f); } catch (Throwable $e) {} } }";

/* A request with no answer, in which PHP's own code may be called. */
static void in_no_request(int (*compile)(void), struct php_failure *failure)
{
    struct answer a;

    answer_begin(&a, NULL);
    now.answer = &a;
    now.failure = failure;
    request_describe();
    if (php_request_startup() == SUCCESS) {
        zend_first_try
        {
            if (compile)
                (void)compile();
            else
                (void)zend_eval_string(compile_rest, NULL, "mayfly");
        }
        zend_end_try();
        php_request_shutdown(NULL);
    }
    now.failure = NULL;
    request_forget();
}

/* PHP cannot be told to be quiet about files that do not compile; the script's own errors are told
 * already. */
static void compile_others(void)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC), saved = dup(STDERR_FILENO);
    struct php_failure ignored = {0};

    if (null >= 0 && saved >= 0)
        (void)dup2(null, STDERR_FILENO);
    in_no_request(NULL, &ignored);
    if (saved >= 0)
        (void)dup2(saved, STDERR_FILENO);
    (void)close(null);
    (void)close(saved);
    php_failure_clear(&ignored);
}

void server_compile(struct php_failure *failure)
{
    in_no_request(compile_script, failure);
    if (!failure->is_set)
        compile_others();
}

/* No script has run in the zygote, so none of PHP's generators has a seed yet. */
void server_after_fork(void)
{
    cache_after_fork();
}

int server_start(const char *script, const char *root, uint64_t memory_bytes)
{
    bool is_ours = false;

    (void)snprintf(now.script, sizeof(now.script), "%s", script);
    (void)snprintf(now.root, sizeof(now.root), "%s", root);
    (void)snprintf(now.name, sizeof(now.name), "%s", script + strlen(root));
    zend_signal_startup();
    sapi_startup(&server);
    if (access(PHP_INI_FOLDER "/php.ini", R_OK) == 0)
        server.php_ini_path_override = strdup(PHP_INI_FOLDER "/php.ini");
    if (!getenv("PHP_INI_SCAN_DIR") && access(PHP_INI_SCAN_FOLDER, R_OK) == 0) {
        (void)setenv("PHP_INI_SCAN_DIR", PHP_INI_SCAN_FOLDER, 1);
        is_ours = true;
    }
    if (asprintf(&server.ini_entries, "%smemory_limit=%llu\n", settings,
                 (unsigned long long)memory_bytes) < 0)
        return -1;
    if (server.startup(&server) == FAILURE) {
        (void)fprintf(stderr, "mayfly: PHP does not start\n");
        return -1;
    }
    if (is_ours)
        (void)unsetenv("PHP_INI_SCAN_DIR");
    SIGG(reset) = 0; /* or it would put its handlers in the place of ours at each request */
    next_error_cb = zend_error_cb;
    zend_error_cb = on_error;
    return 0;
}
