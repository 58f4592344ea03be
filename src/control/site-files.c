/* Lists a folder to be served. What is listed is all that can be asked for. */

#include "control/site.h"

#include "control/target.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>

#define DEPTH_MAX 64

struct listing {
    const char *root; /* absolute, real */
    struct site_files *files;
    bool careful; /* it is the project's own folder */
    size_t size;
    struct error *err;
};

static int list_folder(struct listing *l, const char *folder, unsigned depth);

void site_files_deinit(struct site_files *files)
{
    for (uint32_t i = 0; i < files->n_files; i++)
        free(files->files[i]);
    free(files->files);
    *files = (struct site_files){.n_files = 0};
}

static int add(struct listing *l, char *file_take)
{
    struct site_files *files = l->files;

    if (files->n_files == SITE_FILES_MAX) {
        free(file_take);
        return error_set(l->err, -E2BIG, "%s: more than %d files to be served", l->root,
                         SITE_FILES_MAX);
    }
    if (files->n_files == l->size) {
        size_t size = MAX(2 * l->size, (size_t)64);
        char **more = reallocarray(files->files, size, sizeof(*more));

        if (!more) {
            free(file_take);
            return -ENOMEM;
        }
        files->files = more;
        l->size = size;
    }
    files->files[files->n_files++] = file_take;
    return 0;
}

/* A link may lead to another file of the folder; the runtime opens nothing beyond it either. */
static bool leads_inside(const struct listing *l, const char *path)
{
    char real[PATH_MAX];
    size_t len = strlen(l->root);

    return realpath(path, real) && strncmp(real, l->root, len) == 0 && real[len] == '/';
}

/* What a browser may want, of a folder in which the sources lie, too. */
static bool is_for_browsers(const char *name)
{
    static const char *const endings[] = {
        "html", "htm",  "css",         "js",   "mjs",  "map",  "txt",  "xml",   "svg", "png",
        "jpg",  "jpeg", "gif",         "webp", "avif", "ico",  "woff", "woff2", "ttf", "otf",
        "wasm", "pdf",  "webmanifest", "mp3",  "mp4",  "webm", "ogg",  "wav"};
    static const char *const never[] = {"requirements.txt", "runtime.txt", "constraints.txt",
                                        "package.js",       "server.js",   "pom.xml"};
    const char *dot = strrchr(name, '.');
    bool found = false;

    for (size_t i = 0; dot && i < ARRAY_SIZE(endings); i++)
        found = found || strcasecmp(dot + 1, endings[i]) == 0;
    for (size_t i = 0; i < ARRAY_SIZE(never); i++)
        found = found && strcasecmp(name, never[i]) != 0;
    return found && !strstr(name, ".config.") && strncmp(name, "requirements", 12) != 0;
}

/* A folder of the project's own folder that is not to be listed with it. */
static bool is_apart(const struct listing *l, const char *file)
{
    static const char *const marks[] = {"mayfly.json", "vercel.json", "package.json", "pyvenv.cfg"};

    if (strcmp(file, "api") == 0 || strcmp(file, "__pycache__") == 0)
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, "%s/%s/%s", l->root, file, marks[i]) < 0) {
            path = NULL;
            return true;
        }
        if (path_is_file(path))
            return true;
    }
    return false;
}

static bool is_left_out(const char *folder, const char *name)
{
    if (name[0] == '.')
        return !(folder[0] == '\0' && strcmp(name, ".well-known") == 0);
    return strcmp(name, "node_modules") == 0 || strchr(name, '\n') != NULL;
}

static int list_entry(struct listing *l, const char *folder, const char *name, unsigned depth)
{
    _cleanup_free_ char *file = folder[0] ? path_join(folder, name) : slice_dup(slice_str(name));
    _cleanup_free_ char *path = file ? path_join(l->root, file) : NULL;
    struct stat st;

    if (!path)
        return -ENOMEM;
    if (lstat(path, &st) < 0)
        return 0; /* gone since the folder was read: there will be another load */
    if (S_ISDIR(st.st_mode))
        return l->careful && is_apart(l, file) ? 0 : list_folder(l, file, depth + 1);
    if (l->careful && (!is_for_browsers(name) || st.st_mode & 0111))
        return 0;
    if (S_ISLNK(st.st_mode) && (!leads_inside(l, path) || stat(path, &st) < 0))
        return 0;
    return S_ISREG(st.st_mode) ? add(l, take_ptr(file)) : 0;
}

static int list_folder(struct listing *l, const char *folder, unsigned depth)
{
    _cleanup_free_ char *path = folder[0] ? path_join(l->root, folder) : NULL;
    struct dirent *entry;
    DIR *d;
    int r = 0;

    if (folder[0] && !path)
        return -ENOMEM;
    if (depth > DEPTH_MAX)
        return error_set(l->err, -ELOOP, "%s: more than %d folders within one another", path,
                         DEPTH_MAX);
    d = opendir(path ? path : l->root);
    if (!d)
        return errno == ENOENT ? 0
                               : error_set_errno(l->err, -errno, "%s: cannot read the folder",
                                                 path ? path : l->root);
    while (r == 0 && (entry = readdir(d))) {
        if (!is_left_out(folder, entry->d_name))
            r = list_entry(l, folder, entry->d_name, depth);
    }
    (void)closedir(d);
    return r;
}

static int name_cmp(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int site_files_scan(const char *dir, const char *root, struct site_files *ret, struct error *err)
{
    _cleanup_free_ char *path = path_join(dir, root);
    char real[PATH_MAX], real_dir[PATH_MAX];
    struct listing l = {.root = real, .files = ret, .careful = strcmp(root, ".") == 0, .err = err};
    struct stat st;
    int r;

    *ret = (struct site_files){.n_files = 0};
    if (!path)
        return error_set(err, -ENOMEM, "out of memory");
    /* A link to another place would be one out of the project. */
    if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode) || !realpath(path, real) ||
        !realpath(dir, real_dir) || strncmp(real, real_dir, strlen(real_dir)) != 0)
        return 0;
    (void)snprintf(ret->root, sizeof(ret->root), "%s", root);
    r = list_folder(&l, "", 0);
    if (r < 0) {
        site_files_deinit(ret);
        return r == -ENOMEM ? error_set(err, r, "out of memory") : r;
    }
    if (ret->n_files > 1)
        qsort(ret->files, ret->n_files, sizeof(*ret->files), name_cmp);
    return 0;
}
