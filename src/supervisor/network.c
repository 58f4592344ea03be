/* What a function may reach is held by different means, and not everywhere by any: what cannot be
 * held is not started. */

#include "base/log.h"
#include "supervisor/supervisor.h"

#include <errno.h>

int network_judge(const struct supervisor *s, const struct function *f, struct error *err)
{
    bool degraded = s->profile == SANDBOX_DEGRADED;

    if (f->network == NETWORK_NONE && degraded)
        return error_set(err, -EOPNOTSUPP,
                         "its \"network\" is \"none\", and the sandbox is degraded here: nothing "
                         "would keep it from the machine's network (see `mayfly doctor`)");
    if (f->network == NETWORK_LIST)
        return error_set(err, -EOPNOTSUPP,
                         "its \"network\" lists what it may reach, and nothing would hold it to "
                         "that here: it takes a daemon that runs as root and a v2 hierarchy of "
                         "control groups (see `mayfly doctor`); \"none\" and \"host\" go without");
    return 0;
}

void network_announce(const struct supervisor *s)
{
    for (uint32_t i = 0; i < s->snapshot->n_functions; i++) {
        const struct function *f = &s->snapshot->functions[i];
        struct error err = ERROR_NULL;

        if (!f->broken && network_judge(s, f, &err) < 0)
            log_error("function.refused", "function=%s reason=%s", f->name, err.text);
    }
}
