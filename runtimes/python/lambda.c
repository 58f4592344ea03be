/* Lambda's contract in C, because it is what most functions speak, and each Python function that
 * runs writes to a dozen objects all over the heap, so that a fresh process copies as many pages:
 * 307 page faults a request with all of this in Python, of which 195 were left.
 *
 * What is rare is left to mayfly_host/lambda_handler.py: events of other triggers, coroutines, and
 * results that are more than plain values.
 *
 * The event is a copy of a template. Keys and constants are made in one go, so that they lie
 * together: a reference that is counted is a write. */

#include "extension.h"

#include "base/clock.h"
#include "base/parse.h"

#include <string.h>

enum {
    KEY_BODY,
    KEY_COOKIES,
    KEY_DOMAIN_NAME,
    KEY_DOMAIN_PREFIX,
    KEY_HEADERS,
    KEY_HTTP,
    KEY_IS_BASE64,
    KEY_METHOD,
    KEY_MULTI_HEADERS,
    KEY_PATH,
    KEY_QUERY_PARAMETERS,
    KEY_RAW_PATH,
    KEY_RAW_QUERY,
    KEY_REQUEST_CONTEXT,
    KEY_REQUEST_ID,
    KEY_SOURCE_IP,
    KEY_STATUS,
    KEY_TIME,
    KEY_TIME_EPOCH,
    KEY_USER_AGENT,
    KEY_USER_AGENT_HEADER,
    KEY_AWS_REQUEST_ID,
    KEY_DEADLINE,
    KEY_AWAIT,
    _KEY_MAX,
};

static const char *const key_texts[_KEY_MAX] = {
    [KEY_BODY] = "body",
    [KEY_COOKIES] = "cookies",
    [KEY_DOMAIN_NAME] = "domainName",
    [KEY_DOMAIN_PREFIX] = "domainPrefix",
    [KEY_HEADERS] = "headers",
    [KEY_HTTP] = "http",
    [KEY_IS_BASE64] = "isBase64Encoded",
    [KEY_METHOD] = "method",
    [KEY_MULTI_HEADERS] = "multiValueHeaders",
    [KEY_PATH] = "path",
    [KEY_QUERY_PARAMETERS] = "queryStringParameters",
    [KEY_RAW_PATH] = "rawPath",
    [KEY_RAW_QUERY] = "rawQueryString",
    [KEY_REQUEST_CONTEXT] = "requestContext",
    [KEY_REQUEST_ID] = "requestId",
    [KEY_SOURCE_IP] = "sourceIp",
    [KEY_STATUS] = "statusCode",
    [KEY_TIME] = "time",
    [KEY_TIME_EPOCH] = "timeEpoch",
    [KEY_USER_AGENT] = "userAgent",
    [KEY_USER_AGENT_HEADER] = "user-agent",
    [KEY_AWS_REQUEST_ID] = "aws_request_id",
    [KEY_DEADLINE] = "_deadline_ms",
    [KEY_AWAIT] = "__await__",
};

static PyObject *keys[_KEY_MAX];

static struct {
    PyObject *handler;
    PyObject *null_handler;
    PyObject *adapter; /* lambda_handler.Adapter: event_of, put_body, wait_for, answer */
    PyObject *context_type;
    PyObject *encoder; /* the json module's C encoder, or None */
    PyObject *event;   /* templates */
    PyObject *request_context;
    PyObject *http;
    PyObject *zero;
    PyObject *empty;
    uint64_t timeout_ms;
} l;

/* lambda_setup(adapter, handler, null_handler, context_type, encoder, (event, requestContext,
 * http), timeout_ms) */
