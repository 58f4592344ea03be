#pragma once

/* What is kept of a request and its answer so that it can be carried out again: both heads, and the
 * beginnings of both bodies. Only of functions that say `recording` in mayfly.json; the others pay
 * for a comparison. Control takes out what is not to be kept and stores it. */

#include "gateway/gateway.h"

struct recording;

/* Begins it for a request whose canonical head is written. NULL if the function does not record, or
 * without memory. */
struct recording *recorder_begin(const struct invocation *inv);

/* Pieces as they come; r may be NULL. */
void recorder_body(struct recording *r, struct slice data);
void recorder_answer_head(struct recording *r, const struct http_head *head);
void recorder_answer_body(struct recording *r, struct slice data);

/* Sends it to control and frees it; returns NULL. What nobody takes is lost, and counted. */
struct recording *recorder_end(struct recording *r, struct invocation *inv);

/* ---- replay ---- */

/* A request that control sends on a connection of its own is for the function that it names. */
struct replay {
    char *function;
    enum trigger trigger; /* that it came by, the first time */
};

void replay_on_message(struct gateway *g, struct wire_message *m);
void replay_answer(struct client *c, const struct http_head *head);
struct replay *replay_free(struct replay *r);
