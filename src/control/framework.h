#pragma once

/* One application that answers everything: a folder of Flask, FastAPI, Django, Express and the
 * like, as its author runs it elsewhere. Which file it is, is found by looking, by Vercel's rules;
 * nothing of it is run. docs/FRAMEWORKS.md tells them. */

#include "control/draft.h"

/* After api_scan(): if the unit's folder is an application, its file takes the place of what
 * stands below api/, with all routes. Returns 0, or -ENOMEM, -EINVAL or -ENOENT with l->err. */
int framework_find(struct load *l, struct unit *u);
