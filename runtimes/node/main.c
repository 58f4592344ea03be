/* What the supervisor executes for a Node function: mayfly-node NODE MODE FLAGS...
 *
 * fork: becomes node, with mayfly.node preloaded, which is the zygote. single: where this node
 * cannot be forked, is the zygote itself, and each worker becomes a node that loads the function,
 * serves one request, and ends; standbys have loaded it ahead of need. check: becomes node as for
 * fork, tries that out and tells. */

#include "zygote/worker.h"
#include "zygote/zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define START_BYTES_MAX 65536
#define FLAGS_MAX       32

/* The path of a file beside this program. Returns dst, or NULL. */
static const char *beside(const char *file, char dst[static PATH_MAX])
{
    char program[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
    char *slash;

    if (n < 0)
        return NULL;
    program[n] = '\0';
    slash = strrchr(program, '/');
    *slash = '\0';
    return snprintf(dst, PATH_MAX, "%s/%s", program, file) < PATH_MAX ? dst : NULL;
}

/* node opens descriptors of its own before it loads us: they must not have the numbers that a
 * zygote gives to others. Returns 0 or -errno. */
static int reserve_descriptors(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int fd = ZYGOTE_FD_WORKER; null >= 0 && fd <= ZYGOTE_FD_SECRETS; fd++) {
        if (fd != null && fcntl(fd, F_GETFD) < 0 && dup2(null, fd) < 0)
            return -errno;
    }
    if (null < 0)
        return -errno;
    if (null <= ZYGOTE_FD_SECRETS)
        return fcntl(null, F_SETFD, 0) < 0 ? -errno : 0;
    return close(null) < 0 ? -errno : 0;
}

/* Does not return but for a failure, which errno tells. */
static void become_node(char *node, char *mode, char *const *flags)
{
    char main_js[PATH_MAX], preload[PATH_MAX];
    char *argv[FLAGS_MAX + 8];
    unsigned n = 0;

    if (!beside(strcmp(mode, "check") == 0 ? "host/check.js" : "host/main.js", main_js) ||
        !beside("mayfly.node", preload))
        return;
    argv[n++] = node;
    if (strcmp(mode, "single") != 0) {
        /* Threads do not come along into a worker, so there must be none to wait for. */
        argv[n++] = (char *)"--single-threaded";
        argv[n++] = (char *)"--v8-pool-size=0";
        /* Its timer would go off in each worker that is forked some seconds later. */
        argv[n++] = (char *)"--no-memory-reducer";
        if (setenv("LD_PRELOAD", preload, 1) < 0 || reserve_descriptors() < 0)
            return;
    }
    while (*flags && n < FLAGS_MAX)
        argv[n++] = *flags++;
    argv[n++] = main_js;
    argv[n++] = mode;
    argv[n] = NULL;
    (void)execv(node, argv);
}

static int add_text(struct buf *b, const char *name, const char *value)
{
    int r = buf_printf(b, "\"%s\": ", name);

    if (r == 0)
        r = worker_json_string(b, slice_str(value));
    return r == 0 ? buf_append_str(b, ", ") : r;
}

/* What zygote_start() says, for main.js. */
static int set_start(const struct zygote_start *start)
{
    struct buf b = BUF_INIT(START_BYTES_MAX);
    int r = buf_append_str(&b, "{");

    if (r == 0)
        r = add_text(&b, "function", start->function);
    if (r == 0)
        r = add_text(&b, "version", start->version);
    if (r == 0)
        r = add_text(&b, "handler", start->handler);
    if (r == 0)
        r = add_text(&b, "isolation",
                     start->isolation == ISOLATION_INSTANCE ? "instance" : "request");
    if (r == 0)
        r = buf_printf(&b, "\"dev\": %s, \"timeoutMs\": %llu, \"memoryBytes\": %llu}",
                       start->dev ? "true" : "false", (unsigned long long)start->timeout_ms,
                       (unsigned long long)start->memory_bytes);
    if (r == 0)
        r = buf_append(&b, "", 1);
    if (r == 0 && setenv("MAYFLY_START", buf_slice(&b).base, 1) < 0)
        r = -errno;
    buf_deinit(&b);
    return r;
}

static void serve_singly(char *node, char *mode, char *const *flags)
{
    static const struct zygote_host host = {.touch = NULL};
    struct error err = ERROR_NULL;
    struct zygote *z;
    int r = zygote_open(&z, &err);

    if (r < 0) {
        (void)fprintf(stderr, "mayfly-node: %s\n", err.text);
        return;
    }
    r = set_start(zygote_start(z));
    if (r < 0)
        zygote_fail_text(z, "Runtime.Zygote", strerrordesc_np(-r), "");
    zygote_run_bare(z, &host, NULL);
    become_node(node, mode, flags); /* in the worker */
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        (void)fputs("usage: mayfly-node NODE fork|single|check FLAGS...\n", stderr);
        return 2;
    }
    if (strcmp(argv[2], "single") == 0)
        serve_singly(argv[1], argv[2], argv + 3);
    else
        become_node(argv[1], argv[2], argv + 3);
    (void)fprintf(stderr, "mayfly-node: cannot run %s: %m\n", argv[1]);
    return EXIT_FAILURE;
}
