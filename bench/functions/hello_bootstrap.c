/* A custom runtime for AWS Lambda that gives the same answer to every event. It is C without a
 * library so that what is measured is the server around it. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define RUNTIME "/2018-06-01/runtime/invocation/"
#define HELLO   "{\"hello\":\"mayfly\"}"

static int connect_api(const char *api)
{
    char host[64];
    struct sockaddr_in address = {.sin_family = AF_INET};
    const char *colon = strrchr(api, ':');
    if (!colon || (size_t)(colon - api) >= sizeof(host))
        return -1;
    memcpy(host, api, (size_t)(colon - api));
    host[colon - api] = 0;
    address.sin_port = htons((unsigned short)atoi(colon + 1));
    if (inet_pton(AF_INET, strcmp(host, "localhost") ? host : "127.0.0.1", &address.sin_addr) != 1)
        return -1;

    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* The value of a header in `head`, or NULL. */
static const char *header(const char *head, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, length) == 0 && line[2 + length] == ':')
            return line + 3 + length + strspn(line + 3 + length, " ");
    }
    return NULL;
}

/* Sends a request and reads its whole answer, whose head is left in `head`. The connection is used
 * again. False if it is over; the body of a length that is not told is not for us. */
static int call(int fd, const char *request, char *head, size_t size)
{
    size_t length = strlen(request), got = 0;
    if (send(fd, request, length, MSG_NOSIGNAL) != (ssize_t)length)
        return 0;
    for (char *end = NULL; !end;) {
        ssize_t n = got + 1 < size ? read(fd, head + got, size - 1 - got) : -1;
        if (n <= 0)
            return 0;
        got += (size_t)n;
        head[got] = 0;
        end = strstr(head, "\r\n\r\n");
        if (!end)
            continue;
        const char *text = header(head, "Content-Length");
        size_t body = text ? strtoul(text, NULL, 10) : 0, here = got - (size_t)(end + 4 - head);
        end[2] = 0; /* what follows the head is of no interest */
        for (char rest[4096]; here < body; here += (size_t)n) {
            n = read(fd, rest, body - here < sizeof(rest) ? body - here : sizeof(rest));
            if (n <= 0)
                return 0;
        }
    }
    return 1;
}

int main(void)
{
    const char *api = getenv("AWS_LAMBDA_RUNTIME_API");
    int fd = api ? connect_api(api) : -1;
    if (fd < 0) {
        fputs("hello_bootstrap: no Runtime API\n", stderr);
        return 1;
    }
    char head[16384], request[512], id[128];
    for (;;) {
        snprintf(request, sizeof(request), "GET " RUNTIME "next HTTP/1.1\r\nHost: %s\r\n\r\n", api);
        if (!call(fd, request, head, sizeof(head)))
            return 0;
        const char *found = header(head, "Lambda-Runtime-Aws-Request-Id");
        if (!found || sscanf(found, "%127[^\r]", id) != 1)
            return 1;
        snprintf(request, sizeof(request),
                 "POST " RUNTIME "%s/response HTTP/1.1\r\nHost: %s\r\n"
                 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n" HELLO,
                 id, api, sizeof(HELLO) - 1);
        if (!call(fd, request, head, sizeof(head)))
            return 0;
    }
}