PyObject *lambda_setup(PyObject *module, PyObject *args)
{
    unsigned long long timeout_ms;

    if (!PyArg_ParseTuple(args, "OOOOO(OOO)K", &l.adapter, &l.handler, &l.null_handler,
                          &l.context_type, &l.encoder, &l.event, &l.request_context, &l.http,
                          &timeout_ms))
        return NULL;
    l.timeout_ms = timeout_ms;
    for (size_t i = 0; i < _KEY_MAX; i++) {
        keys[i] = PyUnicode_InternFromString(key_texts[i]);
        if (!keys[i])
            return NULL;
    }
    l.zero = PyLong_FromLong(0);
    l.empty = PyUnicode_FromString("");
    if (!l.zero || !l.empty)
        return NULL;
    Py_INCREF(l.adapter);
    Py_INCREF(l.handler);
    Py_INCREF(l.null_handler);
    Py_INCREF(l.context_type);
    Py_INCREF(l.encoder);
    Py_INCREF(l.event);
    Py_INCREF(l.request_context);
    Py_INCREF(l.http);
    Py_RETURN_NONE;
}

/* ---- the event ---- */

/* Takes over the value. Returns 0, or -1 with an exception (also if the value is NULL). */
static int put(PyObject *dict, int key, PyObject *value)
{
    int r = value ? PyDict_SetItem(dict, keys[key], value) : -1;

    Py_XDECREF(value);
    return r;
}

static PyObject *text_or(const struct http_head *head, const char *name, struct slice otherwise)
{
    struct slice value;

    return latin1(http_head_find(head, name, &value) ? value : otherwise);
}

static char *two_digits(char *dst, unsigned value)
{
    *dst++ = (char)('0' + value / 10 % 10);
    *dst++ = (char)('0' + value % 10);
    return dst;
}

/* "12/Mar/2020:19:03:58 +0000". Neither gmtime() nor snprintf(): each of them is three pages more.
 */
static PyObject *event_time(uint64_t wall_us)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    uint64_t seconds = wall_us / US_PER_S, days = seconds / 86400;
    unsigned second = (unsigned)(seconds % 86400);
    /* Years begin in March here, so that a leap day is the last one; eras have 400 of them. */
    uint64_t z = days + 719468, era = z / 146097;
    unsigned day_of_era = (unsigned)(z % 146097);
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month = (5 * day_of_year + 2) / 153; /* 0 is March */
    unsigned year = (unsigned)(era * 400 + year_of_era + (month >= 10));
    char text[32], *p = text;

    p = two_digits(p, day_of_year - (153 * month + 2) / 5 + 1);
    *p++ = '/';
    p = mempcpy(p, months + 3 * ((month + 2) % 12), 3);
    *p++ = '/';
    p = two_digits(p, year / 100);
    p = two_digits(p, year);
    *p++ = ':';
    p = two_digits(p, second / 3600);
    *p++ = ':';
    p = two_digits(p, second / 60 % 60);
    *p++ = ':';
    p = two_digits(p, second % 60);
    p = mempcpy(p, " +0000", 6);
    return latin1(slice(text, (size_t)(p - text)));
}

static PyObject *make_http(const struct http_head *head)
{
    PyObject *http = PyDict_Copy(l.http);

    if (!http || put(http, KEY_METHOD, latin1(head->method)) < 0 ||
        put(http, KEY_PATH, latin1(head->path)) < 0 ||
        put(http, KEY_SOURCE_IP, text_or(head, "Mayfly-Client-Ip", SLICE_LIT("127.0.0.1"))) < 0 ||
        put(http, KEY_USER_AGENT, text_or(head, "User-Agent", SLICE_NULL)) < 0)
        Py_CLEAR(http);
    return http;
}

static PyObject *make_request_context(const struct http_head *head)
{
    PyObject *context = PyDict_Copy(l.request_context);
    uint64_t now_us = clock_wall_us();
    struct slice prefix = head->host;

    for (size_t i = 0; i < prefix.len; i++) {
        if (prefix.base[i] == '.' || prefix.base[i] == ':')
            prefix.len = i;
    }
    if (!context || put(context, KEY_HTTP, make_http(head)) < 0 ||
        put(context, KEY_DOMAIN_NAME, latin1(head->host)) < 0 ||
        put(context, KEY_DOMAIN_PREFIX, latin1(prefix)) < 0 ||
        put(context, KEY_REQUEST_ID, text_or(head, "Mayfly-Request-Id", SLICE_NULL)) < 0 ||
        put(context, KEY_TIME, event_time(now_us)) < 0 ||
        put(context, KEY_TIME_EPOCH, PyLong_FromUnsignedLongLong(now_us / 1000)) < 0)
        Py_CLEAR(context);
    return context;
}

