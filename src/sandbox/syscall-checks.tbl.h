/* What the arguments of a system call must be: the rows of one name are asked in order, the first
 * that objects decides, and a call that no row objects to is made. Only the low 32 bits of an
 * argument are looked at: that is all the kernel looks at in these, and what stands above them is
 * the caller's to choose.
 *
 *   UNLESS(rows, argument, mask, error, values...)  fails unless (argument & mask) is in values
 *   IF(rows, argument, mask, error, values...)      fails if it is */

#define ALL          0xffffffffu
#define NONE_OF_THEM 0 /* UNLESS(..., bits, ..., NONE_OF_THEM): none of these bits may be set */

/* A terminal must not be typed into, nor have its line discipline changed. */
IF(ioctl, 1, ALL, EPERM, TIOCSTI, TIOCLINUX, TIOCSETD, TIOCCONS, TIOCSCTTY, TIOCVHANGUP)

UNLESS(mknod, 1, S_IFMT, EPERM, 0, S_IFREG, S_IFIFO, S_IFSOCK)
UNLESS(mknodat, 2, S_IFMT, EPERM, 0, S_IFREG, S_IFIFO, S_IFSOCK)

/* No netlink, packet, vsock or AF_ALG, no raw sockets. Not every protocol that AF_INET has, either:
 * some load a kernel module, and MPTCP, SMC and SCTP pass by what is said of TCP connections. */
UNLESS(socket, 0, ALL, EAFNOSUPPORT, AF_UNIX, AF_INET, AF_INET6)
UNLESS(socket, 1, SOCK_TYPE_MASK, EPERM, SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET)
UNLESS(socket, 2, ALL, EPROTONOSUPPORT, 0, IPPROTO_TCP, IPPROTO_UDP)
UNLESS(socketpair, 0, ALL, EAFNOSUPPORT, AF_UNIX)

/* CLONE_NEWPID and CLONE_NEWNS remain: the zygote makes workers with them, others lack the
 * capability. A user namespace would give it back. */
UNLESS(clone, 0, CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP,
       EPERM, NONE_OF_THEM)
UNLESS(clone_endpoint, 0, CLONE_NEWUSER | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP, EPERM,
       NONE_OF_THEM)
UNLESS(unshare, 0,
       CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP |
           CLONE_NEWTIME | CLONE_NEWNS | CLONE_NEWPID,
       EPERM, NONE_OF_THEM)

/* Nothing that is mounted already may be moved, bound or changed. */
UNLESS(mount, 3, MS_BIND | MS_MOVE | MS_REMOUNT | MS_SHARED | MS_SLAVE | MS_UNBINDABLE, EPERM,
       NONE_OF_THEM)

/* An unknown option is EINVAL, as for the kernel. */
UNLESS(prctl, 0, ALL, EINVAL, PR_SET_PDEATHSIG, PR_GET_PDEATHSIG, PR_SET_DUMPABLE, PR_GET_DUMPABLE,
       PR_SET_KEEPCAPS, PR_GET_KEEPCAPS, PR_SET_NAME, PR_GET_NAME, PR_SET_SECCOMP, PR_GET_SECCOMP,
       PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_SET_SECUREBITS, PR_GET_SECUREBITS, PR_SET_TIMERSLACK,
       PR_GET_TIMERSLACK, PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS,
       PR_GET_NO_NEW_PRIVS, PR_GET_TID_ADDRESS, PR_SET_THP_DISABLE, PR_GET_THP_DISABLE,
       PR_CAP_AMBIENT, PR_SVE_SET_VL, PR_SVE_GET_VL, PR_GET_SPECULATION_CTRL, PR_PAC_RESET_KEYS,
       PR_SET_TAGGED_ADDR_CTRL, PR_GET_TAGGED_ADDR_CTRL, PR_SET_VMA, PR_SET_PTRACER)

/* Linux as it is, with or without UNAME26, as 32-bit uname, or asked for; none of the flags that
 * undo protections (READ_IMPLIES_EXEC, ADDR_NO_RANDOMIZE, MMAP_PAGE_ZERO). */
UNLESS(personality, 0, ALL, EPERM, 0, 0x0008, 0x20000, 0x20008, 0xffffffff)

/* More filters only take away. A listener would decide for others. */
UNLESS(seccomp, 1, SECCOMP_FILTER_FLAG_NEW_LISTENER, EPERM, NONE_OF_THEM)

#undef ALL
#undef NONE_OF_THEM
