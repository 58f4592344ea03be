#include "control/output.h"

#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

void output_init(struct output *o, int fd)
{
    struct stat st;
    char path[32];
    int again = -1;

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode))
        again = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    *o = (struct output){
        .fd = again >= 0 ? again : fd, .owned = again >= 0, .buf = BUF_INIT(OUTPUT_BYTES_MAX)};
}

void output_deinit(struct output *o)
{
    if (o->owned)
        o->fd = fd_close(o->fd);
    buf_deinit(&o->buf);
}

void output_begin(struct output *o)
{
    o->mark = buf_len(&o->buf);
}

void output_end(struct output *o, int r)
{
    if (r == 0 && !o->closed)
        return;
    o->n_dropped++;
    o->buf.end = o->buf.start + o->mark;
}

void output_flush(struct output *o)
{
    while (output_is_pending(o)) {
        ssize_t n = write(o->fd, o->buf.data + o->buf.start, buf_len(&o->buf));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            o->closed = true;
            o->n_dropped++;
            buf_clear(&o->buf);
            return;
        }
        buf_consume(&o->buf, (size_t)n);
    }
}
