#include "control/printer.h"

void printer_init(struct printer *p, const struct printer_kind *kind, struct output *out,
                  bool color)
{
    *p = (struct printer){.kind = kind, .out = out, .color = color};
}

void printer_deinit(struct printer *p)
{
    for (uint32_t i = 0; i < p->n_held; i++)
        free(p->held[i].text);
    p->n_held = 0;
}
