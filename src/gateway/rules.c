/* One walk through a site's rules. The subject of all patterns is the path below the site's prefix,
 * as it was sent, but with letters and digits decoded that need not have been coded: so a rule
 * cannot be passed by writing %61 for a. */

#include "gateway/rules-internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

enum {
    WALK_ON,
    WALK_ENDS, /* plan->outcome is set */
};

void rules_plan_deinit(struct rules_plan *plan)
{
    buf_deinit(&plan->path);
    buf_deinit(&plan->query);
    buf_deinit(&plan->headers);
    buf_deinit(&plan->location);
}

/* ---- what answers ---- */

static bool is_read(const struct http_head *head)
{
    return slice_eq(head->method, SLICE_LIT("GET")) || slice_eq(head->method, SLICE_LIT("HEAD"));
}

static const char *file_with(const struct site *site, struct buf *b, size_t len, const char *ending)
{
    const char *found;

    if (buf_append_str(b, ending) < 0)
        return NULL;
    found = site_file_find(site, buf_slice(b));
    b->end = b->start + len;
    return found;
}

/* The file for a path below the prefix, as a web server looks for it. */
static const char *file_find(const struct site *site, struct slice path)
{
    _cleanup_(buf_deinit) struct buf b = BUF_INIT(RULES_PATH_MAX + 16);
    const char *found = NULL;
    bool folder;
    ssize_t n;

    while (path.len > 0 && path.base[0] == '/')
        path = slice(path.base + 1, path.len - 1);
    if (site->n_files == 0 || buf_reserve(&b, path.len + 16) < 0)
        return NULL;
    n = http_percent_decode(path, false, buf_tail(&b), path.len);
    if (n < 0)
        return NULL;
    folder = n > 0 && buf_tail(&b)[n - 1] == '/';
    buf_commit(&b, (size_t)n - folder);
    if (buf_len(&b) == 0)
        return site_file_find(site, SLICE_LIT("index.html"));
    if (!folder)
        found = site_file_find(site, buf_slice(&b));
    if (!found)
        found = file_with(site, &b, buf_len(&b), "/index.html");
    if (!found && site->clean_urls)
        found = file_with(site, &b, buf_len(&b), ".html");
    return found;
}

static bool is_exact(const struct route_match *m)
{
    size_t len = strlen(m->route->pattern);

    return m->n_params == 0 && m->route->pattern[len - 1] != '*';
}

static struct slice looked_up(const struct asking *a)
{
    return a->plan->rewritten ? buf_slice(&a->plan->path) : a->head->path;
}

static int look(struct asking *a, bool any_route)
{
    struct rules_plan *p = a->plan;
    struct route_match match;
    int r = route_table_match(&a->rules->snapshot->table, a->head->method, looked_up(a), &match);

    if (r == ROUTE_E_OK && (any_route || is_exact(&match))) {
        p->match = match;
        p->outcome = RULES_ROUTE;
        return WALK_ENDS;
    }
    p->file = file_find(a->site, a->subject);
    if (!p->file)
        return WALK_ON;
    if (r == ROUTE_E_METHOD && !is_read(a->head)) {
        p->file = NULL;
        return WALK_ON; /* a route's 405 knows more methods */
    }
    p->file_method = !is_read(a->head);
    p->outcome = p->file_method ? RULES_METHOD : RULES_FILE;
    return WALK_ENDS;
}

/* An address of this site begins with one '/': with two it would be another host's. */
static int location_set(struct asking *a, struct slice text)
{
    struct rules_plan *p = a->plan;
    bool own = text.len > 0 && text.base[0] == '/';
    struct slice query = a->head->query;
    const char *hash = text.len > 0 ? memchr(text.base, '#', text.len) : NULL;
    size_t front = hash ? (size_t)(hash - text.base) : text.len;
    int r = 0;

    while (own && text.len > 1 && (text.base[1] == '/' || text.base[1] == '\\')) {
        text = slice(text.base + 1, text.len - 1);
        front -= front > 0;
    }
    buf_clear(&p->location);
    if (own && a->site->prefix[0])
        r = buf_append_str(&p->location, a->site->prefix);
    if (r == 0 && !(own && text.len == 1 && a->site->prefix[0]))
        r = buf_append(&p->location, text.base, front);
    if (r == 0 && query.len > 0)
        r = buf_append_str(&p->location, memchr(text.base, '?', front) ? "&" : "?");
    if (r == 0)
        r = buf_append_slice(&p->location, query);
    if (r == 0 && hash)
        r = buf_append(&p->location, text.base + front, text.len - front);
    p->outcome = RULES_ANSWER;
    return r;
}

