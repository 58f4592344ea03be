/* mayfly dashboard: an address that lets in once. */

#include "cli/api.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static bool has_desktop(void)
{
    const char *x11 = getenv("DISPLAY"), *wayland = getenv("WAYLAND_DISPLAY");

    return (x11 && *x11) || (wayland && *wayland);
}

/* Hands the address to the desktop. Returns whether that took it; what it prints is nobody's
 * concern. */
static bool open_address(const char *url)
{
    const char *argv[] = {"xdg-open", url, NULL};
    posix_spawn_file_actions_t files;
    int status = -1;
    pid_t pid;
    int r;

    if (posix_spawn_file_actions_init(&files) != 0)
        cli_no_memory();
    (void)posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    (void)posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    (void)posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    r = posix_spawnp(&pid, argv[0], &files, NULL, (char *const *)argv, environ);
    (void)posix_spawn_file_actions_destroy(&files);
    if (r != 0)
        return false;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* It comes from the daemon, but a program is started on it: nothing but an address. */
static bool is_address(const char *url)
{
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        return false;
    for (; *url; url++) {
        if (*url <= 0x20 || *url > 0x7e)
            return false;
    }
    return true;
}

enum cli_exit command_dashboard(struct cli *cli)
{
    bool prints_only = cli_flag(cli, "print") || cli_flag(cli, "no-open") || cli->json;
    struct client_peer peer;
    json_t *answer = NULL;
    const char *url;
    enum cli_exit code = api_find(cli, &peer);

    if (code == CLI_OK && peer.host)
        code = cli_fail(cli, CLI_USAGE, "on that machine `mayfly dashboard --print` makes one",
                        "a login is made through the daemon's own socket only");
    if (code == CLI_OK)
        code = api_send(cli, &peer, "POST", "/api/v1/logins", NULL, &answer);
    if (code != CLI_OK)
        return code;
    url = api_string(answer, "url");
    if (!is_address(url)) {
        code = cli_fail(cli, CLI_FAILURE, "was it started with --admin-listen off?",
                        "the daemon tells no address of its dashboard");
    } else if (cli->json) {
        api_print(answer);
    } else {
        (void)printf("%s\n", url);
        (void)fflush(stdout);
        if (!cli_flag(cli, "print"))
            cli_note(cli, "mayfly: it lets in once, within 5 minutes");
        if (!prints_only && has_desktop() && !open_address(url))
            cli_note(cli, "mayfly: xdg-open could not open it");
    }
    json_decref(answer);
    return code;
}
