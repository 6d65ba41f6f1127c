/* test_command - the table of commands: found by verb, complete, and what the states allow */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/role.h"
#include "conf/conf.h"
#include "smtp/command.h"

/* The handlers are not under test. */
#define NOTHING(fn)                                                                                \
	void fn(struct session *s, struct slice args)                                              \
	{                                                                                          \
		(void)s;                                                                           \
		(void)args;                                                                        \
	}
NOTHING(cmd_helo)
NOTHING(cmd_ehlo)
NOTHING(cmd_mail)
NOTHING(cmd_rcpt)
NOTHING(cmd_data)
NOTHING(cmd_bdat)
NOTHING(cmd_rset)
NOTHING(cmd_noop)
NOTHING(cmd_quit)
NOTHING(cmd_vrfy)
NOTHING(cmd_expn)
NOTHING(cmd_help)
NOTHING(cmd_starttls)
NOTHING(cmd_auth)
NOTHING(cmd_xclient)
NOTHING(cmd_proxy)
NOTHING(cmd_lhlo)
NOTHING(cmd_web)

const struct conf *
role_conf(void)
{
	return NULL;
}

bool
conf_networks_hold(const struct conf_strings *networks, const char *ip)
{
	(void)networks;
	(void)ip;
	return false;
}

struct slice
channel_input(const struct channel *c)
{
	(void)c;
	return (struct slice){ NULL, 0 };
}

void
channel_consume(struct channel *c, size_t n)
{
	(void)c;
	(void)n;
}

void
session_bad(struct session *s, int code, const char *enhanced, const char *fmt, ...)
{
	(void)s;
	(void)code;
	(void)enhanced;
	(void)fmt;
}

void
session_reply(struct session *s, int code, const char *enhanced, const char *fmt, ...)
{
	(void)s;
	(void)code;
	(void)enhanced;
	(void)fmt;
}

void
session_close(struct session *s)
{
	(void)s;
}

void
session_refused(const struct session *s, const char *to, const char *text)
{
	(void)s;
	(void)to;
	(void)text;
}

bool
session_idle_command(struct session *s)
{
	(void)s;
	return true;
}

static const struct {
	const char *verb;
	unsigned legal, illegal; /* states */
} rows[] = {
	{ "EHLO", IN(GREETED) | IN(IDLE) | IN(RCPT), IN(DATA) | IN(AUTH) | IN(TLS) },
	{ "mail", IN(IDLE), IN(GREETED) | IN(MAIL) | IN(RCPT) },
	{ "Rcpt", IN(MAIL) | IN(RCPT), IN(IDLE) | IN(GREETED) },
	{ "DATA", IN(RCPT), IN(MAIL) | IN(IDLE) | IN(BDAT) },
	{ "bdat", IN(RCPT) | IN(BDAT) | IN(IDLE), IN(DATA) | IN(CHUNK) | IN(CLOSING) },
	{ "RSET", IN(BDAT) | IN(RCPT), IN(CHUNK) },
	{ "QUIT", IN(GREETED) | IN(IDLE) | IN(MAIL) | IN(RCPT), IN(CLOSING) },
	{ "STARTTLS", IN(GREETED) | IN(IDLE) | IN(MAIL), IN(DATA) | IN(TLS) | IN(BDAT) },
	{ "AUTH", IN(IDLE), IN(GREETED) | IN(MAIL) | IN(RCPT) },
	{ "XCLIENT", IN(GREETED) | IN(IDLE), IN(MAIL) | IN(RCPT) },
};

static void
finds(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct command *c = command_find(slice_of(rows[i].verb));

		assert_non_null(c);
		assert_int_equal(c->legal & rows[i].legal, rows[i].legal);
		assert_int_equal(c->legal & rows[i].illegal, 0);
	}
	assert_null(command_find(SLICE("")));
	assert_null(command_find(SLICE("MAI")));
	assert_null(command_find(SLICE("MAILX")));
	assert_null(command_find((struct slice){ "MAIL\0", 5 }));
}

static void
is_complete(void **state)
{
	(void)state;
	for (const struct command *c = commands; c->verb != NULL; c++) {
		assert_non_null(c->run);
		assert_true(c->legal != 0);
		assert_true(
		    (c->traits & HIDDEN) || slice_starts(slice_of(c->usage), slice_of(c->verb)));
		assert_true((c->traits & HIDDEN) || c->help[0] != '\0');
		/* with code and line end within RFC 5321's 512 bytes, and what cmd_help has room for */
		assert_true(strlen(c->usage) < 240 && strlen(c->help) < 240);
	}
}

static void
echoes_safely(void **state)
{
	(void)state;
	assert_string_equal(command_echo(SLICE("a\r\n\033\377b")), "a????b");
	assert_true(
	    strlen(command_echo(SLICE(
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"))) < 64);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds),
		cmocka_unit_test(is_complete),
		cmocka_unit_test(echoes_safely),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
