/* Python: which interpreter, and where it really is. */

#include "control/runtime.h"

#include <errno.h>
#include <stdio.h>

/* Whether it is a file that the author has put there: an interpreter, or one of an environment. */
static int python_in_place(struct unit *u)
{
    static const char *const venvs[] = {".venv/bin/python", "venv/bin/python"};
    const char *wanted = u->config->python;

    for (size_t i = 0; i < ARRAY_SIZE(venvs) && !wanted; i++) {
        u->python = path_join(u->dir, venvs[i]);
        if (!u->python || path_is_program(u->python))
            return u->python ? 0 : -ENOMEM;
        free(u->python);
        u->python = NULL;
    }
    if (!wanted || !strchr(wanted, '/'))
        return 0;
    u->python = path_join(u->dir, wanted);
    if (u->python && !path_is_program(u->python)) {
        free(u->python);
        u->python = NULL;
    }
    return 0;
}

/* Which interpreter a project uses: what its mayfly.json says, or its virtual environment's; else
 * the one that its files ask for, with the packages that they name; or the one of the system. */
static int python_find(struct load *l, struct unit *u)
{
    const char *wanted = u->config->python;
    _cleanup_free_ char *found = NULL;
    int r;

    if (u->python || u->python_broken)
        return 0;
    r = python_in_place(u);
    if (r < 0 || u->python)
        return r;
    if (!wanted || !strchr(wanted, '/'))
        found = path_search(wanted ? wanted : "python3");
    if (found && deps_python_wanted(u))
        return deps_python_describe(l, u, found, wanted != NULL);
    u->python = take_ptr(found);
    if (u->python)
        return 0;
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
    int r = python_find(l, u);

    r = r < 0 ? r : python_ask(u);
    if (r < 0 || (!host && !d->f.broken))
        return -ENOMEM;
    if (u->python_broken)
        draft_break(d, "%s", u->python_broken);
    if (d->f.broken)
        return 0;
    for (unsigned i = 0; i < u->interpreter.n_paths && r == 0; i++)
        r = runtime_read_add(&d->f, u->interpreter.paths[i]);
    r = r < 0 ? r : deps_about(&d->f, "interpreter=%s", u->interpreter.program);
    if (r == 0 && u->interpreter.version[0])
        r = deps_about(&d->f, "interpreter_version=%s", u->interpreter.version);
    return r < 0 ? r : runtime_argv(d, u->interpreter.program, host, NULL);
}

/* With packages it is the interpreter of their environment. */
int runtime_python_finish(struct draft *d)
{
    const struct deps_job *job = d->unit->python_deps;
    int r = job ? deps_finish(d, job, "tree", DEPS_PYTHON_INSIDE) : 0;

    if (!job || r < 0 || d->f.broken)
        return r;
    free(d->f.argv[0]);
    d->f.argv[0] = path_join(job->place, "tree/bin/python");
    return d->f.argv[0] ? 0 : -ENOMEM;
}

void runtime_python_digest(const struct draft *d, struct digest *digest)
{
    const struct unit *u = d->unit;

    digest_str(digest, slice_str(u->python));
    if (u->python_deps)
        digest_str(digest, slice_str(u->python_deps->key));
    else if (u->python)
        deps_venv_digest(u->python, digest);
}
