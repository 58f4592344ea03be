#include "sandbox/layers.h"

#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

#define REQUIRED NULL

static const struct {
    const char *name, *protects;
    const char *absent[_SANDBOX_PROFILE_MAX]; /* why it is not part of that profile */
    const char *mend;
} layers[_LAYER_MAX] = {
#define LAYER(NAME, name, protects, root, user, mend)                                              \
    [LAYER_##NAME] = {name, protects, {[SANDBOX_ROOT] = (root), [SANDBOX_USER] = (user)}, mend},
#include "sandbox/layers.tbl.h"
#undef LAYER
};

const char *layer_name(enum sandbox_layer layer)
{
    return layers[layer].name;
}

const char *layer_protects(enum sandbox_layer layer)
{
    return layers[layer].protects;
}

const char *layer_mend(enum sandbox_layer layer)
{
    return layers[layer].mend;
}

const char *layer_state_name(enum layer_state state)
{
    static const char *const names[_LAYER_STATE_MAX] = {
        [LAYER_ON] = "on", [LAYER_OFF] = "off", [LAYER_ABSENT] = "not-in-profile"};

    return names[state];
}

void layer_judge(struct sandbox_report *report, enum sandbox_layer layer, bool holds,
                 const char *reason)
{
    const char *absent = layers[layer].absent[report->wanted];
    char *dst = report->layers[layer].reason;

    report->layers[layer].state = holds ? LAYER_ON : absent ? LAYER_ABSENT : LAYER_OFF;
    (void)snprintf(dst, LAYER_REASON_MAX, "%s", holds ? "" : absent ? absent : reason);
}

unsigned sandbox_report_missing(const struct sandbox_report *report)
{
    unsigned n = 0;

    for (unsigned i = 0; i < _LAYER_MAX; i++)
        n += report->layers[i].state == LAYER_OFF;
    return n;
}

char *sandbox_report_names(const struct sandbox_report *report, const char *between, char *dst,
                           size_t dst_size)
{
    size_t len = 0;

    dst[0] = '\0';
    for (unsigned i = 0; i < _LAYER_MAX && len < dst_size; i++) {
        if (report->layers[i].state == LAYER_OFF)
            len += (size_t)snprintf(dst + len, dst_size - len, "%s%s", len ? between : "",
                                    layers[i].name);
    }
    return dst;
}

static int write_pair(struct buf *b, bool *first, const char *name, const char *value)
{
    int r = buf_printf(b, "%s\"%s\": ", *first ? "" : ", ", name);

    *first = false;
    return r < 0 ? r : utf8_write_json(b, slice_str(value));
}

int sandbox_report_json(const struct sandbox_report *report, struct buf *b)
{
    bool first = true;
    int r =
        buf_printf(b, "{\"profile\": \"%s\", \"layers\": {", sandbox_profile_name(report->profile));

    for (unsigned i = 0; i < _LAYER_MAX && r == 0; i++)
        r = write_pair(b, &first, layers[i].name, layer_state_name(report->layers[i].state));
    r = r < 0 ? r : buf_append_str(b, "}, \"missing\": {");
    first = true;
    for (unsigned i = 0; i < _LAYER_MAX && r == 0; i++) {
        if (report->layers[i].state == LAYER_OFF)
            r = write_pair(b, &first, layers[i].name, report->layers[i].reason);
    }
    return r < 0 ? r : buf_append_str(b, "}}");
}
