#pragma once

/* Local sockets, with descriptors beside the bytes. Context: async-signal-safe. */

#include "base/def.h"
#include "base/slice.h"

#include <sys/types.h>

#define SOCK_FDS_MAX 8

/* type is SOCK_STREAM or SOCK_SEQPACKET, with SOCK_NONBLOCK where wanted; CLOEXEC always. */
int sock_pair(int type, int ret_fds[2]);

/* Sends one packet with fds; never raises SIGPIPE. Returns bytes sent, or -errno. */
ssize_t sock_send(int fd, struct slice bytes, const int *fds, unsigned n_fds);

/* Receives one packet and up to SOCK_FDS_MAX fds (CLOEXEC). Returns the bytes, 0 when the peer has
 * closed, -EMSGSIZE if bytes or fds were cut off (all fds are closed then), or -errno. */
ssize_t sock_recv(int fd, void *dst, size_t size, int ret_fds[static SOCK_FDS_MAX],
                  unsigned *ret_n_fds);

/* "127.0.0.1:8080", "[::1]:80", "0.0.0.0:0". Listening TCP socket, non-blocking. Returns the fd, or
 * -errno: -EINVAL for a text that is no address, -EADDRINUSE, -EACCES ... */
int sock_listen_tcp(const char *address);

/* Listening unix socket at path, mode 0600; replaces one that nobody listens on. Returns the fd or
 * -errno: -EADDRINUSE if somebody does listen, -ENAMETOOLONG. */
int sock_listen_unix(const char *path);

/* "ADDR:PORT" of a bound TCP socket. Returns 0 or -errno. */
int sock_local_address(int fd, char *dst, size_t dst_size);
