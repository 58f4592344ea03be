#include "control/retention.h"

#include <errno.h>

#define BYTES_DEFAULT    (1024 * MIB)
#define LINES_PER_RECORD 2 /* for so many there is room, on the average */

static struct retention_rule rule_make(const struct config_records *records)
{
    return (struct retention_rule){
        .age_us = records->keep_us,
        .records = records->count,
        .log_lines = records->count * LINES_PER_RECORD,
    };
}

static bool is_given(const struct config_records *records)
{
    return records->keep_us > 0 || records->count > 0;
}

/* The one of the function; else, in an included project, that of its project. */
static const struct config_records *records_of(const struct load *l, const struct draft *d)
{
    if (d->config && is_given(&d->config->records))
        return &d->config->records;
    return d->unit != l->units[0] && is_given(&d->unit->config->records) ? &d->unit->config->records
                                                                         : NULL;
}

int retention_make(const struct load *l, struct retention *ret)
{
    const struct config_records *all = &l->units[0]->config->records;
    struct retention r = RETENTION_DEFAULT;
    struct retention_override *overrides = calloc((size_t)l->n_drafts + 1, sizeof(*overrides));

    if (!overrides)
        return -ENOMEM;
    r.bytes = all->bytes > 0 ? all->bytes : BYTES_DEFAULT;
    if (all->keep_us > 0)
        r.all.age_us = all->keep_us;
    if (all->count > 0) {
        r.all.records = all->count;
        r.all.log_lines = all->count * LINES_PER_RECORD;
    }
    r.overrides = overrides;
    for (uint32_t i = 0; i < l->n_drafts; i++) {
        const struct config_records *records = records_of(l, &l->drafts[i]);
        char *name = records ? slice_dup(slice_str(l->drafts[i].f.name)) : NULL;

        if (records && !name) {
            retention_free(&r);
            return -ENOMEM;
        }
        if (records)
            overrides[r.n_overrides++] = (struct retention_override){.function = slice_str(name),
                                                                     .rule = rule_make(records)};
    }
    *ret = r;
    return 0;
}

void retention_free(struct retention *r)
{
    for (size_t i = 0; i < r->n_overrides; i++)
        free((char *)(uintptr_t)r->overrides[i].function.base);
    free((struct retention_override *)(uintptr_t)r->overrides);
    *r = (struct retention){0};
}
