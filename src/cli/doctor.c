/* mayfly doctor: runs the examinations and tells what each is for. */

#include "cli/doctor.h"

#include "cli/cli.h"
#include "cli/output.h"

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

enum cli_exit command_doctor(struct cli *cli)
{
    enum health worst = HEALTH_OK;
    struct json_out o;

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
        jsonw_object_end(&o.w);
        json_out_end(&o);
    }
    return worst == HEALTH_BROKEN ? CLI_FAILURE : CLI_OK;
}
