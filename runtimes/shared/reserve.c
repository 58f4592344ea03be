#include "reserve.h"

#include "zygote/zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

int reserve_numbers(void)
{
    for (int fd = ZYGOTE_FD_WORKER; fd <= ZYGOTE_FD_SECRETS; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        if (open("/dev/null", O_RDWR) != fd) { /* it takes the lowest that is free */
            int error = errno;

            (void)fprintf(stderr, "mayfly: /dev/null: %m\n");
            return -error;
        }
    }
    return 0;
}
