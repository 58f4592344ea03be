#pragma once

/* The address of an admin listener as people write it. */

#include "base/error.h"
#include "base/slice.h"

#define URL_HOST_MAX 253

struct url {
    char host[URL_HOST_MAX + 1]; /* without the brackets of an IPv6 address */
    char port[6];                /* 80 if none is given */
};

/* "http://HOST[:PORT][/]". Returns 0, or -EINVAL with *err saying what to write instead. */
int url_parse(struct slice text, struct url *ret, struct error *err);

/* Whether that is this machine, whatever the name service says: localhost, 127.x.x.x, ::1. */
bool url_is_local(const struct url *url);
