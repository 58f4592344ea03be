/* Where a function may send: what is read as an address, as a name, as a mistake; and that no way
 * to write a refused address is let through. */

#include "model/egress.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void an_address_has_one_text(void **state)
{
    static const struct {
        const char *text, *canonical;
    } cases[] = {
        {"127.0.0.1:80", "127.0.0.1:80"},
        {"127.0.0.1:*", "127.0.0.1:*"},
        {"10.0.0.0/8:5432", "10.0.0.0/8:5432"},
        {"10.1.2.3/32:1", "10.1.2.3:1"},
        {"0.0.0.0/0:443", "0.0.0.0/0:443"},
        {"[::1]:65535", "[::1]:65535"},
        {"[2001:DB8:0::1]:1", "[2001:db8::1]:1"},
        {"[2001:db8::/32]:*", "[2001:db8::/32]:*"},
        {"[::/0]:443", "[::/0]:443"},
        {"[::ffff:192.0.2.1]:443", "192.0.2.1:443"},
        {"[::ffff:10.0.0.0/104]:443", "10.0.0.0/8:443"},
        {"[::ffff:0:0/96]:443", "0.0.0.0/0:443"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct egress_rule rule, again;
        char text[EGRESS_TEXT_MAX];
        struct slice name;

        assert_int_equal(egress_parse(slice_str(cases[i].text), &rule, &name, NULL), 0);
        assert_int_equal(name.len, 0);
        assert_string_equal(egress_format(&rule, text), cases[i].canonical);
        assert_int_equal(egress_parse(slice_str(text), &again, &name, NULL), 0);
        assert_memory_equal(&rule, &again, sizeof(rule));
    }
}

static void a_name_is_no_number(void **state)
{
    static const char *const names[] = {
        "db:1",   "db.example.com:443", "a_b-c.d:9",   "localhost:*",
        "x--y:1", "1and1.com:80",       "0xcafe.org:1"};
    static const char *const bad[] = {
        "127.1:80",     "2130706433:80",  "0x7f000001:80",
        "0x7f.1:80",    "127.0.0.0x1:80", "1.2.3.4.5:80",
        "1.2.3:80",     "a..b:80",        ".a:80",
        "a.:80",        "-a:80",          "a b:80",
        "a/b:80",       "*:80",           "*.example.com:80",
        "a@b:80",       "http://x:80",    "\xc3\xa4.de:80",
        ":80",          "[]:80",          "[127.0.0.1]:80",
        "[::1:80",      "::1:80",         "[fe80::1%lo]:80",
        "010.0.0.1:80",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct egress_rule rule;
        struct slice name;

        assert_int_equal(egress_parse(slice_str(names[i]), &rule, &name, NULL), 0);
        assert_int_equal(name.len, strrchr(names[i], ':') - names[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct egress_rule rule;
        struct slice name;

        if (egress_parse(slice_str(bad[i]), &rule, &name, NULL) != -EINVAL)
            fail_msg("%s is taken", bad[i]);
    }
}

static void a_mistake_is_explained(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", "has no port; add \":443\", or \":*\" for any"},
        {"db", "has no port; add \":443\", or \":*\" for any"},
        {"db:", "has no port; add \":443\", or \":*\" for any"},
        {"db:0", "must have a port from 1 to 65535 or \"*\" at its end"},
        {"db:65536", "must have a port from 1 to 65535 or \"*\" at its end"},
        {"db:http", "must have a port from 1 to 65535 or \"*\" at its end"},
        {"2001:db8::1:443", "needs brackets around an IPv6 address, as in \"[2001:db8::1]:443\""},
        {"10.0.0.1/8:1",
         "has an address with bits behind its prefix; is it one host (leave out the "
         "prefix) or a range (make them 0)?"},
        {"10.0.0.0/33:1", "must have a number from 0 to 32 behind its '/'"},
        {"[::/129]:1", "must have a number from 0 to 128 behind its '/'"},
        {"[::ffff:0:0/80]:1", "mixes IPv4 and IPv6; write the IPv4 range"},
        {"db/8:1", "has no address before its '/'"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct error err = ERROR_NULL;
        struct egress_rule rule;
        struct slice name;

        assert_int_equal(egress_parse(slice_str(cases[i].text), &rule, &name, &err), -EINVAL);
        assert_string_equal(err.text, cases[i].error);
    }
}

static void metadata_is_refused_however_it_is_written(void **state)
{
    static const struct {
        const char *text;
        bool refused;
    } cases[] = {
        {"169.254.169.254:80", true},
        {"169.254.0.0/16:*", true},
        {"169.254.170.2:80", true},
        {"[::ffff:169.254.169.254]:80", true},
        {"[64:ff9b::169.254.169.254]:80", true},
        {"[fd00:ec2::254]:80", true},
        {"[fd00:0ec2:0::0254]:1", true},
        {"[fe80::a9fe:a9fe]:80", true},
        {"100.100.100.200:80", true},
        {"168.63.129.16:*", true},
        {"169.253.255.255:80", false},
        {"169.255.0.0:80", false},
        {"169.254.0.0/15:80", false}, /* more than what is refused: the kernel's half decides */
        {"0.0.0.0/0:*", false},
        {"100.100.100.201:80", false},
        {"[fd00:ec2::253]:53", false},
        {"[a9fe:a9fe::]:80", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct egress_rule rule;
        struct slice name;

        assert_int_equal(egress_parse(slice_str(cases[i].text), &rule, &name, NULL), 0);
        if (egress_is_refused(&rule) != cases[i].refused)
            fail_msg("%s", cases[i].text);
    }
}

static void ranges_hold_what_is_in_them(void **state)
{
    static const struct {
        const char *rule, *range;
        bool within;
    } cases[] = {
        {"10.1.2.3:1", "10.0.0.0/8:2", true},    {"11.1.2.3:1", "10.0.0.0/8:1", false},
        {"10.0.0.0/8:1", "10.0.0.0/9:1", false}, {"10.0.0.0/9:1", "10.0.0.0/8:1", true},
        {"10.127.0.1:1", "10.0.0.0/9:1", true},  {"10.128.0.1:1", "10.0.0.0/9:1", false},
        {"1.2.3.4:1", "0.0.0.0/0:1", true},      {"1.2.3.4:1", "[::/0]:1", false},
        {"[::1]:1", "[::/127]:1", true},         {"[::2]:1", "[::/127]:1", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct egress_rule rule, range;
        struct slice name;

        assert_int_equal(egress_parse(slice_str(cases[i].rule), &rule, &name, NULL), 0);
        assert_int_equal(egress_parse(slice_str(cases[i].range), &range, &name, NULL), 0);
        assert_int_equal(egress_is_within(&rule, &range), cases[i].within);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_has_one_text),
        cmocka_unit_test(a_name_is_no_number),
        cmocka_unit_test(a_mistake_is_explained),
        cmocka_unit_test(metadata_is_refused_however_it_is_written),
        cmocka_unit_test(ranges_hold_what_is_in_them),
    };

    return cmocka_run_group_tests_name("model-egress", tests, NULL, NULL);
}
