/* Where the filter for a runtime that stands between mayfly and a server of the author's differs
 * from the one of syscalls.tbl.h. In these zygotes and workers only mayfly's own code runs; the
 * author's program takes a filter of its own on top (notify_listen() in os/notify.h) before it is
 * executed, which takes these three away again: it ends with exactly the rights of any function.
 * The rows stand in the place of those of the same name. */

/* A network namespace for the endpoint; the capability for it is over the zygote's own users. */
CHECK(clone, clone_endpoint)

/* To answer system calls of the author's program, */
ALLOW(seccomp)

/* and to see which of its sockets they are about. */
ALLOW(pidfd_getfd)
