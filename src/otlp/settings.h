#pragma once

/* How the export is set up: the endpoint that control names, and of OpenTelemetry's variables of
 * the environment those that matter here (docs/OTLP.md). */

#include "base/error.h"
#include "base/slice.h"

#define OTLP_PAIRS_MAX 64 /* headers; resource attributes */

/* A name and its value, both decoded; the settings' own. */
struct otlp_pair {
    char *name, *value;
};

struct otlp_settings {
    char *urls[2]; /* where traces and logs go */
    struct otlp_pair headers[OTLP_PAIRS_MAX];
    unsigned n_headers;
    struct otlp_pair attributes[OTLP_PAIRS_MAX]; /* of each resource */
    unsigned n_attributes;
    char *service_name; /* NULL: the function's name */
    char *ca_file;      /* NULL: the system's */
    char host_name[256];
    uint64_t timeout_ms;
    bool gzip;
};

/* `get` is getenv(), or a test's. Returns 0, -EINVAL with *err naming the variable, or -ENOMEM. */
int otlp_settings_read(struct otlp_settings *s, const char *endpoint,
                       const char *(*get)(const char *name), struct error *err);
void otlp_settings_deinit(struct otlp_settings *s);
