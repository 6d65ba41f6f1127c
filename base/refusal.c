/* refusal - what a mail server means by its refusal
 *
 * The first row that fits counts. Rows with words stand before rows with bare codes, because many
 * servers say 550 5.7.1 for all they dislike and only their words tell what it is; codes of one
 * meaning (5.1.1, 5.2.2) stand before all.
 *
 * A pattern of words is alternatives parted by "|", each found anywhere in the text, case ignored,
 * as whole words; a "*" at its end lets the last word go on ("throttl*"). A pattern of an enhanced
 * code leaves out its class ("1.1", "7.*"). */
#include "base/refusal.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct row {
	unsigned code; /* 550; 5: any 5yz; 0: any, and none */
	const char *enhanced, *words;
	enum refusal is;
} rows[] = {
	/* codes of one meaning */
	{ 0, "1.1|1.6", NULL, REFUSAL_UNKNOWN_USER },
	{ 0, "2.2", NULL, REFUSAL_FULL },
	{ 0, "2.1", "disabled|suspended|inactive|not active|blocked", REFUSAL_DISABLED },
	{ 0, "2.3|3.4", NULL, REFUSAL_SIZE },
	{ 0, "1.2|1.10|4.4", NULL, REFUSAL_DOMAIN },
	{ 0, "4.6", NULL, REFUSAL_LOOP },
	{ 0, "7.10|7.11|7.30", NULL, REFUSAL_TLS },
	{ 0, "7.20|7.21|7.22|7.23|7.24|7.26", NULL, REFUSAL_AUTHENTICATION },
	{ 0, "7.25", NULL, REFUSAL_OUR_NAME },
	{ 0, "7.8|7.9", NULL, REFUSAL_LOGIN },
	{ 0, "6.1|6.7", NULL, REFUSAL_FEATURE },
	{ 0, "4.3", NULL, REFUSAL_DNS },
	/* words */
	{ 0, NULL,
	    "reverse dns|rdns|ptr|ptr record*|reverse lookup|reverse hostname|reverse host name|client host rejected: cannot find "
	    "your hostname|helo command rejected*",
	    REFUSAL_OUR_NAME },
	{ 4, NULL, "greylist*|graylist*|grey-list*|gray-list*|grey listed|gray listed", REFUSAL_GREYLISTED },
	{ 0, NULL,
	    "blocklist*|block list*|block-list*|blacklist*|black list*|black-list*|denylist*|spamhaus*|spamcop*|dnsbl*|rbl|"
	    "barracudacentral*|sorbs|uceprotect*|abusix*|listed at|listed by|listed in|listed on|is listed|reputation|"
	    "part of their network is on our block list|banned sending ip|ip has been blocked|ip address is blocked",
	    REFUSAL_BLOCK_LIST },
	{ 0, NULL,
	    "rate limit*|rate-limit*|ratelimit*|throttl*|too many connections|too many concurrent|too many messages|too many "
	    "mails|too many emails|too many recipients|too many requests|too many sessions|sending too fast|unusual rate|"
	    "try again later, too many|exceeded the rate|hourly limit|daily limit|exceeded the maximum number of connections|"
	    "temporarily deferred due to user complaints|concurren*",
	    REFUSAL_RATE },
	{ 0, NULL,
	    "spf|dkim|dmarc|sender policy framework|unauthenticated email|unauthenticated mail|not authenticated by|"
	    "sender is unauthenticated|sender authentication|email authentication|does not designate",
	    REFUSAL_AUTHENTICATION },
	{ 0, NULL,
	    "authentication required|authentication failed|authentication credentials|must authenticate|not logged in|login failed|"
	    "invalid credentials|password",
	    REFUSAL_LOGIN },
	{ 0, NULL,
	    "starttls|tls|ssl|certificate|encryption required|requires encryption|not encrypted|encrypted connection|handshake",
	    REFUSAL_TLS },
	{ 0, NULL,
	    "relaying denied|relay denied|relay access denied|relaying not allowed|not permitted to relay|unable to relay|"
	    "relay not permitted|relaying not permitted|not allowed to relay|we do not relay|no relay*|relaying is not",
	    REFUSAL_RELAYING },
	{ 0, NULL,
	    "mailbox full|mailbox is full|inbox is full|over quota|overquota|quota exceeded|exceeded quota|exceeded its quota|"
	    "exceeds quota|quota|out of storage space|mailbox size limit|not enough space in",
	    REFUSAL_FULL },
	{ 0, NULL,
	    "user unknown|unknown user|unknown recipient|recipient unknown|unknown local*|no such user|no such mailbox|no such "
	    "recipient|no such address|no such person|no mailbox here|mailbox not found|user not found|recipient not found|"
	    "address not found|recipient address rejected: undeliverable|mailbox does not exist|user does not exist|"
	    "user doesn't exist|account does not exist|account that you tried to reach does not exist|address does not exist|"
	    "recipient does not exist|invalid recipient|invalid mailbox|not a valid mailbox|unknown address|not our customer|"
	    "is not known here|unrouteable address|no valid recipient*|there is no mailbox|there is no such mailbox",
	    REFUSAL_UNKNOWN_USER },
	{ 0, NULL,
	    "account disabled|account is disabled|account has been disabled|mailbox disabled|mailbox is disabled|account "
	    "suspended|account is suspended|user is suspended|account inactive|account is inactive|mailbox inactive",
	    REFUSAL_DISABLED },
	{ 0, NULL,
	    "too large|too big|size limit|maximum message size|exceeds size|exceeds maximum|message size exceeds|larger than",
	    REFUSAL_SIZE },
	{ 0, NULL, "loop|loops back|too many hops|hop count|too many received", REFUSAL_LOOP },
	{ 0, NULL,
	    "spam|virus*|malware|phishing|infected|unsolicited|attachment*|content rejected|message content|looks like junk|"
	    "suspicious|bulk mail",
	    REFUSAL_CONTENT },
	{ 0, NULL, "smtputf8|binarymime|8bitmime", REFUSAL_FEATURE },
	{ 0, NULL,
	    "domain does not exist|domain not found|no such domain|takes no mail|does not exist|no mx|has no address",
	    REFUSAL_DOMAIN },
	{ 0, NULL, "cannot look up|dns|name server|nameserver|resolver", REFUSAL_DNS },
	{ 0, "4.1|4.2", NULL, REFUSAL_NETWORK },
	{ 0, NULL,
	    "while connecting|connection refused|connection timed out|timed out|timeout|no route to host|network is unreachable|"
	    "connection reset|connection lost|closed the connection|could be reached|cannot be reached",
	    REFUSAL_NETWORK },
	/* codes that only hint */
	{ 0, "5.3|7.28|4.5", NULL, REFUSAL_RATE },
	{ 421, NULL, NULL, REFUSAL_TROUBLE },
	{ 0, "2.1", NULL, REFUSAL_DISABLED },
	{ 0, "1.*", NULL, REFUSAL_UNKNOWN_USER },
	{ 0, "7.*", NULL, REFUSAL_POLICY },
	{ 0, "6.*", NULL, REFUSAL_CONTENT },
	{ 0, "3.*|4.*", NULL, REFUSAL_TROUBLE },
	{ 552, NULL, NULL, REFUSAL_FULL },
	{ 530, NULL, NULL, REFUSAL_LOGIN },
	{ 535, NULL, NULL, REFUSAL_LOGIN },
	{ 550, NULL, "mailbox unavailable|unavailable|mailbox", REFUSAL_UNKNOWN_USER },
	{ 551, NULL, NULL, REFUSAL_UNKNOWN_USER },
	{ 553, NULL, NULL, REFUSAL_UNKNOWN_USER },
	{ 554, NULL, NULL, REFUSAL_POLICY },
	{ 4, NULL, NULL, REFUSAL_TROUBLE },
};

