#include "model/secret.h"

#include <ctype.h>
#include <errno.h>

#define BUNDLES_MAGIC     0x3142534dU /* "MSB1" */
#define BUNDLES_BYTES_MIN 12          /* that one of them can take */

static const struct slice begin = SLICE_LIT("${");
static const struct slice mention = SLICE_LIT("${secret:");

bool secret_name_is_valid(struct slice name)
{
    if (name.len == 0 || name.len > SECRET_NAME_MAX || name.base[0] == '.' || name.base[0] == '-')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.base[i];

        if (c >= 0x80 || (!isalnum(c) && !memchr("_.-", c, 3)))
            return false;
    }
    return true;
}

/* ---- texts ---- */

static struct slice skip(struct slice s, size_t n)
{
    return slice(s.base + n, s.len - n);
}

int secret_piece_next(struct slice *rest, struct secret_piece *ret)
{
    struct slice s = *rest;
    const char *end;
    size_t n = 0;

    if (s.len == 0)
        return 0;
    if (slice_starts(s, SLICE_LIT("$${"))) {
        *ret = (struct secret_piece){.text = begin};
        *rest = skip(s, 3);
        return 1;
    }
    if (slice_starts(s, begin)) {
        struct slice name = slice_starts(s, mention) ? skip(s, mention.len) : SLICE_NULL;

        end = name.len > 0 ? memchr(name.base, '}', name.len) : NULL;
        name.len = end ? (size_t)(end - name.base) : 0;
        if (!secret_name_is_valid(name))
            return -EINVAL;
        *ret = (struct secret_piece){.is_secret = true, .text = name};
        *rest = skip(s, mention.len + name.len + 1);
        return 1;
    }
    do {
        n++;
    } while (n < s.len && !slice_starts(skip(s, n), begin) &&
             !slice_starts(skip(s, n), SLICE_LIT("$${")));
    *ret = (struct secret_piece){.text = slice(s.base, n)};
    *rest = skip(s, n);
    return 1;
}

bool secret_is_in(struct slice text)
{
    struct secret_piece piece;

    while (secret_piece_next(&text, &piece) > 0) {
        if (piece.is_secret)
            return true;
    }
    return false;
}

/* ---- one bundle ---- */

int secret_entry_begin(struct buf *b, enum secret_entry_kind kind, struct slice name)
{
    char letter = (char)kind;
    int r = buf_append(b, &letter, 1);

    r = r < 0 ? r : buf_append_slice(b, name);
    return r < 0 ? r : buf_append(b, "=", 1);
}

int secret_entry_next(struct slice *rest, struct secret_entry *ret)
{
    const char *end, *equals, *text;

    if (rest->len == 0)
        return 0;
    end = memchr(rest->base, '\0', rest->len);
    if (!end || (rest->base[0] != SECRET_ENTRY_VARIABLE && rest->base[0] != SECRET_ENTRY_SECRET))
        return -EBADMSG;
    text = rest->base + 1;
    equals = memchr(text, '=', (size_t)(end - text));
    if (!equals || equals == text)
        return -EBADMSG;
    *ret = (struct secret_entry){
        .kind = (enum secret_entry_kind)rest->base[0],
        .text = (char *)(uintptr_t)text,
        .name_len = (size_t)(equals - text),
        .value_len = (size_t)(end - equals - 1),
    };
    *rest = skip(*rest, (size_t)(end + 1 - rest->base));
    return 1;
}

/* ---- all bundles ---- */

int secret_bundles_begin(struct buf *b)
{
    int r = pack_u32(b, BUNDLES_MAGIC);

    return r < 0 ? r : pack_u32(b, 0);
}

int secret_bundles_add(struct buf *b, const char *function, const char *version,
                       struct slice bundle)
{
    int r = pack_str(b, slice_str(function));

    r = r < 0 ? r : pack_str(b, slice_str(version));
    return r < 0 ? r : pack_str(b, bundle);
}

void secret_bundles_end(struct buf *b, uint32_t n)
{
    unsigned char *place = (unsigned char *)b->data + b->start + sizeof(uint32_t);

    assert(buf_len(b) >= 2 * sizeof(uint32_t));
    for (unsigned i = 0; i < sizeof(n); i++)
        place[i] = (unsigned char)(n >> (8 * i));
}

static bool bundle_is_good(struct slice bundle)
{
    struct secret_entry entry;
    int r;

    while ((r = secret_entry_next(&bundle, &entry)) > 0)
        ;
    return r == 0;
}

int secret_bundles_find(struct slice bytes, const char *function, const char *version,
                        struct slice *ret)
{
    struct slice found = SLICE_NULL;
    struct unpack u;
    uint32_t n;

    if (bytes.len > SECRET_BUNDLES_MAX)
        return -EBADMSG;
    unpack_init(&u, bytes);
    if (unpack_u32(&u) != BUNDLES_MAGIC)
        return -EBADMSG;
    n = unpack_count(&u, BUNDLES_BYTES_MIN);
    for (uint32_t i = 0; i < n && !u.bad; i++) {
        struct slice name = unpack_str(&u), of = unpack_str(&u), bundle = unpack_str(&u);

        if (bundle.len == 0 || bundle.len > SECRET_BUNDLE_MAX || !bundle_is_good(bundle))
            return -EBADMSG;
        if (slice_eq(name, slice_str(function)) && slice_eq(of, slice_str(version)))
            found = bundle;
    }
    if (unpack_end(&u) < 0)
        return -EBADMSG;
    if (found.len == 0)
        return -ENOENT;
    *ret = found;
    return 0;
}
