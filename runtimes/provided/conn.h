#pragma once

/* One connection of the program to the Runtime API, without I/O: bytes in, events out, and answers
 * as bytes. */

#include "rapi.h"

#define CONN_IN_MAX      (2UL * 1024 * 1024) /* X-Ray's cause, in a header, may have one MiB */
#define CONN_TRAILER_MAX (64UL * 1024)

struct conn {
    int fd; /* the caller's; -1: free */
    struct buf in;
    struct buf out;
    size_t used; /* bytes at the front of `in` that go with the next call */
    struct http_parser parser;
    bool in_request;
    bool keep_alive;
    bool parked;  /* waits for an event */
    bool closing; /* when `out` is written */
    struct rapi_request request;
    char trailer_type[RAPI_TYPE_SIZE]; /* Lambda-Runtime-Function-Error-Type, -Body */
    struct buf trailer_body;
};

enum conn_event {
    CONN_MORE,  /* nothing to tell before more bytes come */
    CONN_BEGUN, /* `request` says what for */
    CONN_DATA,  /* a piece of its body */
    CONN_END,   /* it is complete: answer it, or park it */
    CONN_CUT,   /* it breaks off; answered already */
};

void conn_init(struct conn *c, int fd);
void conn_deinit(struct conn *c); /* does not close fd */

/* The next event out of `in`. Nothing comes of a connection that is parked or closing. *ret_data is
 * set by CONN_DATA and valid until the next call. */
enum conn_event conn_next(struct conn *c, struct rapi *api, struct slice *ret_data);

/* No more bytes will come. Returns CONN_CUT or CONN_MORE. */
enum conn_event conn_eof(struct conn *c);

/* Answers a request that is complete. */
void conn_answer(struct conn *c);
void conn_refuse(struct conn *c, unsigned status, const char *type, const char *message);
void conn_give(struct conn *c, const struct rapi_event *event);
