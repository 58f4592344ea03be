#include "cli/lines.h"

#include "base/log.h"
#include "cli/api.h"
#include "cli/output.h"
#include "cli/show.h"

#include <string.h>

static const struct {
    const char *stream;
    char mark;
    const char *paint;
} streams[] = {
    {"stdout", '|', ""},
    {"stderr", '!', COLOR_YELLOW},
    {"system", '*', COLOR_CYAN},
};

static size_t place(const json_t *line)
{
    for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
        if (strcmp(streams[i].stream, api_string(line, "stream")) == 0)
            return i;
    }
    return 0;
}

char lines_mark(const json_t *line)
{
    return streams[place(line)].mark;
}

const char *lines_paint(const json_t *line)
{
    return streams[place(line)].paint;
}

void lines_print(const struct cli *cli, const json_t *line, uint64_t now_us)
{
    uint64_t time_us = api_number(line, "time_us");
    char time[SHOW_SIZE], id[64];
    bool colors = cli->color_out;
    const char *paint = color(colors, lines_paint(line));

    (void)printf("%s%s%s %s", color(colors, COLOR_DIM),
                 show_same_day(time_us, now_us) ? show_clock(time_us, time)
                                                : show_moment(time_us, time),
                 color(colors, COLOR_NONE), color(colors, COLOR_BOLD));
    line_quoted(stdout, slice_str(api_string(line, "function")));
    (void)printf("%s %s", color(colors, COLOR_NONE), color(colors, COLOR_DIM));
    (void)log_quote(slice_str(api_string(line, "request_id")), id, sizeof id);
    (void)printf("%-*.*s", SHOW_ID_LEN, SHOW_ID_LEN, id);
    (void)printf("%s %s%c ", color(colors, COLOR_NONE), paint, lines_mark(line));
    line_quoted(stdout, slice_str(api_string(line, "text")));
    (void)printf("%s\n", *paint ? COLOR_NONE : "");
}

static void print_indented(FILE *to, struct slice text)
{
    while (text.len > 0) {
        struct slice line = slice_cut(&text, '\n');

        (void)fputs("  ", to);
        line_quoted(to, line);
        (void)fputc('\n', to);
    }
}

void lines_print_trace(FILE *to, const json_t *error)
{
    json_t *line;
    size_t i;

    json_array_foreach(json_object_get(error, "stackTrace"), i, line)
    {
        print_indented(to, slice_str(json_string_value(line)));
    }
}

void lines_print_stack(FILE *to, const char *stack)
{
    json_t *error = NULL;

    if (json_text_load(slice_str(stack), "stack", &error, NULL) == 0 &&
        json_is_array(json_object_get(error, "stackTrace"))) {
        char *text =
            cli_printf("%s: %s", api_string(error, "errorType"), api_string(error, "errorMessage"));

        print_indented(to, slice_str(text));
        lines_print_trace(to, error);
        free(text);
    } else {
        print_indented(to, slice_str(stack));
    }
    json_decref(error);
}
