#pragma once

/* The package Mayfly, by which main.pl drives the zygote: the request and its answer are one, so
 * they are plain functions. Strings of the request are bytes, as PSGI has them; what is written
 * must be bytes as well. */

#include "embed.h"

extern struct answer the_answer;
extern struct zygote *the_zygote;

void module_define(pTHX);

/* Called by Mayfly::run(serve, touch): never returns. */
_noreturn_ void host_run(pTHX_ SV *serve, SV *touch);

/* Called by Mayfly::open(). */
void host_opened(void);
