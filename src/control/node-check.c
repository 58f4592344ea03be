/* A canary takes a fifth of a second, each time a file is saved. So what it said is kept:
 *
 *   mayfly node check 1 KEY        a hash of kernel and environment
 *   DEV INODE MODE SIZE MTIME CTIME PATH   for the program, its libraries, our addon and scripts
 *
 *   PROGRAM, VERSION, "fork", ""   what the canary said
 *
 * A wrong yes would break each request of a function. So only "fork" is kept (what failed may have
 * been a busy machine); nothing that changed while it was tried; nothing from a shim, which may
 * decide otherwise the next time; and any difference means that it is tried again. */

#include "control/node.h"

#include "base/clock.h"
#include "control/build.h"
#include "control/interpreter.h"
#include "control/target.h"
#include "control/tree.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define CHECK_TIMEOUT_S 20
#define TRIES_MAX       3
#define ANSWER_MAX      (32 * 1024)
#define KEPT_MAX        (64 * 1024)
#define ANSWER_LINES    4
#define FRESH_NS        (100 * NS_PER_MS) /* a tick of the kernel's clock is at most 10 ms */
#define HEX_BYTES       16
#define HEX_SIZE        (2 * HEX_BYTES + 1)

extern char **environ;

/* What the loader, libc, OpenSSL, node and check.js look at. */
static bool is_of_influence(const char *variable)
{
    static const char *const prefixes[] = {"NODE_",   "LD_",    "UV_",     "V8_",         "SSL_",
                                           "OPENSSL", "GLIBC_", "MALLOC_", "MAYFLY_NODE_"};

    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
        if (strncmp(variable, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    }
    return false;
}

static int key_make(char hex[static HEX_SIZE])
{
    uint8_t hash[TREE_HASH_SIZE];
    struct utsname kernel;
    struct digest digest;
    int r;

    if (uname(&kernel) < 0)
        return -errno;
    digest_begin(&digest);
    digest_str(&digest, slice_str(kernel.release));
    digest_str(&digest, slice_str(kernel.version));
    digest_str(&digest, slice_str(kernel.machine));
    for (char *const *e = environ; *e; e++) {
        if (is_of_influence(*e))
            digest_str(&digest, slice_str(*e));
    }
    r = digest_end(&digest, hash);
    digest_hex(hash, HEX_BYTES, hex);
    return r;
}

/* DEPS/checked-KEY: one for each node, so their number is bounded. NULL without memory. */
static char *kept_path(const char *deps, const char *host, const char *node)
{
    uint8_t hash[TREE_HASH_SIZE];
    char hex[HEX_SIZE], *path;
    struct digest digest;

    digest_begin(&digest);
    digest_str(&digest, slice_str(host));
    digest_str(&digest, slice_str(node));
    if (digest_end(&digest, hash) < 0)
        return NULL;
    digest_hex(hash, HEX_BYTES, hex);
    return asprintf(&path, "%s/" NODE_CHECKED "%s", deps, hex) < 0 ? NULL : path;
}

/* Which file it is, and in which state. Returns 0, -errno, or -EAGAIN if it has changed since. */
static int identity_write(const char *path, uint64_t since_ns, struct buf *b)
{
    struct stat st;
    uint64_t mtime_ns, ctime_ns;

    if (stat(path, &st) < 0)
        return -errno;
    mtime_ns = (uint64_t)st.st_mtim.tv_sec * NS_PER_S + (uint64_t)st.st_mtim.tv_nsec;
    ctime_ns = (uint64_t)st.st_ctim.tv_sec * NS_PER_S + (uint64_t)st.st_ctim.tv_nsec;
    if (MAX(mtime_ns, ctime_ns) + FRESH_NS >= since_ns)
        return -EAGAIN;
    return buf_printf(b, "%llu %llu %o %llu %llu %llu %s\n", (unsigned long long)st.st_dev,
                      (unsigned long long)st.st_ino, st.st_mode, (unsigned long long)st.st_size,
                      (unsigned long long)mtime_ns, (unsigned long long)ctime_ns, path);
}

static int head_write(struct buf *b)
{
    char key[HEX_SIZE];
    int r = key_make(key);

    return r < 0 ? r : buf_printf(b, "mayfly node check 1 %s\n", key);
}

/* ---- reading ---- */

/* Of the daemon's own user, and no more than it writes. Returns 0 or -errno. */
static int kept_read(const char *path, struct buf *b)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    ssize_t n;

    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022) ||
        st.st_size >= KEPT_MAX)
        return -EPERM;
    if (buf_reserve(b, (size_t)st.st_size) < 0)
        return -ENOMEM;
    n = read(fd, buf_tail(b), (size_t)st.st_size);
    if (n != st.st_size)
        return n < 0 ? -errno : -EIO;
    buf_commit(b, (size_t)n);
    (void)futimens(fd, NULL); /* one that is asked for is young again */
    return 0;
}