static const struct refusal_words words[REFUSALS] = {
	[REFUSAL_OTHER] = { "", "", "", "" },
	[REFUSAL_UNKNOWN_USER] = { "unknown-user", "There is no mailbox of that name there.",
	    "Look whether the address is spelt right, or ask the recipient for the present one.",
	    "Nothing is wrong here; the address is. When it happens to many addresses of one sender, their list is old." },
	[REFUSAL_DISABLED] = { "disabled", "The mailbox is known there but takes no mail now.",
	    "Reach the recipient another way; only they or their administrator can open it again.", "Nothing is wrong here." },
	[REFUSAL_FULL] = { "full", "The recipient's mailbox is full.",
	    "Try again in a few days, or tell the recipient another way.", "Nothing is wrong here." },
	[REFUSAL_GREYLISTED] = { "greylisted", "They ask every sender they do not know to come again a little later.",
	    "You need not do anything.", "Nothing: the next attempts will do." },
	[REFUSAL_RATE] = { "rate", "They take no more mail from us at this pace.",
	    "Wait, then send it again to fewer recipients at a time.",
	    "Sessions become fewer by themselves. If it goes on, look who sends so much (`tegami queue list`), or lower "
	    "relay.concurrency." },
	[REFUSAL_BLOCK_LIST] = { "block-list", "They do not trust this mail server: its address is on a block list, or has a bad "
	    "name with them.",
	    "It is not about your mail. Tell the administrator of your mail server, who can have it put right.",
	    "Their words say which list it is: look your address up there, find and stop what was sent (`tegami trace`), then ask to "
	    "be taken off." },
	[REFUSAL_OUR_NAME] = { "our-name", "They want this server's address and its name to agree in DNS (a PTR record), and they do "
	    "not.",
	    "It is not about your mail. Tell the administrator of your mail server, who can have it put right.",
	    "`tegami check` compares address, PTR record and hostname; who rents you the address sets the PTR record." },
	[REFUSAL_AUTHENTICATION] = { "authentication", "They could not prove that the mail is from its sender's domain (SPF, DKIM, "
	    "DMARC).",
	    "It is not about your text. Tell the administrator of your mail server.",
	    "`tegami dns check DOMAIN` shows which record of the sender's domain is missing or wrong." },
	[REFUSAL_LOGIN] = { "login", "That server wants a login that we did not give, or did not take ours.",
	    "Tell the administrator of your mail server.",
	    "Is this the right host for this mail? Look at `tegami route ADDRESS`, and at the login of the smarthost." },
	[REFUSAL_RELAYING] = { "relaying", "That server does not take mail for this domain.",
	    "Look whether the part behind the @ is spelt right. If it is, the recipient's administrator must mend it.",
	    "`tegami route ADDRESS` shows which hosts are asked. Without a route of yours it is their MX record that is wrong." },
	[REFUSAL_TLS] = { "tls", "The connection could not be encrypted as one of the two sides demands.",
	    "Tell the administrator of your mail server.",
	    "`tegami route ADDRESS` shows what is demanded here; a certificate or policy of theirs may have run out." },
	[REFUSAL_SIZE] = { "size", "The mail is too large for them.",
	    "Send it in smaller parts, or send a link to the files.", "Nothing is wrong here." },
	[REFUSAL_CONTENT] = { "content", "They take the mail for spam, or for harmful.",
	    "Leave out what may look so (attachments, links, many pictures), or ask the recipient to expect it.",
	    "Look whether the account was stolen: `tegami trace SENDER --since 1d`." },
	[REFUSAL_POLICY] = { "policy", "A rule of theirs does not allow it.",
	    "Their words above may say which; else ask the recipient, whose administrator made it.",
	    "Their words may say which; their postmaster can tell more." },
	[REFUSAL_DOMAIN] = { "domain", "There is no such mail domain, or it takes no mail.",
	    "Look whether the part behind the @ is spelt right.",
	    "`tegami route ADDRESS` shows what DNS says of it." },
	[REFUSAL_LOOP] = { "loop", "The mail goes round in a circle between servers.",
	    "Tell the administrator of your mail server, and the recipient.",
	    "An alias, a forward or an MX record leads back: `tegami route ADDRESS` shows our part of the circle." },
	[REFUSAL_DNS] = { "dns", "DNS did not say where their mail goes; it may know later.",
	    "Look whether the part behind the @ is spelt right, and try again later.",
	    "When it is so for all domains, your own resolver is in trouble: `tegami check`." },
	[REFUSAL_NETWORK] = { "network", "Their mail server does not answer, or the connection broke.",
	    "Try again later, or reach the recipient another way.",
	    "When it is so for all domains, look at your own network and whether port 25 is open outwards: `tegami check`." },
	[REFUSAL_TROUBLE] = { "trouble", "Their server has trouble of its own just now.",
	    "Try again later, or reach the recipient another way.", "Nothing is wrong here; it is tried again." },
	[REFUSAL_FEATURE] = { "feature", "Their server does not know the form of mail that this one needs.",
	    "Write to an address in plain letters, without special characters before the @, and send files as ordinary attachments.",
	    "Nothing is wrong here." },
};

