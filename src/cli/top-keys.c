/* What keys do. Those of htop are the same here where there is something like it. */

#include "cli/top-ui.h"

#include "base/clock.h"
#include "cli/api.h"

#include <curses.h>
#include <stdarg.h>
#include <string.h>

#define ESCAPE 27
#define CTRL_L 12

void top_say(struct top_ui *ui, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    (void)vsnprintf(ui->message, sizeof ui->message, format, ap);
    va_end(ap);
    ui->message_until_ns = clock_now_ns() + TOP_MESSAGE_S * NS_PER_S;
}

/* ---- killing ---- */

static void ask_to_kill(struct top_ui *ui)
{
    const struct top_process *p = top_selected_process(&ui->model);

    if (!p || !p->request_id[0]) {
        top_say(ui, "no request is selected: Tab leads to the workers");
        return;
    }
    (void)snprintf(ui->kill_id, sizeof ui->kill_id, "%s", p->request_id);
    (void)snprintf(ui->kill_function, sizeof ui->kill_function, "%s", p->function);
    ui->mode = TOP_MODE_KILL;
}

static void kill_request(struct top_ui *ui)
{
    _cleanup_free_ char *target = api_path("/api/v1/requests/", ui->kill_id, "/kill");
    struct error err = ERROR_NULL;
    json_t *answer = NULL;
    unsigned status = 0;
    int r = api_try(ui->peer, "POST", target, &status, &answer, &err);

    if (r != 0)
        top_say(ui, "not killed: %s", err.text);
    else if (status >= 200 && status < 300)
        top_say(ui, "killed %s", ui->kill_id);
    else if (status == 404)
        top_say(ui, "%s does not run any more", ui->kill_id);
    else
        top_say(ui, "not killed: the daemon answers %u %s", status,
                api_string(answer, "errorMessage"));
    json_decref(answer);
}

static void kill_key(struct top_ui *ui, int key)
{
    ui->mode = TOP_MODE_LIST;
    if (key == 'y' || key == 'Y')
        kill_request(ui);
    else
        top_say(ui, "nothing is killed");
}

/* ---- the filter ---- */

static void filter_key(struct top_ui *ui, int key)
{
    char *filter = ui->model.filter;
    size_t len = strlen(filter);

    if (key == '\n' || key == '\r' || key == KEY_ENTER) {
        ui->mode = TOP_MODE_LIST;
    } else if (key == ESCAPE) {
        filter[0] = '\0';
        ui->mode = TOP_MODE_LIST;
    } else if (key == KEY_BACKSPACE || key == 127 || key == 8) {
        filter[len > 0 ? len - 1 : 0] = '\0';
    } else if (key >= 0x20 && key < 0x7f && len < TOP_FILTER_MAX) {
        filter[len] = (char)key;
        filter[len + 1] = '\0';
    }
    top_model_arrange(&ui->model);
}

/* ---- the list ---- */

static void open_logs(struct top_ui *ui)
{
    const struct top_process *p = top_selected_process(&ui->model);
    const struct top_function *f = top_selected_function(&ui->model);

    if (ui->focus == TOP_WORKERS && p)
        top_pager_open(ui, p->function, p->request_id);
    else if (ui->focus == TOP_FUNCTIONS && f)
        top_pager_open(ui, f->name, "");
    else
        top_say(ui, "nothing is selected");
}

/* Returns whether it was a key that moves. */
static bool move_key(struct top_ui *ui, int key)
{
    struct top_view *v = &ui->model.views[ui->focus];
    long page = MAX(top_rows() / 2, 1);

    switch (key) {
    case KEY_UP:
        top_view_move(v, -1);
        return true;
    case KEY_DOWN:
    case 'j':
        top_view_move(v, 1);
        return true;
    case KEY_PPAGE:
        top_view_move(v, -page);
        return true;
    case KEY_NPAGE:
        top_view_move(v, page);
        return true;
    case KEY_HOME:
    case 'g':
        top_view_move(v, -(long)v->n);
        return true;
    case KEY_END:
    case 'G':
        top_view_move(v, (long)v->n);
        return true;
    default:
        return false;
    }
}

/* Returns whether it was a key that sorts. */
static bool sort_key(struct top_ui *ui, int key)
{
    struct top_view *v = &ui->model.views[ui->focus];

    switch (key) {
    case '>':
    case '.':
    case KEY_RIGHT:
        top_view_sort_next(v, 1);
        break;
    case '<':
    case ',':
    case KEY_LEFT:
        top_view_sort_next(v, -1);
        break;
    case 'r':
    case 'I':
        v->reversed = !v->reversed;
        break;
    case 'C':
    case 'P':
        top_view_sort_by(v, "CPU%");
        break;
    case 'M':
        top_view_sort_by(v, "MEM");
        break;
    case 'R':
        top_view_sort_by(v, "REQ/S");
        break;
    case 'A':
    case 'T':
        top_view_sort_by(v, "AGE");
        break;
    default:
        return false;
    }
    top_model_arrange(&ui->model);
    return true;
}

static void list_key(struct top_ui *ui, int key)
{
    switch (key) {
    case 'q':
    case 'Q':
    case KEY_F(10):
        ui->ends = true;
        break;
    case '\t':
    case KEY_BTAB:
        ui->focus = ui->focus == TOP_FUNCTIONS ? TOP_WORKERS : TOP_FUNCTIONS;
        break;
    case '\n':
    case '\r':
    case KEY_ENTER:
    case 'l':
        open_logs(ui);
        break;
    case 'k':
    case KEY_DC:
    case KEY_F(9):
        ask_to_kill(ui);
        break;
    case '/':
    case KEY_F(4):
        ui->mode = TOP_MODE_FILTER;
        break;
    case ESCAPE:
        ui->model.filter[0] = '\0';
        top_model_arrange(&ui->model);
        break;
    case 'a':
        ui->model.all_processes = !ui->model.all_processes;
        top_model_arrange(&ui->model);
        break;
    case 'p':
    case ' ':
        ui->paused = !ui->paused;
        break;
    case '?':
    case 'h':
    case KEY_F(1):
        ui->mode = TOP_MODE_HELP;
        break;
    default:
        if (!move_key(ui, key))
            (void)sort_key(ui, key);
    }
}

void top_key(struct top_ui *ui, int key)
{
    if (key == CTRL_L) {
        (void)clearok(stdscr, TRUE);
        return;
    }
    ui->message[0] = '\0';
    switch (ui->mode) {
    case TOP_MODE_LIST:
        list_key(ui, key);
        break;
    case TOP_MODE_FILTER:
        filter_key(ui, key);
        break;
    case TOP_MODE_KILL:
        kill_key(ui, key);
        break;
    case TOP_MODE_HELP:
        ui->mode = TOP_MODE_LIST;
        break;
    case TOP_MODE_PAGER:
        top_pager_key(ui, key);
        break;
    }
}