/* Whether a line is what identity_write() would write today. */
static bool holds(struct slice line)
{
    _cleanup_(buf_deinit) struct buf now = BUF_INIT(KEPT_MAX);
    _cleanup_free_ char *text = slice_dup(line);
    char *path = text ? strchr(text, '/') : NULL;

    return path && identity_write(path, UINT64_MAX, &now) == 0 &&
           slice_eq(slice(buf_slice(&now).base, buf_len(&now) - 1), line);
}

/* Returns 0 with the canary's words, or -errno: it is not known, or not any longer. */
static int recall(const char *kept, const char *program, struct buf *ret)
{
    _cleanup_(buf_deinit) struct buf text = BUF_INIT(KEPT_MAX), head = BUF_INIT(KEPT_MAX);
    struct slice rest, line, answer;
    int r = kept_read(kept, &text);

    if (r == 0)
        r = head_write(&head);
    if (r < 0)
        return r;
    rest = buf_slice(&text);
    line = slice_cut(&rest, '\n');
    if (!slice_eq(line, slice(buf_slice(&head).base, buf_len(&head) - 1)))
        return -ESTALE;
    while (rest.len > 0 && (line = slice_cut(&rest, '\n')).len > 0) {
        if (!holds(line))
            return -ESTALE;
    }
    answer = rest;
    if (!slice_eq(slice_cut(&rest, '\n'), slice_str(program)))
        return -ESTALE;
    return buf_append_slice(ret, answer);
}

/* ---- writing ---- */

/* Whole or not at all. What cannot be written is tried again the next time. */
static void put(const char *path, struct slice text)
{
    _cleanup_free_ char *half = NULL;
    _cleanup_close_ int fd = -1;

    if (asprintf(&half, "%s.%d", path, (int)getpid()) < 0) {
        half = NULL;
        return;
    }
    (void)unlink(half);
    fd = open(half, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    if (write(fd, text.base, text.len) != (ssize_t)text.len || rename(half, path) < 0)
        (void)unlink(half);
}

/* `answer` is the canary's four lines, and the files that it was tried out with. */
static void keep(const char *deps, const char *kept, const char *host, const char *program,
                 struct slice answer, uint64_t began_ns)
{
    _cleanup_(buf_deinit) struct buf text = BUF_INIT(KEPT_MAX - 1);
    struct slice rest = answer, lines[ANSWER_LINES];
    int r;

    for (size_t i = 0; i < ANSWER_LINES; i++)
        lines[i] = slice_cut(&rest, '\n');
    if (!slice_eq(lines[0], slice_str(program)) || !slice_eq(lines[2], SLICE_LIT("fork")) ||
        rest.len == 0)
        return;
    r = head_write(&text);
    r = r < 0 ? r : identity_write(host, began_ns, &text);
    while (r == 0 && rest.len > 0) {
        _cleanup_free_ char *path = slice_dup(slice_cut(&rest, '\n'));

        r = path ? identity_write(path, began_ns, &text) : -ENOMEM;
    }
    r = r < 0 ? r : buf_append_str(&text, "\n");
    for (size_t i = 0; i < ANSWER_LINES && r == 0; i++)
        r = buf_printf(&text, "%.*s\n", SLICE_ARG(lines[i]));
    if (r == 0 && path_make(deps) == 0)
        put(kept, buf_slice(&text));
}

int node_check(const char *host, const char *path, const char *deps, struct buf *ret)
{
    _cleanup_free_ char *program = realpath(path, NULL);
    _cleanup_free_ char *kept = deps && program ? kept_path(deps, host, program) : NULL;
    _cleanup_(buf_deinit) struct buf answer = BUF_INIT(ANSWER_MAX);
    char *const argv[] = {(char *)(uintptr_t)host, (char *)(uintptr_t)path, (char *)"check", NULL};
    uint64_t began_ns = clock_wall_us() * 1000;
    int r;

    if (kept && recall(kept, program, ret) == 0)
        return 0;
    buf_clear(ret);
    for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
        buf_clear(&answer);
        r = interpreter_run(argv, CHECK_TIMEOUT_S, &answer);
        if (r != -EINTR)
            break;
    }
    if (r == 0 && kept)
        keep(deps, kept, host, program, buf_slice(&answer), began_ns);
    return r < 0 ? r : buf_append_slice(ret, buf_slice(&answer));
}
