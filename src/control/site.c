#include "control/site.h"

#include "control/draft.h"

#include "os/fd.h"
#include "json/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- variables ---- */

/* One that is not there has none. */
static int envfile_load(struct load *l, struct unit *u, const char *file)
{
    _cleanup_(buf_deinit) struct buf text = BUF_INIT(ENVFILE_BYTES_MAX);
    _cleanup_free_ char *path = path_join(u->dir, file), *label = unit_path(u, file);
    _cleanup_close_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    struct stat st;
    ssize_t n = 1;

    if (!path || !label)
        return error_set(l->err, -ENOMEM, "out of memory");
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        if (fd >= 0 || errno == ENOENT || errno == ENOTDIR)
            return 0;
        return error_set_errno(l->err, -errno, "%s: cannot read it", label);
    }
    while (n > 0) {
        if (buf_room(&text) == 0 || buf_reserve(&text, MIN(buf_room(&text), (size_t)65536)) < 0)
            return error_set(l->err, -EFBIG, "%s: is larger than %lu bytes", label,
                             ENVFILE_BYTES_MAX - 1);
        n = read(fd, buf_tail(&text), MIN(buf_room(&text), (size_t)65536));
        if (n < 0 && errno != EINTR)
            return error_set_errno(l->err, -errno, "%s: cannot read it", label);
        buf_commit(&text, (size_t)MAX(n, (ssize_t)0));
        n = n < 0 ? 1 : n;
    }
    return envfile_read(buf_slice(&text), label, &u->env, l->err);
}

/* The first that says a variable is the one that counts. */
static int variables_read(struct load *l, struct unit *u)
{
    static const char *const files[2][4] = {
        {".env.production.local", ".env.local", ".env.production", ".env"},
        {".env.development.local", ".env.local", ".env.development", ".env"},
    };
    const char *url = l->options->url ? l->options->url : "";
    const char *host = strstr(url, "://");
    const bool dev = l->options->dev;
    const char *const system[][2] = {
        {"VERCEL", "1"},
        {"VERCEL_ENV", dev ? "development" : "production"},
        {"VERCEL_REGION", "dev1"},
        {"VERCEL_URL", host ? host + 3 : url},
    };
    int r = 0;

    for (size_t i = 0; i < ARRAY_SIZE(files[0]) && r == 0; i++)
        r = envfile_load(l, u, files[dev][i]);
    for (char **e = u->vercel ? u->vercel->env : NULL; e && *e && r == 0; e++) {
        size_t n = strcspn(*e, "=");

        r = env_list_add(&u->env, slice(*e, n), slice_str(*e + n + 1));
    }
    for (size_t i = 0; u->vercel && i < ARRAY_SIZE(system) && r == 0; i++)
        r = env_list_add(&u->env, slice_str(system[i][0]), slice_str(system[i][1]));
    if (r < 0 && !l->err->text[0])
        return error_set(l->err, r, "%s: too many variables, or out of memory", u->dir);
    return r;
}

/* ---- files ---- */

static bool is_folder(const struct unit *u, const char *folder)
{
    _cleanup_free_ char *path = path_join(u->dir, folder);
    struct stat st;

    return path && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* public/, or what vercel.json calls the output; a project of Vercel's that has neither is served
 * from its own folder. */
static const char *files_root(struct unit *u)
{
    const char *output = u->vercel ? u->vercel->output : NULL;

    if (output && is_folder(u, output))
        return strcmp(output, "./") == 0 ? "." : output;
    if (output)
        vercel_warn(u->vercel,
                    "%s: \"outputDirectory\" \"%.100s\" is not there; run the project's "
                    "build first",
                    VERCEL_FILE, output);
    return is_folder(u, SITE_FOLDER) || !u->vercel ? SITE_FOLDER : ".";
}

int unit_site_read(struct load *l, struct unit *u)
{
    _cleanup_free_ char *path = path_join(u->dir, VERCEL_FILE), *label = unit_path(u, VERCEL_FILE);
    struct stat st;
    int r = 0;

    if (!path || !label)
        return error_set(l->err, -ENOMEM, "out of memory");
    if (stat(path, &st) == 0)
        r = vercel_load(path, label, &u->vercel, l->err);
    if (r == 0)
        r = variables_read(l, u);
    return r == 0 ? site_files_scan(u->dir, files_root(u), &u->files, l->err) : r;
}

static bool has_function(const struct load *l, const struct unit *u, const char *glob)
{
    if (glob[0] == '/')
        glob++;
    for (uint32_t i = 0; i < l->n_drafts; i++) {
        const struct draft *d = &l->drafts[i];

        if (d->unit == u && d->target.file && glob_fits(glob, d->target.file))
            return true;
    }
    return false;
}

/* A framework whose pages have to be made first. */
static void build_warning(struct unit *u)
{
    static const char *const names[] = {
        "next", "nuxt",          "@sveltejs/kit", "astro",          "gatsby",
        "vite", "react-scripts", "@angular/core", "@remix-run/dev", "vitepress"};
    static const char *const groups[] = {"dependencies", "devDependencies"};
    _cleanup_(buf_deinit) struct buf text = BUF_INIT(4 * MIB);
    _cleanup_free_ char *path = path_join(u->dir, "package.json");
    struct error err = ERROR_NULL;
    json_t *json;

    if (!path || json_file_load(path, "package.json", &text, &json, &err) < 0)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(groups) * ARRAY_SIZE(names); i++) {
        const char *name = names[i % ARRAY_SIZE(names)];

        if (!json_object_get(json_object_get(json, groups[i / ARRAY_SIZE(names)]), name))
            continue;
        vercel_warn(u->vercel,
                    "package.json: \"%s\" needs a build, which mayfly does not run; build it, and "
                    "name its folder as \"outputDirectory\" in %s",
                    name, VERCEL_FILE);
        break;
    }
    json_decref(json);
}

