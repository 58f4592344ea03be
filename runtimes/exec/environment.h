#pragma once

/* The environment in which a program is started: that of the zygote, and the meta-variables of
 * CGI/1.1 (RFC 3875 section 4.1) made of the request. No I/O. */

#include "http/http.h"

struct environment {
    char **list; /* NAME=value, NULL-terminated, for exec */
    char *bytes; /* what the request's part of list points into */
};

/* Borrows the strings of `inherited` (NULL-terminated); the request's variables replace those of
 * the same name. Returns 0, -ENOMEM, or -ENOBUFS if it would be too large. */
int environment_init(struct environment *e, const struct http_head *head, char *const *inherited);
void environment_deinit(struct environment *e);
