/* Names for addresses, from the symbol tables of the files that the code was loaded from. They are
 * looked at only when something has crashed, so nothing is kept ready. The process may be in any
 * state then: no locks, no heap, only system calls. */

#include "native.h"

#include "lines.h"

#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct module {
    uintptr_t address; /* looked for */
    uintptr_t bias;    /* how far the file is loaded from where it says */
    const char *path;  /* "" is the program itself; NULL is not found */
};

static int on_module(struct dl_phdr_info *info, size_t size, void *ctx)
{
    struct module *m = ctx;

    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];

        if (p->p_type != PT_LOAD || m->address - info->dlpi_addr - p->p_vaddr >= p->p_memsz)
            continue;
        m->bias = info->dlpi_addr;
        m->path = info->dlpi_name ? info->dlpi_name : "";
        return 1;
    }
    return 0;
}

/* ---- ELF files ---- */

/* Of this machine's word size. */
typedef ElfW(Ehdr) elf_head;
typedef ElfW(Shdr) elf_section_head;
typedef ElfW(Sym) elf_symbol;

struct elf {
    const char *bytes;
    size_t size;
    const elf_section_head *sections;
    unsigned n_sections;
    unsigned names_section;
    const elf_symbol *symbols;
    size_t n_symbols;
    const char *strings;
    size_t strings_size;
};

static bool elf_has(const struct elf *e, uint64_t offset, uint64_t len)
{
    return offset <= e->size && len <= e->size - offset;
}

static void elf_find_sections(struct elf *e)
{
    const elf_head *head = (const void *)e->bytes;

    if (!elf_has(e, 0, sizeof(*head)) || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
        head->e_shentsize != sizeof(*e->sections) || head->e_shoff % sizeof(void *) != 0 ||
        !elf_has(e, head->e_shoff, (uint64_t)head->e_shnum * sizeof(*e->sections)))
        return;
    e->sections = (const void *)(e->bytes + head->e_shoff);
    e->n_sections = head->e_shnum;
    e->names_section = head->e_shstrndx;
}

/* Finds the symbol table, and returns false if there is none of that type. */
static bool elf_find_symbols(struct elf *e, unsigned type)
{
    for (unsigned i = 0; i < e->n_sections; i++) {
        const elf_section_head *s = &e->sections[i], *strings;

        if (s->sh_type != type || s->sh_link >= e->n_sections)
            continue;
        strings = &e->sections[s->sh_link];
        if (!elf_has(e, s->sh_offset, s->sh_size) || s->sh_offset % sizeof(void *) != 0 ||
            !elf_has(e, strings->sh_offset, strings->sh_size))
            return false;
        e->symbols = (const void *)(e->bytes + s->sh_offset);
        e->n_symbols = s->sh_size / sizeof(*e->symbols);
        e->strings = e->bytes + strings->sh_offset;
        e->strings_size = strings->sh_size;
        return true;
    }
    return false;
}

/* The bytes of the section of that name; empty if there is none, or it is compressed. */
static struct slice elf_section(const struct elf *e, const char *name)
{
    const elf_section_head *names;
    size_t size = strlen(name) + 1;

    if (e->names_section >= e->n_sections)
        return SLICE_NULL;
    names = &e->sections[e->names_section];
    if (!elf_has(e, names->sh_offset, names->sh_size))
        return SLICE_NULL;
    for (unsigned i = 0; i < e->n_sections; i++) {
        const elf_section_head *s = &e->sections[i];

        if (s->sh_name >= names->sh_size || size > names->sh_size - s->sh_name ||
            memcmp(e->bytes + names->sh_offset + s->sh_name, name, size) != 0)
            continue;
        return (s->sh_flags & SHF_COMPRESSED) || s->sh_type == SHT_NOBITS ||
                       !elf_has(e, s->sh_offset, s->sh_size)
                   ? SLICE_NULL
                   : slice(e->bytes + s->sh_offset, s->sh_size);
    }
    return SLICE_NULL;
}

