#pragma once

/* Between the files of the API's server: connections, dispatch, answers. */

#include "control/api.h"

/* ---- api-dispatch.c ---- */

/* The request of c is complete: finds its endpoint and calls it. */
void connection_dispatch(struct api_connection *c);

/* ---- api-answer.c ---- */

/* Answers what could not become a call. */
void connection_refuse(struct api_connection *c, unsigned status, const char *message);

/* Writes the head of an answer into the connection. body NULL: one without an end. Returns 0 or
 * -errno: then nothing was written. */
int answer_head(struct api_call *call, unsigned status, const char *type, const struct slice *body);

/* ---- api.c ---- */

/* Sends what is in c->out and ends. */
void connection_answer(struct api_connection *c);

/* ---- api-assets.c ---- */

/* A GET or HEAD of anything that is not below /api/. */
void assets_answer(struct api_call *call);

/* ---- stream.c ---- */

/* All that was in c->out has been taken. Returns whether there is more now. */
bool stream_drained(struct api_connection *c);

void stream_end(struct api_connection *c); /* also of a connection that has none */
