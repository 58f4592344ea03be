#pragma once

/* What a function reaches beside its code: where it may send, and which of the host's files it may
 * read and write. First the words are checked, without looking; then held against the machine. */

#include "control/draft.h"

#define REACH_RESOLVERS_MAX 8

/* Checks one of `network`'s list, as in mayfly.json. Returns 0, or -EINVAL with *err. */
int reach_target_check(const char *text, struct error *err);

/* Checks one of `reads` or `writes`. Returns as above. */
int reach_path_check(const char *path, struct error *err);

/* The `nameserver` lines of a file like /etc/resolv.conf, with port 53; without any, or without the
 * file, the machine itself, as resolvers have it. Returns how many. */
size_t reach_resolvers_read(const char *path, struct egress_rule ret[static REACH_RESOLVERS_MAX]);

/* Looks up all names of all drafts; see resolve.h. Returns 0, -ECANCELED or -ENOMEM. */
int reach_resolve(struct load *l, uint64_t fresh_ms);

/* What of it makes a difference to the version: the words, not what names stand for today. */
void reach_digest(const struct draft *d, struct digest *digest);

/* Fills in egress, reads and writes; breaks the draft if one of them cannot be had. Returns 0 or
 * -ENOMEM. */
int reach_finish(struct load *l, struct draft *d);
