#pragma once

/* Asking for what must not be seen. */

#include "base/buf.h"

/* Asks on the terminal `fd`, with echo off, and reads a line without its end into *ret, which is
 * wiped by the caller. A signal that ends or stops the program finds the terminal as it was.
 * Returns 0, -ECANCELED for an end of input before a line's end, -EFBIG, or another -errno. */
int prompt_hidden(int fd, const char *question, struct buf *ret);
