#include "os/fault.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static struct {
    unsigned countdown[_OS_CALL_MAX];
    int error[_OS_CALL_MAX];
    bool armed;
} faults;

static const char *const names[_OS_CALL_MAX] = {
#define X(NAME, name) [OS_CALL_##NAME] = name,
    OS_CALLS(X)
#undef X
};

void os_fault_arm(enum os_call call, unsigned nth, int error)
{
    faults.countdown[call] = nth;
    faults.error[call] = error;
    faults.armed = false;
    for (size_t i = 0; i < _OS_CALL_MAX; i++)
        faults.armed |= faults.countdown[i] > 0;
}

int os_fault_arm_text(const char *text)
{
    char name[16];
    unsigned nth;
    int error, end = 0;

    if (sscanf(text, "%15[a-z]:%u:%d%n", name, &nth, &error, &end) != 3 || text[end] != '\0' ||
        error <= 0)
        return -EINVAL;
    for (size_t i = 0; i < _OS_CALL_MAX; i++) {
        if (strcmp(names[i], name) == 0) {
            os_fault_arm((enum os_call)i, nth, error);
            return 0;
        }
    }
    return -EINVAL;
}

bool os_fault_pending(enum os_call call)
{
    return faults.countdown[call] > 0;
}

/* Without stdio, since it must be safe in a signal handler and when malloc() fails. */
static void tell(const char *name)
{
    static char start[] = "mayfly: fault: ", end[] = "\n";
    const struct iovec parts[] = {{start, sizeof(start) - 1},
                                  {(char *)(uintptr_t)name, strlen(name)},
                                  {end, sizeof(end) - 1}};

    (void)!writev(STDERR_FILENO, parts, ARRAY_SIZE(parts));
}

int os_fault(enum os_call call)
{
    if (!faults.armed || faults.countdown[call] == 0 || --faults.countdown[call] > 0)
        return 0;
    tell(names[call]);
    return -faults.error[call];
}