static bool elf_open(struct elf *e, const char *path)
{
    int fd = open(*path ? path : "/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct stat st;
    void *bytes = MAP_FAILED;

    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0)
        bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (fd >= 0)
        (void)close(fd);
    if (bytes == MAP_FAILED)
        return false;
    *e = (struct elf){.bytes = bytes, .size = (size_t)st.st_size};
    elf_find_sections(e); /* without any there are no symbols */
    return true;
}

static void elf_close(struct elf *e)
{
    (void)munmap((void *)(uintptr_t)e->bytes, e->size);
}

static bool is_function(const elf_symbol *s)
{
    unsigned type = s->st_info & 0xf;

    return (type == STT_FUNC || type == STT_GNU_IFUNC) && s->st_shndx != SHN_UNDEF;
}

static void copy_name(const struct elf *e, const elf_symbol *s, char *dst, size_t dst_size)
{
    size_t n = 0;

    while (n + 1 < dst_size && s->st_name + n < e->strings_size && e->strings[s->st_name + n])
        n++;
    memcpy(dst, e->strings + MIN((size_t)s->st_name, e->strings_size), n);
    dst[n] = '\0';
}

static void find_in(const struct elf *e, uintptr_t offset, uintptr_t bias, struct symbol *ret)
{
    for (size_t i = 0; i < e->n_symbols; i++) {
        const elf_symbol *s = &e->symbols[i];

        if (!is_function(s) || offset - s->st_value >= MAX(s->st_size, 1u))
            continue;
        copy_name(e, s, ret->name, sizeof(ret->name));
        ret->offset = offset - s->st_value;
        ret->start = s->st_value + bias;
        return;
    }
}

static void find_line(const struct elf *e, uintptr_t offset, struct symbol *ret)
{
    const struct line_tables tables = {
        .lines = elf_section(e, ".debug_line"),
        .line_strings = elf_section(e, ".debug_line_str"),
        .strings = elf_section(e, ".debug_str"),
    };
    struct line line;
    size_t len;

    if (!line_find(&tables, offset, &line))
        return;
    len = MIN(line.file.len, sizeof(ret->file) - 1);
    memcpy(ret->file, line.file.base, len);
    ret->file[len] = '\0';
    ret->line = line.number;
}

void symbol_find(const void *address, struct symbol *ret)
{
    struct module m = {.address = (uintptr_t)address};
    struct elf e;

    *ret = (struct symbol){.name = ""};
    if (!dl_iterate_phdr(on_module, &m))
        return;
    if (*m.path) {
        const char *slash = strrchr(m.path, '/');

        (void)strncat(ret->library, slash ? slash + 1 : m.path, sizeof(ret->library) - 1);
    }
    if (!elf_open(&e, m.path))
        return;
    if (elf_find_symbols(&e, SHT_SYMTAB) || elf_find_symbols(&e, SHT_DYNSYM))
        find_in(&e, m.address - m.bias, m.bias, ret);
    find_line(&e, m.address - m.bias, ret);
    elf_close(&e);
}

void symbol_list_exported(const char *path, char *dst, size_t dst_size)
{
    struct elf e;
    size_t used = 0;

    dst[0] = '\0';
    if (!elf_open(&e, path))
        return;
    if (!elf_find_symbols(&e, SHT_DYNSYM))
        e.n_symbols = 0;
    for (size_t i = 0; i < e.n_symbols; i++) {
        char name[sizeof(((struct symbol *)NULL)->name)];

        copy_name(&e, &e.symbols[i], name, sizeof(name));
        if (!is_function(&e.symbols[i]) || name[0] == '_' ||
            strncmp(name, "mayfly_", strlen("mayfly_")) == 0)
            continue;
        if (used + strlen(name) + 3 > dst_size)
            break;
        used += (size_t)(stpcpy(stpcpy(dst + used, used > 0 ? ", " : ""), name) - (dst + used));
    }
    elf_close(&e);
}
