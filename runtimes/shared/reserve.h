#pragma once

/* For an interpreter that opens files before it runs our script, so before zygote_open() can
 * reserve the numbers that a zygote needs: takes them first, so that what it opens lands above.
 * zygote_open() puts its own in their place. Returns 0, or -errno after a word
 * on stderr. */
int reserve_numbers(void);
