/* Secrets on their last stretch. The zygote holds them as a descriptor that is not mapped: its
 * memory, of which each worker is a copy and which the author's imports have had their hands on,
 * never has a value in it. A worker maps them, closes the descriptor, and points its environment
 * into the mapping, which is left out of cores. With "secrets": "load" the zygote does so itself.
 *
 * Known here are only the descriptor and the mapping; what is not set costs a fork nothing. */

#include "base/redact.h"
#include "model/secret.h"
#include "os/fd.h"
#include "zygote/zygote-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool kept;
static struct slice entries;

int secrets_keep(int fd_consume)
{
    int r = dup3(fd_consume, ZYGOTE_FD_SECRETS, O_CLOEXEC) < 0 ? -errno : 0;

    fd_close(fd_consume);
    kept = r == 0;
    return r;
}

/* Private: the environment's owner may write to it. */
static int map(int fd)
{
    struct stat st;
    void *p;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size <= 0 || (uint64_t)st.st_size > SECRET_BUNDLE_MAX)
        return -EBADMSG;
    p = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    (void)madvise(p, (size_t)st.st_size, MADV_DONTDUMP);
    entries = slice(p, (size_t)st.st_size);
    return 0;
}

int secrets_take(const struct zygote_host *host, void *ctx)
{
    struct secret_entry entry;
    struct slice rest;
    int r;

    if (!kept)
        return 0;
    r = map(ZYGOTE_FD_SECRETS);
    (void)close(ZYGOTE_FD_SECRETS);
    kept = false;
    rest = entries;
    while (r == 0 && (r = secret_entry_next(&rest, &entry)) > 0) {
        r = 0;
        if (entry.kind != SECRET_ENTRY_VARIABLE)
            continue;
        r = putenv(entry.text) == 0 ? 0 : -errno;
        if (r == 0 && host && host->on_variable) {
            entry.text[entry.name_len] = '\0';
            host->on_variable(ctx, entry.text, entry.text + entry.name_len + 1);
            entry.text[entry.name_len] = '=';
        }
    }
    return r;
}

int secrets_redact(struct slice text, struct buf *b)
{
    struct redact *redact = entries.len > 0 ? redact_new() : NULL;
    struct slice rest = entries;
    struct secret_entry entry;
    int r = entries.len == 0 || redact ? 0 : -ENOMEM;

    while (r == 0 && secret_entry_next(&rest, &entry) > 0) {
        const char *value = entry.text + entry.name_len + 1;

        if (entry.kind == SECRET_ENTRY_SECRET)
            r = redact_add(redact, slice(entry.text, entry.name_len),
                           slice(value, entry.value_len));
    }
    if (r == 0 && redact)
        r = redact_text(redact, text, 0, b);
    (void)redact_free(redact);
    return r;
}
