/* The program that a function's .c file becomes: this, and one line that names the handler. */

#include "native.h"

/* Defined by the glue that goes with the function: see docs/RUNTIMES.md. */
extern mayfly_handler *const mayfly_entry;

#pragma weak mayfly_init
#pragma weak mayfly_warmup

_public_ int main(void)
{
    static struct native_function function;

    function = (struct native_function){
        .handler = mayfly_entry,
        .init = mayfly_init,
        .warmup = mayfly_warmup,
    };
    native_run(native_open(), &function);
}
