/* Lists a folder to be served. What is listed is all that can be asked for. */

#include "control/site.h"

#include "control/target.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#define DEPTH_MAX 64

struct listing {
    const char *root; /* absolute, real */
    struct site_files *files;
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
        return list_folder(l, file, depth + 1);
    if (S_ISLNK(st.st_mode) && (!leads_inside(l, path) || stat(path, &st) < 0))
        return 0;
    return S_ISREG(st.st_mode) ? add(l, take_ptr(file)) : 0;
}

static bool is_left_out(const char *folder, const char *name)
{
    if (name[0] == '.')
        return !(folder[0] == '\0' && strcmp(name, ".well-known") == 0);
    return strcmp(name, "node_modules") == 0 || strchr(name, '\n') != NULL;
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

int site_files_scan(const char *dir, struct site_files *ret, struct error *err)
{
    _cleanup_free_ char *root = path_join(dir, SITE_FOLDER);
    char real[PATH_MAX];
    struct listing l = {.root = real, .files = ret, .err = err};
    struct stat st;
    int r;

    *ret = (struct site_files){.n_files = 0};
    if (!root)
        return error_set(err, -ENOMEM, "out of memory");
    if (lstat(root, &st) < 0 || !S_ISDIR(st.st_mode) || !realpath(root, real))
        return 0;
    (void)snprintf(ret->root, sizeof(ret->root), "%s", SITE_FOLDER);
    r = list_folder(&l, "", 0);
    if (r < 0) {
        site_files_deinit(ret);
        return r == -ENOMEM ? error_set(err, r, "out of memory") : r;
    }
    if (ret->n_files > 1)
        qsort(ret->files, ret->n_files, sizeof(*ret->files), name_cmp);
    return 0;
}
