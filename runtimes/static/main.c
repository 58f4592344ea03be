/* The host of files: mayfly-static FOLDER. Which file a request is for, the gateway says in
 * Mayfly-File; nothing outside of the folder is ever opened. There is no code of an author's here,
 * so a worker serves one request after the other. */

#include "answer.h"
#include "types.h"

#include "base/clock.h"
#include "os/fd.h"
#include "zygote/worker.h"
#include "zygote/zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILE_NAME_MAX 4096
#define PIECE_BYTES   65536

static int folder = -1;

/* Below the folder, whatever links stand on the way. Where openat2() is not to be had, no link at
 * all is followed. */
static int open_below(const char *file)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    int fd = (int)syscall(SYS_openat2, folder, file, &how, sizeof(how));

    if (fd >= 0 || (errno != ENOSYS && errno != EPERM))
        return fd < 0 ? -errno : fd;
    fd = fcntl(folder, F_DUPFD_CLOEXEC, 0);
    for (const char *p = file; fd >= 0 && *p;) {
        size_t n = strcspn(p, "/");
        char part[NAME_MAX + 1];
        int next;

        if (n == 0 || n > NAME_MAX || (n == 2 && p[0] == '.' && p[1] == '.')) {
            fd_close(fd);
            return -ENOENT;
        }
        memcpy(part, p, n);
        part[n] = '\0';
        next = openat(fd, part,
                      O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (p[n] ? O_DIRECTORY : 0));
        fd_close(fd);
        fd = next;
        p += n + (p[n] == '/');
    }
    return fd < 0 ? -errno : fd;
}

/* What tells one state of a file from another; not the content, which is not read for it. */
static void etag_make(const struct stat *st, char dst[static 64])
{
    (void)snprintf(dst, 64, "\"%llx-%llx-%llx\"", (unsigned long long)st->st_ino,
                   (unsigned long long)st->st_size,
                   (unsigned long long)st->st_mtim.tv_sec * 1000000000ULL +
                       (unsigned long long)st->st_mtim.tv_nsec);
}

static int refuse(struct worker *w, unsigned status)
{
    const char *reason = http_reason(status);
    struct http_header type = {SLICE_LIT("Content-Type"), SLICE_LIT("text/plain; charset=utf-8")};

    return worker_answer(w, status, &type, 1, slice_str(reason));
}

static int send_piece(struct worker *w, int fd, const struct file_answer *a)
{
    static char piece[PIECE_BYTES];
    uint64_t sent = 0;

    while (sent < a->length) {
        ssize_t n = pread(fd, piece, (size_t)MIN(a->length - sent, (uint64_t)sizeof(piece)),
                          (off_t)(a->from + sent));
        int r;

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) /* it has become shorter: the answer is broken off */
            return n < 0 ? -errno : -EIO;
        r = worker_write(w, piece, (size_t)n);
        if (r < 0)
            return r;
        sent += (uint64_t)n;
    }
    return worker_finish(w);
}

static int send_file(struct worker *w, int fd, const struct stat *st, const char *file,
                     unsigned status)
{
    const struct http_head *head = worker_head(w);
    char etag[64], modified[CLOCK_HTTP_SIZE], range[96];
    struct file_facts facts = {
        .size = (uint64_t)st->st_size, .mtime_s = st->st_mtim.tv_sec, .etag = etag};
    struct file_answer a = {.status = status, .length = facts.size};
    struct http_header headers[6];
    bool is_head = slice_eq(head->method, SLICE_LIT("HEAD"));
    size_t n = 0;
    int r;

    etag_make(st, etag);
    (void)clock_http((uint64_t)MAX(facts.mtime_s, (int64_t)0) * 1000000, modified);
    if (status == 200)
        a = file_answer(head, &facts);
    if (a.status == 412)
        return refuse(w, 412);
    headers[n++] = (struct http_header){SLICE_LIT("Cache-Control"),
                                        SLICE_LIT("public, max-age=0, must-revalidate")};
    headers[n++] = (struct http_header){SLICE_LIT("ETag"), slice_str(etag)};
    headers[n++] = (struct http_header){SLICE_LIT("Last-Modified"), slice_str(modified)};
    if (a.status != 304) {
        headers[n++] = (struct http_header){SLICE_LIT("Accept-Ranges"), SLICE_LIT("bytes")};
        headers[n++] =
            (struct http_header){SLICE_LIT("Content-Type"), slice_str(type_of_file(file))};
    }
    if (a.status == 206)
        (void)snprintf(range, sizeof(range), "bytes %llu-%llu/%llu", (unsigned long long)a.from,
                       (unsigned long long)(a.from + a.length - 1), (unsigned long long)facts.size);
    else
        (void)snprintf(range, sizeof(range), "bytes */%llu", (unsigned long long)facts.size);
    if (a.status == 206 || a.status == 416)
        headers[n++] = (struct http_header){SLICE_LIT("Content-Range"), slice_str(range)};
    if (a.status == 304)
        return worker_answer(w, 304, headers, n, SLICE_NULL);
    r = worker_start(w, a.status, headers, n, (int64_t)a.length);
    if (r < 0)
        return r;
    return is_head ? worker_finish(w) : send_piece(w, fd, &a);
}

static int serve(void *ctx, struct worker *w)
{
    const struct http_head *head = worker_head(w);
    _cleanup_close_ int fd = -1;
    char file[FILE_NAME_MAX + 1];
    struct slice value;
    struct stat st;
    unsigned status = 200;
    ssize_t n;

    if (http_head_find(head, "mayfly-status", &value) && slice_eq(value, SLICE_LIT("404")))
        status = 404;
    if (!http_head_find(head, "mayfly-file", &value))
        return refuse(w, 404); /* `mayfly invoke`: no file is asked for */
    n = http_percent_decode(value, false, file, FILE_NAME_MAX);
    if (n <= 0)
        return refuse(w, 404);
    file[n] = '\0';
    fd = open_below(file);
    if (fd < 0)
        return refuse(w, fd == -EACCES ? 403 : 404);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return refuse(w, 404);
    return send_file(w, fd, &st, file, status);
}

int main(int argc, char **argv)
{
    static const struct zygote_host host = {.serve = serve};
    struct error err = ERROR_NULL;
    struct zygote *z;

    if (argc != 2) {
        fputs("usage: mayfly-static FOLDER\n", stderr);
        return 2;
    }
    if (zygote_open(&z, &err) < 0) {
        fprintf(stderr, "mayfly-static: %s\n", err.text);
        return EXIT_FAILURE;
    }
    folder = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        (void)error_set_errno(&err, -errno, "cannot open the folder %s", argv[1]);
        zygote_fail_text(z, "LoadError", err.text, "");
    }
    (void)signal(SIGPIPE, SIG_IGN);
    zygote_run(z, &host, NULL);
}
