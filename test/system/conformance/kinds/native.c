/* A function in C. http.c is the one of the tests of HTTP: it counts and hashes. */

#include "http.c"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/random.h>
#include <sys/socket.h>

static unsigned long asked;

/* Ends a list of "name": "value, value" pairs, of which `at` gives the one at an index. */
typedef int get_pair(mayfly_request *request, size_t index, const char **name, const char **value);

static void write_text(mayfly_response *response, const char *text, int small)
{
    for (; *text; text++) {
        char c = *text;

        if (small && c >= 'A' && c <= 'Z')
            c = (char)(c + 32);
        (void)mayfly_printf(response, c == '"' || c == '\\' ? "\\%c" : "%c", c);
    }
}

static int same(const char *a, const char *b, int small)
{
    return (small ? strcasecmp(a, b) : strcmp(a, b)) == 0;
}

static void write_pairs(mayfly_request *request, mayfly_response *response, get_pair *at, size_t n,
                        int small)
{
    const char *name, *value, *other;

    (void)mayfly_puts(response, "{");
    for (size_t i = 0, written = 0; i < n; i++) {
        int before = 0;

        (void)at(request, i, &name, &value);
        for (size_t k = 0; k < i && !before; k++)
            before = at(request, k, &other, NULL) == 0 && same(name, other, small);
        if (before)
            continue;
        (void)mayfly_puts(response, written++ ? ", \"" : "\"");
        write_text(response, name, small);
        (void)mayfly_puts(response, "\": \"");
        write_text(response, value, 0);
        for (size_t k = i + 1; k < n; k++) {
            if (at(request, k, &other, &value) == 0 && same(name, other, small)) {
                (void)mayfly_puts(response, ",");
                write_text(response, value, 0);
            }
        }
        (void)mayfly_puts(response, "\"");
    }
    (void)mayfly_puts(response, "}");
}

static int see(mayfly_request *request, mayfly_response *response)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *body;
    size_t len;

    body = (const unsigned char *)mayfly_body(request, &len);
    (void)mayfly_add_header(response, "Content-Type", "application/json");
    (void)mayfly_printf(response, "{\"method\": \"%s\", \"path\": \"", mayfly_method(request));
    write_text(response, mayfly_path(request), 0);
    (void)mayfly_puts(response, "\", \"query\": ");
    write_pairs(request, response, mayfly_param_at, mayfly_param_count(request), 0);
    (void)mayfly_puts(response, ", \"headers\": ");
    write_pairs(request, response, mayfly_header_at, mayfly_header_count(request), 1);
    (void)mayfly_puts(response, ", \"body\": \"");
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        unsigned v = (unsigned)body[i] << 16 | (left > 1 ? (unsigned)body[i + 1] << 8 : 0) |
                     (left > 2 ? body[i + 2] : 0);

        (void)mayfly_printf(response, "%c%c%c%c", digits[v >> 18], digits[v >> 12 & 63],
                            left > 1 ? digits[v >> 6 & 63] : '=', left > 2 ? digits[v & 63] : '=');
    }
    return mayfly_puts(response, "\"}");
}

static int with_headers(mayfly_request *request, mayfly_response *response)
{
    (void)mayfly_add_header(response, "X-Mixed-Case", "MiXed");
    (void)mayfly_add_header(response, "Set-Cookie", "a=1; Path=/");
    (void)mayfly_add_header(response, "Set-Cookie", "b=2");
    return mayfly_puts(response, "ok");
}

static int binary(mayfly_request *request, mayfly_response *response)
{
    (void)mayfly_add_header(response, "Content-Type", "application/octet-stream");
    for (int i = 0; i < 256; i++)
        buffer[i] = (char)i;
    return mayfly_write(response, buffer, 256);
}

static int unicode(mayfly_request *request, mayfly_response *response)
{
    size_t len;
    const char *body = mayfly_body(request, &len);

    return mayfly_write(response, body, len);
}

static int stream(mayfly_request *request, mayfly_response *response)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)atoi(param(request, "port")))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)mayfly_puts(response, "one\n");
    (void)mayfly_flush(response);
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 || read(fd, buffer, 1) != 1)
        return mayfly_fail(response, "NoClient", "%m");
    return mayfly_puts(response, "two\n");
}

static int download(mayfly_request *request, mayfly_response *response)
{
    memset(buffer, 'd', sizeof(buffer));
    for (int i = atoi(param(request, "mb")) * 16; i > 0; i--) {
        if (mayfly_write(response, buffer, sizeof(buffer)) < 0)
            return 1;
    }
    return 0;
}

static __attribute__((noinline)) int deep_down(mayfly_request *request, mayfly_response *response)
{
    return mayfly_fail(response, "ValueError", "broken on purpose");
}

static __attribute__((noinline)) int sleeper(mayfly_request *request, mayfly_response *response)
{
    (void)sleep(100);
    return mayfly_puts(response, "woken");
}

static int print(mayfly_request *request, mayfly_response *response)
{
    (void)printf("to stdout: grüße\n");
    (void)fprintf(stderr, "to stderr: grüße\n");
    return mayfly_puts(response, "logged");
}

static int environment(mayfly_request *request, mayfly_response *response)
{
    return mayfly_puts(response, getenv("GREETING"));
}

static int asked_so_often(mayfly_request *request, mayfly_response *response)
{
    return mayfly_printf(response, "%lu", asked);
}

static int numbers(mayfly_request *request, mayfly_response *response)
{
    uint64_t n;

    if (getrandom(&n, sizeof(n), 0) != sizeof(n))
        return 1;
    return mayfly_printf(response, "%llu", (unsigned long long)n);
}

int handler(mayfly_request *request, mayfly_response *response)
{
    static const struct {
        const char *verb;
        mayfly_handler *handler;
    } verbs[] = {{"echo", see},         {"headers", with_headers}, {"binary", binary},
                 {"unicode", unicode},  {"stream", stream},        {"upload", count},
                 {"download", download}, {"error", deep_down},      {"sleep", sleeper},
                 {"log", print},        {"env", environment},      {"count", asked_so_often},
                 {"random", numbers}};
    const char *verb = strrchr(mayfly_path(request), '/') + 1;

    asked++;
    for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
        if (strcmp(verb, verbs[i].verb) == 0)
            return verbs[i].handler(request, response);
    }
    (void)mayfly_status(response, atoi(param(request, "code")));
    return mayfly_puts(response, "status");
}
