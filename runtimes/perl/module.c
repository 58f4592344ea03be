#include "module.h"

#include <errno.h>

#define READ_BYTES 65536

struct answer the_answer;
struct zygote *the_zygote;

static SV *bytes(pTHX_ struct slice s)
{
    return newSVpvn(s.base ? s.base : "", s.len);
}

static struct slice bytes_of(pTHX_ SV *sv)
{
    STRLEN len;
    const char *base = SvPVbyte(sv, len); /* dies of characters that are no bytes */

    return slice(base, len);
}

/* For what people read: characters as UTF-8. */
static const char *text_of(pTHX_ SV *sv)
{
    return SvPVutf8_nolen(sv);
}

static void check(pTHX_ int r)
{
    if (r == -EALREADY)
        croak("the answer has begun already");
    if (r == -ENOTCONN)
        croak("the answer has not begun, or is complete");
    if (r == -EMSGSIZE)
        croak("the body has another length than its Content-Length says");
    if (r < 0)
        croak("%s", strerrordesc_np(-r));
}

static AV *array_of(pTHX_ SV *sv, const char *what)
{
    if (!SvROK(sv) || SvTYPE(SvRV(sv)) != SVt_PVAV)
        croak("%s must be a reference to an array", what);
    return (AV *)SvRV(sv);
}

/* ---- the request ---- */

