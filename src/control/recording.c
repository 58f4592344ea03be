#include "control/recording.h"

#include "base/log.h"
#include "control/control.h"
#include "control/scrub.h"

#include <errno.h>

#define PART_MAX (256UL * 1024)

enum { HEAD, BODY, ANSWER_HEAD, ANSWER_BODY, _PARTS };

struct parts {
    struct buf scrubbed[_PARTS];
    struct slice texts[_PARTS];
    bool changed;
};

static int take_secrets(const struct redact *redact, struct buf *b, bool *changed)
{
    struct buf clean = BUF_INIT(2 * b->max); /* a name may be longer than its value */
    int r = redact ? redact_text(redact, buf_slice(b), REDACT_CUT_END, &clean) : 0;

    if (r == 1) {
        buf_deinit(b);
        *b = clean;
        *changed = true;
    } else {
        buf_deinit(&clean);
    }
    return r;
}

/* A text without what is named, and then without the values of secrets. */
static int parts_fill(struct parts *p, const struct wire_recording *m, char *const *names,
                      const struct redact *redact)
{
    for (int i = 0; i < _PARTS; i++) {
        struct buf *b = &p->scrubbed[i];
        int r;

        buf_init(b, PART_MAX);
        if (i == HEAD)
            r = scrub_head(names, m->head, true, b);
        else if (i == BODY)
            r = scrub_body(names, m->head, m->body, b);
        else if (i == ANSWER_HEAD)
            r = scrub_head(names, m->answer_head, false, b);
        else
            r = scrub_body(names, m->answer_head, m->answer_body, b);
        if (r < 0)
            return r;
        p->changed = p->changed || r == 1;
        r = take_secrets(redact, b, &p->changed);
        if (r < 0)
            return r;
        p->texts[i] = buf_slice(b);
    }
    return 0;
}

static uint64_t flags_of(const struct wire_recording *m, bool changed)
{
    return (m->cut & (RECORDING_CUT_HEAD | RECORDING_CUT_BODY) ? STORE_CAPTURE_REQUEST_CUT : 0) |
           (m->cut & RECORDING_CUT_ANSWER ? STORE_CAPTURE_RESPONSE_CUT : 0) |
           (changed ? STORE_CAPTURE_REDACTED : 0) | (uint64_t)m->trigger << RECORDING_TRIGGER_SHIFT;
}

void recording_take(struct control *c, const struct wire_recording *m)
{
    const struct function *f = c->last ? snapshot_find(c->last, m->function) : NULL;
    struct parts p = {.changed = false};
    int r = parts_fill(&p, m, f ? f->redact : NULL, project_redact(c->project));

    if (m->lost > 0)
        keep_gateway_lost(&c->keep, "recordings", m->lost);
    if (r == 0) {
        struct store_capture capture = {.request_id = m->request_id,
                                        .function = m->function,
                                        .version = m->version,
                                        .time_us = clock_wall_us(),
                                        .flags = flags_of(m, p.changed),
                                        .request_head = p.texts[HEAD],
                                        .request_body = p.texts[BODY],
                                        .response_head = p.texts[ANSWER_HEAD],
                                        .response_body = p.texts[ANSWER_BODY]};

        keep_capture(&c->keep, &capture);
    } else {
        keep_gateway_lost(&c->keep, "recordings", 1); /* rather none than one with a secret in it */
    }
    for (int i = 0; i < _PARTS; i++)
        buf_deinit(&p.scrubbed[i]);
}

int recording_clean_answer(struct control *c, struct slice function, struct slice head,
                           struct slice body, struct buf *ret_head, struct buf *ret_body)
{
    const struct function *f = c->last ? snapshot_find(c->last, function) : NULL;
    const struct redact *redact = project_redact(c->project);
    char *const *names = f ? f->redact : NULL;
    bool changed = false;
    int r = scrub_head(names, head, false, ret_head);

    if (r >= 0)
        r = scrub_body(names, head, body, ret_body);
    if (r >= 0)
        r = take_secrets(redact, ret_head, &changed);
    if (r >= 0)
        r = take_secrets(redact, ret_body, &changed);
    return MIN(r, 0);
}
