/* mayfly-start PROGRAM ARGUMENT...: see reserve.h. */

#include "reserve.h"

#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc < 2) {
        (void)fprintf(stderr, "usage: mayfly-start PROGRAM ARGUMENT...\n");
        return 2;
    }
    if (reserve_numbers() < 0)
        return 1;
    (void)execv(argv[1], argv + 1);
    (void)fprintf(stderr, "mayfly-start: %s: %m\n", argv[1]);
    return 127;
}
