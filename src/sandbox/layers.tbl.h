/* Every layer between a function and the rest of the machine, once, from the outermost to the
 * innermost:
 *
 *   LAYER(NAME, name, what it protects, root, user, the mend)
 *
 * `root` and `user` are the profiles: REQUIRED, or why the layer is not part of that profile. One
 * that is not part of it but works all the same is on.
 *
 * clang-format off */

LAYER(USER_NAMESPACE, "user-namespace", "what rights a function has, it has over nothing outside",
      REQUIRED, REQUIRED,
      "sysctl -w user.max_user_namespaces=10000, and where they exist "
      "kernel.unprivileged_userns_clone=1 "
      "and kernel.apparmor_restrict_unprivileged_userns=0")
LAYER(OWN_ROOT, "own-root",
      "of the host's files it sees /usr, its code and what its configuration names, all read-only",
      REQUIRED, REQUIRED,
      "let the daemon mount: CAP_SYS_ADMIN for root, user namespaces for others")
LAYER(PID_NAMESPACE, "pid-namespace",
      "it sees no foreign process, and nothing that a request starts outlives it", REQUIRED,
      REQUIRED, "a kernel with CONFIG_PID_NS; sysctl -w user.max_pid_namespaces=10000")
LAYER(IPC_NAMESPACE, "ipc-namespace", "no shared memory, semaphores or queues with others",
      REQUIRED, REQUIRED, "a kernel with CONFIG_IPC_NS; sysctl -w user.max_ipc_namespaces=10000")
LAYER(UTS_NAMESPACE, "uts-namespace", "the host's name stays out of sight", REQUIRED, REQUIRED,
      "a kernel with CONFIG_UTS_NS; sysctl -w user.max_uts_namespaces=10000")
LAYER(CGROUP_NAMESPACE, "cgroup-namespace",
      "where among the control groups it runs stays out of sight", REQUIRED, REQUIRED,
      "a kernel with CONFIG_CGROUPS; sysctl -w user.max_cgroup_namespaces=10000")
LAYER(NET_NAMESPACE, "net-namespace", "a function with \"network\": \"none\" has no network",
      REQUIRED, REQUIRED, "a kernel with CONFIG_NET_NS; sysctl -w user.max_net_namespaces=10000")
LAYER(METADATA, "metadata",
      "no function reaches the addresses at which clouds give out credentials, nor, where "
      "\"network\" is a "
      "list, more than is listed",
      REQUIRED,
      "only root may bind network programs to a control group; a function whose \"network\" is a "
      "list is "
      "refused, and what others can reach is up to the machine's firewall",
      "mount a v2 hierarchy of control groups, if need be an empty one (mount -t cgroup2 none "
      "/sys/fs/cgroup/unified), and give the daemon CAP_BPF and CAP_NET_ADMIN")
LAYER(
    UID_RANGE, "uid-range",
    "each version and each worker is a user of its own, who owns nothing on the host", REQUIRED,
    "a user without privileges has one user id to give; workers are kept apart by the other layers",
    "run the daemon as root with CAP_SETUID and CAP_SETGID, in a user namespace that has the ids "
    "from 1879048192 on")
LAYER(PROC, "proc", "/proc shows a process itself and nothing of the system, and takes no writes",
      REQUIRED, REQUIRED, "a kernel of 5.8 or newer, and no container that covers parts of /proc")
LAYER(PRIVATE_TMP, "private-tmp",
      "what a request writes to /tmp is seen by no other and gone with it", REQUIRED, REQUIRED,
      "let the daemon mount, as for own-root")
LAYER(CAPABILITIES, "no-capabilities", "a worker has no rights but those of a plain user", REQUIRED,
      REQUIRED, "a kernel of 4.3 or newer")
LAYER(NO_NEW_PRIVILEGES, "no-new-privileges", "no program gives it rights that it does not have",
      REQUIRED, REQUIRED, "a kernel of 3.5 or newer")

LAYER(SECCOMP, "seccomp",
      "system calls that no function needs are refused, and with them much of the kernel", REQUIRED,
      REQUIRED, "a kernel with CONFIG_SECCOMP_FILTER")
LAYER(LANDLOCK, "landlock", "workers of one user cannot touch one another, nor what they come from",
      REQUIRED, REQUIRED, "a kernel of 5.13 or newer, booted with landlock in the list lsm=")
LAYER(LANDLOCK_SCOPE, "landlock-scope", "no signals and no abstract sockets to anybody outside",
      REQUIRED, REQUIRED, "a kernel of 6.12 or newer, booted with landlock in the list lsm=")
LAYER(CGROUP_MEMORY, "cgroup-memory",
      "a function and all that it starts have so much memory and no more", REQUIRED,
      NO_GROUP "; memory is limited for each process by itself", MEND_GROUP)
LAYER(CGROUP_CPU, "cgroup-cpu",
      "the daemon keeps its share of the CPUs, and a quota holds a function to its own", REQUIRED,
      NO_GROUP "; there are no quotas", MEND_GROUP)
LAYER(CGROUP_PROCESSES, "cgroup-processes",
      "a function and all that it starts have so many processes and no more", REQUIRED,
      NO_GROUP "; processes are counted for each user", MEND_GROUP)
LAYER(CGROUP_KILL, "cgroup-kill",
      "all that a function has started is ended as one, however fast it forks", REQUIRED,
      NO_GROUP "; the pid namespace ends it, too",
      "mount a v2 hierarchy, if need be an empty one: mount -t cgroup2 none /sys/fs/cgroup/unified")
LAYER(WATCHDOG, "watchdog", "a function over its time is ended even while every CPU is busy",
      REQUIRED,
      "real-time priority is not for everybody; while every CPU is busy, its end may come a little "
      "late",
      "give the daemon CAP_SYS_NICE, or a limit for real-time priority (ulimit -r 1)")

/* clang-format on */
