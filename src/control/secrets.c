#include "control/secrets.h"

#include "secrets/secrets.h"

#include <errno.h>
#include <stdio.h>

/* One secret of this load: the value, or why there is none. */
struct opened {
    char name[SECRET_NAME_MAX + 1];
    struct secret secret;
    char *broken;
    struct opened *next;
};

struct load_secrets {
    struct secrets *store; /* or NULL: */
    char *broken;          /* why it cannot be opened; NULL: nobody wants the values */
    struct opened *first;
};

struct load_secrets *load_secrets_free(struct load_secrets *s)
{
    struct opened *next;

    for (struct opened *o = s ? s->first : NULL; o; o = next) {
        next = o->next;
        secret_clear(&o->secret);
        free(o->broken);
        free(o);
    }
    if (s) {
        (void)secrets_close(s->store);
        free(s->broken);
        free(s);
    }
    return NULL;
}

void secrets_bundle_wipe(struct buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->cap);
    buf_deinit(b);
}

/* ---- opening ---- */

static int store_open(struct load *l)
{
    struct error err = ERROR_NULL;
    struct load_secrets *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    l->secrets = s;
    if (!l->options->secrets ||
        secrets_open(l->options->secrets, getenv("CREDENTIALS_DIRECTORY"), &s->store, &err) == 0)
        return 0;
    s->broken = slice_dup(slice_str(err.text));
    return s->broken ? 0 : -ENOMEM;
}

/* Without the values, in a check, every secret is as good as empty. */
static int open_one(struct load *l, struct opened *o)
{
    struct load_secrets *s = l->secrets;
    struct error err = ERROR_NULL;
    const char *hint = l->options->secrets_hint;
    int r;

    if (!s->store && !s->broken)
        return 0;
    r = s->store ? secrets_get(s->store, o->name, &o->secret, &err) : -EIO;
    if (r == 0)
        return 0;
    if (r == -ENOENT)
        r = asprintf(&o->broken, "secret %s is not set: mayfly secret set %s%s", o->name, o->name,
                     hint ? hint : "");
    else
        r = asprintf(&o->broken, "%s", s->store ? err.text : s->broken);
    if (r < 0)
        o->broken = NULL;
    return o->broken ? 0 : -ENOMEM;
}

static int opened_get(struct load *l, struct slice name, struct opened **ret)
{
    struct opened *o;
    int r = l->secrets ? 0 : store_open(l);

    for (o = r == 0 ? l->secrets->first : NULL; o; o = o->next) {
        if (slice_eq(slice_str(o->name), name)) {
            *ret = o;
            return 0;
        }
    }
    o = r == 0 ? calloc(1, sizeof(*o)) : NULL;
    if (!o)
        return -ENOMEM;
    o->next = l->secrets->first;
    l->secrets->first = o;
    memcpy(o->name, name.base, name.len); /* its length was checked with the file */
    *ret = o;
    return open_one(l, o);
}

/* ---- a function's ---- */

static bool has_name(char *const *list, const char *variable)
{
    size_t len = strcspn(variable, "=") + 1;

    for (; list && *list; list++) {
        if (strncmp(*list, variable, len) == 0)
            return true;
    }
    return false;
}

/* Its own variables go before those of all. */
static int variables_collect(struct draft *d)
{
    char *const *own = d->config ? d->config->settings.env : NULL;
    char *const *sources[] = {own, d->unit->config->defaults.env};
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
        for (char *const *v = sources[i]; v && *v; v++)
            n++;
    }
    d->f.secrets = calloc(n + 1, sizeof(*d->f.secrets));
    if (!d->f.secrets)
        return -ENOMEM;
    n = 0;
    for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
        for (char *const *v = sources[i]; v && *v; v++) {
            if (!secret_is_in(slice_str(strchr(*v, '='))) || (i > 0 && has_name(own, *v)))
                continue;
            d->f.secrets[n] = slice_dup(slice_str(*v));
            if (!d->f.secrets[n++])
                return -ENOMEM;
        }
    }
    return 0;
}

static struct slice value_of(const char *variable)
{
    return slice_str(strchr(variable, '=') + 1);
}

/* Opens what is mentioned, and counts what the bundle takes at most. */
static int variables_open(struct load *l, struct draft *d, size_t *ret_size)
{
    for (char *const *v = d->f.secrets; *v; v++) {
        struct slice rest = value_of(*v);
        struct secret_piece piece;

        *ret_size += strlen(*v) + 2;
        while (secret_piece_next(&rest, &piece) > 0) {
            struct opened *o = NULL;
            int r = piece.is_secret ? opened_get(l, piece.text, &o) : 0;

            if (r < 0)
                return r;
            if (o && o->broken)
                draft_break(d, "%s", o->broken);
            if (o)
                *ret_size += 2 * o->secret.len + strlen(o->name) + 3;
        }
    }
    return 0;
}

