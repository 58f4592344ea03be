/* Tells where a worker crashed, or where it was when its time was up: the mark, what happened, and
 * one line for each function on the stack.
 *
 * This runs in a signal handler in a process that is broken, on a stack of its own because the
 * ordinary one may be full. The first lines go out before the stack is walked: whatever goes wrong
 * then, they are in the log. A second crash in here is the kernel's to end.
 *
 * A worker is PID 1 of its PID namespace. The kernel then ignores a fatal signal that the process
 * sends to itself, but not the one that a faulting instruction causes: so after a fault the handler
 * returns with the signal's default restored, the instruction runs again, and the process dies of
 * what it died of. After abort() there is no such instruction; the exit code says it. */

#include "native.h"

#include <errno.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#define ALT_STACK_BYTES  65536
#define FRAMES_MAX       64      /* lines; one for a function that calls itself again and again */
#define DEPTH_MAX        1000000 /* more than fit into the usual 8 MB of stack */
#define OVERFLOW_BYTES   65536   /* a bad address this near to the stack pointer: stack overflow */
#define EXIT_DEADLINE    124     /* as timeout(1) does */
#define EXIT_SIGNAL_BASE 128     /* as shells do */

static char alt_stack[ALT_STACK_BYTES] __attribute__((aligned(16)));
static uintptr_t root_address;

/* ---- text without stdio ---- */

struct text {
    size_t len;
    char bytes[512];
};

static void text_add(struct text *t, const char *s)
{
    while (*s && t->len < sizeof(t->bytes))
        t->bytes[t->len++] = *s++;
}

static void text_add_number(struct text *t, uint64_t value, unsigned base)
{
    char digits[20 + 1], *p = digits + sizeof(digits) - 1;

    *p = '\0';
    do {
        *--p = "0123456789abcdef"[value % base];
        value /= base;
    } while (value > 0);
    text_add(t, p);
}

static void text_add_hex(struct text *t, uint64_t value)
{
    text_add(t, "0x");
    text_add_number(t, value, 16);
}

static void text_write(const struct text *t)
{
    for (size_t done = 0; done < t->len;) {
        ssize_t n = write(STDERR_FILENO, t->bytes + done, t->len - done);

        if (n <= 0)
            return;
        done += (size_t)n;
    }
}

/* ---- what happened ---- */

static uintptr_t *context_pc(ucontext_t *context)
{
#if defined(__x86_64__)
    return (uintptr_t *)&context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t *)&context->uc_mcontext.pc;
#else
#error "say where this machine keeps its program counter"
#endif
}

static uintptr_t *context_sp(ucontext_t *context)
{
#if defined(__x86_64__)
    return (uintptr_t *)&context->uc_mcontext.gregs[REG_RSP];
#else
    return (uintptr_t *)&context->uc_mcontext.sp;
#endif
}

static void tell_address(struct text *t, const siginfo_t *info, ucontext_t *context)
{
    uintptr_t address = (uintptr_t)info->si_addr, sp = *context_sp(context);

    if (info->si_code == SI_KERNEL) {
        text_add(t, "invalid memory access (to no possible address)");
        return;
    }
    if (address - (sp - OVERFLOW_BYTES) < 2 * OVERFLOW_BYTES)
        text_add(t, "stack overflow");
    else if (address == *context_pc(context))
        text_add(t, "jump to what is no code");
    else if (address < 4096)
        text_add(t, "NULL pointer used");
    else
        text_add(t, "invalid memory access");
    text_add(t, " at address ");
    text_add_hex(t, address);
}

static void tell_signal(struct text *t, int signal, const siginfo_t *info, ucontext_t *context)
{
    text_add(t, "SIG");
    text_add(t, sigabbrev_np(signal));
    text_add(t, ": ");
    if (signal == WORKER_STACK_SIGNAL)
        text_add(t, "still running at the deadline");
    else if (signal == SIGABRT)
        text_add(t, "abort() was called");
    else if (info->si_code <= 0)
        text_add(t, "sent by a process");
    else if (signal == SIGSEGV || signal == SIGBUS)
        tell_address(t, info, context);
    else if (signal == SIGFPE && info->si_code == FPE_INTDIV)
        text_add(t, "division by zero");
    else if (signal == SIGILL)
        text_add(t, "illegal instruction, or a trap of the compiler's");
    else
        text_add(t, sigdescr_np(signal));
    text_add(t, "\n");
}

/* ---- the stack ---- */

struct walk {
    uintptr_t from; /* the interrupted instruction: what is above it is this handler */
    bool begun;
    bool prime;
    uintptr_t last;  /* the frame before */
    unsigned n_same; /* how often it has come again */
    unsigned n_lines;
    unsigned depth;
};

