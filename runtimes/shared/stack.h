#pragma once

/* Where the code is at the deadline or when it crashes, told by a walk over the interpreter's own
 * frames inside of the signal handler: nothing is allocated, and code that never comes back to its
 * interpreter is told of as well. The process ends after it. */

#include "base/slice.h"

/* Writes the frames with stack_frame(), the innermost first. Context: a signal handler; reads only.
 */
typedef void stack_walk(void);

enum {
    STACK_OVERFLOW_IS_THEIRS = 1, /* the interpreter's own handler makes an exception of it */
};

/* Puts handlers for the deadline's signal and for crashes in the place of whatever is there. To be
 * called when the interpreter runs, ahead of the function's code. */
void stack_install(stack_walk *walk, unsigned flags);

/* This process is a worker: its reports are the record's. Those of processes that it starts are
 * not. */
void stack_set_owner(void);

/* One line, "    at NAME (FILE:LINE)"; a line of 0 is left out. */
void stack_frame(struct slice name, struct slice file, unsigned line);
