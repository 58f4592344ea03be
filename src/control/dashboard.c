/* The dashboard over HTTP. Names of assets carry the hash of their content, so they may be kept for
 * good; the page that names them is asked for again each time, and mostly answered by 304. */

#include "control/dashboard.h"

#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE    "/index.html"
#define ASSETS  "/assets/"
#define MISSING "{\"errorType\":\"NotFound\",\"errorMessage\":\"the dashboard has no such file\"}\n"

/* Nothing comes from elsewhere, nothing is inline, nobody frames it. */
#define SECURITY_HEADERS                                                                           \
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "           \
    "connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; "          \
    "form-action 'self'\r\n"                                                                       \
    "X-Content-Type-Options: nosniff\r\n"                                                          \
    "Referrer-Policy: no-referrer\r\n"                                                             \
    "Cross-Origin-Opener-Policy: same-origin\r\n"                                                  \
    "Cross-Origin-Resource-Policy: same-origin\r\n"

struct content {
    const char *status, *type, *etag, *cache;
    const char *encoding; /* a whole header line, or "" */
    struct slice body;
};

/* The file that a path means, or the empty slice. */
static struct slice file_of(struct slice path)
{
    struct slice rest = path, first;

    if (path.len == 0 || path.base[0] != '/')
        return SLICE_NULL;
    if (slice_starts(path, SLICE_LIT(ASSETS)))
        return path;
    rest.base++;
    rest.len--;
    first = slice_cut(&rest, '/');
    return first.len > 0 && memchr(first.base, '.', first.len) ? SLICE_NULL : SLICE_LIT(PAGE);
}

/* Whether a list such as "gzip, br;q=0.5" has the word, not refused by a weight of 0. */
static bool list_has(struct slice list, struct slice word)
{
    while (list.len > 0) {
        struct slice weight = slice_cut(&list, ','), name = slice_trim(slice_cut(&weight, ';'));

        weight = slice_trim(weight);
        if (slice_eq_nocase(name, word))
            return !slice_eq(weight, SLICE_LIT("q=0")) && !slice_eq(weight, SLICE_LIT("q=0.0"));
    }
    return false;
}

/* If-None-Match compares weakly: "W/" does not count. */
static bool etag_matches(struct slice list, const char *etag)
{
    while (list.len > 0) {
        struct slice one = slice_trim(slice_cut(&list, ','));

        if (slice_starts(one, SLICE_LIT("W/")))
            one = slice(one.base + 2, one.len - 2);
        if (slice_eq(one, slice_str(etag)) || slice_eq(one, SLICE_LIT("*")))
            return true;
    }
    return false;
}

static int answer(const struct content *c, bool is_head, struct buf *b)
{
    size_t len = buf_len(b);
    int r = buf_printf(b,
                       "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                       "Cache-Control: %s\r\n%s%s%s%s" SECURITY_HEADERS "Connection: close\r\n\r\n",
                       c->status, c->type, c->body.len, c->cache, c->encoding,
                       c->etag ? "ETag: " : "", c->etag ? c->etag : "", c->etag ? "\r\n" : "");

    if (r == 0 && !is_head)
        r = buf_append_slice(b, c->body);
    if (r < 0)
        b->end = b->start + len;
    return r;
}

static int answer_missing(bool is_head, struct buf *b)
{
    static const struct content missing = {
        .status = "404 Not Found",
        .type = "application/json",
        .cache = "no-store",
        .encoding = "",
        .body = {MISSING, sizeof(MISSING) - 1},
    };

    return answer(&missing, is_head, b);
}

/* ---- from memory ---- */

static int answer_file(const struct dashboard_query *q, const struct dashboard_file *f,
                       struct buf *b)
{
    bool zipped = f->gzip.len > 0 && list_has(q->accept_encoding, SLICE_LIT("gzip"));
    struct content c = {
        .status = "200 OK",
        .type = f->type,
        .etag = f->etag,
        .cache = slice_starts(slice_str(f->path), SLICE_LIT(ASSETS))
                     ? "public, max-age=31536000, immutable"
                     : "no-cache",
        .encoding = zipped ? "Vary: Accept-Encoding\r\nContent-Encoding: gzip\r\n"
                           : "Vary: Accept-Encoding\r\n",
        .body = zipped ? f->gzip : f->plain,
    };

    if (etag_matches(q->if_none_match, f->etag)) {
        c.status = "304 Not Modified";
        c.encoding = "Vary: Accept-Encoding\r\n";
        c.body = SLICE_NULL;
    }
    return answer(&c, q->is_head, b);
}

/* ---- from a folder, for work on the dashboard ---- */

static const char *type_of(const char *name)
{
    static const char *const types[][2] = {
        {".html", "text/html; charset=utf-8"},       {".js", "text/javascript; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},         {".svg", "image/svg+xml"},
        {".map", "application/json; charset=utf-8"},
    };
    const char *dot = strrchr(name, '.');

    for (size_t i = 0; dot && i < ARRAY_SIZE(types); i++) {
        if (strcmp(dot, types[i][0]) == 0)
            return types[i][1];
    }
    return "application/octet-stream";
}

/* Letters, digits and what joins them: no way out of the folder. */
static bool is_asset_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.base[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_' || (c == '.' && i > 0)))
            return false;
    }
    return name.len > 0;
}

/* Returns 0, or -errno: there is no such file, or it is too large. */
static int read_file(const char *dir, struct slice file, struct buf *ret)
{
    struct slice name = slice(file.base + 1, file.len - 1);
    _cleanup_close_ int fd = -1;
    char path[4096];
    ssize_t n = 1;

    if (slice_starts(file, SLICE_LIT(ASSETS)) &&
        !is_asset_name(slice(file.base + strlen(ASSETS), file.len - strlen(ASSETS))))
        return -ENOENT;
    if (snprintf(path, sizeof(path), "%s/%.*s", dir, SLICE_ARG(name)) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    while (fd >= 0 && n > 0) {
        int r = buf_reserve(ret, 65536);

        if (r < 0)
            return r;
        n = read(fd, buf_tail(ret), 65536);
        if (n > 0)
            buf_commit(ret, (size_t)n);
    }
    return fd < 0 || n < 0 ? -errno : 0;
}

static int answer_from(const struct dashboard_query *q, struct slice file, struct buf *b)
{
    struct buf body = BUF_INIT(DASHBOARD_FILE_MAX);
    _cleanup_free_ char *name = slice_dup(file);
    int r = name ? read_file(q->dir, file, &body) : -ENOMEM;

    if (r == -ENOMEM) {
        buf_deinit(&body);
        return r;
    }
    if (r == 0) {
        struct content c = {.status = "200 OK",
                            .type = type_of(name),
                            .cache = "no-store",
                            .encoding = "",
                            .body = buf_slice(&body)};

        r = answer(&c, q->is_head, b);
    } else {
        r = answer_missing(q->is_head, b);
    }
    buf_deinit(&body);
    return r;
}

int dashboard_answer(const struct dashboard_query *q, struct buf *b)
{
    struct slice file = file_of(q->path);

    if (q->dir && file.len > 0)
        return answer_from(q, file, b);
    for (size_t i = 0; i < dashboard_files_n && file.len > 0; i++) {
        if (slice_eq(slice_str(dashboard_files[i].path), file))
            return answer_file(q, &dashboard_files[i], b);
    }
    return answer_missing(q->is_head, b);
}
