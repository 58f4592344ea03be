#include "program.h"

#include "base/slice.h"
#include "os/fd.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BEGIN_BYTES  4096 /* of a file: its first line, its ELF headers */
#define FD_AFTER_STD 3

/* ---- scripts ---- */

/* The package that brings an interpreter. */
static const char *package_of(const char *interpreter)
{
    static const char *const rows[][2] = {
        {"perl", "perl"},       {"python3", "python3"}, {"bash", "bash"},
        {"ruby", "ruby"},       {"php", "php-cli"},     {"node", "nodejs"},
        {"lua", "lua5.4"},      {"tclsh", "tcl"},       {"awk", "mawk"},
        {"gawk", "gawk"},       {"jq", "jq"},           {"Rscript", "r-base-core"},
        {"guile", "guile-3.0"}, {"zsh", "zsh"},         {"python", "python-is-python3"},
    };
    const char *slash = strrchr(interpreter, '/');
    const char *name = slash ? slash + 1 : interpreter;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (strcmp(rows[i][0], name) == 0)
            return rows[i][1];
    }
    return NULL;
}

static int no_interpreter(const char *path, const char *interpreter, struct error *err)
{
    const char *package = package_of(interpreter);

    if (!package)
        return error_set(err, -ENOENT,
                         "%s needs %s, which is not there; install it, or change the "
                         "script's first line",
                         path, interpreter);
    return error_set(err, -ENOENT, "%s needs %s, which is not there; apt install %s", path,
                     interpreter, package);
}

char *program_search(const char *name)
{
    const char *dirs = getenv("PATH");
    char file[PATH_MAX];

    if (!dirs)
        dirs = "/usr/local/bin:/usr/bin:/bin";
    while (*dirs) {
        size_t len = strcspn(dirs, ":");

        (void)snprintf(file, sizeof(file), "%.*s/%s", (int)len, dirs, name);
        if (len > 0 && access(file, X_OK) == 0)
            return strdup(file);
        dirs += len + (dirs[len] == ':');
    }
    return NULL;
}

static bool is_in_path(const char *name)
{
    _cleanup_free_ char *path = program_search(name);

    return path != NULL;
}

/* Takes the next word off *rest; it ends in a NUL. Returns NULL at the end. */
static char *next_word(char **rest)
{
    char *word = *rest + strspn(*rest, " \t");

    if (*word == '\0')
        return NULL;
    *rest = word + strcspn(word, " \t");
    if (**rest != '\0')
        *(*rest)++ = '\0';
    return word;
}

/* `line` is what stands behind "#!". */
static int check_script(const char *path, char *line, struct error *err)
{
    char *end = strchr(line, '\n'), *interpreter, *argument;
    const char *slash;

    if (end)
        *end = '\0';
    if (strchr(line, '\r'))
        return error_set(err, -ENOEXEC,
                         "%s has the line ends of Windows, so its interpreter is not "
                         "found; sed -i 's/\\r$//' %s",
                         path, path);
    interpreter = next_word(&line);
    if (!interpreter)
        return error_set(err, -ENOEXEC, "the first line of %s names no interpreter after \"#!\"",
                         path);
    if (access(interpreter, X_OK) < 0)
        return no_interpreter(path, interpreter, err);
    slash = strrchr(interpreter, '/');
    argument = next_word(&line);
    if (!slash || strcmp(slash, "/env") != 0 || !argument || *argument == '-' ||
        strchr(argument, '=') || strchr(argument, '/') || is_in_path(argument))
        return 0;
    return no_interpreter(path, argument, err);
}

/* ---- binaries ---- */

static int check_binary(const char *path, const char *bytes, size_t len, struct error *err)
{
    const ElfW(Ehdr) *head = (const void *)bytes;
    const ElfW(Ehdr) *own =
        (const void *)getauxval(AT_SYSINFO_EHDR); /* the kernel's page: an ELF */
    const ElfW(Phdr) * segments;

    if (len < sizeof(*head))
        return error_set(err, -ENOEXEC, "%s is cut off", path);
    if (own &&
        (head->e_machine != own->e_machine || head->e_ident[EI_CLASS] != own->e_ident[EI_CLASS]))
        return error_set(err, -ENOEXEC, "%s is built for another kind of machine", path);
    if (head->e_type != ET_EXEC && head->e_type != ET_DYN)
        return error_set(err, -ENOEXEC, "%s is an ELF file, but not a program", path);
    if (head->e_phoff % sizeof(void *) != 0 || head->e_phoff > len ||
        head->e_phnum > (len - head->e_phoff) / sizeof(*segments))
        return 0; /* unusual; the kernel shall decide */
    segments = (const void *)(bytes + head->e_phoff);
    for (unsigned i = 0; i < head->e_phnum; i++) {
        const ElfW(Phdr) *s = &segments[i];

        if (s->p_type != PT_INTERP || s->p_offset >= len || s->p_filesz > len - s->p_offset ||
            s->p_filesz == 0 || bytes[s->p_offset + s->p_filesz - 1] != '\0')
            continue;
        if (access(bytes + s->p_offset, X_OK) < 0)
            return error_set(err, -ENOENT,
                             "%s needs %s, which is not there; it was built for another "
                             "C library: build it here, or link it statically",
                             path, bytes + s->p_offset);
    }
    return 0;
}

/* ---- all ---- */

int program_check(const char *path, struct error *err)
{
    _Alignas(max_align_t) char bytes[BEGIN_BYTES + 1] = "";
    _cleanup_close_ int fd = -1;
    struct stat st;
    ssize_t len;

    if (stat(path, &st) < 0)
        return error_set_errno(err, -errno, "there is no program %s", path);
    if (!S_ISREG(st.st_mode))
        return error_set(err, -EACCES, "%s is not a file", path);
    if (access(path, X_OK) < 0)
        return error_set(err, -errno, "%s may not be executed; chmod +x %s", path, path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0; /* a binary need not be readable */
    len = read(fd, bytes, BEGIN_BYTES);
    if (len < 0)
        return error_set_errno(err, -errno, "cannot read %s", path);
    if (len >= 2 && memcmp(bytes, "#!", 2) == 0)
        return check_script(path, bytes + 2, err);
    if (len >= SELFMAG && memcmp(bytes, ELFMAG, SELFMAG) == 0)
        return check_binary(path, bytes, (size_t)len, err);
    return error_set(err, -ENOEXEC,
                     "%s is neither a binary nor a script: the first line of a script "
                     "is like #!/bin/sh",
                     path);
}

int program_start(const char *path, char *const *environment, int in, int out, struct pidref *ret)
{
    char *argv[] = {(char *)(uintptr_t)path, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, ignored;
    pid_t pid;
    int r;

    sigemptyset(&none);
    sigemptyset(&ignored);
    sigaddset(&ignored, SIGPIPE);                  /* the relay's own; an exec would keep it */
    (void)posix_spawn_file_actions_init(&actions); /* these only allocate */
    (void)posix_spawnattr_init(&attributes);
    r = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    if (r == 0)
        r = posix_spawn_file_actions_addclosefrom_np(&actions, FD_AFTER_STD);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setsigdefault(&attributes, &ignored);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                    POSIX_SPAWN_SETPGROUP);
    if (r == 0)
        r = posix_spawn(&pid, path, &actions, &attributes, argv, environment);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attributes);
    if (r != 0)
        return -r;
    *ret = (struct pidref){.pid = pid, .fd = (int)syscall(SYS_pidfd_open, pid, 0)};
    return ret->fd < 0 ? -errno : 0;
}