static int put_headers(PyObject *event, const struct http_head *head)
{
    PyObject *cookies = NULL, *headers = head_lambda_headers(head, &cookies);
    int r = put(event, KEY_HEADERS, headers);

    if (r == 0 && cookies)
        r = PyDict_SetItem(event, keys[KEY_COOKIES], cookies);
    Py_XDECREF(cookies);
    return r;
}

static PyObject *make_event(PyObject *request, const struct http_head *head)
{
    PyObject *event = PyDict_Copy(l.event), *done;

    if (!event || put(event, KEY_RAW_PATH, latin1(head->path)) < 0 ||
        put(event, KEY_RAW_QUERY, latin1(head->query)) < 0 || put_headers(event, head) < 0 ||
        put(event, KEY_REQUEST_CONTEXT, make_request_context(head)) < 0)
        goto fail;
    if (head->query.len > 0 && put(event, KEY_QUERY_PARAMETERS, head_query(head)) < 0)
        goto fail;
    if (head->framing == HTTP_BODY_NONE)
        return event;
    done = PyObject_CallMethod(l.adapter, "put_body", "OO", request, event);
    Py_XDECREF(done);
    if (done)
        return event;
fail:
    Py_XDECREF(event);
    return NULL;
}

/* An instance without __init__(), which would cost a frame. */
static PyObject *make_context(const struct http_head *head)
{
    PyObject *context = PyObject_CallObject(l.context_type, NULL);
    struct slice deadline;
    uint64_t deadline_ms;

    if (!http_head_find(head, "Mayfly-Deadline-Ms", &deadline) ||
        parse_u64(deadline, UINT64_MAX, &deadline_ms) < 0)
        deadline_ms = clock_wall_us() / 1000 + l.timeout_ms;
    PyObject *id = text_or(head, "Mayfly-Request-Id", SLICE_NULL);
    PyObject *ms = PyLong_FromUnsignedLongLong(deadline_ms);

    if (!context || !id || !ms || PyObject_SetAttr(context, keys[KEY_AWS_REQUEST_ID], id) < 0 ||
        PyObject_SetAttr(context, keys[KEY_DEADLINE], ms) < 0)
        Py_CLEAR(context);
    Py_XDECREF(id);
    Py_XDECREF(ms);
    return context;
}

/* ---- the answer ---- */

/* Returns 1 if done, 0 if it takes Python to do it, -1 with an exception. */
static int answer_bytes(PyObject *request, unsigned status, struct header_list *headers,
                        PyObject *bytes)
{
    PyObject *done = request_start(request, status, headers, (int64_t)PyBytes_Size(bytes));

    Py_XDECREF(done);
    if (!done)
        return -1;
    done = request_write(request, bytes);
    Py_XDECREF(done);
    return done ? 1 : -1;
}

static int answer_json(PyObject *request, PyObject *value)
{
    struct header_list headers = {.n = 0};
    PyObject *pieces, *text, *bytes;
    int r;

    if (l.encoder == Py_None)
        return 0;
    pieces = PyObject_CallFunctionObjArgs(l.encoder, value, l.zero, NULL);
    text = pieces ? PyUnicode_Join(l.empty, pieces) : NULL;
    bytes = text ? PyUnicode_AsUTF8String(text) : NULL;
    Py_XDECREF(pieces);
    Py_XDECREF(text);
    if (!bytes) {
        PyErr_Clear(); /* Python tries again, and tells what is wrong */
        return 0;
    }
    header_list_add(&headers, SLICE_LIT("Content-Type"), SLICE_LIT("application/json"));
    r = answer_bytes(request, 200, &headers, bytes);
    Py_DECREF(bytes);
    return r;
}

/* Whether the dict lacks what only Python knows how to do. */
static bool is_plain(PyObject *result)
{
    PyObject *base64 = PyDict_GetItemWithError(result, keys[KEY_IS_BASE64]);

    return !PyErr_Occurred() && (!base64 || base64 == Py_False || base64 == Py_None) &&
           !PyDict_GetItemWithError(result, keys[KEY_MULTI_HEADERS]) && !PyErr_Occurred() &&
           !PyDict_GetItemWithError(result, keys[KEY_COOKIES]) && !PyErr_Occurred();
}

