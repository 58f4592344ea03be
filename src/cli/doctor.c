/* mayfly doctor: runs the examinations and tells what each is for. */

#include "cli/doctor.h"

#include "cli/cli.h"
#include "cli/output.h"
#include "cli/paths.h"

#include "cgroup/cgroup.h"
#include "os/fd.h"
#include "sandbox/egress.h"

#include <errno.h>
#include <fcntl.h>

static const struct {
    const char *name;
    const char *color;
} healths[_HEALTH_MAX] = {
    [HEALTH_OK] = {"ok", COLOR_GREEN},
    [HEALTH_WARN] = {"warn", COLOR_YELLOW},
    [HEALTH_MISSING] = {"missing", COLOR_YELLOW},
    [HEALTH_BROKEN] = {"broken", COLOR_RED},
};

static void print_line(const struct cli *cli, const struct check *check, enum health health,
                       const char *detail)
{
    (void)printf("%s%-8s%s %-16s ", color(cli->color_out, healths[health].color),
                 healths[health].name, color(cli->color_out, COLOR_NONE), check->name);
    text_quoted(stdout, slice_str(detail));
    (void)printf(" (%s)\n", check->use);
    if (health != HEALTH_OK) {
        (void)printf("%25s -> %s\n", "", check->mend);
    }
    (void)fflush(stdout);
}

static void print_json(struct jsonw *w, const struct check *check, enum health health,
                       const char *detail)
{
    jsonw_object_begin(w);
    json_pair(w, "name", check->name);
    json_pair(w, "health", healths[health].name);
    json_pair(w, "detail", detail);
    json_pair(w, "use", check->use);
    json_pair(w, "mend", health == HEALTH_OK ? NULL : check->mend);
    jsonw_object_end(w);
}

/* ---- the sandbox that a daemon of this user gets ---- */

static const struct {
    const char *word;
    const char *color;
} layer_states[_LAYER_STATE_MAX] = {
    [LAYER_ON] = {"on", COLOR_GREEN},
    [LAYER_OFF] = {"off", COLOR_RED},
    [LAYER_ABSENT] = {"-", COLOR_DIM},
};

static int probe_sandbox(struct sandbox_report *ret, struct error *err)
{
    _cleanup_free_ char *program = NULL;
    _cleanup_close_ int init_fd = -1;
    struct paths_home home;
    struct cgroups groups;
    int r = paths_home(&home, err);

    if (r < 0) {
        return r;
    }
    program = cli_printf("%s/mayfly-init", home.libexec);
    init_fd = open(program, O_PATH | O_CLOEXEC);
    if (init_fd < 0) {
        return error_set_errno(err, -errno, "%s", program);
    }
    sandbox_probe(init_fd, ret);
    cgroups_probe(cgroups_wanted(), &groups);
    sandbox_report_groups(ret, &groups);
    sandbox_egress_probe(ret, groups.parts & 1u << CGROUP_UNIFIED, -1);
    return 0;
}

static void print_layer(const struct cli *cli, const struct sandbox_report *report,
                        enum sandbox_layer layer)
{
    enum layer_state state = report->layers[layer].state;

    (void)printf("%s%-8s%s %-18s %s\n", color(cli->color_out, layer_states[state].color),
                 layer_states[state].word, color(cli->color_out, COLOR_NONE), layer_name(layer),
                 layer_protects(layer));
    if (state == LAYER_OFF) {
        (void)printf("%27s missing: ", "");
        text_quoted(stdout, slice_str(report->layers[layer].reason));
        (void)printf("\n%27s -> %s\n", "", layer_mend(layer));
    } else if (state == LAYER_ABSENT) {
        (void)printf("%27s not in this profile: %s\n", "", report->layers[layer].reason);
    }
}

static void print_sandbox(const struct cli *cli, const struct sandbox_report *report)
{
    unsigned missing = sandbox_report_missing(report);

    (void)printf("\nsandbox: profile %s", sandbox_profile_name(report->profile));
    if (report->profile != report->wanted) {
        (void)printf(" instead of %s", sandbox_profile_name(report->wanted));
    }
    (void)printf("\n");
    for (enum sandbox_layer i = 0; i < _LAYER_MAX; i++) {
        print_layer(cli, report, i);
    }
    if (missing > 0) {
        (void)printf("\n%u missing: `mayfly serve` starts only with --allow-degraded\n", missing);
    }
}

static void print_sandbox_json(struct jsonw *w, const struct sandbox_report *report)
{
    jsonw_key(w, "sandbox");
    jsonw_object_begin(w);
    json_pair(w, "profile", sandbox_profile_name(report->profile));
    json_pair(w, "wanted", sandbox_profile_name(report->wanted));
    json_pair_u64(w, "missing", sandbox_report_missing(report));
    jsonw_key(w, "layers");
    jsonw_array_begin(w);
    for (enum sandbox_layer i = 0; i < _LAYER_MAX; i++) {
        enum layer_state state = report->layers[i].state;

        jsonw_object_begin(w);
        json_pair(w, "name", layer_name(i));
        json_pair(w, "state", layer_state_name(state));
        json_pair(w, "protects", layer_protects(i));
        json_pair(w, "reason", state == LAYER_ON ? NULL : report->layers[i].reason);
        json_pair(w, "mend", state == LAYER_OFF ? layer_mend(i) : NULL);
        jsonw_object_end(w);
    }
    jsonw_array_end(w);
    jsonw_object_end(w);
}

/* ---- all of it ---- */

enum cli_exit command_doctor(struct cli *cli)
{
    struct sandbox_report sandbox;
    struct error err = ERROR_NULL;
    enum health worst = HEALTH_OK;
    struct json_out o;

    if (probe_sandbox(&sandbox, &err) < 0) {
        return cli_fail(cli, CLI_FAILURE, "install mayfly completely, or set MAYFLY_HOME", "%s",
                        err.text);
    }
    if (cli->json) {
        json_out_begin(&o);
        jsonw_object_begin(&o.w);
        jsonw_key(&o.w, "checks");
        jsonw_array_begin(&o.w);
    }
    for (size_t i = 0; i < n_doctor_checks; i++) {
        char detail[DOCTOR_DETAIL_MAX] = "";
        enum health health = doctor_checks[i].run(&doctor_checks[i], detail);

        worst = MAX(worst, health);
        if (cli->json) {
            print_json(&o.w, &doctor_checks[i], health, detail);
        } else {
            print_line(cli, &doctor_checks[i], health, detail);
        }
    }
    if (cli->json) {
        jsonw_array_end(&o.w);
        json_pair(&o.w, "worst", healths[worst].name);
        print_sandbox_json(&o.w, &sandbox);
        jsonw_object_end(&o.w);
        json_out_end(&o);
    } else {
        print_sandbox(cli, &sandbox);
    }
    return worst == HEALTH_BROKEN || sandbox_report_missing(&sandbox) > 0 ? CLI_FAILURE : CLI_OK;
}
