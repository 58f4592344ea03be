#pragma once

/* Perl's own headers, in one place: they are not written for our warnings, and define as macros what
 * others use as names, so they come last. */

#include "shared/answer.h"
#include "shared/variables.h"
#include "zygote/zygote.h"

#undef MIN
#undef MAX
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#define PERL_NO_GET_CONTEXT
#include <EXTERN.h>
#include <perl.h>
#include <XSUB.h>
#pragma GCC diagnostic pop