void unit_warnings(struct load *l, struct unit *u)
{
    struct vercel *v = u->vercel;

    if (u->api.foreign)
        (void)buf_printf(&l->warnings,
                         "%s%s%s: mayfly has no runtime for this language; it is not served. A "
                         "program that was compiled from it is\n",
                         u->rel, u->rel[0] ? "/" : "", u->api.foreign);
    if (v && !v->output)
        build_warning(u);
    for (uint32_t i = 0; v && i < v->n_builds; i++) {
        if (!has_function(l, u, v->builds[i].src))
            vercel_warn(v, "%s:%u: builds: \"%.256s\" fits no function", VERCEL_FILE,
                        v->builds[i].line, v->builds[i].src);
    }

    for (uint32_t i = 0; v && i < v->n_functions; i++) {
        if (!v->functions[i].used)
            vercel_warn(v, "%s:%u: functions: \"%.256s\" fits no function", VERCEL_FILE,
                        v->functions[i].line, v->functions[i].glob);
    }
    for (uint32_t i = 0; v && i < v->n_warnings; i++)
        (void)buf_printf(&l->warnings, "%s\n", v->warnings[i]);
}

/* The files move over. */
static int site_make(struct load *l, struct unit *u, struct snapshot *s)
{
    struct site *site = &s->sites[s->n_sites++];
    size_t len = 0;
    char *at;

    *site = (struct site){.prefix = slice_dup(slice_str(u->prefix)), .function = SITE_NO_FUNCTION};
    for (uint32_t i = 0; i < u->files.n_files; i++)
        len += strlen(u->files.files[i]) + 1;
    site->names = at = malloc(len + 1);
    site->files = calloc((size_t)u->files.n_files + 1, sizeof(*site->files));
    if (!site->prefix || !site->names || !site->files)
        return -ENOMEM;
    for (uint32_t i = 0; i < u->files.n_files; i++) {
        size_t n = strlen(u->files.files[i]) + 1;

        memcpy(at, u->files.files[i], n);
        site->files[i] = at;
        at += n;
    }
    site->n_files = u->files.n_files;
    if (u->vercel) { /* they move over */
        site->clean_urls = u->vercel->clean_urls;
        site->slash = u->vercel->slash;
        site->rules = take_ptr(u->vercel->rules);
        site->n_rules = u->vercel->n_rules;
        site->crons = take_ptr(u->vercel->crons);
        site->n_crons = u->vercel->n_crons;
        u->vercel->n_rules = u->vercel->n_crons = 0;
    }
    for (uint32_t i = 0; i < l->n_drafts; i++) {
        if (l->drafts[i].unit == u && l->drafts[i].target.kind == TARGET_STATIC)
            site->function = i;
    }
    return 0;
}

int sites_make(struct load *l, struct snapshot *s)
{
    int r = 0;

    _Static_assert(SITES_MAX >= PROJECT_UNITS_MAX, "each unit may have one");
    s->sites = calloc(l->n_units, sizeof(*s->sites));
    if (!s->sites)
        return -ENOMEM;
    for (uint32_t i = 0; i < l->n_units && r == 0; i++) {
        if (l->units[i]->files.n_files > 0 || l->units[i]->vercel)
            r = site_make(l, l->units[i], s);
    }
    return r;
}
