#pragma once

/* The request as the program sees it. Without I/O. */

#include "http/http.h"

/* Writes the head of the request for the program: the client's headers and mayfly's, without those
 * of the connection, which are made anew; and the headers that proxies add. Returns 0 or -errno. */
int forward_head(struct buf *b, const struct http_head *head);