/* -- patterns */

/* Does `word` (len bytes) stand in `text` as whole words? */
static bool
holds_word(const char *text, const char *word, size_t len)
{
	bool open = word[len - 1] == '*';

	len -= open;
	for (const char *p = text; *p != '\0'; p++) {
		if (strncasecmp(p, word, len) != 0)
			continue;
		if (p > text && isalnum((unsigned char)p[-1]) && isalnum((unsigned char)word[0]))
			continue;
		if (open || !isalnum((unsigned char)p[len]))
			return true;
	}
	return false;
}

static bool
holds(const char *text, const char *pattern)
{
	while (*pattern != '\0') {
		size_t len = strcspn(pattern, "|");

		if (holds_word(text, pattern, len))
			return true;
		pattern += len + (pattern[len] == '|');
	}
	return false;
}

/* "5.1.1" by "1.1", "5.7.509" by "7.*". */
static bool
enhanced_fits(const char *enhanced, const char *pattern)
{
	const char *rest = strchr(enhanced, '.');

	if (rest++ == NULL)
		return false;
	while (*pattern != '\0') {
		size_t len = strcspn(pattern, "|");
		bool open = pattern[len - 1] == '*';

		if (strncmp(rest, pattern, len - open) == 0 && (open || rest[len] == '\0'))
			return true;
		pattern += len + (pattern[len] == '|');
	}
	return false;
}