/* Where the destination begins with what the request says, it is a path of this site. */
static int redirect(struct asking *a, const char *template, unsigned status)
{
    _cleanup_(buf_deinit) struct buf b = BUF_INIT(RULES_TEXT_MAX);
    int r = template[0] == '$' && template[1] != '$' ? buf_append_str(&b, "/") : 0;

    if (r == 0)
        r = rules_expand(a, template, IN_PATH, &b);
    a->plan->status = status;
    return r < 0 ? r : location_set(a, buf_slice(&b));
}

/* The request's path becomes the destination's; its query goes in front. */
static int rewrite(struct asking *a, const char *template)
{
    _cleanup_(buf_deinit) struct buf b = BUF_INIT(RULES_TEXT_MAX);
    struct rules_plan *p = a->plan;
    const char *mark;
    struct slice text, path;
    int r = template[0] == '/' ? 0 : buf_append_str(&b, "/");

    if (r == 0)
        r = rules_expand(a, template, IN_PATH, &b);
    if (r < 0)
        return r;
    text = buf_slice(&b);
    mark = memchr(text.base, '#', text.len);
    text.len = mark ? (size_t)(mark - text.base) : text.len;
    mark = memchr(text.base, '?', text.len);
    path = slice(text.base, mark ? (size_t)(mark - text.base) : text.len);
    while (path.len > 1 && path.base[1] == '/')
        path = slice(path.base + 1, path.len - 1);
    if (mark && text.base + text.len > mark + 1) {
        r = buf_len(&p->query) > 0 ? buf_append_str(&p->query, "&") : 0;
        if (r == 0)
            r = buf_append(&p->query, mark + 1, (size_t)(text.base + text.len - mark - 1));
    }
    buf_clear(&p->path);
    if (r == 0)
        r = buf_append_str(&p->path, a->site->prefix);
    if (r == 0)
        r = buf_append_slice(&p->path, path);
    if (r < 0)
        return r;
    p->rewritten = true;
    a->subject = buf_slice(&p->path);
    a->subject =
        slice(a->subject.base + strlen(a->site->prefix), a->subject.len - strlen(a->site->prefix));
    /* What a request puts into a destination must not climb out of it. */
    return http_path_is_routable(buf_slice(&p->path)) ? 0 : -EINVAL;
}

bool rules_header_is_set(struct slice lines, struct slice name)
{
    while (lines.len > 0) {
        const char *end = memchr(lines.base, '\n', lines.len);
        size_t n = end ? (size_t)(end - lines.base) + 1 : lines.len;

        if (n > name.len && lines.base[name.len] == ':' &&
            slice_eq_nocase(slice(lines.base, name.len), name))
            return true;
        lines = slice(lines.base + n, lines.len - n);
    }
    return false;
}

int rules_headers_write(struct buf *b, struct slice lines, const struct http_head *answer, bool win)
{
    struct slice mine;

    while (lines.len > 0) {
        size_t n = (size_t)((const char *)memchr(lines.base, '\n', lines.len) + 1 - lines.base);
        size_t name_len = (size_t)((const char *)memchr(lines.base, ':', n) - lines.base);
        _cleanup_free_ char *name = slice_dup(slice(lines.base, name_len));
        int r = name ? 0 : -ENOMEM;

        if (r == 0 && (win || !http_head_find(answer, name, &mine)))
            r = buf_append(b, lines.base, n);
        if (r < 0)
            return r;
        lines = slice(lines.base + n, lines.len - n);
    }
    return 0;
}

/* A later rule's header takes the place of an earlier one's. */
static void header_drop(struct buf *b, struct slice name)
{
    struct slice lines = buf_slice(b);
    size_t at = 0;

    while (at < lines.len) {
        const char *end = memchr(lines.base + at, '\n', lines.len - at);
        size_t n = end ? (size_t)(end - lines.base) + 1 - at : lines.len - at;

        if (n > name.len && lines.base[at + name.len] == ':' &&
            slice_eq_nocase(slice(lines.base + at, name.len), name)) {
            memmove(b->data + b->start + at, lines.base + at + n, lines.len - at - n);
            b->end -= n;
            return;
        }
        at += n;
    }
}

static int headers_add(struct asking *a)
{
    for (uint32_t i = 0; i < a->rule->n_headers; i++) {
        _cleanup_(buf_deinit) struct buf name = BUF_INIT(1024), value = BUF_INIT(RULES_TEXT_MAX);
        int r = rules_expand(a, a->rule->headers[i].name, IN_HEADER, &name);

        if (r == 0)
            r = rules_expand(a, a->rule->headers[i].value, IN_HEADER, &value);
        if (r == -ENOMEM)
            return r;
        if (r < 0 || buf_len(&name) == 0 || http_is_hop_header(buf_slice(&name)) ||
            slice_eq_nocase(buf_slice(&name), SLICE_LIT("content-length")))
            continue;
        header_drop(&a->plan->headers, buf_slice(&name));
        r = http_write_header(&a->plan->headers, buf_slice(&name), buf_slice(&value));
        if (r < 0 && r != -EINVAL)
            return r;
    }
    return 0;
}

