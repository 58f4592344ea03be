#pragma once

/* vercel.json: what of it mayfly carries out, checked with file and line; what it does not is named
 * in a warning, not refused, because the project runs elsewhere, too. */

#include "control/config.h"
#include "model/site.h"

#define VERCEL_FILE          "vercel.json"
#define VERCEL_BYTES_MAX     (1024UL * 1024)
#define VERCEL_WARNINGS_MAX  100
#define VERCEL_FUNCTIONS_MAX 50

struct vercel_function {
    char *glob;
    struct config_settings settings; /* limits only */
    uint32_t line;
    bool used;
};

/* A row of the older key "builds": a file that is a function, wherever it lies. */
struct vercel_build {
    char *src; /* a glob */
    uint32_t line;
};

struct vercel {
    struct rule *rules;
    uint32_t n_rules;
    bool clean_urls;
    enum site_slash slash;
    struct site_cron *crons;
    uint32_t n_crons;
    struct vercel_function *functions;
    uint32_t n_functions;
    struct vercel_build *builds;
    uint32_t n_builds;
    char *output; /* outputDirectory, or NULL */
    char **env;   /* the older key "env": NAME=value; NULL-terminated; or NULL */
    char **warnings;
    uint32_t n_warnings;
};

/* `name` is what messages call the file. Return 0, or -EINVAL or -ENOMEM with *err; vercel_load()
 * as json_file_load(), too. */
int vercel_parse(struct slice text, const char *name, struct vercel **ret, struct error *err);
int vercel_load(const char *path, const char *name, struct vercel **ret, struct error *err);
struct vercel *vercel_free(struct vercel *v);

/* Adds a warning, up to a ceiling. */
void vercel_warn(struct vercel *v, const char *format, ...) _printf_(2, 3);

/* The settings for a function's file, "api/a.py", or NULL. Of several globs the first counts. */
const struct config_settings *vercel_settings(struct vercel *v, const char *file);

/* Whether a path fits: '*', '?' within a segment, "**" for any, {a,b}. */
bool glob_fits(const char *glob, const char *path);
