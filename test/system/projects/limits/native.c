/* One way into each limit. */
#include <errno.h>
#include <fcntl.h>
#include <mayfly.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB (1 << 20)

static char block[MIB];

static int failed(mayfly_response *response, const char *what)
{
    return mayfly_fail(response, "Refused", "%s: %s", what, strerror(errno));
}

static int memory(mayfly_response *response)
{
    for (;;) {
        char *p = malloc(MIB);

        if (!p)
            return failed(response, "malloc");
        memset(p, 1, MIB);
    }
}

static int memory_unchecked(mayfly_response *response)
{
    for (;;)
        memset(malloc(16 * MIB), 1, 16 * MIB);
}

static int memory_abort(mayfly_response *response)
{
    for (;;) {
        char *p = malloc(MIB);

        if (!p)
            abort();
        memset(p, 1, MIB);
    }
}

static int cpu_time(mayfly_response *response)
{
    for (volatile unsigned long i = 0;; i++)
        continue;
}

static int timeout(mayfly_response *response)
{
    for (;;)
        pause();
}

static int processes(mayfly_response *response)
{
    for (;;) {
        pid_t pid = fork();

        if (pid < 0)
            return failed(response, "fork");
        if (pid == 0) {
            pause();
            _exit(0);
        }
    }
}

static int files(mayfly_response *response)
{
    while (open("/dev/null", O_RDONLY) >= 0)
        continue;
    return failed(response, "open");
}

static int files_unchecked(mayfly_response *response)
{
    for (;;)
        fputc('x', fopen("/dev/null", "w"));
}

static int file_size(mayfly_response *response)
{
    char path[] = "/tmp/mayfly.XXXXXX";
    int fd = mkstemp(path);

    unlink(path);
    while (write(fd, block, sizeof(block)) > 0)
        continue;
    return failed(response, "write");
}

static int tmp(mayfly_response *response)
{
    for (int i = 0; i < 100; i++) {
        char path[32];
        int fd;

        snprintf(path, sizeof(path), "/tmp/%d", i);
        fd = open(path, O_WRONLY | O_CREAT, 0600);
        if (write(fd, block, sizeof(block)) < (ssize_t)sizeof(block) && write(fd, block, 1) < 0)
            return failed(response, path);
        close(fd);
    }
    return 0;
}

static int tmp_files(mayfly_response *response)
{
    for (int i = 0;; i++) {
        char path[32];
        int fd;

        snprintf(path, sizeof(path), "/tmp/%d", i);
        fd = open(path, O_WRONLY | O_CREAT, 0600);
        if (fd < 0)
            return failed(response, path);
        close(fd);
    }
}

static int response_too_large(mayfly_response *response)
{
    for (int i = 0; i < 3; i++)
        mayfly_write(response, block, sizeof(block));
    return 0;
}

static int response_announced(mayfly_response *response)
{
    mayfly_set_length(response, 3 * MIB);
    return response_too_large(response);
}

static int log_too_large(mayfly_response *response)
{
    char line[1000];

    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    for (int i = 0; i < 3000; i++)
        write(1, line, sizeof(line));
    return mayfly_puts(response, "done");
}

static int errors_of_its_own(mayfly_response *response)
{
    errno = ENOENT;
    return failed(response, "nothing to do with limits");
}

static int crash(mayfly_response *response)
{
    raise(SIGSEGV);
    return 0;
}

int handler(mayfly_request *request, mayfly_response *response)
{
    static const struct {
        const char *what;
        int (*run)(mayfly_response *response);
    } ways[] = {
        {"memory", memory},
        {"memory_unchecked", memory_unchecked},
        {"memory_abort", memory_abort},
        {"cpu_time", cpu_time},
        {"timeout", timeout},
        {"processes", processes},
        {"files", files},
        {"files_unchecked", files_unchecked},
        {"file_size", file_size},
        {"tmp", tmp},
        {"tmp_files", tmp_files},
        {"response", response_too_large},
        {"response_announced", response_announced},
        {"log", log_too_large},
        {"none_of_them", errors_of_its_own},
        {"crash", crash},
    };
    const char *what = mayfly_body(request, NULL);

    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        if (strcmp(ways[i].what, what) == 0)
            return ways[i].run(response);
    }
    return mayfly_puts(response, "fine");
}
