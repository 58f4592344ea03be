/* A line table is a program for a small machine (DWARF 5, section 6.2): run, it gives rows of
 * address, file and line in the order of the addresses. The row wanted is the last one that is not
 * behind the address. Every unit of compilation has a table; they are tried one after the other. */

#include "lines.h"

/* What the format calls DW_LNS_, DW_LNE_, DW_LNCT_ and DW_FORM_. */
enum {
    OP_EXTENDED,
    OP_COPY,
    OP_ADVANCE_PC,
    OP_ADVANCE_LINE,
    OP_SET_FILE,
    OP_CONST_ADD_PC = 8,
    OP_FIXED_ADVANCE_PC,

    EXTENDED_END_SEQUENCE = 1,
    EXTENDED_SET_ADDRESS,

    CONTENT_PATH = 1,

    FORM_DATA2 = 0x05,
    FORM_DATA4,
    FORM_DATA8,
    FORM_STRING,
    FORM_BLOCK,
    FORM_DATA1 = 0x0b,
    FORM_STRP = 0x0e,
    FORM_UDATA,
    FORM_DATA16 = 0x1e,
    FORM_LINE_STRP,
};

#define FORMATS_MAX 8

/* ---- reading ---- after the end there are only zeros, and bad is set ---- */

struct reader {
    const uint8_t *next;
    const uint8_t *end;
    bool bad;
};

static struct reader reader_of(struct slice s)
{
    return (struct reader){(const uint8_t *)s.base, (const uint8_t *)s.base + s.len, false};
}

static size_t left(const struct reader *r)
{
    return (size_t)(r->end - r->next);
}

/* Takes n bytes off the front. */
static struct slice take(struct reader *r, uint64_t n)
{
    struct slice s;

    if (n > left(r)) {
        r->bad = true;
        r->next = r->end;
        return SLICE_NULL;
    }
    s = slice(r->next, (size_t)n);
    r->next += n;
    return s;
}

static uint64_t read_uint(struct reader *r, unsigned size)
{
    struct slice s = take(r, size);
    uint64_t value = 0;

    for (size_t i = s.len; i > 0; i--)
        value = value << 8 | (uint8_t)s.base[i - 1]; /* all machines of ours are little-endian */
    return value;
}

static uint64_t read_uleb(struct reader *r)
{
    uint64_t value = 0, byte;
    unsigned shift = 0;

    do {
        byte = read_uint(r, 1);
        value |= shift < 64 ? (byte & 0x7f) << shift : 0;
        shift += 7;
    } while (byte & 0x80);
    return value;
}

static int64_t read_sleb(struct reader *r)
{
    uint64_t value = 0, byte;
    unsigned shift = 0;

    do {
        byte = read_uint(r, 1);
        value |= shift < 64 ? (byte & 0x7f) << shift : 0;
        shift += 7;
    } while (byte & 0x80);
    if ((byte & 0x40) && shift < 64)
        value |= UINT64_MAX << shift;
    return (int64_t)value;
}

static struct slice read_string(struct reader *r)
{
    const uint8_t *end = left(r) > 0 ? memchr(r->next, '\0', left(r)) : NULL;
    struct slice s = take(r, end ? (uint64_t)(end - r->next) : UINT64_MAX);

    (void)take(r, 1);
    return s;
}

static struct slice string_at(struct slice section, uint64_t offset)
{
    struct reader r = reader_of(section);

    (void)take(&r, offset);
    return read_string(&r);
}

/* ---- the head of a unit ---- */

struct unit {
    const struct line_tables *tables;
    struct reader program;
    struct reader names; /* of directories and files; then the program begins */
    unsigned version;
    unsigned offset_size; /* 4 or 8 */
    unsigned min_instruction;
    int line_base;
    unsigned line_range;
    unsigned opcode_base;
    const uint8_t *opcode_lengths; /* of opcode 1 and on */
};

