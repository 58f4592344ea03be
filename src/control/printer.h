#pragma once

/* What comes of records and log lines: JSON for programs, or lines for people. One table, two
 * rows. */

#include "control/output.h"
#include "model/record.h"

#define PRINTER_HELD_MAX 256

struct printer;

struct printer_kind {
    void (*record)(struct printer *p, const struct record *r);
    void (*log_line)(struct printer *p, const struct log_line *l, uint64_t now_ns);
    void (*lost)(struct printer *p, const char *what, uint64_t n);
    /* Prints what has been held back long enough. Returns when it wants to be called again, or
     * UINT64_MAX. A now_ns of UINT64_MAX prints everything. May be NULL. */
    uint64_t (*tick)(struct printer *p, uint64_t now_ns);
};

extern const struct printer_kind printer_json;
extern const struct printer_kind printer_pretty;

/* A log line that waits for its request's line, to stand below it. */
struct printer_held {
    uint64_t until_ns;
    enum log_stream stream;
    char request_id[REQUEST_ID_LEN + 1];
    char function[65];
    char *text;
    size_t len;
};

/* The folder where a function's code really is, or NULL: borrowed until the next call. */
typedef const char *printer_find_code(void *ctx, struct slice function);

struct printer {
    const struct printer_kind *kind;
    struct output *out;
    bool color;
    struct printer_held held[PRINTER_HELD_MAX]; /* oldest first */
    uint32_t n_held;
    /* For people: where the functions' own name of it stands, this is printed. NULL: as it is. */
    printer_find_code *find_code;
    void *find_code_ctx;
    const char *code; /* of the event that is being printed */
};

void printer_init(struct printer *p, const struct printer_kind *kind, struct output *out,
                  bool color);
void printer_deinit(struct printer *p);

static inline uint64_t printer_tick(struct printer *p, uint64_t now_ns)
{
    return p->kind->tick ? p->kind->tick(p, now_ns) : UINT64_MAX;
}
