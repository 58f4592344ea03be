/* As readpassphrase(3) does it: signals only break off the reading; once the terminal has its echo
 * back they are raised again, with what they did before. */

#include "cli/prompt.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU};

static volatile sig_atomic_t caught;

static void on_signal(int signal)
{
    caught = signal;
}

/* One byte at a time, so that nothing of it stays in a buffer of stdio. */
static int read_line(int fd, struct buf *ret)
{
    for (;;) {
        char c;
        ssize_t n = read(fd, &c, 1);
        int r;

        if (n < 0)
            return -errno;
        if (n == 0)
            return -ECANCELED;
        if (c == '\n' || c == '\r')
            return 0;
        r = buf_append(ret, &c, 1);
        if (r < 0)
            return r == -ENOBUFS ? -EFBIG : r;
    }
}

int prompt_hidden(int fd, const char *question, struct buf *ret)
{
    const struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: read() ends */
    struct sigaction before[ARRAY_SIZE(signals)];
    struct termios shown, hidden;
    int r;

    if (tcgetattr(fd, &shown) < 0)
        return -errno;
    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    hidden.c_lflag |= ICANON | ISIG;
    caught = 0;
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        (void)sigaction(signals[i], &action, &before[i]);
    r = tcsetattr(fd, TCSAFLUSH, &hidden) < 0 ? -errno : 0;
    if (r == 0) {
        (void)fputs(question, stderr);
        (void)fflush(stderr);
        r = read_line(fd, ret);
        (void)fputc('\n', stderr);
        (void)tcsetattr(fd, TCSAFLUSH, &shown);
    }
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        (void)sigaction(signals[i], &before[i], NULL);
    if (caught)
        (void)raise(caught);
    return r;
}
