/* The kernel headers that we build with may be older than the kernel that we run on: numbers that
 * they may lack are ours, and what the running kernel does not know is masked out by its ABI. */

#include "sandbox/landlock.h"

#include "os/fault.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* struct landlock_ruleset_attr of ABI 6. An older kernel accepts it while the fields that it does
 * not know are 0. */
struct ruleset_attr {
    uint64_t handled_access_fs;
    uint64_t handled_access_net;
    uint64_t scoped;
};

#define FS_REFER     (UINT64_C(1) << 13) /* ABI 2 */
#define FS_TRUNCATE  (UINT64_C(1) << 14) /* ABI 3 */
#define FS_IOCTL_DEV (UINT64_C(1) << 15) /* ABI 5 */

#define SCOPE_ABSTRACT_UNIX_SOCKET (UINT64_C(1) << 0) /* ABI 6 */
#define SCOPE_SIGNAL               (UINT64_C(1) << 1)

#define FS_READ                                                                                    \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_WRITE                                                                                   \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                               \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |  \
     LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM |   \
     FS_REFER | FS_TRUNCATE | FS_IOCTL_DEV)
#define DEPTH_MAX 16 /* LANDLOCK_MAX_NUM_LAYERS */

/* Handled, and granted nowhere. */
#define FS_NEVER (LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK)
/* What a rule for a single file may say. */
#define FS_OF_FILE                                                                                 \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |   \
     FS_TRUNCATE | FS_IOCTL_DEV)

int sandbox_landlock_abi(void)
{
    long abi =
        syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);

    return abi < 0 ? 0 : (int)abi;
}

/* Ruleset descriptors are CLOEXEC by themselves. */
static int create_ruleset(uint64_t access_fs, uint64_t scoped)
{
    const struct ruleset_attr attr = {.handled_access_fs = access_fs, .scoped = scoped};
    int r = os_fault(OS_CALL_LANDLOCK);
    long fd;

    if (r < 0)
        return r;
    fd = syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0u);
    return fd < 0 ? -errno : (int)fd;
}

static int restrict_self(int rules_fd)
{
    int r = os_fault(OS_CALL_LANDLOCK);

    if (r < 0)
        return r;
    return syscall(SYS_landlock_restrict_self, rules_fd, 0u) < 0 ? -errno : 0;
}

static uint64_t known_rights(int abi)
{
    uint64_t rights = FS_READ | FS_WRITE | FS_NEVER;

    if (abi < 2)
        rights &= ~FS_REFER;
    if (abi < 3)
        rights &= ~FS_TRUNCATE;
    if (abi < 5)
        rights &= ~FS_IOCTL_DEV;
    return rights;
}

static uint64_t known_scopes(int abi)
{
    return abi < LANDLOCK_ABI_SCOPES ? 0 : SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
}

int sandbox_landlock_zygote(void)
{
    _cleanup_close_ int fd = -1;
    uint64_t scopes = known_scopes(sandbox_landlock_abi());

    if (scopes == 0)
        return LANDLOCK_E_NONE;
    fd = create_ruleset(0, scopes);
    return fd < 0 ? fd : restrict_self(fd);
}

static int allow_below(int rules_fd, const char *path, uint64_t rights)
{
    _cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
    struct landlock_path_beneath_attr rule = {.parent_fd = fd};
    struct stat st;
    int r = os_fault(OS_CALL_LANDLOCK);

    if (r < 0)
        return r;
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -errno;
    if (fstat(fd, &st) < 0)
        return -errno;
    rule.allowed_access = S_ISDIR(st.st_mode) ? rights : rights & FS_OF_FILE;
    return syscall(SYS_landlock_add_rule, rules_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0u) < 0
               ? -errno
               : 0;
}

int sandbox_landlock_prepare(const char *const *read_paths, const char *const *write_paths,
                             int *ret_fd)
{
    return sandbox_landlock_prepare_for(sandbox_landlock_abi(), read_paths, write_paths, ret_fd);
}

int sandbox_landlock_prepare_for(int abi, const char *const *read_paths,
                                 const char *const *write_paths, int *ret_fd)
{
    _cleanup_close_ int fd = -1;
    uint64_t known = known_rights(abi), scopes = known_scopes(abi);
    int r = 0;

    if (abi == 0)
        return LANDLOCK_E_NONE;
    fd = create_ruleset(scopes ? 0 : known, scopes);
    if (fd < 0)
        return fd;
    if (scopes) {
        *ret_fd = take_fd(&fd);
        return 0;
    }
    for (size_t i = 0; r == 0 && read_paths[i]; i++)
        r = allow_below(fd, read_paths[i], FS_READ);
    for (size_t i = 0; r == 0 && write_paths[i]; i++)
        r = allow_below(fd, write_paths[i], (FS_READ | FS_WRITE) & known);
    if (r < 0)
        return r;
    *ret_fd = take_fd(&fd);
    return 0;
}

int sandbox_landlock_worker(int rules_fd)
{
    return restrict_self(rules_fd);
}

int sandbox_landlock_depth(void)
{
    /* A right that is handled and never asked for here: what is tried out later is not touched. */
    _cleanup_close_ int fd = create_ruleset(LANDLOCK_ACCESS_FS_MAKE_BLOCK, 0);
    int room = 0, r = 0;

    if (fd < 0)
        return fd;
    while (room <= DEPTH_MAX && (r = restrict_self(fd)) == 0)
        room++;
    return r == -E2BIG ? DEPTH_MAX - room : r;
}
