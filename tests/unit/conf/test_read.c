#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf/reading.h"
#include "tests/unit/conf/file.h"

/* The example of the manual, as users are told to write it. */
static const char example[] =
    "hostname  = \"mx.example.test\"\n"
    "state_dir = \"/srv/t\"                       # mail_dir defaults to state_dir/mail\n"
    "tls { certificate = \"/srv/t/cert.pem\"  key = \"/srv/t/key.pem\" }\n"
    "listen \"mx\"   { kind = mx          address = {\"127.0.0.1:2525\"} }\n"
    "listen \"sub\"  { kind = submission  address = {\"127.0.0.1:2587\"} }\n"
    "listen \"subs\" { kind = submissions address = {\"127.0.0.1:2465\"} }\n"
    "resolver { servers = {\"127.0.0.1:5353\"}  timeout = 2s }\n"
    "trusted_networks = {\"192.0.2.0/24\"}        # may relay without AUTH: printers, scanners\n"
    "trusted_proxies  = {\"127.0.0.1\"}           # may use XCLIENT and PROXY\n"
    "spf { enabled = true }  dkim { enabled = true }  dmarc { enabled = true }  arc { enabled = true }\n"
    "antivirus { enabled = true  database = \"/srv/t/sigs\"  on_infected = refuse  on_error = defer }\n"
    "spam  { enabled = true  junk_score = 5  refuse_score = 15  dnsbl \"bl.example\" { weight = 3 } }\n"
    "relay { retry = {1m, 5m, 15m, 1h}  lifetime = 5d  warn_after = 4h  port = 25  allow_loopback = false  "
    "smarthost = \"\" }\n"
    "route \"peer.test\" { host = \"127.0.0.1:2626\"  tls = none }\n"
    "limits { message_size = 50M  recipients = 1000  connections = 10000  connections_per_client = 50  min_free = 100M }\n"
    "delivery { subaddress_separator = \"+\"  junk_folder = \"Junk\"  default_quota = 0 }\n"
    "metrics { listen = \"\" }   log { format = text  level = info  destination = stderr }   history { keep = 30d }\n";

static void
the_example(void **state)
{
	struct err err;
	struct conf *c = read_text(example, &err);

	(void)state;
	if (!c)
		fail_msg("%s", err.text);
	assert_string_equal(c->hostname, "mx.example.test");
	assert_string_equal(c->mail_dir, "/srv/t/mail");
	assert_string_equal(c->tls.key.at[0], "/srv/t/key.pem");
	assert_int_equal(c->n_listen, 4);
	assert_string_equal(c->listen[2].name, "subs");
	assert_int_equal(c->listen[2].kind, LISTEN_SUBMISSIONS);
	assert_string_equal(c->listen[2].address.at[0], "127.0.0.1:2465");
	assert_int_equal(c->listen[3].kind, LISTEN_LOCAL);
	assert_string_equal(c->listen[3].address.at[0], "/srv/t/submit.sock");
	assert_string_equal(c->resolver.servers.at[0], "127.0.0.1:5353");
	assert_int_equal(c->resolver.timeout, 2000);
	assert_false(c->resolver.validate);
	assert_string_equal(c->trusted_networks.at[0], "192.0.2.0/24");
	assert_true(c->antivirus.enabled);
	assert_int_equal(c->antivirus.on_infected, ACTION_REFUSE);
	assert_int_equal(c->antivirus.on_error, ACTION_DEFER);
	assert_int_equal(c->spam.junk_score, 5000);
	assert_string_equal(c->spam.dnsbl[0].name, "bl.example");
	assert_int_equal(c->spam.dnsbl[0].weight, 3000);
	assert_int_equal(c->relay.n_retry, 4);
	assert_int_equal(c->relay.retry[3], 3600000);
	assert_string_equal(c->relay.smarthost, "");
	assert_string_equal(c->route[0].host, "127.0.0.1:2626");
	assert_int_equal(c->route[0].tls, TLS_NONE);
	assert_int_equal(c->limits.min_free, 100 << 20);
	assert_int_equal(c->delivery.default_quota, 0);
	assert_int_equal(c->history.keep, INT64_C(30) * 86400000);
	conf_free(&c);
}

static void
five_lines(void **state)
{
	struct err err;
	struct conf *c = read_text(FIVE_LINES, &err);

	(void)state;
	assert_non_null(c);
	assert_int_equal(c->n_listen, 4);
	assert_string_equal(c->listen[0].address.at[0], ":25");
	assert_string_equal(c->listen[1].address.at[0], ":587");
	assert_string_equal(c->listen[2].address.at[0], ":465");
	assert_true(c->resolver.validate);
	assert_true(c->spam.enabled);
	conf_free(&c);
}

