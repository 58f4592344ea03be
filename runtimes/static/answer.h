#pragma once

/* What a request for a file is answered with: conditions and ranges of RFC 9110, without I/O.
 *
 * Of several ranges the whole file is sent, as the RFC lets a server choose: no multipart answers.
 */

#include "http/http.h"

struct file_facts {
    uint64_t size;
    int64_t mtime_s;
    const char *etag; /* with its quotes; strong */
};

struct file_answer {
    unsigned status; /* 200, 206, 304, 412, 416 */
    uint64_t from;   /* the first byte that is sent */
    uint64_t length; /* and how many */
};

struct file_answer file_answer(const struct http_head *head, const struct file_facts *f);

enum range_outcome {
    RANGE_NONE,  /* not there, or nothing that we take for a range: the whole file */
    RANGE_ONE,   /* *ret_from, *ret_length */
    RANGE_WRONG, /* nothing of the file lies in it: 416 */
};

/* Reads the value of a Range header. */
enum range_outcome range_parse(struct slice value, uint64_t size, uint64_t *ret_from,
                               uint64_t *ret_length);

/* Seconds since 1970 of an HTTP date in its one form of today, or -1. */
int64_t date_parse(struct slice value);
