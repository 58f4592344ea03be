#pragma once

/* State machines as lists of allowed moves. A machine is an enum, a table with one row per state,
 * a drawing of both above the enum, and one x_move() function, the only caller of sm_move().
 * A move that the table does not allow is our bug and ends the program at the door. */

#include "base/def.h"

#define SM_TO(state) (1u << (state))

struct sm_state {
    const char *name;
    uint32_t allowed; /* SM_TO(next) | ... */
};

static inline bool sm_may_move(const struct sm_state *table, unsigned from, unsigned to)
{
    return (table[from].allowed & SM_TO(to)) != 0;
}

#define sm_move(table, state_ptr, to)                                                              \
    do {                                                                                           \
        assert(sm_may_move((table), (unsigned)*(state_ptr), (unsigned)(to)));                      \
        *(state_ptr) = (to);                                                                       \
    } while (0)