/* A secret by its name, for the worker to know what it must not tell. */
static int entry_write(struct buf *b, const struct opened *o)
{
    int r = secret_entry_begin(b, SECRET_ENTRY_SECRET, slice_str(o->name));

    r = r < 0 ? r : buf_append(b, o->secret.value, o->secret.len);
    return r < 0 ? r : buf_append(b, "", 1);
}

static int variable_write(struct load *l, struct draft *d, const char *variable)
{
    struct slice name = slice(variable, strcspn(variable, "=")), rest = value_of(variable);
    int r = secret_entry_begin(&d->bundle, SECRET_ENTRY_VARIABLE, name);
    struct secret_piece piece;
    struct opened *o;

    while (r == 0 && secret_piece_next(&rest, &piece) > 0) {
        r = piece.is_secret ? opened_get(l, piece.text, &o) : 0;
        if (r == 0 && piece.is_secret)
            r = buf_append(&d->bundle, o->secret.value, o->secret.len);
        else if (r == 0)
            r = buf_append_slice(&d->bundle, piece.text);
    }
    r = r < 0 ? r : buf_append(&d->bundle, "", 1);
    rest = value_of(variable);
    while (r == 0 && secret_piece_next(&rest, &piece) > 0) {
        r = piece.is_secret ? opened_get(l, piece.text, &o) : 0;
        r = r < 0 || !piece.is_secret ? r : entry_write(&d->bundle, o);
    }
    return r;
}

int secrets_prepare(struct load *l, struct draft *d)
{
    size_t size = 0;
    int r = variables_collect(d);

    r = r < 0 ? r : variables_open(l, d, &size);
    if (r < 0 || !d->f.secrets[0] || d->f.broken || !l->options->secrets)
        return r;
    if (size > SECRET_BUNDLE_MAX) {
        draft_break(d, "its secrets take more than %llu bytes",
                    (unsigned long long)SECRET_BUNDLE_MAX);
        return 0;
    }
    /* Of one piece from the start: a buffer that grows leaves copies behind. */
    buf_init(&d->bundle, size);
    r = buf_reserve(&d->bundle, size);
    for (char *const *v = d->f.secrets; *v && r == 0; v++)
        r = variable_write(l, d, *v);
    return r;
}

void secrets_digest(const struct load *l, const struct draft *d, struct digest *digest)
{
    const struct load_secrets *s = l->secrets;

    if (!d->f.secrets || !d->f.secrets[0])
        return;
    digest_u64(digest, d->f.secrets_when);
    for (char *const *v = d->f.secrets; *v; v++) {
        struct slice rest = value_of(*v);
        struct secret_piece piece;

        while (secret_piece_next(&rest, &piece) > 0) {
            for (const struct opened *o = s ? s->first : NULL; o && piece.is_secret; o = o->next) {
                if (slice_eq(slice_str(o->name), piece.text))
                    digest_str(digest, slice(o->secret.tag, sizeof(o->secret.tag)));
            }
        }
    }
}

/* ---- all ---- */

int secrets_encode(const struct load *l, struct buf *b)
{
    size_t size = 2 * sizeof(uint32_t);
    uint32_t n = 0;
    int r;

    for (uint32_t i = 0; i < l->n_drafts; i++)
        size += buf_len(&l->drafts[i].bundle) + FUNCTION_NAME_MAX + FUNCTION_VERSION_LEN + 16;
    r = buf_reserve(b, size);
    r = r < 0 ? r : secret_bundles_begin(b);
    for (uint32_t i = 0; i < l->n_drafts && r == 0; i++) {
        const struct draft *d = &l->drafts[i];

        if (buf_len(&d->bundle) == 0)
            continue;
        r = secret_bundles_add(b, d->f.name, d->f.version, buf_slice(&d->bundle));
        n++;
    }
    if (r == 0)
        secret_bundles_end(b, n);
    return r;
}

int secrets_redact_all(const struct load *l, struct redact *redact)
{
    int r = 0;

    for (const struct opened *o = l->secrets ? l->secrets->first : NULL; o && r == 0; o = o->next)
        r = redact_add(redact, slice_str(o->name), slice(o->secret.value, o->secret.len));
    return r;
}
