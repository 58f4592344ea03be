/* The kernel: its wide doors, its other architectures, the machine as a whole, and what of it
 * outlives a request. */

#include "battery.h"

#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <linux/vm_sockets.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/fanotify.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/quota.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/swap.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <time.h>

#define NOWHERE "/nonexistent/battery"

/* ---- doors ---- */

static int key_add(void)
{
    return result(syscall(SYS_add_key, "user", "battery", "x", 1, KEY_SPEC_PROCESS_KEYRING));
}

static int key_request(void)
{
    return past_the_gate(syscall(SYS_request_key, "user", "battery", NULL, 0));
}

static int key_control(void)
{
    return past_the_gate(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 0));
}

static int bpf_map(void)
{
    union bpf_attr attr = {
        .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};

    return result(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)));
}

static int ring(void)
{
    struct io_uring_params p = {0};

    return result(syscall(SYS_io_uring_setup, 1, &p));
}

static int page_faults(void)
{
    return result(syscall(SYS_userfaultfd, O_CLOEXEC));
}

static int performance(void)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_SOFTWARE, .size = sizeof(attr), .config = PERF_COUNT_SW_CPU_CLOCK};

    return result(syscall(SYS_perf_event_open, &attr, -1, 0, -1, 0));
}

static int watch_files(void)
{
    return result(fanotify_init(FAN_CLASS_CONTENT, O_RDONLY));
}

static int decide_for_others(void)
{
    struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {1, &allow};

    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return result(
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
}

static int undo_protections(void)
{
    return result(personality(READ_IMPLIES_EXEC));
}

static int fixed_addresses(void)
{
    return result(personality(ADDR_NO_RANDOMIZE));
}

#ifdef __x86_64__
static int old_descriptors(void)
{
    char bytes[16];

    return result(syscall(SYS_modify_ldt, 0, bytes, sizeof(bytes)));
}

static int io_level(void)
{
    return result(iopl(3));
}

static int io_ports(void)
{
    return result(ioperm(0x80, 1, 1));
}

static int as_i386(void)
{
    long r;

    __asm__ volatile("int $0x80"
                     : "=a"(r)
                     : "a"(20L /* getpid */)
                     : "memory", "r8", "r9", "r10", "r11");
    return r > 0 ? 0 : (int)-r;
}

static int as_x32(void)
{
    return result(syscall(0x40000000 + SYS_getpid));
}

static int trap_gate_with_effect(void)
{
    long r;

    /* socket(AF_NETLINK, SOCK_RAW, 0) as i386 has it: a filter for x86-64 sees setreuid() */
    __asm__ volatile("int $0x80"
                     : "=a"(r)
                     : "a"(359L), "b"(AF_NETLINK), "c"(SOCK_RAW), "d"(0)
                     : "memory", "r8", "r9", "r10", "r11");
    return r >= 0 ? 0 : (int)-r;
}
#endif

/* ---- sockets ---- */

static int socketed(int family, int type, int protocol)
{
    return result(socket(family, type | SOCK_CLOEXEC, protocol));
}

static int to_hypervisor(void)
{
    return socketed(AF_VSOCK, SOCK_STREAM, 0);
}

static int packets(void)
{
    return socketed(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL));
}

static int raw(void)
{
    return socketed(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static int raw_of_any_kind(void)
{
    return socketed(AF_INET6, SOCK_RAW, IPPROTO_RAW);
}

static int to_kernel(void)
{
    return socketed(AF_NETLINK, SOCK_RAW, 0);
}

static int kernel_crypto(void)
{
    return socketed(AF_ALG, SOCK_SEQPACKET, 0);
}

static int bluetooth(void)
{
    return socketed(AF_BLUETOOTH, SOCK_RAW, 1);
}

static int several_paths(void)
{
    return socketed(AF_INET, SOCK_STREAM, 262 /* MPTCP: passes by rules about TCP */);
}

static int low_port(void)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(81), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return errno;
    return bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 && errno != EADDRINUSE ? errno : 0;
}

static int socket_option(int level, int name)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    return fd < 0 ? errno : result(setsockopt(fd, level, name, &one, sizeof(one)));
}

