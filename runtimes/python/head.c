/* The request's head as the objects that handlers expect. In C because a head has many headers and
 * each becomes several Python objects otherwise. Text is latin-1, as in WSGI, but for the query's
 * decoded values, which are UTF-8. */

#include "extension.h"

#include <string.h>

#define NAME_MAX_BYTES 512 /* longer header names are left out of maps */

PyObject *latin1(struct slice s)
{
    return PyUnicode_DecodeLatin1(s.base ? s.base : "", (Py_ssize_t)s.len, NULL);
}

PyObject *head_pairs(const struct http_head *head)
{
    PyObject *list = PyList_New((Py_ssize_t)head->n_headers);

    for (uint32_t i = 0; list && i < head->n_headers; i++) {
        const struct http_header *h = &head->headers[i];
        PyObject *pair = Py_BuildValue("(NN)", latin1(h->name), latin1(h->value));

        if (!pair || PyList_SetItem(list, (Py_ssize_t)i, pair) < 0)
            Py_CLEAR(list);
    }
    return list;
}

/* A header's name in small letters, as bytes. */
static PyObject *lower_name(struct slice name)
{
    PyObject *bytes = PyBytes_FromStringAndSize(name.base, (Py_ssize_t)name.len);
    char *text = bytes ? PyBytes_AsString(bytes) : NULL;

    for (size_t i = 0; text && i < name.len; i++) {
        if (text[i] >= 'A' && text[i] <= 'Z')
            text[i] += 'a' - 'A';
    }
    return bytes;
}

PyObject *head_asgi_headers(const struct http_head *head)
{
    PyObject *list = PyList_New((Py_ssize_t)head->n_headers);

    for (uint32_t i = 0; list && i < head->n_headers; i++) {
        struct slice value = head->headers[i].value;
        PyObject *pair =
            Py_BuildValue("(NN)", lower_name(head->headers[i].name),
                          PyBytes_FromStringAndSize(value.base, (Py_ssize_t)value.len));

        if (!pair || PyList_SetItem(list, (Py_ssize_t)i, pair) < 0)
            Py_CLEAR(list);
    }
    return list;
}

/* Adds to a dict; a key that is there already has the value put behind it. */
static int join(PyObject *dict, const char *key, size_t key_len, struct slice value,
                const char *separator)
{
    PyObject *name = PyUnicode_DecodeLatin1(key, (Py_ssize_t)key_len, NULL);
    PyObject *text = latin1(value), *before;
    int r = -1;

    if (!name || !text)
        goto out;
    before = PyDict_GetItemWithError(dict, name);
    if (before) {
        PyObject *both = PyUnicode_FromFormat("%U%s%U", before, separator, text);

        Py_DECREF(text);
        text = both;
    }
    if (text && !PyErr_Occurred())
        r = PyDict_SetItem(dict, name, text);
out:
    Py_XDECREF(name);
    Py_XDECREF(text);
    return r;
}

static int add_cookies(PyObject *list, struct slice value)
{
    while (value.len > 0) {
        struct slice one = slice_trim(slice_cut(&value, ';'));
        PyObject *text;
        int r;

        if (one.len == 0)
            continue;
        text = latin1(one);
        r = text ? PyList_Append(list, text) : -1;
        Py_XDECREF(text);
        if (r < 0)
            return -1;
    }
    return 0;
}

static bool is_ours(struct slice name)
{
    static const struct slice prefix = {"mayfly-", 7};

    return name.len > prefix.len && slice_eq_nocase(slice(name.base, prefix.len), prefix);
}

/* {lower-case name: values joined by ','}; the cookies, if there are any, go into a list of theirs.
 */
PyObject *head_lambda_headers(const struct http_head *head, PyObject **ret_cookies)
{
    PyObject *headers = PyDict_New(), *cookies = NULL;
    char key[NAME_MAX_BYTES];

    for (uint32_t i = 0; headers && i < head->n_headers; i++) {
        const struct http_header *h = &head->headers[i];
        int r = 0;

        if (h->name.len > sizeof(key) || is_ours(h->name))
            continue;
        for (size_t k = 0; k < h->name.len; k++)
            key[k] = h->name.base[k] >= 'A' && h->name.base[k] <= 'Z' ? h->name.base[k] | 0x20
                                                                      : h->name.base[k];
        if (h->name.len == 6 && memcmp(key, "cookie", 6) == 0) {
            if (!cookies)
                cookies = PyList_New(0);
            r = cookies ? add_cookies(cookies, h->value) : -1;
        } else if (h->name.len != 17 || memcmp(key, "transfer-encoding", 17) != 0) {
            r = join(headers, key, h->name.len, h->value, ",");
        }
        if (r < 0)
            Py_CLEAR(headers);
    }
    if (headers)
        *ret_cookies = cookies;
    else
        Py_XDECREF(cookies);
    return headers;
}

