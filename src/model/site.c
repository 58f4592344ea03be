#include "model/site.h"

#include <stdlib.h>

void rule_deinit(struct rule *r)
{
    for (uint32_t i = 0; i < r->n_conditions; i++) {
        free(r->conditions[i].key);
        free(r->conditions[i].pattern);
    }
    for (uint32_t i = 0; i < r->n_headers; i++) {
        free(r->headers[i].name);
        free(r->headers[i].value);
    }
    free(r->conditions);
    free(r->headers);
    free(r->pattern);
    free(r->methods);
    free(r->destination);
    *r = (struct rule){0};
}

void site_deinit(struct site *s)
{
    for (uint32_t i = 0; i < s->n_rules; i++)
        rule_deinit(&s->rules[i]);
    for (uint32_t i = 0; i < s->n_crons; i++) {
        free(s->crons[i].path);
        free(s->crons[i].schedule);
    }
    free(s->rules);
    free(s->crons);
    free(s->files);
    free(s->names);
    free(s->prefix);
    *s = (struct site){0};
}

const char *site_file_find(const struct site *s, struct slice path)
{
    uint32_t from = 0, to = s->n_files;

    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        const char *name = s->files[middle];
        size_t len = strlen(name), n = MIN(len, path.len);
        int r = n > 0 ? memcmp(path.base, name, n) : 0;

        if (r == 0)
            r = (path.len > len) - (path.len < len);
        if (r == 0)
            return name;
        if (r < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return NULL;
}

const struct site *site_of_path(const struct site *sites, uint32_t n_sites, struct slice path)
{
    const struct site *found = NULL;
    size_t found_len = 0;

    for (uint32_t i = 0; i < n_sites; i++) {
        struct slice prefix = slice_str(sites[i].prefix);

        if (slice_starts(path, prefix) &&
            (path.len == prefix.len || path.base[prefix.len] == '/') &&
            (!found || prefix.len > found_len)) {
            found = &sites[i];
            found_len = prefix.len;
        }
    }
    return found;
}
