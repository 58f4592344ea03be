#include "base/pack.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

int pack_u8(struct buf *b, uint8_t v)
{
    return buf_append(b, &v, sizeof(v));
}

int pack_u32(struct buf *b, uint32_t v)
{
    v = htole32(v);
    return buf_append(b, &v, sizeof(v));
}

int pack_u64(struct buf *b, uint64_t v)
{
    v = htole64(v);
    return buf_append(b, &v, sizeof(v));
}

int pack_str(struct buf *b, struct slice s)
{
    int r;

    if (s.len > UINT32_MAX)
        return -ENOBUFS;
    r = buf_reserve(b, sizeof(uint32_t) + s.len);
    if (r < 0)
        return r;
    (void)pack_u32(b, (uint32_t)s.len);
    return buf_append_slice(b, s);
}

/* Returns where n bytes can be read, or NULL. */
static const void *unpack_take(struct unpack *u, size_t n)
{
    const void *p = u->next;

    if (u->bad || n > (size_t)(u->end - u->next)) {
        u->bad = true;
        return NULL;
    }
    u->next += n;
    return p;
}

uint8_t unpack_u8(struct unpack *u)
{
    const uint8_t *p = unpack_take(u, 1);

    return p ? *p : 0;
}

uint32_t unpack_u32(struct unpack *u)
{
    const void *p = unpack_take(u, sizeof(uint32_t));
    uint32_t v = 0;

    if (p)
        memcpy(&v, p, sizeof(v));
    return le32toh(v);
}

uint64_t unpack_u64(struct unpack *u)
{
    const void *p = unpack_take(u, sizeof(uint64_t));
    uint64_t v = 0;

    if (p)
        memcpy(&v, p, sizeof(v));
    return le64toh(v);
}

struct slice unpack_str(struct unpack *u)
{
    uint32_t len = unpack_u32(u);
    const char *p = unpack_take(u, len);

    return p ? slice(p, len) : SLICE_NULL;
}

uint32_t unpack_count(struct unpack *u, size_t item_bytes_min)
{
    uint32_t n = unpack_u32(u);

    if (!u->bad && n > (size_t)(u->end - u->next) / item_bytes_min)
        u->bad = true;
    return u->bad ? 0 : n;
}

int unpack_end(const struct unpack *u)
{
    return u->bad || u->next != u->end ? -EBADMSG : 0;
}
