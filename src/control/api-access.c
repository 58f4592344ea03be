/* /tokens, /logins and /login. */

#include "control/api-handlers.h"
#include "control/api-rows.h"
#include "control/control.h"

#include "json/text.h"

#include <errno.h>
#include <stdio.h>

#define NAME_MAX_CHARS 64

/* ---- bodies ---- */

json_t *api_body(struct api_call *call)
{
    struct error err = ERROR_NULL;
    json_t *body;

    if (json_text_load(call->body, "body", &body, &err) == 0 && json_is_object(body))
        return body;
    api_fail(call, 400, "%s", err.text[0] ? err.text : "the body is to be a JSON object");
    return NULL;
}

/* Letters, digits, and what joins them: it stands in a path and on a terminal. */
static bool name_is_valid(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.base[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_' || c == '.' || c == '@' || c == ' '))
            return false;
    }
    return name.len > 0 && name.len <= NAME_MAX_CHARS;
}

/* ---- tokens ---- */

static int on_token(void *ctx, const struct store_token *t)
{
    struct jsonw *w = ctx;

    jsonw_object_begin(w);
    api_put_str(w, "name", t->name);
    api_put_u64(w, "created_us", t->created_us);
    if (t->used_us > 0)
        api_put_u64(w, "used_us", t->used_us);
    jsonw_object_end(w);
    return 0;
}

void api_tokens(struct api_call *call)
{
    struct store *store = api_store(call);
    struct jsonw *w;

    if (!store)
        return;
    w = api_json(call);
    jsonw_object_begin(w);
    jsonw_key(w, "tokens");
    jsonw_array_begin(w);
    if (!api_store_did(call, store_tokens(store, on_token, w)))
        return;
    jsonw_array_end(w);
    jsonw_object_end(w);
    api_json_end(call, 200);
}

void api_token_create(struct api_call *call)
{
    struct store *store = api_store(call);
    json_t *body = store ? api_body(call) : NULL;
    struct slice name;
    char token[ACCESS_SECRET_SIZE];
    uint8_t hash[ACCESS_HASH_SIZE];
    struct jsonw *w;

    if (!body)
        return;
    name = slice_str(json_string_value(json_object_get(body, "name")));
    if (!name_is_valid(name))
        api_fail(call, 400, "\"name\" is 1 to %d letters, digits, blanks and \"-_.@\"",
                 NAME_MAX_CHARS);
    else if (access_secret("mf_", token, hash) < 0)
        api_fail(call, 500, "no random bytes");
    else if (api_store_did(call, store_token_add(store, name, hash, clock_wall_us()))) {
        access_tell(call->control);
        w = api_json(call);
        jsonw_object_begin(w);
        api_put_str(w, "name", name);
        api_put_str(w, "token", slice_str(token));
        jsonw_object_end(w);
        api_json_end(call, 201);
    }
    explicit_bzero(token, sizeof(token));
    json_decref(body);
}

void api_token_remove(struct api_call *call)
{
    struct store *store = api_store(call);

    if (!store || !api_store_did(call, store_token_remove(store, call->args[0])))
        return;
    access_tell(call->control);
    api_answer(call, 204, "application/json", SLICE_NULL);
}

/* ---- logins ---- */

void api_login_create(struct api_call *call)
{
    uint64_t expires_us = clock_wall_us() + ACCESS_LOGIN_S * US_PER_S;
    char url[ACCESS_URL_MAX];
    int r = access_login_url(call->control, url);
    struct jsonw *w;

    if (r == -ENOENT) {
        api_fail(call, 409, "there is no admin listener: it was switched off (--admin-listen)");
        return;
    }
    if (r < 0) {
        api_fail(call, 500, "no random bytes");
        return;
    }
    w = api_json(call);
    jsonw_object_begin(w);
    api_put_str(w, "url", slice_str(url));
    api_put_u64(w, "expires_us", expires_us);
    jsonw_object_end(w);
    api_json_end(call, 201);
}

/* The session outlives this process if there is a store to keep it. */
static int session_add(struct control *c, const uint8_t hash[ACCESS_HASH_SIZE])
{
    uint64_t now_us = clock_wall_us(), until_us = now_us + ACCESS_SESSION_S * US_PER_S;
    int r = keep_store(&c->keep) ? store_session_add(keep_store(&c->keep), hash, now_us, until_us)
                                 : -ENOENT;

    if (r < 0)
        access_entry_add(c->access.sessions, ACCESS_SESSIONS_MAX, hash, until_us);
    return 0;
}

void api_login(struct api_call *call)
{
    static const char expired[] = "This address was used already, or is older than 5 minutes.\n"
                                  "Run `mayfly dashboard` for a new one.\n";
    struct control *c = call->control;
    char session[ACCESS_SECRET_SIZE];
    uint8_t hash[ACCESS_HASH_SIZE];
    int r = access_hash(api_param(call, "code"), hash);

    if (r < 0 || !access_entry_take(c->access.logins, ACCESS_LOGINS_MAX, hash, clock_wall_us())) {
        api_answer(call, 403, "text/plain; charset=utf-8", slice(expired, sizeof(expired) - 1));
        return;
    }
    r = access_secret("", session, hash);
    if (r == 0)
        r = session_add(c, hash);
    if (r == 0)
        r = buf_printf(&call->extra,
                       "Location: /\r\nSet-Cookie: mayfly_session=%s; HttpOnly; SameSite=Strict; "
                       "Path=/; Max-Age=%d\r\nReferrer-Policy: no-referrer\r\n",
                       session, ACCESS_SESSION_S);
    explicit_bzero(session, sizeof(session));
    if (r < 0) {
        api_fail(call, 503, "cannot begin a session: %s", strerrordesc_np(-r));
        return;
    }
    access_tell(c);
    api_answer(call, 303, "text/plain; charset=utf-8", SLICE_LIT("signed in\n"));
}

/* Ends the session whose cookie this request has. */
void api_logout(struct api_call *call)
{
    struct control *c = call->control;
    const uint8_t *hash = call->connection->hash;

    (void)access_entry_take(c->access.sessions, ACCESS_SESSIONS_MAX, hash, 0);
    if (keep_store(&c->keep))
        (void)store_session_remove(keep_store(&c->keep), hash);
    access_tell(c);
    if (buf_append_str(&call->extra, "Set-Cookie: mayfly_session=; HttpOnly; SameSite=Strict; "
                                     "Path=/; Max-Age=0\r\n") < 0)
        api_fail(call, 503, "out of memory");
    else
        api_answer(call, 204, "application/json", SLICE_NULL);
}
