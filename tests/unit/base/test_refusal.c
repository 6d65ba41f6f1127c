/* refusal: what real servers say, and what it means */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/refusal.h"

static const struct {
	const char *line;
	enum refusal is;
} lines[] = {
	{ "mx.peer.test[192.0.2.1]:25 said: 550 5.1.1 <x@peer.test>: Recipient address rejected: User unknown", REFUSAL_UNKNOWN_USER },
	{ "a said: 550 5.1.1 The email account that you tried to reach does not exist.", REFUSAL_UNKNOWN_USER },
	{ "a said: 550 5.0.0 no such user here", REFUSAL_UNKNOWN_USER },
	{ "a said: 550 5.0.0 Requested action not taken: mailbox unavailable", REFUSAL_UNKNOWN_USER },
	{ "a said: 550 5.4.1 Recipient address rejected: Access denied. user unknown", REFUSAL_UNKNOWN_USER },
	{ "a said: 550 5.2.1 The email account that you tried to reach is disabled", REFUSAL_DISABLED },
	{ "a said: 452 4.2.2 The email account that you tried to reach is over quota", REFUSAL_FULL },
	{ "a said: 552 5.0.0 Quota exceeded (mailbox for user is full)", REFUSAL_FULL },
	{ "a said: 552 5.3.4 Message size exceeds fixed limit", REFUSAL_SIZE },
	{ "a said: 450 4.2.0 <x@peer.test>: Recipient address rejected: Greylisted, see http://postgrey.example/", REFUSAL_GREYLISTED },
	{ "a said: 451 4.7.1 Greylisting in action, please come back later", REFUSAL_GREYLISTED },
	{ "a said: 550 5.7.1 Service unavailable, Client host [192.0.2.1] blocked using Spamhaus", REFUSAL_BLOCK_LIST },
	{ "a said: 554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org; listed by", REFUSAL_BLOCK_LIST },
	{ "a said: 550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Part of their network is on our block list (S3140).",
	    REFUSAL_BLOCK_LIST },
	{ "a said: 421 4.7.0 Try again later, too many connections from your host", REFUSAL_RATE },
	{ "a said: 421 4.7.28 Our system has detected an unusual rate of unsolicited mail", REFUSAL_RATE },
	{ "a said: 451 4.7.650 The mail server has been temporarily rate limited due to IP reputation.", REFUSAL_BLOCK_LIST },
	{ "a said: 452 4.5.3 Too many recipients", REFUSAL_RATE },
	{ "a said: 550 5.7.26 This mail has been blocked because the sender is unauthenticated.", REFUSAL_AUTHENTICATION },
	{ "a said: 550 5.7.1 Email rejected per DMARC policy for example.org", REFUSAL_AUTHENTICATION },
	{ "a said: 550 5.7.23 Message rejected: SPF fail", REFUSAL_AUTHENTICATION },
	{ "a said: 550 5.7.25 The IP address sending this message does not have a PTR record setup", REFUSAL_OUR_NAME },
	{ "a said: 450 4.7.1 Client host rejected: cannot find your hostname, [192.0.2.1]", REFUSAL_OUR_NAME },
	{ "a said: 530 5.7.0 Must issue a STARTTLS command first", REFUSAL_TLS },
	{ "a said: 530 5.7.0 Authentication required", REFUSAL_LOGIN },
	{ "a said: 535 5.7.8 Error: authentication failed", REFUSAL_LOGIN },
	{ "a said: 554 5.7.1 <x@peer.test>: Relay access denied", REFUSAL_RELAYING },
	{ "a said: 550 5.7.1 relaying denied", REFUSAL_RELAYING },
	{ "a said: 554 5.7.1 Spam message rejected", REFUSAL_CONTENT },
	{ "a said: 550 5.7.1 virus found: Eicar-Test", REFUSAL_CONTENT },
	{ "a said: 550 5.7.1 refused by policy", REFUSAL_POLICY },
	{ "a said: 554 5.4.6 Too many hops", REFUSAL_LOOP },
	{ "a said: 451 4.3.0 internal error", REFUSAL_TROUBLE },
	{ "a said: 451 4.0.0 later", REFUSAL_TROUBLE },
	/* our own words */
	{ "mx.peer.test[192.0.2.1]:25: 4.4.1 while connecting: Connection refused", REFUSAL_NETWORK },
	{ "mx.peer.test[192.0.2.1]:25: 4.4.2 while the TLS handshake: certificate has expired", REFUSAL_TLS },
	{ "4.4.3 cannot look up the mail hosts of peer.test: SERVFAIL", REFUSAL_DNS },
	{ "5.1.2 the domain nowhere.test does not exist", REFUSAL_DOMAIN },
	{ "5.1.10 peer.test takes no mail (null MX)", REFUSAL_DOMAIN },
	{ "5.4.6 peer.test names this server as its best mail host, but is not configured here", REFUSAL_LOOP },
	{ "h: 5.6.7 it takes only ASCII in addresses (SMTPUTF8)", REFUSAL_FEATURE },
	/* nothing to go by; halves of words do not count */
	{ "a said: 550 5.0.0 no", REFUSAL_OTHER },
	{ "", REFUSAL_OTHER },
	{ "a said: 550 5.0.0 aspfx controlled notlsx", REFUSAL_OTHER },
	{ "said: said: 5", REFUSAL_OTHER },
};

static void
test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		enum refusal is = refusal_of_line(lines[i].line);

		if (is != lines[i].is)
			fail_msg("%s: %s, not %s", lines[i].line, refusal_words(is)->name,
			    refusal_words(lines[i].is)->name);
	}
}

static void
test_words(void **state)
{
	(void)state;
	for (int r = 0; r <= REFUSALS; r++) {
		const struct refusal_words *w = refusal_words((enum refusal)r);

		assert_non_null(w->name);
		assert_true((w->means[0] != '\0') == (r != REFUSAL_OTHER && r != REFUSALS));
		assert_true((w->sender[0] != '\0') == (w->means[0] != '\0'));
		assert_true((w->admin[0] != '\0') == (w->means[0] != '\0'));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