#define REQUEST_PART(part)                                                                         \
    static XS(request_##part)                                                                      \
    {                                                                                              \
        dXSARGS;                                                                                   \
        PERL_UNUSED_VAR(cv);                                                                       \
        PERL_UNUSED_VAR(items);                                                                    \
        ST(0) = sv_2mortal(bytes(aTHX_ the_answer.head->part));                                    \
        XSRETURN(1);                                                                               \
    }
REQUEST_PART(method)
REQUEST_PART(target)
REQUEST_PART(path)
REQUEST_PART(query)
REQUEST_PART(host)

/* headers(): [name, value, name, value, ...] */
static XS(request_headers)
{
    dXSARGS;
    const struct http_head *head = the_answer.head;
    AV *list = newAV();

    PERL_UNUSED_VAR(cv);
    PERL_UNUSED_VAR(items);
    for (uint32_t i = 0; i < head->n_headers; i++) {
        av_push(list, bytes(aTHX_ head->headers[i].name));
        av_push(list, bytes(aTHX_ head->headers[i].value));
    }
    ST(0) = sv_2mortal(newRV_noinc((SV *)list));
    XSRETURN(1);
}

static XS(request_get)
{
    dXSARGS;
    struct slice value;

    PERL_UNUSED_VAR(cv);
    if (items != 1)
        croak_xs_usage(cv, "name");
    if (!http_head_find(the_answer.head, text_of(aTHX_ ST(0)), &value))
        XSRETURN_UNDEF;
    ST(0) = sv_2mortal(bytes(aTHX_ value));
    XSRETURN(1);
}

/* length(): of the body; -1 if it comes in chunks */
static XS(request_length)
{
    dXSARGS;

    PERL_UNUSED_VAR(cv);
    PERL_UNUSED_VAR(items);
    ST(0) = sv_2mortal(newSViv((IV)answer_body_length(&the_answer)));
    XSRETURN(1);
}

static int add_variable(void *ctx, struct slice name, struct slice value)
{
    dTHX;

    (void)hv_store(ctx, name.base, (I32)name.len, bytes(aTHX_ value), 0);
    return 0;
}

/* fill(\%env): CGI's variables into it */
static XS(request_fill)
{
    dXSARGS;

    if (items != 1 || !SvROK(ST(0)) || SvTYPE(SvRV(ST(0))) != SVt_PVHV)
        croak_xs_usage(cv, "\\%env");
    check(aTHX_ variables_each(the_answer.head, true, add_variable, SvRV(ST(0))));
    XSRETURN(1);
}

/* read(n): up to n bytes, undef at the end */
static XS(request_read)
{
    dXSARGS;
    size_t size = READ_BYTES;
    ssize_t n;
    SV *sv;

    if (items != 1)
        croak_xs_usage(cv, "n");
    if (SvUV(ST(0)) < size)
        size = SvUV(ST(0));
    sv = sv_2mortal(newSV(size + 1));
    n = answer_read(&the_answer, SvPVX(sv), size);
    check(aTHX_(int) MIN(n, (ssize_t)0));
    if (n == 0)
        XSRETURN_UNDEF;
    SvPOK_on(sv);
    SvCUR_set(sv, (STRLEN)n);
    *SvEND(sv) = '\0';
    ST(0) = sv;
    XSRETURN(1);
}

/* ---- the answer ---- */

static SV *element(pTHX_ AV *list, SSize_t i)
{
    SV **sv = av_fetch(list, i, 0);

    return sv ? *sv : &PL_sv_undef;
}

static void header_read(pTHX_ AV *list, SSize_t i, struct http_header *ret)
{
    SV *name = element(aTHX_ list, i), *value = element(aTHX_ list, i + 1);

    *ret = (struct http_header){bytes_of(aTHX_ name), bytes_of(aTHX_ value)};
    if (!http_is_token(ret->name) || !http_is_value(ret->value))
        croak("HTTP does not allow this header: %" SVf ": %" SVf, SVfARG(name), SVfARG(value));
}

/* start(status, [name, value, ...], length): length is -1 when it is not known */
static XS(answer_xs_start)
{
    dXSARGS;
    struct http_header headers[HTTP_HEADERS_MAX];
    SSize_t n;
    AV *list;
    IV status;
    int r;

    if (items != 3)
        croak_xs_usage(cv, "status, headers, length");
    list = array_of(aTHX_ ST(1), "the headers");
    status = SvIV(ST(0));
    n = av_top_index(list) + 1;
    if (n % 2 != 0)
        croak("the headers must be names and values by turns; there are %ld", (long)n);
    if (n / 2 > HTTP_HEADERS_MAX)
        croak("the answer has too many headers");
    for (SSize_t i = 0; i < n; i += 2)
        header_read(aTHX_ list, i, &headers[i / 2]);
    r = status < 0 ? -EINVAL
                   : answer_start(&the_answer, (unsigned)status, headers, (size_t)n / 2,
                                  (int64_t)SvIV(ST(2)));
    if (r == -EINVAL)
        croak("HTTP does not allow the status %" SVf " here", SVfARG(ST(0)));
    check(aTHX_ r);
    XSRETURN_EMPTY;
}

static XS(answer_xs_write)
{
    dXSARGS;

    if (items != 1)
        croak_xs_usage(cv, "bytes");
    if (SvOK(ST(0)))
        check(aTHX_ answer_write(&the_answer, bytes_of(aTHX_ ST(0))));
    XSRETURN_EMPTY;
}

static XS(answer_xs_flush)
{
    dXSARGS;

    PERL_UNUSED_VAR(cv);
    PERL_UNUSED_VAR(items);
    check(aTHX_ answer_flush(&the_answer));
    XSRETURN_EMPTY;
}

static XS(answer_xs_finish)
{
    dXSARGS;

    PERL_UNUSED_VAR(cv);
    PERL_UNUSED_VAR(items);
    check(aTHX_ answer_finish(&the_answer));
    XSRETURN_EMPTY;
}

static XS(answer_xs_begun)
{
    dXSARGS;

    PERL_UNUSED_VAR(cv);
    PERL_UNUSED_VAR(items);
    ST(0) = boolSV(the_answer.state != ANSWER_NONE);
    XSRETURN(1);
}

/* answer_fail(type, message, stack, errno): whether the answer could still become the error */
static XS(answer_xs_fail)
{
    dXSARGS;
    int r;

    if (items != 4)
        croak_xs_usage(cv, "type, message, stack, errno");
    r = answer_fail(&the_answer, (int)SvIV(ST(3)), text_of(aTHX_ ST(0)), text_of(aTHX_ ST(1)),
                    text_of(aTHX_ ST(2)));
    ST(0) = boolSV(r == 0);
    XSRETURN(1);
}

/* ---- the zygote ---- */

static void put(pTHX_ HV *hash, const char *name, SV *value_consume)
{
    (void)hv_store(hash, name, (I32)strlen(name), value_consume, 0);
}

/* open(): {function, version, handler, instance, timeout_ms, memory_bytes, late: [variables]} */
static XS(mayfly_open)
{
    dXSARGS;
    struct error err = ERROR_NULL;
    const struct zygote_start *start;
    HV *hash = newHV();
    AV *late = newAV();

    PERL_UNUSED_VAR(cv);
    PERL_UNUSED_VAR(items);
    if (zygote_open(&the_zygote, &err) < 0)
        croak("%s", err.text);
    host_opened();
    start = zygote_start(the_zygote);
    for (const char *const *name = start->secrets; !start->secrets_at_load && *name; name++)
        av_push(late, newSVpv(*name, 0));
    put(aTHX_ hash, "late", newRV_noinc((SV *)late));
    put(aTHX_ hash, "function", newSVpv(start->function, 0));
    put(aTHX_ hash, "version", newSVpv(start->version, 0));
    put(aTHX_ hash, "handler", newSVpv(start->handler, 0));
    put(aTHX_ hash, "instance", newSViv(start->isolation == ISOLATION_INSTANCE));
    put(aTHX_ hash, "timeout_ms", newSVuv(start->timeout_ms));
    put(aTHX_ hash, "memory_bytes", newSVuv(start->memory_bytes));
    ST(0) = sv_2mortal(newRV_noinc((SV *)hash));
    XSRETURN(1);
}

/* fail(type, message, stack): why the function cannot be loaded */
static XS(mayfly_fail)
{
    dXSARGS;

    if (items != 3 || !the_zygote)
        croak_xs_usage(cv, "type, message, stack; and open() comes first");
    zygote_fail_text(the_zygote, text_of(aTHX_ ST(0)), text_of(aTHX_ ST(1)), text_of(aTHX_ ST(2)));
}

/* run(\&serve, \&touch) */
static XS(mayfly_run)
{
    dXSARGS;

    if (items != 2 || !the_zygote)
        croak_xs_usage(cv, "serve, touch; and open() comes first");
    host_run(aTHX_ ST(0), ST(1));
}

void module_define(pTHX)
{
    static const struct {
        const char *name;
        XSUBADDR_t sub;
    } subs[] = {
        {"Mayfly::method", request_method}, {"Mayfly::target", request_target},
        {"Mayfly::path", request_path},     {"Mayfly::query", request_query},
        {"Mayfly::host", request_host},     {"Mayfly::headers", request_headers},
        {"Mayfly::get", request_get},       {"Mayfly::length", request_length},
        {"Mayfly::fill", request_fill},     {"Mayfly::read", request_read},
        {"Mayfly::start", answer_xs_start}, {"Mayfly::write", answer_xs_write},
        {"Mayfly::flush", answer_xs_flush}, {"Mayfly::finish", answer_xs_finish},
        {"Mayfly::begun", answer_xs_begun}, {"Mayfly::answer_fail", answer_xs_fail},
        {"Mayfly::open", mayfly_open},      {"Mayfly::fail", mayfly_fail},
        {"Mayfly::run", mayfly_run},
    };

    for (size_t i = 0; i < ARRAY_SIZE(subs); i++)
        (void)newXS(subs[i].name, subs[i].sub, __FILE__);
}
