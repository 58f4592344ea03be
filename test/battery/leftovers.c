/* What a request might leave for the next one, or running. */

#include "battery.h"

#include <dirent.h>
#include <linux/keyctl.h>
#include <mqueue.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/un.h>

#define IPC_KEY 0x6d617966
#define FD_HIGH 900

static char a_global[64];
static char *on_the_heap;

static const char *const folders[] = {"/tmp", "/dev/shm",    "/var/tmp",      ".",
                                      "/run", "/run/mayfly", "/var/lock",     "/",
                                      "/dev", "/etc",        "/proc/self/cwd"};

static socklen_t abstract_name(struct sockaddr_un *a, const char *word)
{
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1, "battery-%s", word);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(a->sun_path + 1));
}

/* ---- planting ---- */

static void *wait_for_ever(void *arg)
{
    for (;;)
        (void)pause();
    return arg;
}

/* A daemon of the old school: two forks, a session of its own, deaf to signals, with a socket to be
 * found by. Its name is what the test outside looks for. */
static unsigned start_daemon(const char *word, bool terminal)
{
    pid_t pid = fork();
    struct sockaddr_un a;
    socklen_t len = abstract_name(&a, word);

    if (pid < 0)
        return 0;
    if (pid == 0) {
        (void)setsid();
        if (fork() != 0)
            _exit(0);
        (void)prctl(PR_SET_NAME, word);
        for (int s = 1; s < NSIG; s++)
            (void)signal(s, SIG_IGN);
        (void)prctl(PR_SET_PDEATHSIG, 0);
        if (terminal)
            (void)posix_openpt(O_RDWR); /* becomes its controlling terminal */
        else {
            int fd = socket(AF_UNIX, SOCK_STREAM, 0);

            if (bind(fd, (struct sockaddr *)&a, len) == 0)
                (void)listen(fd, 8);
        }
        (void)close_range(0, 3, 0);
        (void)wait_for_ever(NULL);
    }
    (void)exit_of(pid);
    return 1;
}

static unsigned write_files(const char *word)
{
    unsigned n = 0;

    for (size_t i = 0; i < COUNT(folders); i++) {
        char path[128];
        int fd;

        (void)snprintf(path, sizeof(path), "%s/%s", folders[i], word);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        if (fd >= 0 && write(fd, word, strlen(word)) > 0)
            n++;
        if (fd >= 0)
            (void)close(fd);
    }
    return n;
}

static unsigned use_ipc(const char *word)
{
    int shm = shmget(IPC_KEY, 4096, IPC_CREAT | 0666), sem = semget(IPC_KEY, 1, IPC_CREAT | 0666),
        msg = msgget(IPC_KEY, IPC_CREAT | 0666);
    mqd_t queue = mq_open("/battery", O_CREAT | O_RDWR, 0666, NULL);
    struct {
        long type;
        char text[64];
    } message = {1, ""};
    unsigned n = (unsigned)((shm >= 0) + (sem >= 0) + (msg >= 0) + (queue >= 0));

    (void)snprintf(message.text, sizeof(message.text), "%s", word);
    if (shm >= 0)
        (void)snprintf(shmat(shm, NULL, 0), 64, "%s", word);
    if (msg >= 0)
        (void)msgsnd(msg, &message, sizeof(message.text), IPC_NOWAIT);
    if (queue >= 0)
        (void)mq_send(queue, word, strlen(word), 1);
    return n;
}

/* The zygote's memory, where the next request would find it. */
static unsigned write_zygote(const char *word)
{
    unsigned n = 0;

    for (int pid = 1; pid < 64; pid++) {
        char path[32];
        int fd;

        (void)snprintf(path, sizeof(path), "/proc/%d/mem", pid);
        fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd >= 0 && pwrite(fd, word, strlen(word) + 1, (off_t)(uintptr_t)a_global) > 0)
            n++;
        if (fd >= 0)
            (void)close(fd);
    }
    return n;
}

