#include "cli/paths.h"

#include "base/parse.h"
#include "cli/cli.h"
#include "os/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const char *env(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

static bool exists(const char *folder, const char *name)
{
    _cleanup_free_ char *path = cli_printf("%s/%s", folder, name);

    return access(path, F_OK) == 0;
}

int paths_home(struct paths_home *ret, struct error *err)
{
    /* Below the folder of the program: the build tree; below the one above it: an installation. */
    static const char *const places[] = {"", "/../lib/mayfly"};
    char self[PATH_MAX];
    ssize_t n;

    if (env("MAYFLY_HOME")) {
        ret->libexec = cli_printf("%s/libexec", env("MAYFLY_HOME"));
        ret->lib = cli_printf("%s/lib", env("MAYFLY_HOME"));
        return 0;
    }
    n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0) {
        return error_set_errno(err, -errno, "/proc/self/exe");
    }
    self[n] = '\0';
    *strrchr(self, '/') = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        _cleanup_free_ char *place = cli_printf("%s%s", self, places[i]);
        char path[PATH_MAX];

        if (exists(place, "libexec/mayfly-supervisor") && realpath(place, path)) {
            ret->libexec = cli_printf("%s/libexec", path);
            ret->lib = cli_printf("%s/lib", path);
            return 0;
        }
    }
    return error_set(err, -ENOENT,
                     "the daemon's programs are neither in %s/libexec nor in "
                     "%s/../lib/mayfly/libexec",
                     self, self);
}

int paths_make_folders(const char *path, mode_t mode, struct error *err)
{
    _cleanup_free_ char *copy = cli_printf("%s", path);
    struct stat st;

    for (char *p = copy + 1;; p++) {
        if (*p == '/' || *p == '\0') {
            char c = *p;

            *p = '\0';
            if (mkdir(copy, mode) < 0 && errno != EEXIST) {
                return error_set_errno(err, -errno, "cannot make the folder %s", copy);
            }
            *p = c;
        }
        if (*p == '\0') {
            break;
        }
    }
    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
        return error_set(err, -ENOTDIR, "%s is no folder", path);
    }
    return 0;
}

/* ~/.local/state, by the XDG base directory rules. */
static char *state_home(void)
{
    const char *home = env("HOME");

    if (env("XDG_STATE_HOME")) {
        return cli_printf("%s", env("XDG_STATE_HOME"));
    }
    if (!home) {
        struct passwd *user = getpwuid(getuid());

        home = user ? user->pw_dir : "/";
    }
    return cli_printf("%s/.local/state", home);
}

char *paths_state_default(const char *project)
{
    const char *base = strrchr(project, '/') + 1;
    uint64_t hash = 0xcbf29ce484222325ULL; /* FNV-1a; tells projects of one name apart */
    _cleanup_free_ char *home = NULL;

    for (const char *p = project; *p; p++) {
        hash = (hash ^ (unsigned char)*p) * 0x100000001b3ULL;
    }
    if (getuid() == 0) {
        return cli_printf("/var/lib/mayfly/%.32s-%08x", base, (unsigned)(hash ^ hash >> 32));
    }
    home = state_home();
    return cli_printf("%s/mayfly/%.32s-%08x", home, base, (unsigned)(hash ^ hash >> 32));
}

int paths_state_temporary(char **ret, struct error *err)
{
    char *path = cli_printf("%s/mayfly-dev.XXXXXX", env("TMPDIR") ? env("TMPDIR") : "/tmp");

    if (!mkdtemp(path)) {
        int r = error_set_errno(err, -errno, "cannot make the temporary folder %s", path);

        free(path);
        return r;
    }
    *ret = path;
    return 0;
}

static char *notes_folder(void)
{
    _cleanup_free_ char *home = NULL;

    if (env("XDG_RUNTIME_DIR") && access(env("XDG_RUNTIME_DIR"), W_OK) == 0) {
        return cli_printf("%s/mayfly", env("XDG_RUNTIME_DIR"));
    }
    home = state_home();
    return cli_printf("%s/mayfly/daemons", home);
}

int paths_note_daemon(pid_t pid, const char *state, struct error *err)
{
    _cleanup_free_ char *folder = notes_folder();
    _cleanup_free_ char *path = cli_printf("%s/%d", folder, (int)pid);
    _cleanup_close_ int fd = -1;
    ssize_t len = (ssize_t)strlen(state);
    int r;

    r = paths_make_folders(folder, 0700, err);
    if (r < 0) {
        return r;
    }
    (void)unlink(path); /* of an earlier process with this PID; fresh, it is the newest */
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return error_set_errno(err, -errno, "cannot write %s", path);
    }
    if (write(fd, state, (size_t)len) != len) {
        return error_set(err, -EIO, "cannot write %s", path);
    }
    return 0;
}

bool paths_daemon_is_live(const char *state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int n = snprintf(address.sun_path, sizeof address.sun_path, "%s" PATHS_SOCKET, state);

    if (fd < 0 || n < 0 || (size_t)n >= sizeof address.sun_path) {
        return false;
    }
    /* EAGAIN is a full backlog: somebody is there. */
    return connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno == EAGAIN;
}

/* The state folder that the note at path names, with *ret_mtime; NULL if the note is not ours or
 * its daemon is gone. A note whose process is gone is removed. */
static char *read_note(const char *path, pid_t pid, struct timespec *ret_mtime)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    _cleanup_free_ char *process = cli_printf("/proc/%d", (int)pid);
    char state[PATHS_STATE_MAX + 1];
    struct stat st;
    ssize_t n;

    if (access(process, F_OK) < 0) {
        (void)unlink(path); /* tidying up; the next call tries again */
        return NULL;
    }
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != getuid()) {
        return NULL;
    }
    n = read(fd, state, sizeof state - 1);
    if (n <= 0) {
        return NULL;
    }
    state[n] = '\0';
    *ret_mtime = st.st_mtim;
    return paths_daemon_is_live(state) ? cli_printf("%s", state) : NULL;
}

static bool is_newer(struct timespec a, struct timespec b)
{
    return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

static char *newest_daemon(void)
{
    _cleanup_free_ char *folder = notes_folder();
    struct timespec newest = {0};
    char *ret = NULL;
    struct dirent *entry;
    DIR *dir = opendir(folder);

    while (dir && (entry = readdir(dir))) {
        _cleanup_free_ char *path = cli_printf("%s/%s", folder, entry->d_name);
        struct timespec mtime = {0};
        uint64_t pid;
        char *state;

        if (parse_u64(slice_str(entry->d_name), INT_MAX, &pid) < 0) {
            continue;
        }
        state = read_note(path, (pid_t)pid, &mtime);
        if (state && (!ret || is_newer(mtime, newest))) {
            free(ret);
            ret = state;
            newest = mtime;
        } else {
            free(state);
        }
    }
    if (dir) {
        (void)closedir(dir);
    }
    return ret;
}

char *paths_find_daemon(const char *given)
{
    if (given || env("MAYFLY_STATE")) {
        return cli_printf("%s", given ? given : env("MAYFLY_STATE"));
    }
    return newest_daemon();
}
