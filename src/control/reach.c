#include "control/reach.h"

#include "model/snapshot.h"
#include "json/text.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#define RESOLV_CONF     "/etc/resolv.conf"
#define RESOLV_LINE_MAX 1024

/* ---- words ---- */

int reach_target_check(const char *text, struct error *err)
{
    struct egress_rule rule;
    struct slice name;
    int r = egress_parse(slice_str(text), &rule, &name, err);

    if (r == 0 && name.len == 0 && egress_is_refused(&rule))
        r = error_set(err, -EINVAL,
                      "is where machines get their credentials; no function may reach it");
    return r;
}

/* Whether `inner` is `outer` or below it. Both are plain. */
static bool path_is_in(const char *inner, const char *outer)
{
    size_t n = strcmp(outer, "/") == 0 ? 0 : strlen(outer);

    return strncmp(inner, outer, n) == 0 && (inner[n] == '/' || inner[n] == '\0');
}

/* What stands for something else in a function's file system. */
static const struct {
    const char *path;
    const char *why;
    bool exact; /* what is below may be had */
} own_places[] = {
    {"/proc", "a function has a /proc of its own", false},
    {"/sys", "it is the kernel's", false},
    {"/dev", "a function has a /dev of its own", false},
    {"/var/task", "a function's code is there", false},
    {"/run/mayfly", "it is mayfly's own", false},
    {"/etc", "name the files in it that are needed", true},
    {"/tmp", "each request has a /tmp of its own", true},
};

int reach_path_check(const char *path, struct error *err)
{
    size_t len = strlen(path);

    if (path[0] != '/')
        return error_set(err, -EINVAL, "must be an absolute path");
    if (strcmp(path, "/") == 0)
        return error_set(err, -EINVAL, "is the whole machine; name what is needed");
    if (len >= PATH_MAX || path[len - 1] == '/' || strstr(path, "//") || strstr(path, "/./") ||
        strstr(path, "/../") || strcmp(path + len - 2, "/.") == 0 ||
        (len >= 3 && strcmp(path + len - 3, "/..") == 0))
        return error_set(err, -EINVAL,
                         "must be plain: no \".\", \"..\" or \"//\" in it, no '/' at "
                         "its end");
    for (size_t i = 0; i < ARRAY_SIZE(own_places); i++) {
        const char *place = own_places[i].path;
        bool inside = own_places[i].exact ? strcmp(path, place) == 0 : path_is_in(path, place);

        if (inside)
            return error_set(err, -EINVAL, "cannot be had: %s", own_places[i].why);
        if (path_is_in(place, path))
            return error_set(err, -EINVAL, "cannot be had: it contains %s, and %s", place,
                             own_places[i].why);
    }
    return 0;
}

/* ---- names ---- */

size_t reach_resolvers_read(const char *path, struct egress_rule ret[static REACH_RESOLVERS_MAX])
{
    FILE *f = fopen(path, "re");
    char line[RESOLV_LINE_MAX];
    size_t n = 0;

    while (f && n < REACH_RESOLVERS_MAX && fgets(line, sizeof(line), f)) {
        size_t start = strlen("nameserver");

        if (strncmp(line, "nameserver", start) != 0 || strspn(line + start, " \t") == 0)
            continue;
        start += strspn(line + start, " \t");
        if (egress_address_parse(slice(line + start, strcspn(line + start, " \t\r\n")), &ret[n]) ==
            0)
            n++;
    }
    if (f)
        (void)fclose(f);
    if (n == 0)
        (void)egress_address_parse(SLICE_LIT("127.0.0.1"), &ret[n++]);
    for (size_t i = 0; i < n; i++)
        ret[i].port = EGRESS_PORT_DNS;
    return n;
}

/* What the draft's `network` lists, as written; or NULL. */
static char *const *reach_targets(const struct draft *d)
{
    const struct config_settings *own = d->config ? &d->config->settings : NULL;

    if (d->f.network != NETWORK_LIST)
        return NULL;
    return own && own->network >= 0 ? own->egress : d->unit->config->defaults.egress;
}

int reach_resolve(struct load *l, uint64_t fresh_ms)
{
    resolver_begin(l->resolver, fresh_ms);
    for (uint32_t i = 0; i < l->n_drafts; i++) {
        char *const *targets = reach_targets(&l->drafts[i]);

        for (; targets && *targets; targets++) {
            struct egress_rule rule;
            struct slice name;
            int r = egress_parse(slice_str(*targets), &rule, &name, NULL);

            assert(r == 0);
            r = name.len > 0 ? resolver_want(l->resolver, name) : 0;
            if (r == -E2BIG)
                draft_break(&l->drafts[i], "network: the project names more than %d hosts",
                            RESOLVE_NAMES_MAX);
            else if (r < 0)
                return r;
        }
    }
    return resolver_wait(l->resolver, l->options->idle, l->options->idle_ctx);
}

/* ---- egress ---- */

struct egress_list {
    char **texts;
    size_t n;
};

static int list_add(struct draft *d, struct egress_list *list, const struct egress_rule *rule)
{
    char text[EGRESS_TEXT_MAX];

    (void)egress_format(rule, text);
    for (size_t i = 0; i < list->n; i++) {
        if (strcmp(list->texts[i], text) == 0)
            return 0;
    }
    if (list->n == SNAPSHOT_EGRESS_MAX) {
        draft_break(d, "network: more than %d addresses in all", SNAPSHOT_EGRESS_MAX);
        return 0;
    }
    list->texts[list->n] = slice_dup(slice_str(text));
    return list->texts[list->n++] ? 0 : -ENOMEM;
}

