/* PID 1 of a version's namespace: collects what dies in there, and ends when the zygote does; the
 * kernel then ends everything else. It holds nothing, knows nothing and takes no orders. */

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#define PID_ZYGOTE 2 /* the first that is cloned in a namespace behind its init */
#define SIGNALLED  128

int main(void)
{
    int status;
    pid_t pid;

    for (;;) {
        pid = waitpid(-1, &status, __WALL);
        if (pid == PID_ZYGOTE)
            return WIFSIGNALED(status) ? SIGNALLED + WTERMSIG(status) : WEXITSTATUS(status);
        if (pid < 0 && errno != EINTR)
            return 1;
    }
}
