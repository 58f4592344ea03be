#pragma once

/* In the zygote: the processes of the program, and which of them each request is given to. */

#include "zygote/zygote.h"

#define SERVERS_MAX 32

struct servers_options {
    uint16_t port;
    const char *readiness;
    uint32_t per_process;
    uint32_t concurrency; /* requests at once in all */
    uint64_t init_timeout_ms;
    const char *bin;
    char *const *words;
};

/* Starts the first process and waits until it is ready. If it does not get ready, tells why and
 * exits. */
void servers_load(struct zygote *z, const struct servers_options *options);

/* Where a relay asks for a connection (packets.h); the same in all of them. */
int servers_lease_fd(void);

/* Hooks of struct zygote_host; ctx is the zygote. */
unsigned servers_polls(void *ctx, struct pollfd fds[static ZYGOTE_POLLS_MAX], int *timeout_ms);
void servers_on_polls(void *ctx, const struct pollfd *fds, unsigned n);
void servers_on_child_end(void *ctx, pid_t pid, int status);
void servers_on_end(void *ctx);