/* ---- the walk ---- */

static struct slice last_segment(struct slice path)
{
    const char *slash = path.len > 0 ? memrchr(path.base, '/', path.len) : NULL;
    size_t from = slash ? (size_t)(slash - path.base) + 1 : 0;

    return slice(path.base + from, path.len - from);
}

/* "x.html" is at "x", "x/index" at "x", a function's file at its name without the ending. Returns
 * the part of the path that stays, or the whole path. */
static struct slice clean_path(const struct asking *a, struct slice path)
{
    bool slash = path.len > 1 && path.base[path.len - 1] == '/';
    struct slice bare = slice(path.base, path.len - slash), name = last_segment(bare);
    struct slice folder = slice(bare.base, bare.len - name.len);
    const char *dot = name.len > 0 ? memrchr(name.base, '.', name.len) : NULL;
    struct slice stem = dot ? slice(bare.base, (size_t)(dot - bare.base)) : bare;
    struct route_match m, clean;
    _cleanup_(buf_deinit) struct buf b = BUF_INIT(RULES_PATH_MAX);

    if (slice_eq(name, SLICE_LIT("index")) || slice_eq(name, SLICE_LIT("index.html")))
        return folder.len > 1 ? slice(folder.base, folder.len - 1) : folder;
    if (name.len > 5 && slice_eq(slice(name.base + name.len - 5, 5), SLICE_LIT(".html")))
        return slice(bare.base, bare.len - 5);
    if (!dot || dot == name.base ||
        route_table_match(&a->rules->snapshot->table, SLICE_LIT("GET"), a->head->path, &m) !=
            ROUTE_E_OK ||
        !is_exact(&m) || m.route->builtin != BUILTIN_NONE)
        return path;
    if (buf_append_str(&b, a->site->prefix) < 0 || buf_append_slice(&b, stem) < 0 ||
        route_table_match(&a->rules->snapshot->table, SLICE_LIT("GET"), buf_slice(&b), &clean) !=
            ROUTE_E_OK ||
        clean.route->builtin != BUILTIN_NONE || clean.route->function != m.route->function)
        return path;
    return stem;
}

static bool ends_in_file(struct slice path)
{
    struct slice name = last_segment(path);

    return name.len > 0 && memchr(name.base, '.', name.len);
}

/* Clean URLs and slashes, in one redirect. */
static int canonical(struct asking *a)
{
    _cleanup_(buf_deinit) struct buf b = BUF_INIT(RULES_PATH_MAX);
    struct slice path = a->subject, clean = path;
    bool well_known = slice_starts(path, SLICE_LIT("/.well-known"));
    bool slash, wanted;
    int r;

    if (a->site->clean_urls)
        clean = clean_path(a, path);
    slash = clean.len > 1 && clean.base[clean.len - 1] == '/';
    wanted = slash;
    if (a->site->slash == SITE_SLASH_REMOVE)
        wanted = false;
    else if (a->site->slash == SITE_SLASH_ADD && !well_known && clean.len > 1)
        wanted = !ends_in_file(slice(clean.base, clean.len - slash));
    while (!wanted && clean.len > 1 && clean.base[clean.len - 1] == '/' &&
           a->site->slash != SITE_SLASH_KEEP)
        clean.len--;
    if (slice_eq(clean, path) && wanted == slash)
        return WALK_ON;
    r = buf_append_slice(&b, clean);
    if (r == 0 && wanted && !slash)
        r = buf_append_str(&b, "/");
    a->plan->status = 308;
    r = r < 0 ? r : location_set(a, buf_slice(&b));
    return r < 0 ? r : WALK_ENDS;
}

/* A row of "routes". */
static int route_rule(struct asking *a)
{
    const struct rule *rule = a->rule;
    int r = headers_add(a);

    if (r < 0)
        return r;
    if (rule->status >= 300 && rule->status < 400 && rule->destination && !rule->proceed) {
        r = redirect(a, rule->destination, rule->status);
        return r < 0 ? r : WALK_ENDS;
    }
    if (rule->destination) {
        r = rewrite(a, rule->destination);
        if (r < 0)
            return r;
        a->plan->status = rule->status;
        if (rule->proceed)
            return WALK_ON;
        r = look(a, true);
        if (r == WALK_ENDS || rule->check)
            return r;
        a->plan->outcome = RULES_NOT_FOUND;
        return WALK_ENDS;
    }
    if (rule->status && !rule->proceed) {
        a->plan->status = rule->status;
        a->plan->outcome = RULES_ANSWER;
        return WALK_ENDS;
    }
    return WALK_ON;
}