/* Returns how much could be planted: most of it may be, as long as it is gone with the request. */
static unsigned plant_all(const char *word)
{
    pthread_t thread;
    unsigned n = write_files(word) + use_ipc(word) + write_zygote(word);

    (void)snprintf(a_global, sizeof(a_global), "%s", word);
    on_the_heap = strdup(word);
    (void)setenv("BATTERY_LEFT", word, 1);
    (void)umask(0);
    (void)chdir("/tmp");
    (void)signal(SIGUSR1, SIG_IGN);
    (void)sethostname(word, strlen(word));
    (void)dup2(1, FD_HIGH);
    n += syscall(SYS_add_key, "user", word, word, strlen(word), KEY_SPEC_USER_KEYRING) >= 0;
    n += start_daemon(word, false) + start_daemon(word, true);
    n += pthread_create(&thread, NULL, wait_for_ever, NULL) == 0;
    return n;
}

/* ---- looking ---- */

static bool is_file_there(const char *word)
{
    char path[128];
    bool found = false;

    for (size_t i = 0; i < COUNT(folders); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", folders[i], word);
        found |= access(path, F_OK) == 0;
    }
    return found;
}

static bool is_tmp_used(const char *word)
{
    DIR *dir = opendir("/tmp");
    bool found = false;

    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir))
        found |= strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    if (dir)
        (void)closedir(dir);
    return found;
}

static bool is_ipc_there(const char *word)
{
    return shmget(IPC_KEY, 0, 0) >= 0 || semget(IPC_KEY, 0, 0) >= 0 || msgget(IPC_KEY, 0) >= 0 ||
           mq_open("/battery", O_RDONLY) >= 0;
}

/* In the host's network its name may be seen to be taken; nobody may talk to it. */
static bool is_socket_there(const char *word)
{
    struct sockaddr_un a;
    socklen_t len = abstract_name(&a, word);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool found = connect(fd, (struct sockaddr *)&a, len) == 0;

    (void)close(fd);
    return found;
}

static bool is_key_there(const char *word)
{
    return syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, "user", word, 0) >= 0;
}

static bool is_in_memory(const char *word)
{
    return a_global[0] != '\0' || on_the_heap || getenv("BATTERY_LEFT");
}

static bool is_process_there(const char *word)
{
    char path[64], name[64];
    bool found = false;

    for (int pid = 1; pid < 1000; pid++) {
        FILE *f;

        (void)snprintf(path, sizeof(path), "/proc/%d/comm", pid);
        f = fopen(path, "re");
        if (f && fgets(name, sizeof(name), f))
            found |= strncmp(name, word, strlen(word)) == 0;
        if (f)
            (void)fclose(f);
    }
    return found;
}

static bool is_process_changed(const char *word)
{
    char cwd[256] = "", host[65] = "";
    struct sigaction action = {.sa_handler = SIG_DFL};

    (void)getcwd(cwd, sizeof(cwd));
    (void)gethostname(host, sizeof(host) - 1);
    (void)sigaction(SIGUSR1, NULL, &action);
    return strcmp(cwd, "/tmp") == 0 || strcmp(host, word) == 0 || action.sa_handler == SIG_IGN ||
           umask(0) == 0 || fcntl(FD_HIGH, F_GETFD) >= 0;
}

static int look_for_all(const char *word, mayfly_response *response)
{
    static const struct {
        const char *name;
        bool (*is_there)(const char *word);
    } things[] = {
        {"file", is_file_there},       {"something in /tmp", is_tmp_used},
        {"ipc", is_ipc_there},         {"abstract socket", is_socket_there},
        {"key", is_key_there},         {"memory", is_in_memory},
        {"process", is_process_there}, {"state of the process", is_process_changed},
    };
    const char *separator = "[";

    for (size_t i = 0; i < COUNT(things); i++) {
        if (!things[i].is_there(word))
            continue;
        (void)mayfly_printf(response, "%s\"%s\"", separator, things[i].name);
        separator = ", ";
    }
    return mayfly_puts(response, separator[0] == '[' ? "[]" : "]");
}
