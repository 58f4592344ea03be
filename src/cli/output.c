/* What the tool says, and what it does without memory. */

#include "cli/output.h"
#include "cli/cli.h"

#include "base/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

_noreturn_ void cli_no_memory(void)
{
    (void)fputs("mayfly: out of memory\n", stderr);
    exit(CLI_FAILURE);
}

void *cli_check(void *p)
{
    if (!p) {
        cli_no_memory();
    }
    return p;
}

char *cli_printf(const char *format, ...)
{
    va_list ap;
    char *s;

    va_start(ap, format);
    if (vasprintf(&s, format, ap) < 0) {
        cli_no_memory();
    }
    va_end(ap);
    return s;
}

void json_out_begin(struct json_out *o)
{
    o->b = BUF_INIT(JSON_OUT_MAX);
    o->w = (struct jsonw)JSONW_INIT(&o->b);
}

void json_out_end(struct json_out *o)
{
    if (jsonw_end(&o->w) < 0) {
        cli_no_memory();
    }
    (void)fwrite(o->b.data + o->b.start, 1, buf_len(&o->b), stdout);
    (void)fputc('\n', stdout);
    buf_deinit(&o->b);
}

void json_pair(struct jsonw *w, const char *key, const char *value)
{
    jsonw_key(w, key);
    if (value) {
        jsonw_str(w, slice_str(value));
    } else {
        jsonw_null(w);
    }
}

void json_pair_u64(struct jsonw *w, const char *key, uint64_t value)
{
    jsonw_key(w, key);
    jsonw_u64(w, value);
}

static void quote_but(FILE *to, struct slice s, unsigned char kept)
{
    const unsigned char *p = (const unsigned char *)s.base;

    for (size_t i = 0; i < s.len;) {
        size_t n = utf8_len(p + i, s.len - i);

        if (n == 0 || (utf8_is_control(p + i, n) && p[i] != kept)) {
            n = n ? n : 1;
            for (size_t k = 0; k < n; k++) {
                (void)fprintf(to, "\\x%02x", p[i + k]);
            }
        } else {
            (void)fwrite(p + i, 1, n, to);
        }
        i += n;
    }
}

void text_quoted(FILE *to, struct slice s)
{
    quote_but(to, s, '\n');
}

void line_quoted(FILE *to, struct slice s)
{
    quote_but(to, s, '\t');
}

static void fail_json(const struct cli *cli, enum cli_exit code, const char *hint,
                      const char *message)
{
    struct json_out o;

    json_out_begin(&o);
    jsonw_object_begin(&o.w);
    jsonw_key(&o.w, "error");
    jsonw_object_begin(&o.w);
    json_pair(&o.w, "code", cli_exit_infos[code].name);
    json_pair_u64(&o.w, "exit", code);
    json_pair(&o.w, "command", cli->command ? cli->command->name : NULL);
    json_pair(&o.w, "message", message);
    json_pair(&o.w, "hint", hint);
    jsonw_object_end(&o.w);
    jsonw_object_end(&o.w);
    json_out_end(&o);
}

enum cli_exit cli_fail(const struct cli *cli, enum cli_exit code, const char *hint,
                       const char *format, ...)
{
    _cleanup_free_ char *message = NULL;
    va_list ap;

    va_start(ap, format);
    if (vasprintf(&message, format, ap) < 0) {
        cli_no_memory();
    }
    va_end(ap);
    if (cli->json) {
        fail_json(cli, code, hint, message);
        return code;
    }
    (void)fflush(stdout);
    (void)fprintf(stderr, "%smayfly:%s ", color(cli->color_err, COLOR_RED),
                  color(cli->color_err, COLOR_NONE));
    if (cli->command) {
        (void)fprintf(stderr, "%s: ", cli->command->name);
    }
    text_quoted(stderr, slice_str(message));
    if (hint) {
        (void)fprintf(stderr, "; %s", hint);
    }
    (void)fputc('\n', stderr);
    return code;
}

void cli_note(const struct cli *cli, const char *format, ...)
{
    va_list ap;

    if (cli->json) {
        return;
    }
    va_start(ap, format);
    (void)vfprintf(stderr, format, ap);
    va_end(ap);
    (void)fputc('\n', stderr);
}

enum cli_exit cli_finish(const struct cli *cli, enum cli_exit code)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return code;
    }
    if (errno == EPIPE) { /* `mayfly ps | head`: nobody is left to be told */
        return code == CLI_OK ? CLI_FAILURE : code;
    }
    (void)fprintf(stderr, "mayfly: stdout: %s\n", strerror(errno));
    return code == CLI_OK ? CLI_FAILURE : code;
}
