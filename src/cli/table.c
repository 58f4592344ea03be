#include "cli/table.h"

#include "base/log.h"
#include "cli/cli.h"
#include "cli/output.h"

#include <stdarg.h>

struct row {
    const char *paint;
    char *cells[TABLE_COLUMNS_MAX];
    size_t n;
};

struct table {
    const char *const *heads;
    size_t n_columns;
    struct row *rows;
    size_t n, cap;
};

struct table *table_new(const char *const *heads)
{
    struct table *t = cli_check(calloc(1, sizeof *t));

    t->heads = heads;
    while (heads[t->n_columns])
        t->n_columns++;
    assert(t->n_columns > 0 && t->n_columns <= TABLE_COLUMNS_MAX);
    return t;
}

struct table *table_free(struct table *t)
{
    for (size_t i = 0; t && i < t->n; i++) {
        for (size_t k = 0; k < t->rows[i].n; k++)
            free(t->rows[i].cells[k]);
    }
    if (t)
        free(t->rows);
    free(t);
    return NULL;
}

void table_row(struct table *t, const char *paint)
{
    if (t->n == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 64;
        t->rows = cli_check(reallocarray(t->rows, t->cap, sizeof *t->rows));
    }
    t->rows[t->n++] = (struct row){.paint = paint};
}

void table_cell(struct table *t, const char *format, ...)
{
    struct row *row = &t->rows[t->n - 1];
    _cleanup_free_ char *text = NULL;
    size_t size;
    va_list ap;
    int n;

    va_start(ap, format);
    n = vasprintf(&text, format, ap);
    va_end(ap);
    if (n < 0)
        cli_no_memory();
    assert(row->n < t->n_columns);
    size = 4 * (size_t)n + 1;
    row->cells[row->n] = cli_check(malloc(size));
    (void)log_quote(slice(text, (size_t)n), row->cells[row->n++], size);
}

/* Characters; those of double width are rare in names. */
static int width_of(const char *s)
{
    int n = 0;

    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void print_cell(FILE *to, const char *text, char side, int width, bool last)
{
    int pad = MAX(width - width_of(text), 0);

    if (side == '>')
        (void)fprintf(to, "%*s%s", pad, "", text);
    else
        (void)fprintf(to, "%s%*s", text, last ? 0 : pad, "");
}

static void print_row(const struct table *t, FILE *to, const char *const *cells, const int *widths)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        if (i > 0)
            (void)fputs("  ", to);
        print_cell(to, cells[i] ? cells[i] : "", t->heads[i][0], widths[i], i + 1 == t->n_columns);
    }
}

void table_print(const struct table *t, FILE *to, bool colors)
{
    const char *heads[TABLE_COLUMNS_MAX];
    int widths[TABLE_COLUMNS_MAX];

    for (size_t i = 0; i < t->n_columns; i++) {
        heads[i] = t->heads[i] + 1;
        widths[i] = width_of(heads[i]);
        for (size_t k = 0; k < t->n; k++)
            widths[i] = MAX(widths[i], i < t->rows[k].n ? width_of(t->rows[k].cells[i]) : 0);
    }
    (void)fputs(color(colors, COLOR_BOLD), to);
    print_row(t, to, heads, widths);
    (void)fprintf(to, "%s\n", color(colors, COLOR_NONE));
    for (size_t k = 0; k < t->n; k++) {
        const struct row *row = &t->rows[k];

        (void)fputs(color(colors && row->paint, row->paint), to);
        print_row(t, to, (const char *const *)row->cells, widths);
        (void)fprintf(to, "%s\n", color(colors && row->paint, COLOR_NONE));
    }
}
