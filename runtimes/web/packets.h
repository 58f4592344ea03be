#pragma once

/* What the processes of this runtime say to each other: one letter a packet, at times with a
 * descriptor. All are mayfly's own code; the author's program has an end of none of these sockets,
 * but of the one by which its listener is handed over before it is executed.
 *
 *   relay --LEASE+reply--> zygote --CONNECT+reply--> broker --(error, connection)--> relay
 *   relay --DONE---------> zygote
 *   zygote <--READY, HINT-- broker
 *   program --listener----> broker
 */

#include "base/def.h"

#define WEB_LEASE   'L' /* with the socket to which the answer goes */
#define WEB_DONE    'D'
#define WEB_CONNECT 'C' /* the same socket, passed on */
#define WEB_READY   'R'
#define WEB_HINT    'H' /* followed by a text: why it is not ready yet */
#define WEB_LISTENS 'P' /* the watched program's listener of os/notify.h; without: not watched */

#define WEB_HINT_MAX 256

/* To the relay, with the connection if error is 0. */
struct web_reply {
    int32_t error; /* an errno */
};
