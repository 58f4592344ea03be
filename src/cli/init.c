/* mayfly init: writes the files of a template, all or none. */

#include "cli/cli.h"
#include "cli/output.h"
#include "cli/paths.h"
#include "cli/templates.h"

#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define NAME_MAX_LEN 48
#define FILES_MAX    8

struct init {
    struct cli *cli;
    const char *lang;
    const char *dir;
    const char *name;
    char symbol[NAME_MAX_LEN + 1];
    const struct template_file *files[FILES_MAX];
    char *paths[FILES_MAX];
    size_t n_files;
};

/* A copy of text with the function's name put in. */
static char *fill(const struct init *in, const char *text)
{
    static const char name_mark[] = "@NAME@", symbol_mark[] = "@SYMBOL@";
    struct buf b = BUF_INIT(65536);
    int r = 0;

    while (*text && r == 0) {
        if (strncmp(text, name_mark, sizeof name_mark - 1) == 0) {
            r = buf_append_str(&b, in->name);
            text += sizeof name_mark - 1;
        } else if (strncmp(text, symbol_mark, sizeof symbol_mark - 1) == 0) {
            r = buf_append_str(&b, in->symbol);
            text += sizeof symbol_mark - 1;
        } else {
            r = buf_append(&b, text++, 1);
        }
    }
    return r < 0 ? cli_check(NULL) : cli_check((char *)buf_cstr(&b));
}

static bool name_is_valid(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len <= NAME_MAX_LEN && !strchr("0123456789-_", name[0]) &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == len;
}

static enum cli_exit check_options(struct init *in)
{
    in->lang = cli_value(in->cli, "lang");
    in->name = cli_value(in->cli, "name");
    in->dir = in->cli->n_operands ? in->cli->operands[0] : ".";
    if (!in->lang) {
        return cli_fail(in->cli, CLI_USAGE, "add --lang python, node, ruby, php, perl, c or exec",
                        "the language is missing");
    }
    in->name = in->name ? in->name : "hello";
    if (!name_is_valid(in->name)) {
        return cli_fail(in->cli, CLI_USAGE,
                        "begin with a letter, then letters, digits, '-' and '_', 48 at most",
                        "--name %s: not a name for a function", in->name);
    }
    for (size_t i = 0; i <= strlen(in->name); i++) {
        in->symbol[i] = in->name[i];
        if (in->symbol[i] == '-') {
            in->symbol[i] = '_';
        }
    }
    return CLI_OK;
}

/* Looks before anything is written: what is there already stays, whatever it is. */
static enum cli_exit plan_files(struct init *in)
{
    for (size_t i = 0; i < n_template_files; i++) {
        _cleanup_free_ char *name = NULL;

        if (strcmp(template_files[i].lang, in->lang) != 0) {
            continue;
        }
        assert(in->n_files < FILES_MAX);
        name = fill(in, template_files[i].path);
        in->files[in->n_files] = &template_files[i];
        in->paths[in->n_files] = cli_printf("%s/%s", in->dir, name);
        if (faccessat(AT_FDCWD, in->paths[in->n_files], F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
            return cli_fail(in->cli, CLI_CONFLICT, "choose another folder or --name",
                            "%s is there already", in->paths[in->n_files]);
        }
        in->n_files++;
    }
    return CLI_OK;
}

static int make_folder_of(const char *path, struct error *err)
{
    _cleanup_free_ char *folder = cli_printf("%s", path);

    *strrchr(folder, '/') = '\0';
    return paths_make_folders(folder, 0777, err);
}

static int write_file(const struct init *in, size_t i, struct error *err)
{
    _cleanup_free_ char *text = fill(in, in->files[i]->text);
    _cleanup_close_ int fd = -1;
    ssize_t len = (ssize_t)strlen(text);
    int r;

    r = make_folder_of(in->paths[i], err);
    if (r < 0) {
        return r;
    }
    fd = open(in->paths[i], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, in->files[i]->mode);
    if (fd < 0) {
        return error_set_errno(err, -errno, "%s", in->paths[i]);
    }
    if (write(fd, text, (size_t)len) != len) {
        return error_set_errno(err, -EIO, "%s", in->paths[i]);
    }
    return 0;
}

static void tell(const struct init *in)
{
    _cleanup_free_ char *url = fill(in, TEMPLATE_URL);
    struct json_out o;

    if (!in->cli->json) {
        for (size_t i = 0; i < in->n_files; i++) {
            cli_note(in->cli, "wrote %s", in->paths[i]);
        }
        (void)printf("mayfly dev %s\ncurl http://127.0.0.1:8080%s\n", in->dir, url);
        return;
    }
    json_out_begin(&o);
    jsonw_object_begin(&o.w);
    json_pair(&o.w, "folder", in->dir);
    json_pair(&o.w, "function", in->name);
    json_pair(&o.w, "path", url);
    jsonw_key(&o.w, "files");
    jsonw_array_begin(&o.w);
    for (size_t i = 0; i < in->n_files; i++) {
        jsonw_str(&o.w, slice_str(in->paths[i]));
    }
    jsonw_array_end(&o.w);
    jsonw_object_end(&o.w);
    json_out_end(&o);
}

enum cli_exit command_init(struct cli *cli)
{
    struct init in = {.cli = cli};
    enum cli_exit code = check_options(&in);

    if (code == CLI_OK) {
        code = plan_files(&in);
    }
    if (code != CLI_OK) {
        return code;
    }
    for (size_t i = 0; i < in.n_files; i++) {
        struct error err = ERROR_NULL;
        int r = write_file(&in, i, &err);

        if (r < 0) {
            while (i-- > 0) {
                (void)unlink(in.paths[i]); /* ours, of a moment ago */
            }
            return cli_fail(cli, r == -EACCES ? CLI_AUTH : CLI_FAILURE, NULL, "%s", err.text);
        }
    }
    tell(&in);
    return CLI_OK;
}
