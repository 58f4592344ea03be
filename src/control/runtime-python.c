/* Python: which interpreter, and where it really is. */

#include "control/runtime.h"

#include <errno.h>
#include <stdio.h>

/* Which interpreter a project uses: what its mayfly.json says, or its virtual environment's, or the
 * one of the system. */
static int python_find(struct unit *u)
{
    static const char *const venvs[] = {".venv/bin/python", "venv/bin/python"};
    const char *wanted = u->config->python;

    if (u->python || u->python_broken)
        return 0;
    for (size_t i = 0; i < ARRAY_SIZE(venvs) && !wanted; i++) {
        u->python = path_join(u->dir, venvs[i]);
        if (!u->python || path_is_program(u->python))
            return u->python ? 0 : -ENOMEM;
        free(u->python);
    }
    u->python = wanted && strchr(wanted, '/') ? path_join(u->dir, wanted)
                                              : path_search(wanted ? wanted : "python3");
    if (u->python && path_is_program(u->python))
        return 0;
    free(u->python);
    u->python = NULL;
    if (!wanted)
        u->python_broken = slice_dup(SLICE_LIT("there is no python3; run: apt install python3"));
    else if (asprintf(&u->python_broken, "there is no interpreter \"%s\", as %s:%u wants it",
                      wanted, u->label, u->config->python_line) < 0)
        u->python_broken = NULL;
    return u->python_broken ? 0 : -ENOMEM;
}

/* Puts the executable itself in the place of a shim, and notes what it needs beside it. */
static int python_ask(struct unit *u)
{
    struct error err = ERROR_NULL;
    int r;

    if (u->python_broken || u->interpreter.program)
        return 0;
    r = interpreter_ask_python(u->python, &u->interpreter, &err);
    if (r == -ENOMEM)
        return r;
    if (r < 0)
        u->python_broken = slice_dup(slice_str(err.text));
    return r < 0 && !u->python_broken ? -ENOMEM : 0;
}

int runtime_python_prepare(struct load *l, struct draft *d)
{
    _cleanup_free_ char *host = runtime_lib_file(l, d, "python/main.py");
    struct unit *u = d->unit;
    int r = python_find(u);

    r = r < 0 ? r : python_ask(u);
    if (r < 0 || (!host && !d->f.broken))
        return -ENOMEM;
    if (u->python_broken)
        draft_break(d, "%s", u->python_broken);
    if (d->f.broken)
        return 0;
    for (unsigned i = 0; i < u->interpreter.n_paths && r == 0; i++)
        r = runtime_read_add(&d->f, u->interpreter.paths[i]);
    return r < 0 ? r : runtime_argv(d, u->interpreter.program, host, NULL);
}

void runtime_python_digest(const struct draft *d, struct digest *digest)
{
    digest_str(digest, slice_str(d->unit->python));
}
