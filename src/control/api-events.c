/* Saved events of a function, to try it with; and the description of all this. */

#include "control/api-handlers.h"
#include "control/api-rows.h"
#include "control/control.h"

#include "json/text.h"

#include <errno.h>

extern const struct slice openapi_json; /* share/openapi.json, by the build */

/* ---- events ---- */

static const char *const event_keys[] = {"name",    "method", "path",
                                         "headers", "body",   "body_base64"};

static bool event_is_valid(struct api_call *call, const json_t *event)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)event, key, value)
    {
        bool known = false;

        for (size_t i = 0; i < ARRAY_SIZE(event_keys); i++)
            known = known || strcmp(key, event_keys[i]) == 0;
        if (!known) {
            api_fail(
                call, 400,
                "an event has \"method\", \"path\", \"headers\", and \"body\" or \"body_base64\"");
            return false;
        }
        if (strcmp(key, "headers") == 0 ? !json_is_object(value) : !json_is_string(value)) {
            api_fail(call, 400, "\"%s\" is %s", key,
                     strcmp(key, "headers") == 0 ? "an object of texts" : "a text");
            return false;
        }
    }
    json_object_foreach(json_object_get(event, "headers"), key, value)
    {
        if (!json_is_string(value)) {
            api_fail(call, 400, "\"headers\" is an object of texts");
            return false;
        }
    }
    return true;
}

static int on_event(void *ctx, const struct store_event *e)
{
    jsonw_json(ctx, e->content);
    return 0;
}

void api_event_list(struct api_call *call)
{
    struct store *store = api_store(call);
    struct jsonw *w;

    if (!store)
        return;
    w = api_json(call);
    jsonw_object_begin(w);
    jsonw_key(w, "events");
    jsonw_array_begin(w);
    if (!api_store_did(call, store_events(store, call->args[0], SLICE_NULL, on_event, w)))
        return;
    jsonw_array_end(w);
    jsonw_object_end(w);
    api_json_end(call, 200);
}

void api_event(struct api_call *call)
{
    struct store *store = api_store(call);

    if (store && api_store_did(call, store_events(store, call->args[0], call->args[1], on_event,
                                                  api_json(call))))
        api_json_end(call, 200);
}

void api_event_put(struct api_call *call)
{
    struct store *store = api_store(call);
    json_t *event = store ? api_body(call) : NULL;
    struct store_event e = {.function = call->args[0], .name = call->args[1]};
    char *text = NULL;

    if (!event)
        return;
    if (event_is_valid(call, event)) {
        (void)json_object_set_new(event, "name", json_stringn(e.name.base, e.name.len));
        text = json_dumps(event, JSON_COMPACT);
        e.content = slice_str(text);
        e.updated_us = clock_wall_us();
        if (!text || !json_object_get(event, "name"))
            api_fail(call, 400, "the name is no text");
        else if (api_store_did(call, store_event_put(store, &e)))
            api_answer(call, 200, "application/json", e.content);
    }
    free(text);
    json_decref(event);
}

void api_event_remove(struct api_call *call)
{
    struct store *store = api_store(call);

    if (store && api_store_did(call, store_event_remove(store, call->args[0], call->args[1])))
        api_answer(call, 204, "application/json", SLICE_NULL);
}

/* ---- the description ---- */

void api_openapi(struct api_call *call)
{
    api_answer(call, 200, "application/json", openapi_json);
}