static bool
code_fits(unsigned code, const char *enhanced, unsigned wanted)
{
	if (wanted == 0 || code == wanted)
		return true;
	if (wanted > 9)
		return false;
	return code / 100 == wanted || (code == 0 && enhanced[0] == (char)('0' + wanted));
}

enum refusal
refusal_of(unsigned code, const char *enhanced, const char *text)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];

		if (code_fits(code, enhanced, r->code) &&
		    (r->enhanced == NULL || enhanced_fits(enhanced, r->enhanced)) &&
		    (r->words == NULL || holds(text, r->words)))
			return r->is;
	}
	return REFUSAL_OTHER;
}

/* -- a line */

/* "5.1.1" at the beginning of `at`: into `out`, what follows it is returned; else `at`. */
static const char *
take_enhanced(const char *at, char out[static 12])
{
	size_t len = strspn(at, "0123456789.");

	out[0] = '\0';
	if (len < 5 || len > 11 || at[1] != '.' || (at[len] != ' ' && at[len] != '\0'))
		return at;
	memcpy(out, at, len);
	out[len] = '\0';
	return at[len] == ' ' ? at + len + 1 : at + len;
}

enum refusal
refusal_of_line(const char *line)
{
	const char *said = strstr(line, " said: "), *own = strstr(line, ": ");
	char enhanced[12];
	unsigned code = 0;

	if (said != NULL) {
		line = said + 7;
		code = (unsigned)strtoul(line, NULL, 10);
		line += strspn(line, "0123456789");
		line += *line == ' ';
	} else if (own != NULL && own[2] >= '2' && own[2] <= '5' && own[3] == '.') {
		line = own + 2;
	}
	line = take_enhanced(line, enhanced);
	return refusal_of(code, enhanced, line);
}

const struct refusal_words *
refusal_words(enum refusal refusal)
{
	return &words[(unsigned)refusal < REFUSALS ? refusal : REFUSAL_OTHER];
}
