#pragma once

/* From the names that mayfly.json mentions to the bytes that workers get: each secret is opened
 * once a load, and what a function needs of them becomes its bundle (model/secret.h). Values stay
 * out of everything else: texts of errors, versions, snapshots. */

#include "base/redact.h"
#include "control/draft.h"

struct load_secrets;

/* Finds the variables of the function that mention secrets, and makes the bundle. What cannot be
 * opened breaks the draft. Returns 0 or -ENOMEM. */
int secrets_prepare(struct load *l, struct draft *d);

/* What of its secrets makes a difference to the version: that they were set anew, not the values.
 */
void secrets_digest(const struct load *l, const struct draft *d, struct digest *digest);

/* Adds the bundles of all functions to b, as the supervisor wants them. Returns 0 or an error of
 * struct buf's. */
int secrets_encode(const struct load *l, struct buf *b);

/* Adds all values of this load to r. Returns as redact_add(). */
int secrets_redact_all(const struct load *l, struct redact *r);

/* Wiping. */
void secrets_bundle_wipe(struct buf *b);
struct load_secrets *load_secrets_free(struct load_secrets *s);