static int name_add(struct load *l, struct draft *d, struct egress_list *list, const char *target,
                    struct slice name, uint16_t port)
{
    struct error err = ERROR_NULL;
    const struct egress_rule *found;
    size_t n = resolver_get(l->resolver, name, &found, &err);
    int r = 0;

    if (n == 0)
        draft_break(d, "network: \"%s\": cannot find its address: %s", target, err.text);
    for (size_t i = 0; i < n && r == 0; i++) {
        struct egress_rule rule = found[i];
        char text[EGRESS_TEXT_MAX];

        rule.port = port;
        if (egress_is_refused(&rule))
            draft_break(d,
                        "network: \"%s\": its address %s is where machines get their "
                        "credentials; no function may reach it",
                        target, egress_format(&rule, text));
        else
            r = list_add(d, list, &rule);
    }
    return r;
}

/* Where names are looked up. A list without names has no use for it; a function that may reach
 * everything needs it said only where it would be refused. */
static int resolvers_add(struct draft *d, struct egress_list *list, bool all)
{
    struct egress_rule resolvers[REACH_RESOLVERS_MAX];
    size_t n = reach_resolvers_read(RESOLV_CONF, resolvers);
    int r = 0;

    for (size_t i = 0; i < n && r == 0; i++) {
        if (all || egress_is_refused(&resolvers[i]))
            r = list_add(d, list, &resolvers[i]);
    }
    return r;
}

static int egress_fill(struct load *l, struct draft *d)
{
    struct egress_list list = {.texts = calloc(SNAPSHOT_EGRESS_MAX + 1, sizeof(*list.texts))};
    char *const *targets = reach_targets(d);
    bool named = false;
    int r = 0;

    if (!list.texts)
        return -ENOMEM;
    d->f.egress = list.texts;
    for (; targets && *targets && r == 0 && !d->f.broken; targets++) {
        struct egress_rule rule;
        struct slice name;

        r = egress_parse(slice_str(*targets), &rule, &name, NULL);
        assert(r == 0);
        named = named || name.len > 0;
        r = name.len > 0 ? name_add(l, d, &list, *targets, name, rule.port)
                         : list_add(d, &list, &rule);
    }
    if (r == 0 && d->f.network != NETWORK_NONE && (named || d->f.network == NETWORK_HOST))
        r = resolvers_add(d, &list, named);
    return r;
}

/* ---- files ---- */

/* The sandbox binds what the path is, where the path says: a link in it could be turned elsewhere
 * in between. */
static void path_look(struct load *l, struct draft *d, const char *key, const char *path)
{
    char *real = realpath(path, NULL);
    struct stat st;

    if (!real)
        draft_break(d, "%s: \"%s\": %s", key, path, strerrordesc_np(errno));
    else if (strcmp(real, path) != 0)
        draft_break(d, "%s: \"%s\" leads through a symbolic link; write \"%s\"", key, path, real);
    else if (path_is_in(path, l->options->state) || path_is_in(l->options->state, path))
        draft_break(d,
                    "%s: \"%s\" is, contains or is in mayfly's state folder %s, which is closed "
                    "to functions",
                    key, path, l->options->state);
    else if (stat(path, &st) < 0 ||
             (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode) && !S_ISSOCK(st.st_mode)))
        draft_break(d, "%s: \"%s\" is neither a file nor a folder nor a socket", key, path);
    free(real);
}

/* Behind what the runtime needs, which is there already. */
static int paths_fill(struct load *l, struct draft *d, const char *key, char *const *paths,
                      char ***into)
{
    size_t n = 0, n_more = 0;
    char **all;

    while (*into && (*into)[n])
        n++;
    while (paths && paths[n_more])
        n_more++;
    all = reallocarray(*into, n + n_more + 1, sizeof(*all));
    if (!all)
        return -ENOMEM;
    *into = all;
    for (size_t i = 0; i < n_more; i++) {
        all[n + i] = slice_dup(slice_str(paths[i]));
        if (!all[n + i])
            return -ENOMEM;
        path_look(l, d, key, paths[i]);
    }
    all[n + n_more] = NULL;
    return 0;
}

static char *const *own_or_default(char *const *own, char *const *dflt)
{
    return own ? own : dflt;
}

static char *const *reads_of(const struct draft *d)
{
    return own_or_default(d->config ? d->config->settings.reads : NULL,
                          d->unit->config->defaults.reads);
}

static char *const *writes_of(const struct draft *d)
{
    return own_or_default(d->config ? d->config->settings.writes : NULL,
                          d->unit->config->defaults.writes);
}

int reach_finish(struct load *l, struct draft *d)
{
    int r = egress_fill(l, d);

    if (r == 0)
        r = paths_fill(l, d, "reads", reads_of(d), &d->f.reads);
    if (r == 0)
        r = paths_fill(l, d, "writes", writes_of(d), &d->f.writes);
    return r;
}

void reach_digest(const struct draft *d, struct digest *digest)
{
    char *const *const lists[] = {reach_targets(d), reads_of(d), writes_of(d)};

    digest_u64(digest, d->f.network);
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        for (char *const *s = lists[i]; s && *s; s++)
            digest_str(digest, slice_str(*s));
        digest_str(digest, SLICE_LIT(""));
    }
}
