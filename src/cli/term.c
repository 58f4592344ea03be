/* ncurses is told of no signal: its own handlers are replaced once it has begun. What a crash needs
 * to give the terminal back is prepared before, so that a handler only has to write it. */

#include "cli/term.h"

#include <curses.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

#define ESCAPE_DELAY_MS                                                                            \
    50 /* an escape alone, or the beginning of an arrow key: a slow ssh needs it */
#define FDS_MAX 8

static const int endings[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

static struct {
    SCREEN *screen; /* NULL: not begun */
    bool colors;
    struct termios before;
    sigset_t mask_before;
    char restore[256]; /* what a crash writes */
    size_t restore_len;
} term;

static volatile sig_atomic_t end_signal, resized, stopped;

static void on_ending(int signal)
{
    end_signal = signal;
}

static void on_resize(int signal)
{
    (void)signal;
    resized = 1;
}

static void on_stop(int signal)
{
    (void)signal;
    stopped = 1;
}

/* Resets itself by SA_RESETHAND, so what has happened happens again when this returns. */
static void on_crash(int signal)
{
    ssize_t n = write(STDOUT_FILENO, term.restore, term.restore_len);

    (void)n; /* nothing is left to be done */
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &term.before);
    (void)raise(signal);
}

static void handle(int signal, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};

    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(signal, &action, NULL);
}

static void own_signals(sigset_t *ret)
{
    (void)sigemptyset(ret);
    for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
        (void)sigaddset(ret, endings[i]);
    (void)sigaddset(ret, SIGWINCH);
    (void)sigaddset(ret, SIGTSTP);
}

static void take_signals(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
        handle(endings[i], on_ending, 0);
    for (size_t i = 0; i < ARRAY_SIZE(crashes); i++)
        handle(crashes[i], on_crash, (int)SA_RESETHAND);
    handle(SIGWINCH, on_resize, 0);
    handle(SIGTSTP, on_stop, 0);
}

static void give_signals(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
        handle(endings[i], SIG_DFL, 0);
    for (size_t i = 0; i < ARRAY_SIZE(crashes); i++)
        handle(crashes[i], SIG_DFL, 0);
    handle(SIGWINCH, SIG_DFL, 0);
    handle(SIGTSTP, SIG_DFL, 0);
}

/* ---- begin and end ---- */

/* Newer terminals are often unknown on the machine at the other end of an ssh, and all alike. */
static bool is_like_xterm(const char *name)
{
    static const char *const words[] = {"xterm", "kitty",  "ghostty", "alacritty", "foot",
                                        "tmux",  "screen", "rxvt",    "wezterm",   "st-"};

    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (strstr(name, words[i]))
            return true;
    }
    return false;
}

static SCREEN *open_screen(void)
{
    static char fallbacks[][16] = {"xterm-256color", "xterm", "vt100"};
    const char *name = getenv("TERM");
    SCREEN *screen;

    if (!name || !*name || strcmp(name, "dumb") == 0)
        return NULL;
    screen = newterm(NULL, stdout, stdin);
    for (size_t i = 0; !screen && i < ARRAY_SIZE(fallbacks) && is_like_xterm(name); i++)
        screen = newterm(fallbacks[i], stdout, stdin);
    return screen;
}

static void add_restore(char *capability)
{
    const char *text = tigetstr(capability);
    size_t n;

    if (!text || text == (const char *)-1)
        return;
    n = strcspn(text, "$"); /* what follows is a pause for terminals of old */
    if (term.restore_len + n <= sizeof term.restore) {
        memcpy(term.restore + term.restore_len, text, n);
        term.restore_len += n;
    }
}

static void prepare_restore(void)
{
    static char capabilities[][8] = {"sgr0", "rmkx", "cnorm", "rmcup"};

    term.restore_len = 0;
    for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++)
        add_restore(capabilities[i]);
}