/* Takes the next unit off *all. Returns false at the end. */
static bool unit_read(struct reader *all, const struct line_tables *tables, struct unit *u)
{
    uint64_t length = read_uint(all, 4);
    struct reader r;

    *u = (struct unit){.tables = tables, .offset_size = 4};
    if (length == UINT32_MAX) {
        u->offset_size = 8;
        length = read_uint(all, 8);
    }
    r = reader_of(take(all, length));
    if (all->bad)
        return false;
    u->version = (unsigned)read_uint(&r, 2);
    if (u->version >= 5)
        (void)read_uint(&r, 2); /* sizes of addresses and segments */
    length = read_uint(&r, u->offset_size);
    u->names = reader_of(take(&r, length));
    u->program = r;
    u->min_instruction = (unsigned)read_uint(&u->names, 1);
    if (u->version >= 4)
        (void)read_uint(&u->names, 1); /* operations per instruction: 1 */
    (void)read_uint(&u->names, 1);     /* whether rows are statements at first */
    u->line_base = (int8_t)read_uint(&u->names, 1);
    u->line_range = (unsigned)read_uint(&u->names, 1);
    u->opcode_base = (unsigned)read_uint(&u->names, 1);
    u->opcode_lengths = u->names.next;
    (void)take(&u->names, u->opcode_base > 0 ? u->opcode_base - 1 : 0);
    return true;
}

static bool unit_is_known(const struct unit *u)
{
    return u->version >= 2 && u->version <= 5 && !u->names.bad && u->line_range > 0 &&
           u->opcode_base > 0;
}

/* ---- names of files ---- */

static struct slice read_form(const struct unit *u, struct reader *r, uint64_t form)
{
    switch (form) {
    case FORM_STRING:
        return read_string(r);
    case FORM_STRP:
        return string_at(u->tables->strings, read_uint(r, u->offset_size));
    case FORM_LINE_STRP:
        return string_at(u->tables->line_strings, read_uint(r, u->offset_size));
    case FORM_UDATA:
        (void)read_uleb(r);
        return SLICE_NULL;
    case FORM_BLOCK:
        return take(r, read_uleb(r));
    case FORM_DATA1:
        return take(r, 1);
    case FORM_DATA2:
        return take(r, 2);
    case FORM_DATA4:
        return take(r, 4);
    case FORM_DATA8:
        return take(r, 8);
    case FORM_DATA16:
        return take(r, 16);
    default:
        r->bad = true;
        return SLICE_NULL;
    }
}

/* Of a table of directories or files in version 5, the path of entry `index`; leaves *r behind the
 * table if that is not below the count. */
static struct slice read_entries(const struct unit *u, struct reader *r, uint64_t index)
{
    uint64_t content[FORMATS_MAX], form[FORMATS_MAX], n_entries;
    unsigned n_formats = (unsigned)read_uint(r, 1);

    if (n_formats > FORMATS_MAX)
        r->bad = true;
    for (unsigned i = 0; i < n_formats && !r->bad; i++) {
        content[i] = read_uleb(r);
        form[i] = read_uleb(r);
    }
    n_entries = n_formats > 0 ? read_uleb(r) : 0;
    for (uint64_t entry = 0; entry < n_entries && !r->bad; entry++) {
        struct slice path = SLICE_NULL;

        for (unsigned i = 0; i < n_formats; i++) {
            struct slice value = read_form(u, r, form[i]);

            if (content[i] == CONTENT_PATH)
                path = value;
        }
        if (entry == index)
            return path;
    }
    return SLICE_NULL;
}

static struct slice old_file_name(const struct unit *u, uint64_t index)
{
    struct reader r = u->names;

    while (read_string(&r).len > 0)
        continue; /* directories */
    for (uint64_t i = 1; !r.bad; i++) {
        struct slice name = read_string(&r);

        if (i == index || name.len == 0)
            return name;
        (void)read_uleb(&r); /* directory, time, size */
        (void)read_uleb(&r);
        (void)read_uleb(&r);
    }
    return SLICE_NULL;
}

