#include "control/redactor.h"

#define TEXT_MAX (4UL * 1024 * 1024) /* a name may be longer than the value it stands for */

/* Rather nothing than a value. */
static const struct slice withheld = SLICE_LIT("[withheld: no memory to take secrets out]");

void redactor_init(struct redactor *x)
{
    for (size_t i = 0; i < ARRAY_SIZE(x->bufs); i++)
        buf_init(&x->bufs[i], TEXT_MAX);
}

void redactor_deinit(struct redactor *x)
{
    for (size_t i = 0; i < ARRAY_SIZE(x->bufs); i++)
        buf_deinit(&x->bufs[i]);
}

static struct slice without(const struct redact *r, struct slice text, unsigned cut, struct buf *b)
{
    int found;

    buf_clear(b);
    found = redact_text(r, text, cut, b);
    if (found < 0)
        return withheld;
    return found > 0 ? buf_slice(b) : text;
}

void redactor_line(struct redactor *x, const struct redact *r, struct log_line *l)
{
    unsigned cut = (l->goes_on ? REDACT_CUT_START : 0) | (l->is_cut ? REDACT_CUT_END : 0);

    if (r)
        l->text = without(r, l->text, cut, &x->bufs[0]);
}

void redactor_record(struct redactor *x, const struct redact *r, struct record *record)
{
    struct {
        struct slice *text;
        size_t max;
    } texts[ARRAY_SIZE(x->bufs)] = {
        {&record->error, RECORD_ERROR_MAX},
        {&record->stack, RECORD_STACK_MAX},
        {&record->path, RECORD_PATH_MAX},
    };

    for (size_t i = 0; i < ARRAY_SIZE(texts) && r; i++)
        *texts[i].text =
            without(r, *texts[i].text, texts[i].text->len >= texts[i].max ? REDACT_CUT_END : 0,
                    &x->bufs[i]);
}
