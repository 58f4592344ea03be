/* One way each to take all there is of something, by a program that never looks at an error and
 * never gives up. */

#include <mayfly.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void cpu(mayfly_response *r)
{
    volatile unsigned long n = 0;

    for (int i = 0; i < 4; i++) {
        if (fork() == 0)
            break;
    }
    for (;;)
        n++;
}

static void *spin(void *arg)
{
    for (volatile unsigned long n = 0;; n++) {
    }
    return arg;
}

static void threads(mayfly_response *r)
{
    pthread_t t;

    for (;;)
        (void)pthread_create(&t, NULL, spin, NULL);
}

static void bomb_fork(mayfly_response *r)
{
    for (;;)
        (void)fork();
}

static void memory(mayfly_response *r)
{
    for (;;)
        memset(malloc(1 << 20), 1, 1 << 20);
}

static void memory_of_many(mayfly_response *r)
{
    while (fork() >= 0) {
    }
    memory(r);
}

static void descriptors(mayfly_response *r)
{
    int pair[2];

    for (;;)
        (void)socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
}

static void disk(mayfly_response *r)
{
    static char block[1 << 16];
    char path[32];

    for (unsigned i = 0;; i++) {
        int fd;

        (void)snprintf(path, sizeof(path), "/tmp/%u", i % 50);
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
        if (write(fd, block, sizeof(block)) < 0)
            continue;
        (void)close(fd);
    }
}

static void inodes(mayfly_response *r)
{
    char path[32];

    for (unsigned i = 0;; i++) {
        (void)snprintf(path, sizeof(path), "/tmp/%u", i);
        (void)mkdir(path, 0700);
    }
}

static void file(mayfly_response *r)
{
    static char block[1 << 16];
    int fd = open("/tmp/large", O_WRONLY | O_CREAT, 0600);

    for (;;) {
        if (write(fd, block, sizeof(block)) < 0)
            continue;
    }
}

static void bomb_log(mayfly_response *r)
{
    for (;;)
        (void)puts("a line that nobody will ever read, and many more of them");
}

static void stack(mayfly_response *r)
{
    volatile char room[4096];

    room[0] = (char)(r != NULL);
    stack(room[0] ? r : NULL);
    room[1] = room[0];
}

static void answer(mayfly_response *r)
{
    for (;;)
        (void)mayfly_puts(r, "and so on, and so on, and so on\n");
}

static const struct {
    const char *name;
    void (*go)(mayfly_response *r);
} ways[] = {{"cpu", cpu},
            {"threads", threads},
            {"fork", bomb_fork},
            {"memory", memory},
            {"memory_of_many", memory_of_many},
            {"descriptors", descriptors},
            {"disk", disk},
            {"inodes", inodes},
            {"file", file},
            {"log", bomb_log},
            {"stack", stack},
            {"answer", answer}};

int bomb(mayfly_request *request, mayfly_response *response)
{
    char name[32] = "";
    long n = mayfly_read(request, name, sizeof(name) - 1);

    for (size_t i = 0; n > 0 && i < sizeof(ways) / sizeof(ways[0]); i++) {
        if (strcmp(ways[i].name, name) == 0)
            ways[i].go(response);
    }
    return mayfly_puts(response, "no such bomb");
}

int probe(mayfly_request *request, mayfly_response *response)
{
    return mayfly_puts(response, "here");
}
