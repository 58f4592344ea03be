#include "control/site.h"

#include "control/draft.h"

#include <errno.h>

/* The files move over. */
static int site_make(struct load *l, struct unit *u, struct snapshot *s)
{
    struct site *site = &s->sites[s->n_sites++];
    size_t len = 0;
    char *at;

    *site = (struct site){.prefix = slice_dup(slice_str(u->prefix)), .function = SITE_NO_FUNCTION};
    for (uint32_t i = 0; i < u->files.n_files; i++)
        len += strlen(u->files.files[i]) + 1;
    site->names = at = malloc(len + 1);
    site->files = calloc((size_t)u->files.n_files + 1, sizeof(*site->files));
    if (!site->prefix || !site->names || !site->files)
        return -ENOMEM;
    for (uint32_t i = 0; i < u->files.n_files; i++) {
        size_t n = strlen(u->files.files[i]) + 1;

        memcpy(at, u->files.files[i], n);
        site->files[i] = at;
        at += n;
    }
    site->n_files = u->files.n_files;
    for (uint32_t i = 0; i < l->n_drafts; i++) {
        if (l->drafts[i].unit == u && l->drafts[i].target.kind == TARGET_STATIC)
            site->function = i;
    }
    return 0;
}

int sites_make(struct load *l, struct snapshot *s)
{
    int r = 0;

    _Static_assert(SITES_MAX >= PROJECT_UNITS_MAX, "each unit may have one");
    s->sites = calloc(l->n_units, sizeof(*s->sites));
    if (!s->sites)
        return -ENOMEM;
    for (uint32_t i = 0; i < l->n_units && r == 0; i++) {
        if (l->units[i]->files.n_files > 0)
            r = site_make(l, l->units[i], s);
    }
    return r;
}