/* HTTP_<NAME> as CGI has it. A name with '_' is left out: it could pass for another one with '-'.
 */
int head_fill_environ(const struct http_head *head, PyObject *environ)
{
    char key[NAME_MAX_BYTES + 5] = "HTTP_";

    for (uint32_t i = 0; i < head->n_headers; i++) {
        const struct http_header *h = &head->headers[i];
        const char *name = key;
        size_t len = h->name.len + 5;

        if (h->name.len > NAME_MAX_BYTES || memchr(h->name.base, '_', h->name.len) ||
            slice_eq_nocase(h->name, SLICE_LIT("transfer-encoding")))
            continue;
        for (size_t k = 0; k < h->name.len; k++) {
            char c = h->name.base[k];

            key[5 + k] = c == '-' ? '_' : c >= 'a' && c <= 'z' ? (char)(c - 0x20) : c;
        }
        if ((len == 17 && memcmp(key + 5, "CONTENT_TYPE", 12) == 0) ||
            (len == 19 && memcmp(key + 5, "CONTENT_LENGTH", 14) == 0)) {
            name = key + 5;
            len -= 5;
        }
        if (join(environ, name, len, h->value,
                 len == 11 && memcmp(name, "HTTP_COOKIE", 11) == 0 ? "; " : ",") < 0)
            return -1;
    }
    return 0;
}

/* One name or value of the query, decoded; bytes that are not UTF-8 become U+FFFD. A bad %HH is
 * left as it stands. */
static PyObject *decode_part(struct slice s)
{
    char small[1024];
    char *dst = s.len > sizeof(small) ? PyMem_Malloc(s.len) : small;
    PyObject *text;
    ssize_t n;

    if (!dst)
        return PyErr_NoMemory();
    n = http_percent_decode(s, true, dst, s.len);
    if (n < 0)
        text = PyUnicode_DecodeUTF8(s.base, (Py_ssize_t)s.len, "replace");
    else
        text = PyUnicode_DecodeUTF8(dst, n, "replace");
    if (dst != small)
        PyMem_Free(dst);
    return text;
}

static int add_query(PyObject *dict, struct slice name, struct slice value)
{
    PyObject *key = decode_part(name), *text = decode_part(value), *before;
    int r = -1;

    if (!key || !text)
        goto out;
    before = PyDict_GetItemWithError(dict, key);
    if (before) {
        PyObject *both = PyUnicode_FromFormat("%U,%U", before, text);

        Py_DECREF(text);
        text = both;
    }
    if (text && !PyErr_Occurred())
        r = PyDict_SetItem(dict, key, text);
out:
    Py_XDECREF(key);
    Py_XDECREF(text);
    return r;
}

PyObject *head_query(const struct http_head *head)
{
    PyObject *dict = PyDict_New();
    struct slice rest = head->query;

    while (dict && rest.len > 0) {
        struct slice value = slice_cut(&rest, '&');
        struct slice name = slice_cut(&value, '=');

        if (name.len == 0 && value.len == 0)
            continue;
        if (add_query(dict, name, value) < 0)
            Py_CLEAR(dict);
    }
    return dict;
}

/* The bytes that a server on a socket would have read. The body behind them is decoded already and
 * the connection carries nothing else, so the framing and Expect are left out, and Connection says
 * close. */
PyObject *head_raw(const struct http_head *head)
{
    struct buf b = BUF_INIT(1024 * 1024);
    PyObject *bytes = NULL;
    int r = http_write_request_line(&b, head->method, head->target);

    for (uint32_t i = 0; r == 0 && i < head->n_headers; i++) {
        const struct http_header *h = &head->headers[i];

        if (slice_eq_nocase(h->name, SLICE_LIT("transfer-encoding")) ||
            slice_eq_nocase(h->name, SLICE_LIT("connection")) ||
            slice_eq_nocase(h->name, SLICE_LIT("expect")))
            continue;
        r = http_write_header(&b, h->name, h->value);
    }
    if (r == 0)
        r = http_write_header_str(&b, "Connection", "close");
    if (r == 0)
        r = http_write_head_end(&b);
    if (r == 0)
        bytes = PyBytes_FromStringAndSize(buf_slice(&b).base, (Py_ssize_t)buf_len(&b));
    else
        PyErr_SetString(PyExc_ValueError, "the request's head cannot be written down");
    buf_deinit(&b);
    return bytes;
}
