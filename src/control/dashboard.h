#pragma once

/* The dashboard's files: made from web/ by the build, part of the program, served from memory. */

#include "base/buf.h"

/* One file, as web/build.py writes them down. */
struct dashboard_file {
    const char *path; /* "/index.html", "/assets/main-1A2B3C.js" */
    const char *type; /* Content-Type */
    const char *etag; /* of the content, quoted */
    struct slice plain;
    struct slice gzip; /* the same, compressed */
};

extern const struct dashboard_file dashboard_files[];
extern const size_t dashboard_files_n;

/* Whether it is the full dashboard, or the plain page of a build without npm. */
extern const bool dashboard_is_full;

/* What matters of a GET or HEAD. */
struct dashboard_query {
    struct slice path;          /* as sent, without the query */
    struct slice if_none_match; /* the header's value; empty: none */
    struct slice accept_encoding;
    const char *dir; /* MAYFLY_UI_DIR: serve from this folder instead; NULL: the files above */
    bool is_head;
};

#define DASHBOARD_FILE_MAX (4UL * 1024 * 1024) /* of one that is read from `dir` */

/* Adds the whole answer, head and body, with "Connection: close". Pages of the dashboard have paths
 * of their own, so what is not below /assets/ and has no dot in its first segment is the page; all
 * else is 404. Returns 0, -ENOBUFS or -ENOMEM; then nothing was added. */
int dashboard_answer(const struct dashboard_query *q, struct buf *b);
