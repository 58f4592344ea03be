#include "sandbox/layers.h"

#include "base/utf8.h"
#include "cgroup/cgroup.h"

#include <stdio.h>
#include <string.h>

#define REQUIRED NULL
#define NO_GROUP "no control group is delegated to this user"
#define MEND_GROUP                                                                                 \
    "let root write to the control groups; a plain user gets one by Delegate=yes of systemd"

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

void sandbox_report_groups(struct sandbox_report *report, const struct cgroups *groups)
{
    static const struct {
        enum sandbox_layer layer;
        enum cgroup_part part;
    } rows[] = {{LAYER_CGROUP_MEMORY, CGROUP_MEMORY},
                {LAYER_CGROUP_CPU, CGROUP_CPU},
                {LAYER_CGROUP_PROCESSES, CGROUP_PIDS},
                {LAYER_CGROUP_KILL, CGROUP_UNIFIED}};
    struct buf there = BUF_INIT(1024);
    char reason[LAYER_REASON_MAX];

    (void)cgroups_print(groups, &there);
    (void)snprintf(reason, sizeof(reason), "%scontrol groups: %.*s",
                   getenv("MAYFLY_CGROUPS") ? "MAYFLY_CGROUPS asks for less; " : "",
                   (int)buf_len(&there), buf_len(&there) ? buf_slice(&there).base : "");
    buf_deinit(&there);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        layer_judge(report, rows[i].layer, groups->parts & 1u << rows[i].part, reason);
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
