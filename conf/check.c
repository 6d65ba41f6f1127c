/* check - what no single row can state: options that must be there, and values that do not go together
 *
 * Also sets what depends on other options: mail_dir, the listeners when none are given, resolver.validate. */
#include "conf/reading.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/value.h"

/* -- what must be there */

static void
need(struct reading *r, const char *path, const char *value, const char *example)
{
	if (!*value)
		problem(r, place_line(r, "%s", path), "%s is missing; add: %s", path, example);
}

static void
needs(struct reading *r)
{
	const struct conf *c = r->conf;

	need(r, "hostname", c->hostname, "hostname = \"mx.example.org\"");
	need(r, "state_dir", c->state_dir, "state_dir = \"/var/lib/tegami\"");
	if (c->tls.certificate.n == 0 && c->tls.key.n == 0) {
		problem(r, 1, "tls is missing; add: tls { certificate = \"/path/cert.pem\"  key = \"/path/key.pem\" }");
		return;
	}
	if (c->tls.certificate.n == 0)
		problem(r, place_line(r, "tls.key"), "tls has a key but no certificate; add: certificate = \"/path/cert.pem\"");
	if (c->tls.key.n == 0)
		problem(r, place_line(r, "tls.certificate"), "tls has a certificate but no key; add: key = \"/path/key.pem\"");
}

/* Every certificate has its key, and there are no more than kinds of keys. */
static void
pairs(struct reading *r, const struct conf_pairs *p, unsigned line, const char *what)
{
	if (p->certificate.n > CONF_PAIRS_MAX || p->key.n > CONF_PAIRS_MAX)
		problem(r, line, "%s has too many certificates; give at most one with an EC and one with an RSA key", what);
	else if (p->certificate.n != 0 && p->key.n != 0 && p->certificate.n != p->key.n)
		problem(r, line,
		    "%s has not as many keys as certificates (%zu and %zu); give a key for each, in the same order",
		    what, p->key.n, p->certificate.n);
}

static bool
domain_ok(const char *name)
{
	char *field = NULL;
	const struct conf_row row = { .path = "route", .type = CONF_HOSTNAME, .fallback = "x" };
	bool ok = conf_value_set(&field, &row, slice_of(name), false, NULL) == 0;

	free(field);
	return ok;
}

static void
report_from(struct reading *r)
{
	const char *from = r->conf->reports.from, *at = strrchr(from, '@');

	if (from[0] != '\0' && (at == NULL || at == from || strpbrk(from, " \"<>()[],;:\\") != NULL || !domain_ok(at + 1)))
		problem(r, place_line(r, "reports.from"),
		    "reports.from \"%s\" is no plain address; write it as \"postmaster@example.org\"", from);
}

static void
sni(struct reading *r)
{
	for (size_t i = 0; i < r->conf->n_sni; i++) {
		const struct conf_sni *s = &r->conf->sni[i];
		bool wild = strncmp(s->name, "*.", 2) == 0;
		char what[280];

		if (!domain_ok(s->name + (wild ? 2 : 0)))
			problem(r, place_line(r, "sni.%s", s->name),
			    "sni \"%s\" is no host name; write it as \"mail.example.org\" or \"*.example.org\"", s->name);

		if (s->pairs.certificate.n == 0 || s->pairs.key.n == 0)
			problem(r, place_line(r, "sni.%s", s->name), "sni \"%s\" needs both certificate and key; add the %s",
			    s->name, s->pairs.key.n > 0 ? "certificate" : "key");
		snprintf(what, sizeof what, "sni \"%.255s\"", s->name);
		pairs(r, &s->pairs, place_line(r, "sni.%s", s->name), what);
	}
}

/* -- listeners */

static bool
takes_path(int64_t kind)
{
	return kind == LISTEN_LMTP || kind == LISTEN_LOCAL;
}

/* Is the address used by a listener before this place? */
static const char *
used_before(const struct conf *c, size_t listener, size_t address)
{
	const char *text = c->listen[listener].address.at[address];

	for (size_t i = 0; i <= listener; i++)
		for (size_t j = 0; j < (i == listener ? address : c->listen[i].address.n); j++)
			if (strcmp(c->listen[i].address.at[j], text) == 0)
				return c->listen[i].name;
	return NULL;
}

