#pragma once

/* The screen of `mayfly top`: what is shown (top-draw.c), what keys do (top-keys.c), and the view
 * of log lines within it (top-pager.c). */

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/top-model.h"

#define TOP_MESSAGE_MAX 200
#define TOP_MESSAGE_S   5

enum top_mode {
    TOP_MODE_LIST,
    TOP_MODE_FILTER, /* typing it */
    TOP_MODE_KILL,   /* asking whether */
    TOP_MODE_HELP,
    TOP_MODE_PAGER,
};

struct top_pager;

struct top_ui {
    const struct cli *cli;
    const struct client_peer *peer;
    struct top_model model;
    enum top_pane focus;
    enum top_mode mode;
    bool paused;  /* what comes is not taken */
    bool has_any; /* one event has come */
    bool utf8;
    bool ends;                  /* somebody has asked to end */
    char lost[TOP_MESSAGE_MAX]; /* why there is no connection; empty: there is one */
    char message[TOP_MESSAGE_MAX];
    uint64_t message_until_ns;
    char kill_id[37];
    char kill_function[TOP_NAME_MAX + 1];
    struct top_pager *pager; /* in TOP_MODE_PAGER */
};

/* ---- top-draw.c ---- */

enum top_paint {
    TOP_PAINT_PLAIN,
    TOP_PAINT_TITLE,  /* of a table */
    TOP_PAINT_SORTED, /* the title of the column that it is sorted by */
    TOP_PAINT_SELECTED,
    TOP_PAINT_GOOD,
    TOP_PAINT_WARN,
    TOP_PAINT_BAD,
    TOP_PAINT_DIM,
    TOP_PAINT_KEY, /* of the line of keys */
    TOP_PAINT_ACCENT,
    _TOP_PAINT_MAX,
};

void top_draw_begin(void); /* behind term_begin() */
void top_draw(struct top_ui *ui);

/* Text into `width` cells at y, x: cut, or filled with blanks. Nothing outside the screen is
 * touched. */
void top_put(int y, int x, int width, enum top_paint paint, const char *format, ...) _printf_(5, 6);
int top_rows(void);
int top_columns(void);

/* ---- top-keys.c ---- */

void top_key(struct top_ui *ui, int key);
void top_say(struct top_ui *ui, const char *format, ...) _printf_(2, 3);

/* ---- top-pager.c ---- */

/* Shows the lines of a request, or of a function where request is "". */
void top_pager_open(struct top_ui *ui, const char *function, const char *request);
void top_pager_close(struct top_ui *ui);
void top_pager_draw(struct top_ui *ui);
void top_pager_key(struct top_ui *ui, int key);

/* To be polled while it is open; then stepped. */
int top_pager_fd(const struct top_ui *ui);
short top_pager_events(const struct top_ui *ui);
int top_pager_timeout_ms(const struct top_ui *ui);
void top_pager_step(struct top_ui *ui);
