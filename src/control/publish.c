/* Loading, and making known what came of it. */

#include "base/clock.h"
#include "base/log.h"
#include "control/compile.h"
#include "control/control.h"
#include "os/fd.h"
#include "os/memfd.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOTE_NAMES_MAX 5 /* changed functions that are named */

/* ---- words on stderr ---- */

/* In dev mode people read along; otherwise it is an event like others. Each line is quoted by
 * itself, because a compiler's words take several. */
static void note(const struct control *c, bool bad, const char *event, const char *text)
{
    char quoted[ERROR_TEXT_MAX * 2];

    if (!c->options.dev) {
        log_event(bad ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, event, "%s",
                  log_quote(slice_str(text), quoted, sizeof(quoted)));
        return;
    }
    for (const char *end; *text; text = *end ? end + 1 : end) {
        end = strchrnul(text, '\n');
        (void)fprintf(stderr, "%s%s%s\n", c->color ? bad ? "\033[31m" : "\033[2m" : "",
                      log_quote(slice(text, (size_t)(end - text)), quoted, sizeof(quoted)),
                      c->color ? "\033[0m" : "");
    }
}

static void names_add(char *dst, size_t size, unsigned *n, const char *name, const char *what)
{
    size_t len = strlen(dst);

    if ((*n)++ < NOTE_NAMES_MAX)
        (void)snprintf(dst + len, size - len, "%s%s%s", len > 0 ? ", " : "", name, what);
}

/* What is different from the last time. */
static void note_changes(const struct control *c, const struct snapshot *s)
{
    char names[NOTE_NAMES_MAX * (FUNCTION_NAME_MAX + 16)] = "", text[sizeof(names) + 64];
    unsigned n = 0;

    for (uint32_t i = 0; i < s->n_functions; i++) {
        const struct function *f = &s->functions[i];
        const struct function *old = snapshot_find(c->last, slice_str(f->name));

        if (!old)
            names_add(names, sizeof(names), &n, f->name, " (new)");
        else if (strcmp(old->version, f->version) != 0)
            names_add(names, sizeof(names), &n, f->name, "");
    }
    for (uint32_t i = 0; i < c->last->n_functions; i++) {
        if (!snapshot_find(s, slice_str(c->last->functions[i].name)))
            names_add(names, sizeof(names), &n, c->last->functions[i].name, " (gone)");
    }
    if (n == 0)
        (void)snprintf(text, sizeof(text), "reloaded: no function has changed");
    else if (n <= NOTE_NAMES_MAX)
        (void)snprintf(text, sizeof(text), "reloaded: %s", names);
    else
        (void)snprintf(text, sizeof(text), "reloaded: %s and %u more", names, n - NOTE_NAMES_MAX);
    note(c, false, "reloaded", text);
}

/* What is served, at the start of dev mode. */
static void note_routes(const struct control *c, const struct snapshot *s)
{
    for (uint32_t i = 0; c->options.dev && i < s->n_routes; i++) {
        const struct route *r = &s->routes[i];
        bool builtin = r->builtin != BUILTIN_NONE;
        char text[ROUTE_PATTERN_MAX + 256];

        (void)snprintf(text, sizeof(text), "  %-7s %s%s  %s%s", r->method ? r->method : "",
                       c->options.url, r->pattern, builtin ? "builtin:" : "",
                       builtin ? builtin_name(r->builtin) : s->functions[r->function].name);
        note(c, false, "route", text);
    }
}

/* Whoever works on a project has a dashboard of it at hand. */
static void note_dashboard(struct control *c)
{
    char url[ACCESS_URL_MAX], text[ACCESS_URL_MAX + 64];

    if (!c->options.dev || access_login_url(c, url) < 0)
        return;
    (void)snprintf(text, sizeof(text), "dashboard %s (lets in once, within %d minutes)", url,
                   ACCESS_LOGIN_S / 60);
    note(c, false, "dashboard", text);
}

/* Those that were not broken in the same way before. */
static void note_broken(const struct control *c, const struct snapshot *s)
{
    for (uint32_t i = 0; i < s->n_functions; i++) {
        const struct function *f = &s->functions[i];
        const struct function *old = c->last ? snapshot_find(c->last, slice_str(f->name)) : NULL;
        char text[ERROR_TEXT_MAX * 2];

        if (!f->broken || (old && old->broken && strcmp(old->broken, f->broken) == 0))
            continue;
        (void)snprintf(text, sizeof(text), "%s is broken: %s", f->name, f->broken);
        note(c, true, "function.broken", text);
    }
}

/* What was not said the last time. */
static void note_warnings(struct control *c)
{
    char *text = slice_dup(project_warnings(c->project));

    if (!text)
        return;
    if (!c->warned || strcmp(c->warned, text) != 0) {
        for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
            *end = '\0';
            note(c, true, "project.warning", line);
            *end = '\n';
        }
    }
    free(c->warned);
    c->warned = text;
}

