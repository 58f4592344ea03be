#pragma once

/* The examinations of `mayfly doctor`: a table of things to try, and what each is for. */

#include "base/def.h"

enum health {
    HEALTH_OK,
    HEALTH_WARN,    /* mayfly runs, with less */
    HEALTH_MISSING, /* a language or facility is not there */
    HEALTH_BROKEN,  /* mayfly cannot run */
    _HEALTH_MAX,
};

#define DOCTOR_DETAIL_MAX 160

struct check {
    const char *name;
    const char *use;  /* what it is for */
    const char *mend; /* what to do when it is not well */
    /* Says what was found in detail. */
    enum health (*run)(const struct check *check, char detail[static DOCTOR_DETAIL_MAX]);
    const char *program;        /* for programs: what to run, */
    const char *version_option; /* how it tells its version, */
    unsigned major, minor;      /* and which it must be at least */
};

extern const struct check doctor_checks[];
extern const size_t n_doctor_checks;