static int force_buffers(void)
{
    return socket_option(SOL_SOCKET, SO_RCVBUFFORCE);
}

static int mark_packets(void)
{
    return socket_option(SOL_SOCKET, SO_MARK);
}

static int repair_connections(void)
{
    return socket_option(IPPROTO_TCP, TCP_REPAIR);
}

/* ---- what the kernel keeps when a process is gone ---- */

static int shared_memory(void)
{
    int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);

    return id < 0 ? errno : result(shmctl(id, IPC_RMID, NULL));
}

static int semaphores(void)
{
    int id = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);

    return id < 0 ? errno : result(semctl(id, 0, IPC_RMID));
}

static int messages(void)
{
    int id = msgget(IPC_PRIVATE, IPC_CREAT | 0600);

    return id < 0 ? errno : result(msgctl(id, IPC_RMID, NULL));
}

static int message_queue(void)
{
    mqd_t q = mq_open("/battery", O_CREAT | O_RDWR, 0600, NULL);

    return q < 0 ? errno : result(mq_unlink("/battery"));
}

static int lock_memory(void)
{
    size_t size = 64 * 1024 * 1024;
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? errno : result(mlock(p, size));
}

/* ---- the machine ---- */

static int reboot_machine(void)
{
    return past_the_gate(syscall(SYS_reboot, 0, 0, 0, NULL)); /* no magic numbers */
}

static int next_kernel(void)
{
    return past_the_gate(syscall(SYS_kexec_load, 0, 0, NULL, ~0ul));
}

static int next_kernel_file(void)
{
    return past_the_gate(syscall(SYS_kexec_file_load, -1, -1, 0, "", ~0ul));
}

static int load_module(void)
{
    return past_the_gate(syscall(SYS_init_module, NULL, 0, ""));
}

static int load_module_file(void)
{
    return past_the_gate(syscall(SYS_finit_module, -1, "", 0));
}

static int unload_module(void)
{
    return past_the_gate(syscall(SYS_delete_module, "battery", O_NONBLOCK));
}

static int swap_on(void)
{
    return past_the_gate(swapon(NOWHERE, 0));
}

static int swap_off(void)
{
    return past_the_gate(swapoff(NOWHERE));
}

static int host_name(void)
{
    char name[65] = "";

    (void)gethostname(name, sizeof(name) - 1);
    return result(sethostname(name, strlen(name)));
}

static int domain_name(void)
{
    struct utsname u;

    return uname(&u) < 0 ? errno : result(setdomainname(u.domainname, strlen(u.domainname)));
}

static int set_clock(void)
{
    const struct timezone wrong = {.tz_minuteswest = 100000};

    return past_the_gate(syscall(SYS_settimeofday, NULL, &wrong));
}

static int adjust_clock(void)
{
    struct timex t = {.modes = ADJ_TICK, .tick = 0};

    return past_the_gate(adjtimex(&t));
}

static int adjust_one_clock(void)
{
    struct timex t = {.modes = ADJ_TICK, .tick = 0};

    return past_the_gate(clock_adjtime(CLOCK_REALTIME, &t));
}

static int account(void)
{
    return past_the_gate(acct(NOWHERE));
}

static int kernel_log(void)
{
    char text[64];

    return result(klogctl(3, text, sizeof(text)));
}

static int quota(void)
{
    return past_the_gate(quotactl(QCMD(Q_SYNC, USRQUOTA), NULL, 0, NULL));
}

static int hang_up(void)
{
    (void)setsid(); /* away from the terminal of whoever runs this */
    return result(vhangup());
}

/* ---- terminals ---- */

