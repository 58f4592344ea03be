/* Node.js. */

#include "control/runtime.h"

int runtime_node_prepare(struct load *l, struct draft *d)
{
    draft_break(d, "functions in JavaScript and TypeScript cannot run yet: this version of mayfly "
                   "has no Node.js runtime");
    return 0;
}
