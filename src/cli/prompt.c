/* As readpassphrase(3) does it: signals only break off the reading; once the terminal has its echo
 * back they are raised again, with what they did before. */

#include "cli/prompt.h"

#include <errno.h>
#include <poll.h>
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

/* One byte at a time, so that nothing of it stays in a buffer of stdio. Signals are let in while
 * it waits, and only then: one that comes just before is not lost. */
static int read_line(int fd, const sigset_t *open_mask, struct buf *ret)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ssize_t n;
        char c;
        int r;

        if (ppoll(&p, 1, NULL, open_mask) < 0)
            return -errno;
        n = read(fd, &c, 1);
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
    const struct sigaction action = {.sa_handler = on_signal};
    struct sigaction before[ARRAY_SIZE(signals)];
    struct termios shown, hidden;
    sigset_t ours, mask;
    int r;

    if (tcgetattr(fd, &shown) < 0)
        return -errno;
    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    hidden.c_lflag |= ICANON | ISIG;
    caught = 0;
    (void)sigemptyset(&ours);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        (void)sigaddset(&ours, signals[i]);
    (void)sigprocmask(SIG_BLOCK, &ours, &mask);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        (void)sigaction(signals[i], &action, &before[i]);
    r = tcsetattr(fd, TCSAFLUSH, &hidden) < 0 ? -errno : 0;
    if (r == 0) {
        (void)fputs(question, stderr);
        (void)fflush(stderr);
        r = read_line(fd, &mask, ret);
        (void)fputc('\n', stderr);
        (void)tcsetattr(fd, TCSAFLUSH, &shown);
    }
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        (void)sigaction(signals[i], &before[i], NULL);
    (void)sigprocmask(SIG_SETMASK, &mask, NULL); /* what came meanwhile does what it did before */
    if (caught)
        (void)raise(caught);
    return r;
}
