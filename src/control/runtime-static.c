/* Files of a folder, as they are. */

#include "control/runtime.h"

#include <errno.h>

int runtime_static_prepare(struct load *l, struct draft *d)
{
    _cleanup_free_ char *host = runtime_lib_file(l, d, "static/mayfly-static");
    _cleanup_free_ char *path = path_join(d->unit->dir, d->target.file);

    if (d->f.broken)
        return 0;
    return host && path ? runtime_argv(d, host, path, NULL) : -ENOMEM;
}
