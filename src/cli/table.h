#pragma once

/* A table for people: columns as wide as what stands in them. */

#include "base/def.h"

#include <stdio.h>

#define TABLE_COLUMNS_MAX 16

struct table;

/* heads: one a column, "<NAME" for text to the left, ">NAME" for numbers to the right; the last has
 * NULL behind it. Borrowed until table_free(). */
struct table *table_new(const char *const *heads);
struct table *table_free(struct table *t);

/* Begins a row; `paint` is one of the COLOR_ of output.h, or NULL. */
void table_row(struct table *t, const char *paint);

/* The next cell of the row. Foreign text shows its control characters as \xHH. */
void table_cell(struct table *t, const char *format, ...) _printf_(2, 3);

/* Cells of one row that are NULL are empty; rows come in the order in which they were begun. */
void table_print(const struct table *t, FILE *to, bool color);
