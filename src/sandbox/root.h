#pragma once

/* Inside src/sandbox only: the file system that a function sees. */

#include "sandbox/sandbox.h"

/* Replaces everything that the calling process sees by a small read-only file system in memory, the
 * plan's binds and a /tmp. Context: in the new init, in its own mount namespace; no way back.
 * Returns 0, or -errno with *err naming the step. */
int sandbox_root_build(const struct sandbox_plan *plan, struct error *err);
