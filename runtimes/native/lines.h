#pragma once

/* From an address to file and line, by the line tables (DWARF 2 to 5) of a file compiled with -g.
 * Bytes in, an answer out; what is cut off or unknown is as if it were not there.
 *
 * Context: async-signal-safe. */

#include "base/slice.h"

struct line_tables {
    struct slice lines;        /* section .debug_line */
    struct slice line_strings; /* .debug_line_str */
    struct slice strings;      /* .debug_str */
};

struct line {
    struct slice file; /* without its folders; points into the tables */
    unsigned number;
};

/* `address` is as the file has it, before it is loaded elsewhere. Returns false if no table knows
 * it. */
bool line_find(const struct line_tables *t, uint64_t address, struct line *ret);