/* One line. Returns false if it is the host's own function, where the author's code ends. */
static bool tell_frame(uintptr_t pc, bool is_return_address)
{
    struct text t = {.len = 0};
    struct symbol symbol;

    /* A return address may already be the next function's. */
    symbol_find((const void *)(pc - is_return_address), &symbol);
    if (symbol.start != 0 && symbol.start == root_address)
        return false;
    text_add(&t, "    at ");
    if (*symbol.name) {
        text_add(&t, symbol.name);
        text_add(&t, "+");
        text_add_hex(&t, symbol.offset + is_return_address);
    } else {
        text_add_hex(&t, pc);
    }
    if (*symbol.file || *symbol.library) {
        text_add(&t, " (");
        text_add(&t, symbol.file);
        if (*symbol.file) {
            text_add(&t, ":");
            text_add_number(&t, symbol.line, 10);
        }
        text_add(&t, *symbol.file && *symbol.library ? ", " : "");
        text_add(&t, symbol.library);
        text_add(&t, ")");
    }
    text_add(&t, "\n");
    text_write(&t);
    return true;
}

static void tell_repeats(struct walk *w)
{
    struct text t = {.len = 0};

    if (w->n_same == 0)
        return;
    text_add(&t, "    ... ");
    text_add_number(&t, w->n_same, 10);
    text_add(&t, " times more\n");
    text_write(&t);
    w->n_same = 0;
}

static _Unwind_Reason_Code on_frame(struct _Unwind_Context *context, void *ctx)
{
    struct walk *w = ctx;
    int before = 0;
    uintptr_t pc = _Unwind_GetIPInfo(context, &before);

    if (w->prime)
        return _URC_END_OF_STACK;
    w->begun = w->begun || pc == w->from;
    if (!w->begun)
        return _URC_NO_REASON;
    if (w->depth++ == DEPTH_MAX)
        return _URC_END_OF_STACK;
    if (pc == w->last) {
        w->n_same++;
        return _URC_NO_REASON;
    }
    tell_repeats(w);
    w->last = pc;
    if (w->n_lines++ == FRAMES_MAX || !tell_frame(pc, !before))
        return _URC_END_OF_STACK;
    return _URC_NO_REASON;
}

/* After a call through a bad pointer there is no code at pc to unwind from: goes back to the
 * caller, as the return instruction would. */
static void leave_bad_call(ucontext_t *context)
{
    uintptr_t *pc = context_pc(context);

    (void)tell_frame(*pc, false);
#if defined(__x86_64__)
    uintptr_t *sp = context_sp(context);

    *pc = *(uintptr_t *)*sp;
    *sp += sizeof(uintptr_t);
#else
    *pc = context->uc_mcontext.regs[30];
#endif
}

static void tell_stack(ucontext_t *context, const siginfo_t *info, int signal)
{
    ucontext_t saved = *context;
    struct walk w = {0};

    if (signal == SIGSEGV && info->si_code > 0 && (uintptr_t)info->si_addr == *context_pc(context))
        leave_bad_call(context);
    w.from = *context_pc(context);
    (void)_Unwind_Backtrace(on_frame, &w);
    tell_repeats(&w);
    if (!w.begun)
        (void)tell_frame(w.from, false);
    *context = saved;
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
    struct text t = {.len = 0};
    int error = errno;
    sigset_t set;

    if (signal != WORKER_STACK_SIGNAL)
        worker_tell_limit(error);
    text_add(&t, WORKER_STACK_MARK);
    tell_signal(&t, signal, info, context);
    text_write(&t);
    tell_stack(context, info, signal);
    if (signal == WORKER_STACK_SIGNAL)
        _exit(EXIT_DEADLINE);

    (void)sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    if (info->si_code > 0 && signal != SIGABRT && signal != SIGTRAP)
        return;
    sigemptyset(&set);
    sigaddset(&set, signal);
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    (void)raise(signal);
    _exit(EXIT_SIGNAL_BASE + signal);
}

void crash_install(const void *root)
{
    static const int signals[] = {
        SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, WORKER_STACK_SIGNAL};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct walk prime = {.prime = true};

    root_address = (uintptr_t)root;
    /* In a static program the unwinder sorts its tables at first use, on the heap: do it while the
     * heap is in order. */
    (void)_Unwind_Backtrace(on_frame, &prime);
    (void)sigaltstack(&(stack_t){.ss_sp = alt_stack, .ss_size = sizeof(alt_stack)}, NULL);
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        (void)sigaction(signals[i], &action, NULL);
}