static struct slice file_name(const struct unit *u, uint64_t index)
{
    struct reader r = u->names;
    struct slice path;
    const char *slash;

    if (u->version >= 5) {
        (void)read_entries(u, &r, UINT64_MAX); /* directories */
        path = read_entries(u, &r, index);
    } else {
        path = old_file_name(u, index);
    }
    slash = path.len > 0 ? memrchr(path.base, '/', path.len) : NULL;
    return slash ? slice(slash + 1, path.len - (size_t)(slash + 1 - path.base)) : path;
}

/* ---- the program ---- */

struct row {
    uint64_t address;
    uint64_t file;
    uint64_t line;
};

static const struct row first_row = {.address = 0, .file = 1, .line = 1};

struct machine {
    struct row row;
    struct row before; /* the last one told */
    bool has_before;
    bool row_is_told; /* by the opcode just run */
    bool ends;        /* and it ends a sequence */
};

static void run_extended(struct machine *m, struct reader *p)
{
    struct reader r = reader_of(take(p, read_uleb(p)));
    uint64_t opcode = read_uint(&r, 1);

    if (opcode == EXTENDED_SET_ADDRESS)
        m->row.address = read_uint(&r, (unsigned)MIN(left(&r), sizeof(uint64_t)));
    m->row_is_told = m->ends = opcode == EXTENDED_END_SEQUENCE;
}

static void run_special(const struct unit *u, struct machine *m, unsigned opcode)
{
    m->row.address += (uint64_t)(opcode / u->line_range) * u->min_instruction;
    m->row.line += (uint64_t)(int64_t)(u->line_base + (int)(opcode % u->line_range));
}

static void run_opcode(const struct unit *u, struct machine *m, struct reader *p)
{
    unsigned opcode = (unsigned)read_uint(p, 1);

    m->row_is_told = m->ends = false;
    if (opcode >= u->opcode_base) {
        run_special(u, m, opcode - u->opcode_base);
        m->row_is_told = true;
        return;
    }
    switch (opcode) {
    case OP_EXTENDED:
        run_extended(m, p);
        return;
    case OP_COPY:
        m->row_is_told = true;
        return;
    case OP_ADVANCE_PC:
        m->row.address += read_uleb(p) * u->min_instruction;
        return;
    case OP_ADVANCE_LINE:
        m->row.line += (uint64_t)read_sleb(p);
        return;
    case OP_SET_FILE:
        m->row.file = read_uleb(p);
        return;
    case OP_CONST_ADD_PC: /* as the special opcode 255, without its line */
        m->row.address += (uint64_t)((255 - u->opcode_base) / u->line_range) * u->min_instruction;
        return;
    case OP_FIXED_ADVANCE_PC:
        m->row.address += read_uint(p, 2);
        return;
    default: /* columns and the like */
        for (unsigned i = 0; i < u->opcode_lengths[opcode - 1]; i++)
            (void)read_uleb(p);
        return;
    }
}

/* Whether the address is between two rows of this unit; then *ret is the first of them. */
static bool unit_find(const struct unit *u, uint64_t address, struct row *ret)
{
    struct machine m = {.row = first_row};
    struct reader p = u->program;

    while (left(&p) > 0) {
        run_opcode(u, &m, &p);
        if (!m.row_is_told)
            continue;
        if (m.has_before && m.before.address <= address && address < m.row.address) {
            *ret = m.before;
            return true;
        }
        m.before = m.row;
        m.has_before = !m.ends;
        if (m.ends)
            m.row = first_row;
    }
    return false;
}

bool line_find(const struct line_tables *t, uint64_t address, struct line *ret)
{
    struct reader all = reader_of(t->lines);
    struct unit u;
    struct row row;

    while (left(&all) > 0 && unit_read(&all, t, &u)) {
        if (!unit_is_known(&u) || !unit_find(&u, address, &row))
            continue;
        ret->file = file_name(&u, row.file);
        ret->number = (unsigned)row.line;
        return ret->file.len > 0 && row.line > 0;
    }
    return false;
}