/* ---- sending ---- */

static int send_snapshot(struct control *c, const struct snapshot *s)
{
    _cleanup_(buf_deinit) struct buf b = BUF_INIT(SNAPSHOT_BYTES_MAX);
    struct wire_message m = {.type = WIRE_PUBLISH, .n_fds = 2};
    int r = snapshot_encode(s, &b);

    if (r < 0)
        return r;
    m.fds[0] = memfd_new("mayfly-snapshot", buf_slice(&b));
    if (m.fds[0] < 0)
        return m.fds[0];
    m.fds[1] = memfd_new("mayfly-secrets", project_secrets(c->project));
    if (m.fds[1] < 0) {
        fd_close(m.fds[0]);
        return m.fds[1];
    }
    m.publish.n_functions = s->n_functions;
    return wire_send(&c->supervisor, &m);
}

static void send_failure(struct control *c, const struct error *err)
{
    struct wire_message m = {.type = WIRE_PUBLISH_FAILED,
                             .publish_failed = {.error = slice_str(err->text)}};
    int r;

    note(c, true, "load.failed", err->text);
    c->load_failed = true;
    r = wire_send(&c->supervisor, &m);
    if (r < 0)
        log_error("publish.failed", "error=%s", strerrordesc_np(-r));
}

/* Whether both would make everybody else do the same. */
static bool snapshots_are_equal(struct snapshot *a, struct snapshot *b)
{
    _cleanup_(buf_deinit) struct buf x = BUF_INIT(SNAPSHOT_BYTES_MAX);
    _cleanup_(buf_deinit) struct buf y = BUF_INIT(SNAPSHOT_BYTES_MAX);
    uint64_t generation = b->generation;
    bool equal;

    b->generation = a->generation;
    equal = snapshot_encode(a, &x) == 0 && snapshot_encode(b, &y) == 0 &&
            slice_eq(buf_slice(&x), buf_slice(&y));
    b->generation = generation;
    return equal;
}

/* Makes a folder for us alone, below one that may be missing, too. */
static int path_make_private(const char *path)
{
    char above[PATH_MAX];

    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    (void)snprintf(above, sizeof(above), "%s", path);
    *strrchr(above, '/') = '\0';
    return errno == ENOENT && path_make(above) == 0 && mkdir(path, 0700) == 0 ? 0 : -errno;
}

/* The folder is there from the first project on that has secrets, so that the first one to be set
 * is seen. What cannot be watched needs a SIGHUP. */
static void secrets_watch(struct control *c)
{
    struct error err = ERROR_NULL;
    char dir[PATH_MAX];

    if (!project_has_secrets(c->project) && c->secrets_watch.fd < 0)
        return;
    (void)snprintf(dir, sizeof(dir), "%s/secrets", c->options.secrets);
    if (c->secrets_watch.fd < 0) {
        if (path_make_private(dir) < 0 || watch_init(&c->secrets_watch, &err) < 0)
            return;
        c->secrets_watch.any_name = true;
        c->load_wanted = true; /* whoever was faster than the watch is seen now */
    }
    if (watch_scan(&c->secrets_watch, dir, NULL, &err) < 0)
        note(c, true, "watch.failed", err.text);
}

void publish(struct control *c)
{
    bool forced = c->load_forced || c->load_failed || !c->last;
    struct error err = ERROR_NULL;
    struct retention retention;
    struct snapshot *s;
    int r;

    if (c->load_forced)
        project_renew(c->project);
    c->load_wanted = c->load_forced = false;
    /* Folders are watched before they are read: a change in between is seen. */
    if (c->watch.fd >= 0 && watch_scan(&c->watch, c->options.dir, c->options.state, &err) < 0)
        note(c, true, "watch.failed", err.text);
    r = project_load(c->project, c->generation + 1, &s, &err);
    if (r == -ECANCELED)
        return;
    secrets_watch(c);
    if (project_take_retention(c->project, &retention))
        keep_set_retention(&c->keep, &retention);
    if (r < 0) {
        send_failure(c, &err);
        return;
    }
    if (!forced && snapshots_are_equal(c->last, s)) {
        (void)snapshot_free(s);
        return;
    }
    r = send_snapshot(c, s);
    if (r < 0) {
        (void)error_set_errno(&err, r, "cannot publish %u functions", s->n_functions);
        (void)snapshot_free(s);
        send_failure(c, &err);
        return;
    }
    c->load_failed = false;
    c->generation++;
    if (c->last) {
        note_changes(c, s);
    } else {
        note_routes(c, s);
        note_dashboard(c);
    }
    note_broken(c, s);
    note_warnings(c);
    (void)snapshot_free(c->last);
    c->last = s;
}
