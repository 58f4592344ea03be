/* Ruby, PHP and Perl. mayfly's part of them is made for one version of the interpreter: the one
 * that it was built with. */

#include "control/runtime.h"

#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* The path that the build has left in a file; NULL if it cannot be read, or without memory. */
static char *path_kept_in(const char *file)
{
    _cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC);
    char text[4096];
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (n <= 0)
        return NULL;
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return slice_dup(slice_str(text));
}

/* What lies beside an interpreter that is not the system's: its libraries. */
static int reads_of_program(struct function *f, const char *program)
{
    _cleanup_free_ char *real = realpath(program, NULL);
    char *slash;

    if (!real)
        return errno == ENOMEM ? -ENOMEM : 0;
    for (unsigned up = 0; up < 2; up++) {
        slash = strrchr(real, '/');
        if (!slash || slash == real)
            return 0;
        *slash = '\0';
    }
    return strcmp(real, "/usr") == 0 ? 0 : runtime_read_add(f, real);
}

/* The language's name as people write it, and its Debian packages. */
static bool is_built(struct load *l, struct draft *d, const char *file, const char *language,
                     const char *packages)
{
    _cleanup_free_ char *path = path_join(l->options->lib, file);

    if (path && path_is_file(path))
        return true;
    draft_break(d, "this mayfly was built without %s; run: apt install %s, and build mayfly again",
                language, packages);
    return false;
}

/* `mayfly-ruby main.rb`: Ruby is a library inside of our own program. */
int runtime_ruby_prepare(struct load *l, struct draft *d)
{
    _cleanup_free_ char *program = NULL, *script = NULL;

    if (!is_built(l, d, "ruby/mayfly-ruby", "Ruby", "ruby ruby-dev"))
        return 0;
    program = runtime_lib_file(l, d, "ruby/mayfly-ruby");
    script = runtime_lib_file(l, d, "ruby/main.rb");
    if (d->f.broken)
        return 0;
    return program && script ? runtime_argv(d, program, script, NULL) : -ENOMEM;
}

/* `mayfly-start perl main.pl` */
int runtime_perl_prepare(struct load *l, struct draft *d)
{
    _cleanup_free_ char *start = NULL, *script = NULL, *note = NULL, *program = NULL;
    int r;

    if (!is_built(l, d, "perl/main.pl", "Perl", "perl libperl-dev"))
        return 0;
    start = runtime_lib_file(l, d, "mayfly-start");
    script = runtime_lib_file(l, d, "perl/main.pl");
    note = path_join(l->options->lib, "perl/program");
    if (d->f.broken)
        return 0;
    if (!start || !script || !note)
        return -ENOMEM;
    program = path_kept_in(note);
    if (!program || !path_is_program(program)) {
        draft_break(d, "the perl that mayfly was built with is gone; build mayfly again");
        return 0;
    }
    r = reads_of_program(&d->f, program);
    return r < 0 ? r : runtime_argv(d, start, program, script);
}

/* PHP is a library inside of our own program. Its settings and the list of its extensions are below
 * /etc/php. */
int runtime_php_prepare(struct load *l, struct draft *d)
{
    _cleanup_free_ char *host = NULL;
    int r = 0;

    if (!is_built(l, d, "php/mayfly-php", "PHP", "php-dev libphp-embed"))
        return 0;
    host = runtime_lib_file(l, d, "php/mayfly-php");
    if (!host)
        return d->f.broken ? 0 : -ENOMEM;
    if (access("/etc/php", R_OK) == 0)
        r = runtime_read_add(&d->f, "/etc/php");
    return r < 0 ? r : runtime_argv(d, host, NULL, NULL);
}