/* Returns 1, or 0 if not all of it is plain text. */
static int take_headers(struct header_list *list, PyObject *headers, bool *ret_has_type)
{
    PyObject *name, *value;
    Py_ssize_t at = 0;

    while (PyDict_Next(headers, &at, &name, &value)) {
        if (!PyUnicode_Check(name) || !PyUnicode_Check(value) ||
            header_list_take(list, name, value) < 0) {
            PyErr_Clear();
            return 0;
        }
        if (slice_eq_nocase(list->headers[list->n - 1].name, SLICE_LIT("content-type")))
            *ret_has_type = true;
    }
    return 1;
}

static int answer_dict(PyObject *request, PyObject *result, PyObject *status)
{
    PyObject *headers = PyDict_GetItemWithError(result, keys[KEY_HEADERS]);
    PyObject *body = PyDict_GetItemWithError(result, keys[KEY_BODY]), *bytes;
    struct header_list list = {.n = 0};
    long code = PyLong_CheckExact(status) ? PyLong_AsLong(status) : -1;
    bool has_type = false;
    int r = 0;

    if (PyErr_Occurred() || !is_plain(result) || code < 200 || code > 599 ||
        (body && !PyUnicode_Check(body)) || (headers && !PyDict_CheckExact(headers))) {
        PyErr_Clear();
        return 0;
    }
    bytes = body ? PyUnicode_AsUTF8String(body) : PyBytes_FromStringAndSize(NULL, 0);
    if (bytes && (!headers || take_headers(&list, headers, &has_type))) {
        if (!has_type && PyBytes_Size(bytes) > 0)
            header_list_add(&list, SLICE_LIT("Content-Type"), SLICE_LIT("application/json"));
        r = answer_bytes(request, (unsigned)code, &list, bytes);
    }
    Py_XDECREF(bytes);
    header_list_deinit(&list);
    if (r == 0)
        PyErr_Clear();
    return r;
}

static int answer(PyObject *request, PyObject *result, bool is_http)
{
    PyObject *status = NULL, *done;
    int r;

    if (is_http && PyDict_CheckExact(result))
        status = PyDict_GetItemWithError(result, keys[KEY_STATUS]);
    if (status)
        r = answer_dict(request, result, status);
    else if (is_http && !PyDict_CheckExact(result) && !PyList_CheckExact(result) &&
             !PyUnicode_CheckExact(result))
        r = 0;
    else
        r = answer_json(request, result);
    if (r != 0)
        return r < 0 ? -1 : 0;
    done =
        PyObject_CallMethod(l.adapter, is_http ? "answer" : "answer_json", "OO", request, result);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* ---- one request ---- */

static bool is_of_http(const struct http_head *head)
{
    struct slice trigger;

    return !http_head_find(head, "Mayfly-Trigger", &trigger) ||
           slice_eq(trigger, SLICE_LIT("http"));
}

static PyObject *call(PyObject *handler, PyObject *event, PyObject *context)
{
    PyObject *result = PyObject_CallFunctionObjArgs(handler, event, context, NULL), *awaited;

    if (!result || PyDict_CheckExact(result) || PyUnicode_CheckExact(result) ||
        !PyObject_HasAttr(result, keys[KEY_AWAIT]))
        return result;
    awaited = PyObject_CallMethod(l.adapter, "wait_for", "O", result);
    Py_DECREF(result);
    return awaited;
}

int lambda_answer(PyObject *request, bool is_touch)
{
    const struct http_head *head = request_head(request);
    bool is_http = is_of_http(head);
    PyObject *event, *context, *result = NULL;
    int r = -1;

    event = is_http ? make_event(request, head)
                    : PyObject_CallMethod(l.adapter, "event_of", "O", request);
    context = event ? make_context(head) : NULL;
    if (context)
        result = call(is_touch ? l.null_handler : l.handler, event, context);
    if (result)
        r = answer(request, result, is_http);
    Py_XDECREF(event);
    Py_XDECREF(context);
    Py_XDECREF(result);
    return r;
}
