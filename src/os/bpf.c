#include "os/bpf.h"

#include "os/fault.h"
#include "os/fd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WORDS_MAX (64 * 1024)

static int bpf(enum bpf_cmd command, union bpf_attr *attr)
{
    int r = os_fault(OS_CALL_BPF);

    if (r < 0)
        return r;
    r = (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
    return r < 0 ? -errno : r;
}

static uint64_t address(const void *p)
{
    return (uint64_t)(uintptr_t)p;
}

/* The kernel ends with a line of statistics; what it did not like stands before. */
static const char *complaint(char *words)
{
    char *last = words;

    for (char *line = strtok_r(words, "\n", &words); line; line = strtok_r(NULL, "\n", &words)) {
        if (strncmp(line, "processed ", 10) != 0)
            last = line;
    }
    return last;
}

int bpf_load(enum bpf_prog_type type, enum bpf_attach_type attach_type, const char *name,
             const struct bpf_insn *insns, size_t n_insns, struct error *err)
{
    union bpf_attr attr = {
        .prog_type = type,
        .expected_attach_type = attach_type,
        .insns = address(insns),
        .insn_cnt = (uint32_t)n_insns,
        .license = address("Apache-2.0"),
    };
    char *words;
    int fd, r;

    (void)snprintf(attr.prog_name, sizeof(attr.prog_name), "%s", name);
    fd = bpf(BPF_PROG_LOAD, &attr);
    if (fd >= 0)
        return fd;
    r = fd;
    words = r == -EPERM || r == -ENOSYS ? NULL : calloc(1, WORDS_MAX);
    if (!words)
        return error_set_errno(err, r, "bpf: %s", name);
    attr.log_level = 1;
    attr.log_size = WORDS_MAX;
    attr.log_buf = address(words);
    fd = bpf(BPF_PROG_LOAD, &attr);
    if (fd < 0)
        (void)error_set_errno(err, r, "bpf: %s: %s", name, complaint(words));
    free(words);
    return fd < 0 ? r : fd;
}

/* The number of what is bound to the group itself, or 0. */
static int bound_program(int group_fd, enum bpf_attach_type attach_type, uint32_t *ret_id)
{
    uint32_t ids[16] = {0};
    union bpf_attr attr = {.query = {.target_fd = (uint32_t)group_fd,
                                     .attach_type = attach_type,
                                     .prog_ids = address(ids),
                                     .prog_cnt = ARRAY_SIZE(ids)}};
    int r = bpf(BPF_PROG_QUERY, &attr);

    if (r < 0)
        return r;
    *ret_id = attr.query.prog_cnt > 0 ? ids[0] : 0;
    return 0;
}

static int program_id(int program_fd, uint32_t *ret_id)
{
    struct bpf_prog_info info = {0};
    union bpf_attr attr = {
        .info = {.bpf_fd = (uint32_t)program_fd, .info_len = sizeof(info), .info = address(&info)}};
    int r = bpf(BPF_OBJ_GET_INFO_BY_FD, &attr);

    *ret_id = info.id;
    return r < 0 ? r : 0;
}

int bpf_attach(int program_fd, int group_fd, enum bpf_attach_type attach_type)
{
    union bpf_attr attr = {.target_fd = (uint32_t)group_fd,
                           .attach_bpf_fd = (uint32_t)program_fd,
                           .attach_type = attach_type,
                           .attach_flags = BPF_F_ALLOW_MULTI};
    _cleanup_close_ int old_fd = -1;
    uint32_t old = 0, id = 0;
    int r;

    r = bound_program(group_fd, attach_type, &old);
    r = r < 0 || old == 0 ? r : program_id(program_fd, &id);
    if (r < 0 || (old != 0 && old == id))
        return r;
    if (old != 0) {
        union bpf_attr get = {.prog_id = old};

        old_fd = bpf(BPF_PROG_GET_FD_BY_ID, &get);
        if (old_fd < 0)
            return old_fd;
        attr.attach_flags |= BPF_F_REPLACE;
        attr.replace_bpf_fd = (uint32_t)old_fd;
    }
    r = bpf(BPF_PROG_ATTACH, &attr);
    return r < 0 ? r : 0;
}
