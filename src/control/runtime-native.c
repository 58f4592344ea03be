/* C: a source is compiled into the zygote itself, a shared object is loaded by one. */

#include "control/runtime.h"

#include <errno.h>

static int file_digest(struct load *l, struct digest *digest, const char *file)
{
    _cleanup_free_ char *path = path_join(l->options->lib, file);
    uint8_t hash[TREE_HASH_SIZE];
    int r = path ? tree_file_hash(l->cache, path, hash) : -ENOMEM;

    if (r < 0)
        return r;
    digest_str(digest, slice(hash, sizeof(hash)));
    return 0;
}

/* The result depends on the project's folder as a whole, since a C file may include any of its
 * files, and on what of mayfly it is linked with. */
int runtime_source_prepare(struct load *l, struct draft *d)
{
    _cleanup_free_ char *archive = runtime_lib_file(l, d, "native/libmayfly-native.a");
    _cleanup_free_ char *header = archive ? runtime_lib_file(l, d, "include/mayfly.h") : NULL;
    _cleanup_free_ char *cc = compile_compiler();
    struct compile_job *job = &l->jobs[l->n_jobs];
    uint8_t hash[TREE_HASH_SIZE];
    struct digest digest;
    int r, x;

    if (d->f.broken)
        return 0;
    if (!archive || !header)
        return -ENOMEM;
    digest_begin(&digest);
    digest_str(&digest, SLICE_LIT("native 1"));
    digest_str(&digest, slice(d->unit->tree.hash, TREE_HASH_SIZE));
    digest_str(&digest, slice_str(d->target.file));
    digest_str(&digest, slice_str(d->target.symbol));
    digest_str(&digest, slice_str(cc));
    r = file_digest(l, &digest, "native/libmayfly-native.a");
    if (r == 0)
        r = file_digest(l, &digest, "include/mayfly.h");
    x = digest_end(&digest, hash);
    if (r < 0 || x < 0) {
        draft_break(d, "cannot read mayfly's own files in %s: %s", l->options->lib,
                    strerrordesc_np(-MIN(r, x)));
        return 0;
    }
    *job = (struct compile_job){.build.kind = &compile_kind,
                                .dir = d->unit->dir,
                                .file = d->target.file,
                                .symbol = d->target.symbol};
    digest_hex(hash, (sizeof(job->key) - 1) / 2, job->key);
    d->job = job;
    for (uint32_t i = 0; i < l->n_jobs && d->job == job; i++) {
        if (strcmp(l->jobs[i].key, job->key) == 0)
            d->job = &l->jobs[i]; /* two functions, one program */
    }
    l->n_jobs += d->job == job;
    return 0;
}

int runtime_source_finish(struct draft *d)
{
    if (!d->job)
        return 0;
    if (!d->job->program) {
        draft_break(d, "%s", d->job->build.broken ? d->job->build.broken : "cannot be compiled");
        return 0;
    }
    return runtime_argv(d, d->job->program, NULL, NULL);
}

void runtime_source_digest(const struct draft *d, struct digest *digest)
{
    if (d->job)
        digest_str(digest, slice_str(d->job->key));
}

int runtime_shared_prepare(struct load *l, struct draft *d)
{
    _cleanup_free_ char *host = runtime_lib_file(l, d, "native/mayfly-native-so");
    _cleanup_free_ char *path = path_join(d->unit->dir, d->target.file);

    if (d->f.broken)
        return 0;
    return host && path ? runtime_argv(d, host, path, d->target.symbol) : -ENOMEM;
}
