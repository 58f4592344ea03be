#pragma once

/* All acts, one after the other. A function is compiled from one file, so these are parts of it. */

#include "files.c"
#include "kernel.c"
#include "namespaces.c"
#include "ordinary.c"
#include "processes.c"

#define N_ACTS                                                                                     \
    (COUNT(namespace_acts) + COUNT(process_acts) + COUNT(kernel_acts) + COUNT(file_acts) +         \
     COUNT(ordinary_acts))

#define ACT_FORMAT "{\"name\": \"%s\", \"wanted\": \"%s\", \"got\": \"%s\", \"forbidden\": %s}"

static const struct act *act_number(size_t i)
{
    static const struct {
        const struct act *acts;
        size_t n;
    } parts[] = {{namespace_acts, COUNT(namespace_acts)},
                 {process_acts, COUNT(process_acts)},
                 {kernel_acts, COUNT(kernel_acts)},
                 {file_acts, COUNT(file_acts)},
                 {ordinary_acts, COUNT(ordinary_acts)}};

    for (size_t part = 0; part < COUNT(parts); part++) {
        if (i < parts[part].n)
            return &parts[part].acts[i];
        i -= parts[part].n;
    }
    return NULL;
}