/* What may be written, besides. */
static void
ways_to_write(void **state)
{
	static const char *const more[] = {
		"",
		"# only a comment",
		"// another\n/* and { one\n more */",
		"limits { recipients = 5 }\nlimits { hops = 7 }",
		"relay { retry = {\n1m,\n5m\n}\n}",
		"relay { retry = 1m }",
		"log { format = 'json' }",
		"sni \"other.example\" { certificate = /a/b key = \"/c\" }",
		"listen \"s\" { kind = local address = {\"/run/t.sock\"} }",
		"listen \"l\" { kind = lmtp address = {\"/run/l.sock\", \"127.0.0.1:24\"} }",
		"route \"*\" { host = \"[2001:db8::1]:25\" }",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(more); i++) {
		char text[1000];
		struct err err;
		struct conf *c;

		snprintf(text, sizeof text, "%s%s", FIVE_LINES, more[i]);
		if (!(c = read_text(text, &err)))
			fail_msg("%s: %s", more[i], err.text);
		conf_free(&c);
	}
}

static const struct {
	const char *more;	/* from line 5 on */
	const char *error;	/* it begins so */
} wrong[] = {
	{ "hostnam = x", "F:5: there is no option hostnam; did you mean hostname?" },
	{ "\nlimits { recipents = 5 }",
	    "F:6: there is no option recipents in section limits; did you mean recipients?" },
	{ "listen \"mx\" { kind = mx\n adress = {\":25\"} }",
	    "F:6: there is no option adress in section listen; did you mean address?" },
	{ "spam { dnsbl \"a.b\" { weigth = 3 } }", "F:5: there is no option weigth in section dnsbl; did you mean weight?" },
	{ "message_size = 5M", "F:5: there is no option message_size; it is known as limits.message_size" },
	{ "limits { qqqqqqqqqq = 5 }", "F:5: there is no option qqqqqqqqqq in section limits; see" },
	{ "limits {\n recipients = 5\n", "F:5: the { of limits is never closed; put a }" },
	{ "limits { recipients = 5 } }", "F:5: this } closes nothing; remove it" },
	{ "log { destination = \"stderr }", "F:5: this text never ends; close it with \"" },
	{ "/* comment", "F:5: this comment never ends; close it with */" },
	{ "limits {\nrecipients = 0 }",
	    "F:6: limits.recipients = \"0\" is out of range; give a whole number from 1 to 10000" },
	{ "limits { message_size = 5MB }",
	    "F:5: limits.message_size = \"5MB\" is not of the right form; give a size such as" },
	{ "relay { lifetime = 30 }", "F:5: relay.lifetime = \"30\" is not of the right form; give a time such as 30s" },
	{ "relay { retry = {1m, 5x} }", "F:5: relay.retry = \"5x\" is not of the right form; give a time such as 30s" },
	{ "spf { enabled = maybe }", "F:5: spf.enabled = \"maybe\" is neither true nor false; give true or false" },
	{ "listen \"a\" { kind = mail address = {\":25\"} }",
	    "F:5: listen.*.kind = \"mail\" is no choice; give one of mx, submission, submissions, lmtp, local" },
	{ "listen \"a\" { kind = mx }", "F:5: listen \"a\" has no address; add" },
	{ "listen \"a\" { address = {\":25\"} }", "F:5: listen \"a\" has no kind; add one of mx," },
	{ "listen \"a\" { kind = mx address = {\"25\"} }",
	    "F:5: listen.*.address = \"25\" is not right; give \"IP:PORT\"" },
	{ "listen \"a\" { kind = mx address = {\"/x\"} }", "F:5: listen \"a\": /x is a path; only lmtp and local" },
	{ "listen \"a\" { kind = mx address = {\":25\",\n\":25\"} }",
	    "F:5: listen \"a\": :25 is an address of listen \"a\" already" },
	{ "listen \"a\" { kind = mx address = {\":25\"} }\nlisten \"a\" { kind = mx address = {\":26\"} }",
	    "F:6: found duplicate title 'a'" },
	{ "listen { kind = mx address = {\":25\"} }", "F:5: missing title" },
	{ "spam { junk_score = 20 }", "F:5: spam.junk_score is more than spam.refuse_score" },
	{ "sni \"a.b\" { certificate = \"/x\" }", "F:5: sni \"a.b\" needs both certificate and key; add the key" },
	{ "route \"a b\" { host = \"127.0.0.1\" }", "F:5: route \"a b\" is for no domain" },
	{ "route \"a.b\" { tls = none }", "F:5: route \"a.b\" has no host" },
	{ "reports { from = \"postmaster\" }", "F:5: reports.from \"postmaster\" is no plain address; write it as" },
	{ "reports { from = \"A <a@b.test>\" }", "F:5: reports.from \"A <a@b.test>\" is no plain address; write it as" },
	{ "reports { from = \"a@b..test\" }", "F:5: reports.from \"a@b..test\" is no plain address; write it as" },
	{ "reports { interval = 10ms }", "F:5: reports.interval = \"10ms\" is not of the right form" },
	{ "resolver { servers = {\"ns.test\"} }", "F:5: resolver.servers: \"ns.test\" is no address; give IP" },
	{ "hostname = \"again.test\"", "F:5: hostname was set in line 1 already; remove one" },
	{ "limits { hops = 7 }\nlimits { hops = 8 }", "F:6: limits.hops was set in line 5 already; remove one" },
	{ "trusted_networks = {\"192.0.2.0/99\"}",
	    "F:5: trusted_networks = \"192.0.2.0/99\" is not right; give an address or network" },
	{ "log { destination = syslog }", "F:5: log.destination = \"syslog\" is no choice" },
	{ "antivirus { on_error = accept }",
	    "F:5: antivirus.on_error = \"accept\" is no choice; give one of refuse, defer" },
	{ "limits = 5", "F:5: " },
	{ "limits { recipients 5 }", "F:5: " },
	{ "spf { enabled = true", "F:5: the { of spf is never closed" },
	{ "\001", "F:5: byte 0x01 has no place" },
};