static void
listener(struct reading *r, size_t i)
{
	const struct conf_listen *l = &r->conf->listen[i];
	unsigned line = place_line(r, "listen.%s", l->name), at = place_line(r, "listen.%s.address", l->name);

	if (!place_line(r, "listen.%s.kind", l->name))
		problem(r, line, "listen \"%s\" has no kind; add one of mx, submission, submissions, lmtp, local", l->name);
	if (l->address.n == 0)
		problem(r, line, "listen \"%s\" has no address; add: address = {\":25\"}", l->name);
	for (size_t j = 0; j < l->address.n; j++) {
		const char *text = l->address.at[j], *other = used_before(r->conf, i, j);

		if (other)
			problem(r, at, "listen \"%s\": %s is an address of listen \"%s\" already; give each its own", l->name,
			    text, other);
		if (text[0] == '/' && !takes_path(l->kind))
			problem(r, at, "listen \"%s\": %s is a path; only lmtp and local listen there, give IP:PORT", l->name, text);
		if (text[0] != '/' && l->kind == LISTEN_LOCAL)
			problem(r, at, "listen \"%s\": a local listener is a socket in the file system; give a path, not %s", l->name,
			    text);
	}
}

static void
add_listener(struct reading *r, const char *name, enum listener_kind kind, const char *address)
{
	struct err err = { .kind = ERR_NONE };
	struct conf_listen *l = conf_group_add(r->conf, GROUP_LISTEN, slice_of(name), &err);

	if (!l || conf_value_set(l, conf_row_of(SLICE("listen.*.address")), slice_of(address), false, &err) == -1) {
		problem(r, 1, "%s", err.text);
		return;
	}
	l->kind = kind;
}

/* sendmail's way in, when the file has none. */
static void
add_local(struct reading *r)
{
	struct conf *c = r->conf;
	struct buf path;
	char name[32] = "local";

	for (size_t i = 0; i < c->n_listen; i++)
		if (c->listen[i].kind == LISTEN_LOCAL)
			return;
	if (conf_group_find(c, GROUP_LISTEN, slice_of(name)))
		slice_copy(SLICE("local-sendmail"), name, sizeof name);
	buf_init(&path, 4096);
	buf_printf(&path, "%s/submit.sock", c->state_dir);
	add_listener(r, name, LISTEN_LOCAL, buf_cstr(&path));
	buf_free(&path);
}

static void
listeners(struct reading *r)
{
	for (size_t i = 0; i < r->conf->n_listen; i++)
		listener(r, i);
	if (r->conf->n_listen == 0) {
		add_listener(r, "mx", LISTEN_MX, ":25");
		add_listener(r, "submission", LISTEN_SUBMISSION, ":587");
		add_listener(r, "submissions", LISTEN_SUBMISSIONS, ":465");
	}
	if (strlen(r->conf->state_dir) > 90)
		problem(r, place_line(r, "state_dir"), "state_dir is too long for the names of sockets in it; give at most 90 bytes");
	else if (*r->conf->state_dir)
		add_local(r);
}

/* -- the rest */

/* A login has a name and a password, and never goes in plain text. */
static void
login(struct reading *r, const char *section, const char *user, const char *file, int64_t tls)
{
	unsigned line = place_line(r, "%s.%s", section, *user ? "username" : "password_file");

	if (!*user && *file)
		problem(r, line, "%s has a password_file but no username; add: username = \"NAME\"", section);
	else if (*user && !*file)
		problem(r, line,
		    "%s has a username but no password_file; add: password_file = \"/etc/tegami/password\", a file of "
		    "mode 0600 with the password in its first line",
		    section);
	else if (*user && tls == TLS_NONE)
		problem(r, line,
		    "%s has a username, but with tls = none its password would be open to all; take tls out, or give "
		    "verified (or required, for a host that cannot prove its name)",
		    section);
}

static void
smarthost(struct reading *r)
{
	const struct conf *c = r->conf;

	login(r, "relay", c->relay.username, c->relay.password_file, c->relay.tls);
	if (*c->relay.username && !*c->relay.smarthost)
		problem(r, place_line(r, "relay.username"),
		    "relay.username is a login, but there is no relay.smarthost; add: smarthost = \"smtp.example.org:587\"");
}

static void
sources(struct reading *r)
{
	const struct conf_strings *s = &r->conf->relay.source;
	unsigned line = place_line(r, "relay.source"), seen[2] = { 0, 0 };

	for (size_t i = 0; i < s->n; i++) {
		unsigned char ip[16];
		bool four = inet_pton(AF_INET, s->at[i], ip) == 1;

		if (!four && inet_pton(AF_INET6, s->at[i], ip) != 1)
			problem(r, line, "relay.source: \"%s\" is no address; give an IP address of this machine", s->at[i]);
		else if (seen[four]++ == 1)
			problem(r, line, "relay.source has two IPv%c addresses; give one of a kind", four ? '4' : '6');
	}
}

