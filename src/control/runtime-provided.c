/* Programs that speak Lambda's Runtime API: a command, or a bootstrap. */

#include "control/runtime.h"

#include <errno.h>

#define WORDS_MAX (CONFIG_WORDS_MAX + 4)

int runtime_provided_prepare(struct load *l, struct draft *d)
{
    _cleanup_free_ char *host = runtime_lib_file(l, d, "provided/mayfly-provided");
    _cleanup_free_ char *path = path_join(d->unit->dir, d->target.file);
    const struct config_function *c = d->config;
    const char *words[WORDS_MAX] = {host};
    size_t n = 1;

    if (d->f.network == NETWORK_LIST)
        draft_break(d, "a function with the runtime provided cannot be held to a list of places; "
                       "its \"network\" is \"host\" or \"none\"");
    if (d->f.broken)
        return 0;
    if (!host || !path)
        return -ENOMEM;
    if (!c->command)
        return runtime_argv(d, host, path, NULL);
    if (c->command_is_line) {
        words[n++] = "/bin/sh";
        words[n++] = "-c";
    }
    for (size_t i = 0; c->command[i]; i++)
        words[n++] = c->command[i];
    assert(n < WORDS_MAX);
    return runtime_words(d, words);
}

void runtime_provided_digest(const struct draft *d, struct digest *digest)
{
    char *const *word = d->config->command;

    for (; word && *word; word++)
        digest_str(digest, slice_str(*word));
    digest_u64(digest, d->config->command_is_line);
}
