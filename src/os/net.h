#pragma once

/* Network namespaces from within. */

#include "base/def.h"

/* Brings the loopback interface of the calling process's network namespace up. Needs CAP_NET_ADMIN
 * over it. Returns 0 or -errno. */
int net_loopback_up(void);
