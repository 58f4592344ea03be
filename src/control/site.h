#pragma once

/* What a folder answers besides its functions (model/site.h): which files there are. */

#include "base/error.h"
#include "model/snapshot.h"

#define SITE_FUNCTION "[static]" /* the name of the function that serves a unit's files */
#define SITE_FOLDER   "public"

struct load;

/* The files that are served; sorted. */
struct site_files {
    char root[256]; /* the folder from the unit's: "public", "." */
    char **files;
    uint32_t n_files;
};

void site_files_deinit(struct site_files *files);

/* Lists the folder `root` of `dir`; one that is not there has no files. Hidden files are left out
 * but for .well-known/, and links that lead out of the folder. Of the folder itself, ".", only what
 * is meant for browsers by its ending, and nothing of api/ and of projects within. Returns 0, or a
 * negative errno with *err; then *ret is empty. */
int site_files_scan(const char *dir, const char *root, struct site_files *ret, struct error *err);

struct unit;

/* Reads a unit's vercel.json, its .env files and the names of its files. Returns 0, or a negative
 * errno with l->err. */
int unit_site_read(struct load *l, struct unit *u);

/* Adds the unit's warnings to the load's, after its drafts were made. */
void unit_warnings(struct load *l, struct unit *u);

/* Makes the sites of the units that have something of one; after the functions have moved into the
 * snapshot. Returns 0, or a negative errno with l->err. */
int sites_make(struct load *l, struct snapshot *s);
