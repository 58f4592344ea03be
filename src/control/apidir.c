#include "control/apidir.h"

#include "os/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

bool api_part_is_ignored(const char *name)
{
    return name[0] == '.' || name[0] == '_' || strcmp(name, "node_modules") == 0;
}

static void api_file_deinit(struct api_file *f)
{
    target_deinit(&f->target);
    free(f->name);
    free(f->handler);
    for (unsigned i = 0; i < f->n_patterns; i++)
        free(f->patterns[i]);
    *f = (struct api_file){0};
}

void api_files_deinit(struct api_files *files)
{
    for (uint32_t i = 0; i < files->n_files; i++)
        api_file_deinit(&files->files[i]);
    free(files->files);
    free(files->foreign);
    *files = (struct api_files){0};
}

/* The path without the ending of its last part. A part that is one placeholder has no ending, even
 * if there is a dot in it. */
static struct slice stem_of(const char *file)
{
    const char *base = strrchr(file, '/');
    const char *dot = strrchr(base ? base + 1 : file, '.');
    size_t len = strlen(file);

    base = base ? base + 1 : file;
    if (!dot || dot == base || (base[0] == '[' && file[len - 1] == ']'))
        return slice(file, len);
    return slice(file, (size_t)(dot - file));
}

static int pattern_add(char **patterns, unsigned *n, struct slice path)
{
    char *pattern;

    if (asprintf(&pattern, "/%.*s", SLICE_ARG(path)) < 0)
        return -ENOMEM;
    for (unsigned i = 0; i < *n; i++) {
        if (strcmp(patterns[i], pattern) == 0) {
            free(pattern);
            return 0;
        }
    }
    patterns[(*n)++] = pattern;
    return 0;
}

int api_patterns(const char *file, char *ret_patterns[static API_PATTERNS_MAX], unsigned *ret_n)
{
    struct slice stem = stem_of(file), path = slice_str(file);
    struct slice folder = stem;
    int r = 0;

    *ret_n = 0;
    while (folder.len > 0 && folder.base[folder.len - 1] != '/')
        folder.len--;
    if (slice_eq(slice(stem.base + folder.len, stem.len - folder.len), SLICE_LIT("index")))
        r = pattern_add(ret_patterns, ret_n, slice(folder.base, folder.len - 1));
    if (r == 0)
        r = pattern_add(ret_patterns, ret_n, stem);
    /* [id].py stands for a whole segment; there is no route for the name with its ending. */
    if (r == 0 && stem.base[folder.len] != '[')
        r = pattern_add(ret_patterns, ret_n, path);
    return r;
}

/* ---- reading the folder ---- */

/* By the file system's mark or by its ending: a program is what can be executed as it is, and a
 * source of a language that we host is none, whatever its mode says. */
static bool file_is_program(const char *path, const char *file)
{
    size_t len = strlen(file);
    char head[4] = "";
    _cleanup_close_ int fd = -1;
    ssize_t n;

    if (access(path, X_OK) < 0)
        return false;
    if (len > 4 && strcmp(file + len - 4, ".cgi") == 0)
        return true;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == EACCES; /* may be executed but not read */
    n = read(fd, head, sizeof(head));
    return (n >= 2 && memcmp(head, "#!", 2) == 0) || (n == 4 && memcmp(head, "\177ELF", 4) == 0);
}

/* Without a rule it is a program. */
static int api_file_make(const char *file, const struct target_rule *rule, char *symbol_take,
                         struct api_file *ret)
{
    struct slice stem = stem_of(file);

    ret->target.symbol = symbol_take;
    ret->target.kind = rule ? rule->kind : TARGET_EXEC;
    ret->target.runtime = rule ? rule->runtime : RUNTIME_EXEC;
    ret->target.file = slice_dup(slice_str(file));
    ret->name = slice_dup(stem);
    if (!ret->target.file || !ret->name)
        return -ENOMEM;
    if (!rule || rule->whole)
        ret->handler = slice_dup(slice_str(file));
    else if (asprintf(&ret->handler, "%.*s.%s", SLICE_ARG(stem), ret->target.symbol) < 0)
        ret->handler = NULL;
    return ret->handler ? api_patterns(file, ret->patterns, &ret->n_patterns) : -ENOMEM;
}

/* Vercel compiles these. A program that was made of them is one for us. */
static bool is_foreign(const char *file)
{
    size_t len = strlen(file);

    return (len > 3 && strcmp(file + len - 3, ".rs") == 0) ||
           (len > 3 && strcmp(file + len - 3, ".go") == 0 &&
            !(len > 8 && strcmp(file + len - 8, "_test.go") == 0));
}

static int api_file_add(const char *dir, const char *file, struct api_files *files,
                        struct error *err)
{
    _cleanup_free_ char *path = path_join(dir, file), *symbol = NULL;
    const struct target_rule *rule = target_rule_find(dir, file, &symbol);

    if (!path)
        return -ENOMEM;
    if (!rule && !file_is_program(path, file)) {
        if (!files->foreign && is_foreign(file))
            files->foreign = slice_dup(slice_str(file));
        return 0;
    }
    if (files->n_files == API_FILES_MAX)
        return error_set(err, -E2BIG, "%s/api: more than %d functions", dir, API_FILES_MAX);
    if ((files->n_files & (files->n_files - 1)) == 0) { /* full at each power of two */
        size_t n = MAX(2 * (size_t)files->n_files, 1);
        void *grown = realloc(files->files, n * sizeof(*files->files));

        if (!grown)
            return -ENOMEM;
        files->files = grown;
    }
    files->files[files->n_files] = (struct api_file){0};
    return api_file_make(file, rule, take_ptr(symbol), &files->files[files->n_files++]);
}

static int api_dir_scan(const char *dir, const char *folder, unsigned depth,
                        struct api_files *files, struct error *err)
{
    _cleanup_free_ char *path = path_join(dir, folder);
    struct dirent **entries = NULL;
    int n, r = 0;

    if (!path)
        return -ENOMEM;
    if (depth > API_DEPTH_MAX)
        return error_set(err, -ELOOP, "%s: more than %d folders within one another", path,
                         API_DEPTH_MAX);
    n = scandir(path, &entries, NULL, alphasort);
    if (n < 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? 0
                   : error_set_errno(err, -errno, "%s: cannot read the folder", path);
    for (int i = 0; i < n; i++) {
        _cleanup_free_ char *file = NULL, *full = NULL;
        struct stat st;

        if (r == 0 && !api_part_is_ignored(entries[i]->d_name)) {
            file = path_join(folder, entries[i]->d_name);
            full = file ? path_join(dir, file) : NULL;
            if (!full)
                r = -ENOMEM;
            else if (lstat(full, &st) == 0 && S_ISDIR(st.st_mode))
                r = api_dir_scan(dir, file, depth + 1, files, err);
            else if (path_is_file(full))
                r = api_file_add(dir, file, files, err);
        }
        free(entries[i]);
    }
    free(entries);
    return r;
}

int api_scan(const char *dir, struct api_files *ret, struct error *err)
{
    int r = api_dir_scan(dir, "api", 0, ret, err);

    if (r < 0) {
        api_files_deinit(ret);
        if (r == -ENOMEM)
            return error_set(err, r, "out of memory");
    }
    return r;
}