static void
routes(struct reading *r)
{
	for (size_t i = 0; i < r->conf->n_route; i++) {
		const struct conf_route *t = &r->conf->route[i];
		unsigned line = place_line(r, "route.%s", t->name);
		char section[300];

		if (t->domain.n == 0 && t->sender.n == 0 && strcmp(t->name, "*") != 0 &&
		    strncmp(t->name, "*.", 2) != 0 && !domain_ok(t->name))
			problem(r, line,
			    "route \"%s\" is for no domain; give a domain name or \"*\", or add: domain = {\"example.org\"}",
			    t->name);
		if (t->sender.n > 0 && (t->n_retry > 0 || t->lifetime > 0 || t->warn_after > 0))
			problem(r, line,
			    "route \"%s\" names senders, but retry, lifetime and warn_after hold for a recipient's domain; "
			    "put them into a route without senders",
			    t->name);
		if (*t->host && *t->lmtp)
			problem(r, place_line(r, "route.%s.lmtp", t->name),
			    "route \"%s\" has both host and lmtp; leave one out", t->name);
		else if (!*t->host && !*t->lmtp)
			problem(r, line, "route \"%s\" has no host; add: host = \"192.0.2.1:25\"", t->name);
		snprintf(section, sizeof section, "route.%s", t->name);
		login(r, section, t->username, t->password_file, t->tls);
	}
}

static void
resolver(struct reading *r)
{
	struct conf *c = r->conf;

	for (size_t i = 0; i < c->resolver.servers.n; i++) {
		const char *text = c->resolver.servers.at[i];
		unsigned char ip[16];
		char host[256];
		uint16_t port;

		if (!conf_host_port(text, 53, host, &port) ||
		    (inet_pton(AF_INET, host, ip) != 1 && inet_pton(AF_INET6, host, ip) != 1))
			problem(r, place_line(r, "resolver.servers"),
			    "resolver.servers: \"%s\" is no address; give IP or IP:PORT", text);
	}
	if (!place_line(r, "resolver.validate"))
		c->resolver.validate = c->resolver.servers.n == 0 || place_line(r, "resolver.trust_anchor");
}

/* Two values of which the first must not exceed the second. */
static void
order(struct reading *r, const char *low, int64_t a, const char *high, int64_t b)
{
	unsigned line = place_line(r, "%s", low);

	if (a > b)
		problem(r, line ? line : place_line(r, "%s", high), "%s is more than %s; make it less or equal", low, high);
}

static void
orders(struct reading *r)
{
	const struct conf *c = r->conf;

	order(r, "spam.junk_score", c->spam.junk_score, "spam.refuse_score", c->spam.refuse_score);
	order(r, "limits.connections_per_client", c->limits.connections_per_client, "limits.connections",
	    c->limits.connections);
}

static void
names(struct reading *r)
{
	const char *sep = r->conf->delivery.subaddress_separator, *folder = r->conf->delivery.junk_folder;

	if (*sep && strchr("@.\"\\ ", *sep))
		problem(r, place_line(r, "delivery.subaddress_separator"),
		    "delivery.subaddress_separator = \"%s\" has a meaning of its own in addresses; give \"+\" or \"-\"", sep);
	if (strpbrk(folder, "./\\") || strcmp(folder, "~") == 0)
		problem(r, place_line(r, "delivery.junk_folder"),
		    "delivery.junk_folder = \"%s\" cannot be a folder's name; give one without . / \\", folder);
	if (strcmp(r->conf->log.destination, "stderr") != 0)
		problem(r, place_line(r, "log.destination"),
		    "log.destination = \"%s\" is no choice; give stderr (under systemd that is the journal)",
		    r->conf->log.destination);
	if (r->conf->metrics.listen[0] == '/')
		problem(r, place_line(r, "metrics.listen"), "metrics.listen is a path; give IP:PORT");
}

static void
report_addresses(struct reading *r)
{
	for (size_t i = 0; i < r->conf->reports.address.n; i++) {
		const char *text = r->conf->reports.address.at[i], *at = strrchr(text, '@');

		if (at == NULL || at == text || strpbrk(text, " ,;!\"<>") != NULL || !domain_ok(at + 1))
			problem(r, place_line(r, "reports.address"),
			    "reports.address: \"%s\" is no address; give one of yours, as dmarc@example.org", text);
	}
}

static void
mail_dir(struct reading *r)
{
	struct conf *c = r->conf;
	struct buf path;

	if (*c->mail_dir || !*c->state_dir)
		return;
	buf_init(&path, 8192);
	buf_printf(&path, "%s/mail", c->state_dir);
	if (conf_value_set(c, conf_row_of(SLICE("mail_dir")), buf_all(&path), false, NULL) == -1)
		problem(r, place_line(r, "state_dir"), "state_dir is too long; give a shorter one");
	buf_free(&path);
}

void
conf_check(struct reading *r)
{
	needs(r);
	mail_dir(r);
	pairs(r, &r->conf->tls, place_line(r, "tls.certificate"), "tls");
	sni(r);
	report_from(r);
	listeners(r);
	smarthost(r);
	sources(r);
	routes(r);
	resolver(r);
	orders(r);
	names(r);
	report_addresses(r);
}
