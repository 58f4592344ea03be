/* A worker is PID 1 of its PID namespace, where the kernel ignores a fatal signal that the process
 * sends to itself, but not one that a faulting instruction causes: so after a fault the handler
 * returns with the default restored, and the process dies of what it died of. After abort() only an
 * exit code is left to tell by. A second crash, in here, is the kernel's to end. */

#include "stack.h"

#include "zygote/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <ucontext.h>
#include <unistd.h>

#define ALT_STACK_BYTES  65536
#define OVERFLOW_BYTES   65536
#define FRAMES_MAX       64
#define EXIT_DEADLINE    124 /* as timeout(1) does */
#define EXIT_SIGNAL_BASE 128 /* as shells do */

static const int fatal_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

static struct sigaction before_segv;
static stack_walk *walk;
static unsigned rules;
static unsigned n_frames;
static pid_t owner;

void stack_set_owner(void)
{
    owner = getpid();
}

static void say(const char *s, size_t len)
{
    (void)!write(STDERR_FILENO, s, len);
}

static size_t put(char *dst, size_t at, size_t size, struct slice s)
{
    size_t n = MIN(s.len, size - at);

    if (n > 0)
        memcpy(dst + at, s.base, n);
    return at + n;
}

static size_t put_number(char *dst, size_t at, size_t size, unsigned value)
{
    char digits[10], *p = digits + sizeof(digits);

    do {
        *--p = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return put(dst, at, size, slice(p, (size_t)(digits + sizeof(digits) - p)));
}

void stack_frame(struct slice name, struct slice file, unsigned line)
{
    char text[512];
    size_t n = 0, size = sizeof(text) - 2;

    if (n_frames++ >= FRAMES_MAX)
        return;
    n = put(text, n, size, SLICE_LIT("    at "));
    n = put(text, n, size, name);
    if (file.len > 0) {
        n = put(text, n, size, SLICE_LIT(" ("));
        n = put(text, n, size, file);
        if (line > 0) {
            n = put(text, n, size, SLICE_LIT(":"));
            n = put_number(text, n, size, line);
        }
        text[n++] = ')';
    }
    text[n++] = '\n';
    say(text, n);
}

static uintptr_t stack_pointer(const ucontext_t *context)
{
#if defined(__x86_64__)
    return (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    return (uintptr_t)context->uc_mcontext.sp;
#else
#error "say where this machine keeps its stack pointer"
#endif
}

static bool is_overflow(const siginfo_t *info, const ucontext_t *context)
{
    uintptr_t address = (uintptr_t)info->si_addr;

    return info->si_code > 0 && info->si_code != SI_KERNEL &&
           address - (stack_pointer(context) - OVERFLOW_BYTES) < 2 * OVERFLOW_BYTES;
}

static void tell(int signal, bool overflow)
{
    char text[128] = "SIG";
    size_t n = 3;

    if (owner == 0 || owner == getpid())
        say(WORKER_STACK_MARK, sizeof(WORKER_STACK_MARK) - 1);
    n = put(text, n, sizeof(text), slice_str(sigabbrev_np(signal)));
    n = put(text, n, sizeof(text), SLICE_LIT(": "));
    n = put(text, n, sizeof(text),
            slice_str(signal == WORKER_STACK_SIGNAL ? "still running at the deadline"
                      : signal == SIGABRT           ? "abort() was called"
                      : overflow                    ? "stack overflow"
                                                    : sigdescr_np(signal)));
    n = put(text, n, sizeof(text), SLICE_LIT("\n"));
    say(text, n);
    walk();
}

static void on_deadline(int signal)
{
    tell(signal, false);
    _exit(EXIT_DEADLINE);
}

static void on_crash(int signal, siginfo_t *info, void *context)
{
    bool overflow = signal == SIGSEGV && is_overflow(info, context);
    int error = errno;

    if (overflow && (rules & STACK_OVERFLOW_IS_THEIRS) && (before_segv.sa_flags & SA_SIGINFO)) {
        before_segv.sa_sigaction(signal, info, context); /* does not return if it can mend it */
        return;
    }
    (void)sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    if (owner == getpid())
        worker_tell_limit(error);
    tell(signal, overflow);
    if (info->si_code > 0 && signal != SIGABRT)
        return;
    _exit(EXIT_SIGNAL_BASE + signal);
}

void stack_install(stack_walk *walk_frames, unsigned flags)
{
    static char alt_stack[ALT_STACK_BYTES] __attribute__((aligned(16)));
    struct sigaction crash = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct sigaction deadline = {.sa_handler = on_deadline, .sa_flags = SA_ONSTACK};
    stack_t now;

    walk = walk_frames;
    rules = flags;
    if (sigaltstack(NULL, &now) == 0 && (now.ss_flags & SS_DISABLE))
        (void)sigaltstack(&(stack_t){.ss_sp = alt_stack, .ss_size = sizeof(alt_stack)}, NULL);
    sigemptyset(&crash.sa_mask);
    sigemptyset(&deadline.sa_mask);
    for (size_t i = 0; i < ARRAY_SIZE(fatal_signals); i++)
        (void)sigaction(fatal_signals[i], &crash,
                        fatal_signals[i] == SIGSEGV ? &before_segv : NULL);
    (void)sigaction(WORKER_STACK_SIGNAL, &deadline, NULL);
}
