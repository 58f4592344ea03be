#pragma once

/* HTTP to the collector, by libcurl: one request of each signal at a time, none of which blocks. */

#include "otlp/answer.h"
#include "otlp/queue.h"
#include "otlp/settings.h"

#include "base/error.h"

struct sender;

/* `ca` is the text of certificates to believe instead of the system's, or empty; borrowed, like the
 * settings. Returns 0, -ENOMEM, or -EIO with *err. */
int sender_new(const struct otlp_settings *s, struct slice ca, struct sender **ret,
               struct error *err);
struct sender *sender_free(struct sender *s);

/* Starts to post the body, which is borrowed until the end is told. Returns 0, -ENOMEM or -EIO. */
int sender_post(struct sender *s, enum queue_signal signal, struct slice body);

struct sender_result {
    enum queue_signal signal;
    enum answer answer;
    uint64_t rejected;
    uint64_t retry_after_ms;
    char why[ANSWER_WHY_MAX];
};

/* Waits until something has happened, fd may be read, or the time has come. */
void sender_wait(struct sender *s, int fd, int timeout_ms);

/* What has come to its end. Returns whether there is one. */
bool sender_next(struct sender *s, struct sender_result *ret);