static int new_terminal(void)
{
    return result(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
}

/* It would be that of whoever started us; here it is one of our own. */
static int type_into_terminal(void)
{
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    char *name = fd < 0 || grantpt(fd) < 0 || unlockpt(fd) < 0 ? NULL : ptsname(fd);
    int tty = name ? open(name, O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;

    return past_the_gate(ioctl(tty, TIOCSTI, "x"));
}

static int terminal_of_system(void)
{
    static const char *const names[] = {"/dev/tty", "/dev/console", "/dev/tty0", "/dev/ptmx"};

    return opened_one(names, COUNT(names), O_RDWR);
}

static const struct act kernel_acts[] = {
    {"add-key", "leave a key with the kernel", key_add},
    {"request-key", "ask for a key of the user", key_request},
    {"keyctl", "use the user's keys", key_control},
    {"bpf", "put a program into the kernel", bpf_map},
    {"io-uring", "make system calls by a ring", ring},
    {"userfaultfd", "hold the kernel up in a page fault", page_faults},
    {"perf-event", "watch the machine's counters", performance},
    {"fanotify", "decide who opens what", watch_files},
    {"seccomp-listener", "decide over system calls of others", decide_for_others},
    {"executable-data", "make all data executable", undo_protections},
    {"fixed-addresses", "turn off address randomisation", fixed_addresses},
#ifdef __x86_64__
    {"modify-ldt", "use segment descriptors", old_descriptors},
    {"iopl", "get all I/O ports", io_level},
    {"ioperm", "get one I/O port", io_ports},
    {"i386", "make a system call of i386", as_i386},
    {"i386-socket", "make a refused call as i386", trap_gate_with_effect},
    {"x32", "make a system call of x32", as_x32},
#endif
    {"vsock", "talk to the hypervisor", to_hypervisor},
    {"packet", "read the network's packets", packets},
    {"raw-icmp", "send raw packets", raw},
    {"raw-any", "send packets with any sender", raw_of_any_kind},
    {"netlink", "ask the kernel about networks", to_kernel},
    {"af-alg", "use the kernel's cryptography", kernel_crypto},
    {"bluetooth", "use Bluetooth", bluetooth},
    {"mptcp", "connect by several paths", several_paths},
    {"low-port", "listen below port 1024", low_port},
    {"force-buffers", "have socket buffers without limit", force_buffers},
    {"mark-packets", "choose routes by mark", mark_packets},
    {"tcp-repair", "forge TCP connections", repair_connections},
    {"shm", "leave System V memory", shared_memory},
    {"sem", "leave System V semaphores", semaphores},
    {"msg", "leave System V messages", messages},
    {"mqueue", "leave a POSIX message queue", message_queue},
    {"mlock", "lock 64 MB in memory", lock_memory},
    {"reboot", "reboot the machine", reboot_machine},
    {"kexec", "boot another kernel", next_kernel},
    {"kexec-file", "boot another kernel from a file", next_kernel_file},
    {"init-module", "load a kernel module", load_module},
    {"finit-module", "load a kernel module from a file", load_module_file},
    {"delete-module", "unload a kernel module", unload_module},
    {"swapon", "swap to a file", swap_on},
    {"swapoff", "stop swapping", swap_off},
    {"sethostname", "name the machine", host_name},
    {"setdomainname", "name its domain", domain_name},
    {"settimeofday", "set the clock", set_clock},
    {"adjtimex", "change the clock's speed", adjust_clock},
    {"clock-adjtime", "change one clock's speed", adjust_one_clock},
    {"acct", "log who ends", account},
    {"syslog", "read the kernel's log", kernel_log},
    {"quotactl", "change quotas", quota},
    {"vhangup", "hang up the terminal", hang_up},
    {"new-terminal", "make a terminal", new_terminal},
    {"type-into-terminal", "type into a terminal", type_into_terminal},
    {"open-terminal", "open the machine's terminals", terminal_of_system},
};
