#pragma once

/* What a program was doing when its time was up. */

#include "os/pidref.h"

/* Writes WORKER_STACK_MARK to stderr, and behind it one line a process: the program, and indented
 * below it the processes that it started.
 *
 * Context: signal handler; the process itself is in order. */
void report_processes(const char *program, const struct pidref *child);
