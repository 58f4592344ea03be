#pragma once

/* The terminal as a screen of cells, by ncurses; and back as it was, however the program ends. One
 * at a time. Signals come in during term_wait() only. */

#include "base/def.h"

#include <poll.h>

enum {
    TERM_E_OK,
    TERM_E_PLAIN,   /* no terminal, or one on which nothing can be drawn */
    TERM_E_RESIZED, /* or continued: all must be drawn anew */
    TERM_E_END,     /* a signal asks to end, or the terminal is gone */
};

/* Returns TERM_E_OK or TERM_E_PLAIN; then nothing has been written. */
int term_begin(bool colors);

/* Gives the terminal back; again and without term_begin() it does nothing. If a signal was the
 * cause, the program ends by it. */
void term_end(void);

/* Waits for a key, for one of fds, or so long (-1: for ever). Ctrl-Z is dealt with in here. Returns
 * TERM_E_OK, _RESIZED or _END. */
int term_wait(struct pollfd *fds, nfds_t n, int timeout_ms);

/* The next key that has come, as getch() gives it; ERR without one. */
int term_key(void);

/* Whether colours may be used. */
bool term_has_colors(void);