static void
errors(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		char text[1000];
		struct err err;

		snprintf(text, sizeof text, "%s%s", FIVE_LINES, wrong[i].more);
		if (read_text(text, &err) || strncmp(err.text, wrong[i].error, strlen(wrong[i].error)) != 0)
			fail_msg("%s:\nwant %s\ngot  %s", wrong[i].more, wrong[i].error, err.text);
		if (!strchr(err.text, ';'))
			fail_msg("no advice: %s", err.text);
	}
}

static const struct {
	const char *text, *error;
} missing[] = {
	{ "", "F:1: hostname is missing; add: hostname = " },
	{ "hostname = a.b state_dir = \"/s\"", "F:1: tls is missing; add: tls {" },
	{ "hostname = a.b state_dir = \"/s\"\ntls { certificate = \"/c\" }",
	    "F:2: tls has a certificate but no key; add" },
	{ "hostname = a.b state_dir = \"/s\"\ntls { certificate = {\"/c\", \"/d\"} key = \"/k\" }",
	    "F:2: tls has not as many keys as certificates (1 and 2); give a key for each" },
	{ "hostname = a.b state_dir = \"/s\"\ntls { certificate = {\"/c\", \"/d\", \"/e\"} key = \"/k\" }",
	    "F:2: tls has too many certificates; give at most one with an EC" },
	{ "hostname = a.b state_dir = \"/s\"\ntls { key = \"/c\" }", "F:2: tls has a key but no certificate; add" },
	{ "hostname = a.b tls { key = \"/c\" certificate = \"/c\" }", "F:1: state_dir is missing; add" },
	{ "hostname = \"\" state_dir = \"/s\" tls { key = \"/c\" certificate = \"/c\" }", "F:1: hostname is missing" },
	{ "hostname = a.b state_dir = \"s\" tls { key = \"/c\" certificate = \"/c\" }",
	    "F:1: state_dir = \"s\" is not right; give an absolute path" },
};

static void
missing_ones(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(missing); i++) {
		struct err err;

		if (read_text(missing[i].text, &err) ||
		    strncmp(err.text, missing[i].error, strlen(missing[i].error)) != 0)
			fail_msg("%s:\nwant %s\ngot  %s", missing[i].text, missing[i].error, err.text);
	}
}

static void
several_at_once(void **state)
{
	struct err err;

	(void)state;
	assert_null(read_text(FIVE_LINES "limits { recipients = 0\nhops = 0 }", &err));
	assert_non_null(strstr(err.text, ":5: limits.recipients"));
	assert_non_null(strstr(err.text, ":6: limits.hops"));
}

static void
no_file(void **state)
{
	struct err err;

	(void)state;
	assert_null(conf_read("/nowhere/at/all", &err));
	assert_non_null(strstr(err.text, "/nowhere/at/all"));
	assert_null(conf_read("/", &err));
	assert_null(conf_read("/dev/zero", &err));
}

/* Every cut, and every byte replaced, of a whole file: an answer, whatever it is. */
static void
broken_files(void **state)
{
	static const char bytes[] = "{}\"'\\#=,+()/*\n x0$";
	size_t len = sizeof example - 1;
	char *text = malloc(len);
	struct err err;
	struct conf *c;

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < len; i++) {
		c = read_bytes(example, i, &err);
		conf_free(&c);
		memcpy(text, example, len);
		text[i] = bytes[i % (sizeof bytes - 1)];
		c = read_bytes(text, len, &err);
		conf_free(&c);
	}
	free(text);
}

static void
distances(void **state)
{
	(void)state;
	assert_int_equal(conf_distance("address", "adress"), 1);
	assert_int_equal(conf_distance("kind", "knid"), 1);
	assert_int_equal(conf_distance("", "abc"), 3);
	assert_int_equal(conf_distance("same", "same"), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example),
		cmocka_unit_test(five_lines),
		cmocka_unit_test(ways_to_write),
		cmocka_unit_test(errors),
		cmocka_unit_test(missing_ones),
		cmocka_unit_test(several_at_once),
		cmocka_unit_test(no_file),
		cmocka_unit_test(broken_files),
		cmocka_unit_test(distances),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