static int rule_apply(struct asking *a)
{
    int r;

    switch (a->rule->kind) {
    case RULE_REDIRECT:
        r = redirect(a, a->rule->destination, a->rule->status);
        return r < 0 ? r : WALK_ENDS;
    case RULE_HEADERS:
        r = headers_add(a);
        return r < 0 ? r : WALK_ON;
    case RULE_FILESYSTEM:
        return look(a, false);
    case RULE_REWRITE:
        r = rewrite(a, a->rule->destination);
        return r < 0 ? r : look(a, true);
    case RULE_ROUTE:
        return route_rule(a);
    case _RULE_KIND_MAX:
        break;
    }
    return WALK_ON;
}

static int walk(struct asking *a)
{
    const struct compiled *compiled = a->rules->sites[a->site - a->rules->snapshot->sites];
    int r = WALK_ON;

    if (a->site->clean_urls || a->site->slash != SITE_SLASH_KEEP)
        r = canonical(a);
    for (uint32_t i = 0; i < a->site->n_rules && r == WALK_ON; i++) {
        a->rule = &a->site->rules[i];
        a->compiled = &compiled[i];
        if (a->rule->kind == RULE_FILESYSTEM || rules_fit(a)) {
            r = rule_apply(a);
            /* A row of "routes" that only says "here it ends" ends the rules. */
            if (a->rule->kind == RULE_ROUTE && r == WALK_ON && !a->rule->proceed &&
                !a->rule->destination && !a->rule->status)
                break;
        }
        if (a->too_slow) {
            a->plan->outcome = RULES_TOO_SLOW;
            return WALK_ENDS;
        }
    }
    if (r == WALK_ON)
        r = look(a, false);
    return r == WALK_ON ? look(a, true) : r;
}

static bool is_unreserved(int c)
{
    return isalnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

/* The path with what need not be coded decoded, into b. */
static int plain_path(struct slice path, struct buf *b)
{
    for (size_t i = 0; i < path.len; i++) {
        char c = path.base[i], decoded;
        int r;

        if (c == '%' &&
            http_percent_decode(slice(path.base + i, MIN(path.len - i, 3)), false, &decoded, 1) ==
                1 &&
            is_unreserved((unsigned char)decoded)) {
            c = decoded;
            i += 2;
        }
        r = buf_append(b, &c, 1);
        if (r < 0)
            return r;
    }
    return 0;
}

int rules_ask(const struct rules *r, const struct http_head *head, struct rules_plan *plan)
{
    _cleanup_(buf_deinit) struct buf plain = BUF_INIT(RULES_PATH_MAX);
    struct asking a = {.rules = r, .head = head, .plan = plan, .subject = head->path};
    size_t prefix;
    int x;

    *plan = (struct rules_plan){.path = BUF_INIT(RULES_PATH_MAX),
                                .query = BUF_INIT(RULES_TEXT_MAX),
                                .headers = BUF_INIT(RULES_TEXT_MAX),
                                .location = BUF_INIT(RULES_TEXT_MAX)};
    /* Before the site is chosen: not even its prefix can be hidden. */
    if (memchr(head->path.base, '%', head->path.len)) {
        x = plain_path(head->path, &plain);
        if (x < 0)
            return x;
        a.subject = buf_slice(&plain);
    }
    plan->site = a.site = site_of_path(r->snapshot->sites, r->snapshot->n_sites, a.subject);
    if (!a.site) {
        plan->outcome = RULES_NONE;
        return 0;
    }
    prefix = strlen(a.site->prefix);
    a.subject = slice(a.subject.base + prefix, a.subject.len - prefix);
    if (a.subject.len == 0)
        a.subject = SLICE_LIT("/");
    x = walk(&a);
    if (x == -EINVAL) { /* a rewrite that led nowhere */
        plan->outcome = RULES_NOT_FOUND;
        x = WALK_ENDS;
    }
    if (x < 0)
        return x;
    if (x == WALK_ON)
        plan->outcome = route_table_match(&r->snapshot->table, head->method, looked_up(&a),
                                          &plan->match) == ROUTE_E_METHOD
                            ? RULES_METHOD
                            : RULES_NOT_FOUND;
    if (plan->outcome == RULES_NOT_FOUND && is_read(head)) {
        plan->file = site_file_find(a.site, SLICE_LIT("404.html"));
        if (plan->file) {
            plan->outcome = RULES_FILE;
            plan->status = 404;
        }
    }
    return 0;
}
