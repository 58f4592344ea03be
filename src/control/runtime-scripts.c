/* Ruby, PHP and Perl. mayfly's part of them is made for one version of the interpreter: the one
 * that it was built with. */

#include "control/runtime.h"

#include <errno.h>
#include <unistd.h>

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

/* `mayfly-ruby main.rb`: the interpreter is a library inside of our own program. */
static int script_prepare(struct load *l, struct draft *d, const char *host, const char *main)
{
    _cleanup_free_ char *program = runtime_lib_file(l, d, host), *script = NULL;

    script = runtime_lib_file(l, d, main);
    if (d->f.broken)
        return 0;
    return program && script ? runtime_argv(d, program, script, NULL) : -ENOMEM;
}

int runtime_ruby_prepare(struct load *l, struct draft *d)
{
    return is_built(l, d, "ruby/mayfly-ruby", "Ruby", "ruby ruby-dev")
               ? script_prepare(l, d, "ruby/mayfly-ruby", "ruby/main.rb")
               : 0;
}

int runtime_perl_prepare(struct load *l, struct draft *d)
{
    return is_built(l, d, "perl/mayfly-perl", "Perl", "libperl-dev")
               ? script_prepare(l, d, "perl/mayfly-perl", "perl/main.pl")
               : 0;
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
