#include "cli/event.h"

#include "os/fd.h"
#include "json/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum cli_exit read_all(const struct cli *cli, int fd, const char *name, struct buf *b)
{
    for (;;) {
        ssize_t n;

        if (buf_reserve(b, MIN((size_t)65536, MAX(buf_room(b), 1))) < 0) {
            return cli_fail(cli, CLI_USAGE, NULL, "event %s: larger than %d MiB", name,
                            EVENT_BYTES_MAX >> 20);
        }
        n = read(fd, buf_tail(b), MIN(b->cap - b->end, buf_room(b)));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return cli_fail(cli, CLI_FAILURE, NULL, "event %s: %s", name, strerror(errno));
        }
        if (n == 0) {
            return CLI_OK;
        }
        buf_commit(b, (size_t)n);
    }
}

static enum cli_exit read_file(const struct cli *cli, const char *path, struct buf *b)
{
    _cleanup_close_ int fd = -1;

    if (strcmp(path, "-") == 0) {
        return read_all(cli, STDIN_FILENO, "from stdin", b);
    }
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return cli_fail(cli, errno == ENOENT ? CLI_NOT_FOUND : CLI_FAILURE, NULL, "event %s: %s",
                        path, strerror(errno));
    }
    return read_all(cli, fd, path, b);
}

/* Only a pipe or a file is read unasked: a terminal would wait for somebody to type. */
static bool stdin_has_event(void)
{
    struct stat st;

    return fstat(STDIN_FILENO, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISREG(st.st_mode));
}

/* json_text_load() wants an object or array outside; an event may be any value. */
static enum cli_exit check(const struct cli *cli, const struct buf *event)
{
    struct buf wrapped = BUF_INIT(EVENT_BYTES_MAX + 2);
    struct slice text = buf_slice(event);
    struct error err = ERROR_NULL;
    json_t *json = NULL;
    size_t blanks = 0;
    int r = 0;

    while (blanks < text.len && strchr(" \t\r\n", text.base[blanks])) {
        blanks++;
    }
    if (blanks == text.len || !strchr("{[", text.base[blanks])) {
        r = buf_append_str(&wrapped, "[");
        r = r ?: buf_append_slice(&wrapped, text);
        r = r ?: buf_append_str(&wrapped, "]");
        if (r < 0) {
            cli_no_memory();
        }
        text = buf_slice(&wrapped);
    }
    r = json_text_load(text, "event", &json, &err);
    if (r == 0 && text.base != buf_slice(event).base && json_array_size(json) != 1) {
        r = error_set(&err, -EINVAL, "event: not one JSON value");
    }
    json_decref(json);
    buf_deinit(&wrapped);
    return r < 0 ? cli_fail(cli, CLI_USAGE, "an event is JSON, like '{\"name\": \"you\"}'", "%s",
                            err.text)
                 : CLI_OK;
}

enum cli_exit event_read(const struct cli *cli, struct buf *ret)
{
    const char *data = cli_value(cli, "data");
    const char *file = cli_value(cli, "event");
    enum cli_exit code = CLI_OK;

    if (data && file) {
        return cli_fail(cli, CLI_USAGE, NULL, "-d and --event: one of them is enough");
    }
    if (data && data[0] == '@') {
        file = data + 1;
        data = NULL;
    }
    *ret = BUF_INIT(EVENT_BYTES_MAX);
    if (data) {
        if (buf_append_str(ret, data) < 0) {
            cli_no_memory();
        }
    } else if (file) {
        code = read_file(cli, file, ret);
    } else if (stdin_has_event()) {
        code = read_all(cli, STDIN_FILENO, "from stdin", ret);
    }
    if (code != CLI_OK) {
        return code;
    }
    if (buf_len(ret) == 0 && !data) { /* nothing given, or an empty pipe */
        return buf_append_str(ret, "{}") < 0 ? CLI_FAILURE : CLI_OK;
    }
    return check(cli, ret);
}