/* Some terminals do not heed what ncurses tells them, and send the other kind of sequence. */
static void define_keys(void)
{
    static const struct {
        char sequence[8];
        int key;
    } keys[] = {
        {"\033[A", KEY_UP},    {"\033OA", KEY_UP},    {"\033[B", KEY_DOWN}, {"\033OB", KEY_DOWN},
        {"\033[C", KEY_RIGHT}, {"\033OC", KEY_RIGHT}, {"\033[D", KEY_LEFT}, {"\033OD", KEY_LEFT},
        {"\033[H", KEY_HOME},  {"\033OH", KEY_HOME},  {"\033[F", KEY_END},  {"\033OF", KEY_END},
        {"\033[1~", KEY_HOME}, {"\033[4~", KEY_END},  {"\033[3~", KEY_DC},
    };

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        (void)define_key(keys[i].sequence, keys[i].key);
}

int term_begin(bool colors)
{
    sigset_t ours;

    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) ||
        tcgetattr(STDIN_FILENO, &term.before) < 0)
        return TERM_E_PLAIN;
    own_signals(&ours);
    (void)sigprocmask(SIG_BLOCK, &ours, &term.mask_before);
    term.screen = open_screen();
    if (!term.screen) {
        (void)sigprocmask(SIG_SETMASK, &term.mask_before, NULL);
        return TERM_E_PLAIN;
    }
    prepare_restore();
    take_signals();
    (void)atexit(term_end); /* without memory the program ends in the middle */
    (void)cbreak();
    (void)noecho();
    (void)nonl();
    (void)nodelay(stdscr, TRUE);
    (void)keypad(stdscr, TRUE);
    define_keys();
    (void)set_escdelay(ESCAPE_DELAY_MS);
    (void)curs_set(0);
    term.colors = colors && has_colors() && start_color() == OK;
    if (term.colors)
        (void)use_default_colors();
    return TERM_E_OK;
}

void term_end(void)
{
    if (!term.screen)
        return;
    (void)endwin();
    delscreen(term.screen);
    term.screen = NULL;
    give_signals();
    (void)sigprocmask(SIG_SETMASK, &term.mask_before, NULL);
    if (end_signal)
        (void)raise(end_signal);
}

bool term_has_colors(void)
{
    return term.colors;
}

/* ---- waiting ---- */

static void take_size(void)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0)
        (void)resizeterm(size.ws_row, size.ws_col);
    (void)clearok(stdscr, TRUE);
}

/* Gives the terminal to the shell, sleeps, and takes it back. */
static void stop(void)
{
    sigset_t only;

    stopped = 0;
    (void)endwin();
    handle(SIGTSTP, SIG_DFL, 0);
    (void)sigemptyset(&only);
    (void)sigaddset(&only, SIGTSTP);
    (void)raise(SIGTSTP);
    (void)sigprocmask(SIG_UNBLOCK, &only, NULL); /* here it sleeps */
    (void)sigprocmask(SIG_BLOCK, &only, NULL);
    handle(SIGTSTP, on_stop, 0);
}

int term_wait(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    struct timespec timeout = {.tv_sec = timeout_ms / 1000,
                               .tv_nsec = timeout_ms % 1000 * 1000000L};
    struct pollfd all[FDS_MAX + 1] = {{.fd = STDIN_FILENO, .events = POLLIN}};
    sigset_t mask;
    int r;

    assert(n <= FDS_MAX);
    for (nfds_t i = 0; i < n; i++)
        all[i + 1] = fds[i];
    (void)sigemptyset(&mask);
    r = ppoll(all, n + 1, timeout_ms < 0 ? NULL : &timeout, &mask);
    if (end_signal || (r > 0 && (all[0].revents & (POLLHUP | POLLERR | POLLNVAL))))
        return TERM_E_END;
    if (stopped) {
        stop();
        take_size();
        return TERM_E_RESIZED;
    }
    if (resized) {
        resized = 0;
        take_size();
        return TERM_E_RESIZED;
    }
    return TERM_E_OK;
}

int term_key(void)
{
    return getch();
}
