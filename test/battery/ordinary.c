/* What a function may do: if these did not work, that all the rest is denied would prove nothing.
 */

#include "battery.h"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/random.h>

static int write_tmp(void)
{
    return made("/tmp/battery-ordinary");
}

static int write_shm(void)
{
    return made("/dev/shm/battery-ordinary");
}

static int link_in_tmp(void)
{
    int r;

    (void)close(open("/tmp/battery-a", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    (void)mkdir("/tmp/battery-d", 0700);
    r = result(link("/tmp/battery-a", "/tmp/battery-b"));
    if (r == 0)
        r = result(rename("/tmp/battery-b", "/tmp/battery-d/b"));
    if (r == 0)
        r = result(symlink("a", "/tmp/battery-d/s"));
    (void)unlink("/tmp/battery-a");
    (void)unlink("/tmp/battery-d/b");
    (void)unlink("/tmp/battery-d/s");
    (void)rmdir("/tmp/battery-d");
    return r;
}

static int make_fifo(void)
{
    int r = result(mkfifo("/tmp/battery-fifo", 0600));

    (void)unlink("/tmp/battery-fifo");
    return r;
}

static int use_null(void)
{
    int r = opened("/dev/null", O_RDWR);

    return r != 0 ? r : opened("/dev/urandom", O_RDONLY);
}

static int see_oneself(void)
{
    int r = opened("/proc/self/status", O_RDONLY);

    r = r != 0 ? r : opened("/proc/self/maps", O_RDONLY);
    return r != 0 ? r : opened("/proc/self/environ", O_RDONLY);
}

static int run_program(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        (void)execl("/bin/sh", "sh", "-c", "test \"$(echo a | tr a b)\" = b", NULL);
        _exit(127);
    }
    return exit_of(pid);
}

static int run_from_memory(void)
{
    static const char script[] = "#!/bin/sh\nexit 0\n";
    int fd = memfd_create("battery", 0);
    pid_t pid;

    if (fd < 0 || write(fd, script, sizeof(script) - 1) < 0)
        return errno;
    pid = fork();
    if (pid == 0) {
        char *const argv[] = {"x", NULL};

        (void)fexecve(fd, argv, argv + 1);
        _exit(127);
    }
    return exit_of(pid);
}

static int end_own_child(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        (void)pause();
        _exit(0);
    }
    if (kill(pid, SIGKILL) < 0)
        return errno;
    return exit_of(pid) == 128 + SIGKILL ? 0 : ECHILD;
}

static void *nothing(void *arg)
{
    return arg;
}

static int run_thread(void)
{
    pthread_t thread;
    int r = pthread_create(&thread, NULL, nothing, NULL);

    return r != 0 ? r : pthread_join(thread, NULL);
}

static int talk_to_oneself(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
        client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(server, (struct sockaddr *)&a, len) < 0 || listen(server, 1) < 0 ||
        getsockname(server, (struct sockaddr *)&a, &len) < 0)
        return errno;
    return result(connect(client, (struct sockaddr *)&a, len));
}

static int draw_lots(void)
{
    char byte;

    return result(getrandom(&byte, 1, 0));
}

static int make_executable(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? errno : result(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int read_code(void)
{
    static const char *const names[] = {"battery/battery.c", "."};

    return opened_one(names, COUNT(names), O_RDONLY);
}

static const struct act ordinary_acts[] = {
    {"write-tmp", "make a file in /tmp", write_tmp, true},
    {"write-shm", "make a file in /dev/shm", write_shm, true},
    {"link-in-tmp", "link and rename in /tmp", link_in_tmp, true},
    {"make-fifo", "make a named pipe", make_fifo, true},
    {"use-null", "use /dev/null and /dev/urandom", use_null, true},
    {"see-oneself", "read about oneself in /proc", see_oneself, true},
    {"run-program", "run a shell and a pipeline", run_program, true},
    {"run-from-memory", "run a program without a file", run_from_memory, true},
    {"end-own-child", "kill one's own child", end_own_child, true},
    {"run-thread", "run a thread", run_thread, true},
    {"talk-to-oneself", "connect to one's own TCP socket", talk_to_oneself, true},
    {"draw-lots", "get random numbers", draw_lots, true},
    {"make-executable", "make memory executable, as JIT compilers do", make_executable, true},
    {"read-code", "read one's code", read_code, true},
};
