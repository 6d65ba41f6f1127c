/* options - every option of the configuration file, a row each
 *
 * The columns are those of struct conf_row. `told` lists the roles that get the value; a row that no role is told is for
 * the supervisor, who reads the file itself. */
#include "conf/options.h"

#include "base/log.h"

#define KIB INT64_C(1024)
#define MIB (KIB * KIB)
#define GIB (MIB * KIB)
#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define YEAR (366 * DAY)

static const char *const kind_names[] = {
	[LISTEN_MX] = "mx",
	[LISTEN_SUBMISSION] = "submission",
	[LISTEN_SUBMISSIONS] = "submissions",
	[LISTEN_LMTP] = "lmtp",
	[LISTEN_LOCAL] = "local",
};
static const char *const tls_names[] = {
	[TLS_NONE] = "none",
	[TLS_OPPORTUNISTIC] = "opportunistic",
	[TLS_REQUIRED] = "required",
	[TLS_VERIFIED] = "verified",
};
static const char *const prefer_names[] = {
	[PREFER_IPV4] = "ipv4",
	[PREFER_IPV6] = "ipv6",
};
static const char *const infected_names[] = {
	[ACTION_JUNK] = "junk",
	[ACTION_REFUSE] = "refuse",
	[ACTION_DEFER] = "defer",
};
/* Mail that could not be scanned is never let through. */
static const char *const scan_error_names[] = {
	[ACTION_REFUSE] = "refuse",
	[ACTION_DEFER] = "defer",
};
static const char *const format_names[] = {
	[LOG_FORMAT_TEXT] = "text",
	[LOG_FORMAT_JSON] = "json",
};
static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

const struct conf_group conf_groups[GROUP_COUNT] = {
	[GROUP_SNI] = { "sni", offsetof(struct conf, sni), offsetof(struct conf, n_sni),
	    sizeof(struct conf_sni), 256, CONF_TEXT, "NAME",
	    "A further certificate, shown to clients that ask for this host name; \"*.example.org\" serves every name one label "
	    "below, unless that has a section of its own. Who asks for a name without one gets tls.certificate." },
	[GROUP_LISTEN] = { "listen", offsetof(struct conf, listen), offsetof(struct conf, n_listen),
	    sizeof(struct conf_listen), 64, CONF_TEXT, "NAME",
	    "A listener. Without any: mx on port 25, submission on 587, submissions on 465. A local one for "
	    "sendmail at state_dir/submit.sock is there in any case." },
	[GROUP_DNSBL] = { "spam.dnsbl", offsetof(struct conf, spam.dnsbl), offsetof(struct conf, spam.n_dnsbl),
	    sizeof(struct conf_dnsbl), 64, CONF_HOSTNAME, "ZONE",
	    "A DNS block list that is asked about the client's address." },
	[GROUP_ROUTE] = { "route", offsetof(struct conf, route), offsetof(struct conf, n_route),
	    sizeof(struct conf_route), 4096, CONF_TEXT, "DOMAIN",
	    "Where mail for a domain goes instead of to its MX hosts; \"*\" is every domain without a route of its own." },
};

#define ONE(f) offsetof(struct conf, f), 0
#define TEXTS(f) offsetof(struct conf, f.at), offsetof(struct conf, f.n)
#define IN(type, f) offsetof(struct type, f), 0
#define IN_TEXTS(type, f) offsetof(struct type, f.at), offsetof(struct type, f.n)
#define NAMES(a) (a), COUNT(a)
#define ANY NULL, 0

static const char none[] = "";

#define FILTERS (R(SMTPD) | R(FILTER) | R(CONTROL))
#define TREE (R(CONTROL) | R(DIRECTORY) | R(AUTH) | R(QUEUE) | R(SCAN) | R(MDA))
#define ASKERS (R(RESOLVER) | R(FILTER) | R(RELAY) | R(SMTPD) | R(CONTROL))

const struct conf_row conf_rows[] = {
	{ "hostname", 0, CONF_HOSTNAME, false, ONE(hostname), none, 0, 0, ANY, R_ROLES,
	    "The full name of this machine, as in its PTR and MX records; it stands in greetings and Received fields." },
	{ "state_dir", 0, CONF_PATH, false, ONE(state_dir), none, 0, 0, ANY, TREE,
	    "The folder of databases, spool, keys and sockets." },
	{ "mail_dir", 0, CONF_PATH, false, ONE(mail_dir), none, 0, 0, ANY,
	    R(MDA) | R(DIRECTORY) | R(CONTROL),
	    "The folder of mailboxes; a user's home is mail_dir/DOMAIN/LOCALPART. When not given: state_dir/mail." },

	{ "tls.certificate", 0, CONF_PATH, true, TEXTS(tls.certificate), none, 0, 0, ANY, 0,
	    "A PEM file: the certificate of hostname, then those of its issuers. A renewed one is taken within seconds, without a "
	    "reload, as soon as it fits the key; so are those of sni sections. Two files, one with an EC and one with an RSA key, "
	    "serve old clients as well: each gets the one that it can verify, EC when it can both." },
	{ "tls.key", 0, CONF_PATH, true, TEXTS(tls.key), none, 0, 0, ANY, 0,
	    "A PEM file: the certificate's private key. Only root need be able to read it. Of two certificates, their keys in the "
	    "same order." },
	{ "sni.*.certificate", GROUP_SNI, CONF_PATH, true, IN_TEXTS(conf_sni, pairs.certificate), none, 0, 0, ANY, 0,
	    "A PEM file with the certificate chain for this name; or two of them, with keys of different kinds." },
	{ "sni.*.key", GROUP_SNI, CONF_PATH, true, IN_TEXTS(conf_sni, pairs.key), none, 0, 0, ANY, 0,
	    "A PEM file with that certificate's private key; or two, in the order of the certificates." },

	{ "listen.*.kind", GROUP_LISTEN, CONF_ENUM, false, IN(conf_listen, kind), "mx", 0, 0, NAMES(kind_names),
	    R(SMTPD),
	    "Who is expected to call: mx other servers, submission and submissions (TLS from the start) users with "
	    "a password, lmtp another mail server that hands its mail over (mail for our own domains only; from this machine "
	    "and trusted_networks, or by a socket for members of the group tegami-lmtp; one reply for each recipient; filters judge "
	    "the content, not the client), local programs on this machine." },
	{ "listen.*.address", GROUP_LISTEN, CONF_LISTEN, true, IN_TEXTS(conf_listen, address), none, 0, 0, ANY, R(SMTPD),
	    "Where: \"IP:PORT\", \"[IPV6]:PORT\", \":PORT\" for all addresses, or the path of a socket for lmtp and local." },

	{ "listen.*.proxy_protocol", GROUP_LISTEN, CONF_BOOL, false, IN(conf_listen, proxy_protocol), "false", 0, 0, ANY,
	    R(SMTPD),
	    "Clients in trusted_proxies begin with a PROXY header (version 1 or 2) that names the true client, before the greeting "
	    "and before TLS; without one within 10 seconds the connection ends. All others are clients themselves." },

	{ "resolver.servers", 0, CONF_HOST_PORT, true, TEXTS(resolver.servers), none, 0, 0, ANY, R(RESOLVER),
	    "DNS servers to ask, as IP or IP:PORT. Without any the resolver finds answers itself, from the root down." },
	{ "resolver.timeout", 0, CONF_TIME, false, ONE(resolver.timeout), "10s", 100, 5 * MINUTE, ANY, ASKERS,
	    "How long one DNS question may take in all." },
	{ "resolver.trust_anchor", 0, CONF_PATH, false, ONE(resolver.trust_anchor), "/usr/share/dns/root.key", 0, 0, ANY,
	    R(RESOLVER), "The file with the root's DNSSEC key." },
	{ "resolver.validate", 0, CONF_BOOL, false, ONE(resolver.validate), "true", 0, 0, ANY, R(RESOLVER),
	    "Check DNSSEC signatures. When not given: true, but false if resolver.servers is set and "
	    "resolver.trust_anchor is not, since not every server passes signatures on." },

	{ "trusted_networks", 0, CONF_NETWORK, true, TEXTS(trusted_networks), none, 0, 0, ANY, R(SMTPD) | R(FILTER),
	    "Clients that may relay without a password, such as printers and scanners." },
	{ "trusted_proxies", 0, CONF_NETWORK, true, TEXTS(trusted_proxies), none, 0, 0, ANY, R(SMTPD),
	    "Clients that may name the true client by XCLIENT or the PROXY protocol." },
	{ "normalize_line_ends", 0, CONF_NETWORK, true, TEXTS(normalize_line_ends), none, 0, 0, ANY, R(SMTPD),
	    "Clients that cannot do better than end lines with LF or CR alone: what they send is taken, and such line ends become "
	    "CR LF. Only CR LF, dot, CR LF ends a message from them too. Mail of all others that holds a bare LF or CR is refused."},

	{ "spf.enabled", 0, CONF_BOOL, false, ONE(spf.enabled), "true", 0, 0, ANY, FILTERS,
	    "Check whether the sender's domain lets this client send for it." },
	{ "dkim.enabled", 0, CONF_BOOL, false, ONE(dkim.enabled), "true", 0, 0, ANY, FILTERS,
	    "Verify DKIM signatures of incoming mail. Outgoing mail is signed whenever its domain has a key." },
	{ "dkim.check_every", 0, CONF_TIME, false, ONE(dkim.check_every), "10m", SECOND, DAY, ANY, R(CONTROL),
	    "How often the records of our own keys are looked up in DNS. A next key signs once its record was seen; one whose "
	    "record went away or is another key's stops." },
	{ "dkim.retire_after", 0, CONF_TIME, false, ONE(dkim.retire_after), "7d", SECOND, 365 * DAY, ANY, R(CONTROL),
	    "How long the record of a key stays published after the key's last signature: mail is checked late, too." },
	{ "dmarc.enabled", 0, CONF_BOOL, false, ONE(dmarc.enabled), "true", 0, 0, ANY, FILTERS,
	    "Follow the policy that the domain in From publishes: mail that fails it goes to Junk or is refused, as the domain "
	    "wants. A message with several From fields, or with one that does not hold exactly one address, is refused then." },
	{ "dmarc.allow_networks", 0, CONF_NETWORK, true, TEXTS(dmarc.allow_networks), none, 0, 0, ANY, R(FILTER),
	    "Forwarders whose mail is taken although it fails its domain's policy: mailing lists, and mailboxes elsewhere that "
	    "send on to here." },
	{ "dmarc.allow_domains", 0, CONF_HOSTNAME, true, TEXTS(dmarc.allow_domains), none, 0, 0, ANY, R(FILTER),
	    "The same for forwarders that prove one of these domains, or one below it, by DKIM or SPF." },
	{ "arc.enabled", 0, CONF_BOOL, false, ONE(arc.enabled), "true", 0, 0, ANY, FILTERS,
	    "Verify the ARC seals that forwarders put on a message." },
	{ "arc.trusted", 0, CONF_HOSTNAME, true, TEXTS(arc.trusted), none, 0, 0, ANY, R(FILTER),
	    "Sealers whose word is taken: mail that fails its domain's DMARC policy here is let through when the chain of seals is "
	    "whole, the last of them are of these domains, and one of these saw DMARC pass." },
	{ "arc.seal", 0, CONF_BOOL, false, ONE(arc.seal), "true", 0, 0, ANY, R(SMTPD),
	    "Put an ARC seal on mail from outside that an alias sends on to another server, so that this one can know what was "
	    "found here. Needs arc.enabled and an RSA key (tegami dkim create); without one the mail goes on unsealed." },
	{ "arc.domain", 0, CONF_HOSTNAME, false, ONE(arc.domain), none, 0, 0, ANY, R(SIGNER),
	    "The domain whose key seals. When not given: that of hostname or of a name above it that has one, else that of the "
	    "alias." },

	{ "reports.address", 0, CONF_TEXT, true, TEXTS(reports.address), none, 3, 254, ANY, FILTERS,
	    "Addresses of ours (users or aliases) that DMARC and TLS reports of other servers are sent to: `tegami dns show` "
	    "publishes them, mail to them is delivered as any other, and the reports in it are read for `tegami dmarc show` and "
	    "`tegami tlsrpt show`." },
	{ "reports.dmarc", 0, CONF_BOOL, false, ONE(reports.dmarc), "true", 0, 0, ANY, R(FILTER) | R(CONTROL),
	    "Send DMARC aggregate reports (RFC 9990) to the domains that ask for them (rua): how much of the mail that came in "
	    "their name passed, from which addresses. They are signed, so none go out until the domain of reports.from has a DKIM key." },
	{ "reports.tls", 0, CONF_BOOL, false, ONE(reports.tls), "true", 0, 0, ANY, R(CONTROL),
	    "Send TLS reports (RFC 8460) to the domains that ask for them: how many of the connections to their servers had the TLS that "
	    "they promise, and why others had not. Signed like the DMARC reports." },
	{ "reports.interval", 0, CONF_TIME, false, ONE(reports.interval), "1d", SECOND, 7 * DAY, ANY, R(CONTROL),
	    "The time that one DMARC report speaks of. Receivers expect a day; the days begin at midnight UTC." },
	{ "reports.from", 0, CONF_TEXT, false, ONE(reports.from), none, 0, 300, ANY, R(FILTER) | R(SIGNER) | R(CONTROL),
	    "The address that reports come from, and that their readers may write to; its domain must be one of ours with a DKIM key. "
	    "When not given: postmaster at the domain above hostname (mx.example.org: postmaster@example.org)." },

	{ "antivirus.enabled", 0, CONF_BOOL, false, ONE(antivirus.enabled), "false", 0, 0, ANY,
	    FILTERS | R(SCAN),
	    "Scan every message. Needs signatures in antivirus.database (freshclam keeps them current) and about 1 GB "
	    "of memory." },
	{ "antivirus.database", 0, CONF_PATH, false, ONE(antivirus.database), "/var/lib/clamav", 0, 0, ANY,
	    R(SCAN) | R(CONTROL), "The folder of signatures." },
	{ "antivirus.on_infected", 0, CONF_ENUM, false, ONE(antivirus.on_infected), "refuse", 0, 0,
	    NAMES(infected_names), R(FILTER), "What happens to a message with a virus." },
	{ "antivirus.on_error", 0, CONF_ENUM, false, ONE(antivirus.on_error), "defer", 0, 0, NAMES(scan_error_names),
	    R(FILTER),
	    "What happens to a message that could not be scanned, also because it passes one of the limits below; it is never let "
	    "through." },
	{ "antivirus.workers", 0, CONF_NUMBER, false, ONE(antivirus.workers), "2", 1, 16, ANY, R(SCAN),
	    "Messages scanned at the same time." },
	{ "antivirus.max_scan_size", 0, CONF_SIZE, false, ONE(antivirus.max_scan_size), "100M", MIB, 2 * GIB, ANY,
	    R(SCAN) | R(FILTER), "How much of a message, unpacked, is scanned at most." },
	{ "antivirus.max_depth", 0, CONF_NUMBER, false, ONE(antivirus.max_depth), "12", 3, 50, ANY, R(SCAN),
	    "How deep archives may lie in archives; the message and its attachment are the first two." },
	{ "antivirus.max_files", 0, CONF_NUMBER, false, ONE(antivirus.max_files), "4000", 10, 100000, ANY, R(SCAN),
	    "How many files the attachments of a message may hold." },
	{ "antivirus.timeout", 0, CONF_TIME, false, ONE(antivirus.timeout), "60s", SECOND, 10 * MINUTE, ANY,
	    R(SCAN) | R(FILTER), "How long scanning one message may take." },

	{ "spam.enabled", 0, CONF_BOOL, false, ONE(spam.enabled), "true", 0, 0, ANY, FILTERS,
	    "Give every incoming message a spam score." },
	{ "spam.junk_score", 0, CONF_SCORE, false, ONE(spam.junk_score), "5", 1, 1000000, ANY, R(FILTER) | R(CONTROL),
	    "From this score on a message goes into the Junk folder." },
	{ "spam.refuse_score", 0, CONF_SCORE, false, ONE(spam.refuse_score), "15", 1, 1000000, ANY,
	    R(FILTER) | R(CONTROL), "From this score on a message is refused." },
	{ "spam.dnsbl.*.weight", GROUP_DNSBL, CONF_SCORE, false, IN(conf_dnsbl, weight), "3", -1000000, 1000000, ANY,
	    R(FILTER), "What a listed client adds to the score." },

	{ "relay.retry", 0, CONF_TIME, true, offsetof(struct conf, relay.retry), offsetof(struct conf, relay.n_retry),
	    "5m, 15m, 30m, 1h, 2h, 4h", SECOND, 7 * DAY, ANY, R(QUEUE),
	    "Pauses between the attempts for a message; the last one repeats." },
	{ "relay.lifetime", 0, CONF_TIME, false, ONE(relay.lifetime), "5d", SECOND, 60 * DAY, ANY, R(QUEUE),
	    "After this time a message is given up and its sender told." },
	{ "relay.warn_after", 0, CONF_TIME, false, ONE(relay.warn_after), "4h", 0, 60 * DAY, ANY, R(QUEUE),
	    "After this time the sender is told that the message is still waiting; 0: never." },
	{ "relay.port", 0, CONF_NUMBER, false, ONE(relay.port), "25", 1, 65535, ANY, R(RELAY),
	    "The port of MX hosts." },
	{ "relay.allow_loopback", 0, CONF_BOOL, false, ONE(relay.allow_loopback), "false", 0, 0, ANY, R(RELAY),
	    "Whether an MX host may be this machine: for tests." },
	{ "relay.smarthost", 0, CONF_HOST_PORT, false, ONE(relay.smarthost), none, 0, 0, ANY, R(RELAY) | R(QUEUE),
	    "HOST:PORT that takes all outgoing mail without a route; empty: the MX hosts of each domain." },
	{ "relay.username", 0, CONF_TEXT, false, ONE(relay.username), none, 0, 255, ANY, R(RELAY),
	    "Log in to relay.smarthost under this name, with the password in relay.password_file; only over TLS. With relay.tls at "
	    "opportunistic the host must prove its name first, as with verified; with required it gets the password whoever it is." },
	{ "relay.password_file", 0, CONF_PATH, false, ONE(relay.password_file), none, 0, 0, ANY, 0,
	    "A file whose first line is the password of relay.username: of mode 0600, for root. It is read at the start and at each "
	    "reload, and only the program that speaks to the host gets it." },
	{ "relay.tls", 0, CONF_ENUM, false, ONE(relay.tls), "opportunistic", 0, 0, NAMES(tls_names), R(RELAY),
	    "TLS towards MX hosts: opportunistic uses it where it is offered, required sends nothing without it, verified only with a "
	    "certificate for the host's name from an authority of relay.ca_bundle; none is plain text. DANE and MTA-STS of the "
	    "recipient's domain demand more where they say so." },
	{ "relay.prefer", 0, CONF_ENUM, false, ONE(relay.prefer), "ipv4", 0, 0, NAMES(prefer_names), R(RELAY),
	    "Which address of a host is tried first when it has both kinds. When one has not answered within a second, the next is "
	    "tried beside it, of the other kind if there is one." },
	{ "relay.source", 0, CONF_NETWORK, true, TEXTS(relay.source), none, 0, 0, ANY, R(RELAY),
	    "Addresses of this machine that mail goes out from, one IPv4 and one IPv6 address at the most, with PTR and SPF records "
	    "of their own; for a kind without one the system chooses." },
	{ "relay.dane", 0, CONF_BOOL, false, ONE(relay.dane), "true", 0, 0, ANY, R(RELAY),
	    "Hold mail hosts whose domain is signed (DNSSEC) to their TLSA records, RFC 7672. Needs resolver.validate; not where tls is none." },
	{ "relay.mta_sts", 0, CONF_BOOL, false, ONE(relay.mta_sts), "true", 0, 0, ANY, R(RELAY),
	    "Follow the MTA-STS policies of recipients' domains, RFC 8461; where a host has TLSA records these count instead. Not where "
	    "tls is none, nor for hosts that a route or relay.smarthost names." },
	{ "relay.sts_port", 0, CONF_NUMBER, false, ONE(relay.sts_port), "443", 1, 65535, ANY, R(RELAY),
	    "The port of the servers that MTA-STS policies come from: for tests." },
	{ "relay.concurrency", 0, CONF_NUMBER, false, ONE(relay.concurrency), "20", 1, 1000, ANY,
	    R(RELAY) | R(QUEUE), "Sessions with one destination at the same time." },
	{ "relay.connect_timeout", 0, CONF_TIME, false, ONE(relay.connect_timeout), "30s", SECOND, 10 * MINUTE, ANY,
	    R(RELAY), "How long a connection may take. After a sixth of it (1s at least, 10s at most) without an answer the next host by "
	    "preference is tried beside it, and the first to greet gets the mail." },
	{ "relay.command_timeout", 0, CONF_TIME, false, ONE(relay.command_timeout), "5m", SECOND, HOUR, ANY,
	    R(RELAY), "How long the peer may think about a command." },
	{ "relay.data_timeout", 0, CONF_TIME, false, ONE(relay.data_timeout), "10m", SECOND, HOUR, ANY, R(RELAY),
	    "How long the peer may think about a whole message." },
	{ "relay.ca_bundle", 0, CONF_PATH, false, ONE(relay.ca_bundle), "/etc/ssl/certs/ca-certificates.crt", 0, 0, ANY,
	    R(RELAY), "The certificate authorities that may vouch for a host: for REQUIRETLS, MTA-STS and tls = verified." },
	{ "srs.enabled", 0, CONF_BOOL, false, ONE(srs.enabled), "true", 0, 0, ANY, R(QUEUE),
	    "Mail of strangers that an alias leads to another server goes out under a sender of ours that leads back to theirs (SRS), "
	    "since their SPF record does not name this server. Reports come back through it for 21 days." },
	{ "route.*.domain", GROUP_ROUTE, CONF_TEXT, true, offsetof(struct conf_route, domain.at),
	    offsetof(struct conf_route, domain.n), none, 0, 0, ANY, R(RELAY) | R(QUEUE),
	    "Domains of recipients that it is for, \"*.example.org\" for all below one, \"*\" for all. When not given: the one in "
	    "its title, or all when it names senders." },
	{ "route.*.sender", GROUP_ROUTE, CONF_TEXT, true, offsetof(struct conf_route, sender.at),
	    offsetof(struct conf_route, sender.n), none, 0, 0, ANY, R(RELAY) | R(QUEUE),
	    "Senders that it is for: addresses, domains, \"<>\" for reports. When not given: all. Of several routes the one that names "
	    "the recipient's domain closest holds, then the one that names the sender closest." },
	{ "route.*.retry", GROUP_ROUTE, CONF_TIME, true, offsetof(struct conf_route, retry), offsetof(struct conf_route, n_retry),
	    none, SECOND, 7 * DAY, ANY, R(QUEUE), "Instead of relay.retry." },
	{ "route.*.lifetime", GROUP_ROUTE, CONF_TIME, false, IN(conf_route, lifetime), "0", 0, 60 * DAY, ANY, R(QUEUE),
	    "Instead of relay.lifetime; 0: as that says." },
	{ "route.*.warn_after", GROUP_ROUTE, CONF_TIME, false, IN(conf_route, warn_after), "0", 0, 60 * DAY, ANY, R(QUEUE),
	    "Instead of relay.warn_after; 0: as that says." },
	{ "route.*.host", GROUP_ROUTE, CONF_HOST_PORT, false, IN(conf_route, host), none, 0, 0, ANY,
	    R(RELAY) | R(QUEUE), "HOST:PORT that takes it (no MX look-up)." },
	{ "route.*.lmtp", GROUP_ROUTE, CONF_HOST_PORT, false, IN(conf_route, lmtp), none, 0, 0, ANY, R(RELAY),
	    "Instead of host: HOST:PORT of a delivery agent that takes it by LMTP, with a reply for each recipient; port 24 when not "
	    "given." },
	{ "route.*.tls", GROUP_ROUTE, CONF_ENUM, false, IN(conf_route, tls), "opportunistic", 0, 0, NAMES(tls_names),
	    R(RELAY) | R(QUEUE), "TLS towards that host, as in relay.tls." },
	{ "route.*.username", GROUP_ROUTE, CONF_TEXT, false, IN(conf_route, username), none, 0, 255, ANY, R(RELAY),
	    "Log in to that host under this name, as in relay.username." },
	{ "route.*.password_file", GROUP_ROUTE, CONF_PATH, false, IN(conf_route, password_file), none, 0, 0, ANY, 0,
	    "A file with the password, as in relay.password_file." },

	{ "limits.message_size", 0, CONF_SIZE, false, ONE(limits.message_size), "50M", KIB, 2 * GIB, ANY,
	    R(SMTPD) | R(QUEUE) | R(FILTER) | R(SCAN), "The largest message taken." },
	{ "limits.recipients", 0, CONF_NUMBER, false, ONE(limits.recipients), "1000", 1, 10000, ANY,
	    R(SMTPD) | R(QUEUE), "Recipients of one message." },
	{ "limits.connections", 0, CONF_NUMBER, false, ONE(limits.connections), "10000", 1, 100000, ANY, R(SMTPD),
	    "Clients connected at the same time." },
	{ "limits.connections_per_client", 0, CONF_NUMBER, false, ONE(limits.connections_per_client), "50", 1, 100000, ANY,
	    R(SMTPD), "Of those, from one client: one network of limits.client_network4 or client_network6 bits." },
	{ "limits.client_network4", 0, CONF_NUMBER, false, ONE(limits.client_network4), "32", 8, 32, ANY, R(SMTPD),
	    "Bits of an IPv4 address that name a client: 32 counts each address by itself, 24 all of a /24 together." },
	{ "limits.client_network6", 0, CONF_NUMBER, false, ONE(limits.client_network6), "56", 16, 128, ANY, R(SMTPD),
	    "Bits of an IPv6 address that name a client; providers give each customer a /56 or so." },
	{ "limits.connections_per_user", 0, CONF_NUMBER, false, ONE(limits.connections_per_user), "100", 1, 100000, ANY,
	    R(SMTPD), "Connections of one user of this machine (one uid) to the local socket that sendmail uses." },
	{ "limits.reserved_connections", 0, CONF_NUMBER, false, ONE(limits.reserved_connections), "500", 0, 100000, ANY,
	    R(SMTPD),
	    "Connections beyond limits.connections that strangers cannot take: all of them for trusted networks and "
	    "local programs, half of them for the submission listeners." },
	{ "limits.overload", 0, CONF_NUMBER, false, ONE(limits.overload), "90", 10, 100, ANY, R(SMTPD),
	    "From this share of limits.connections or limits.memory on, in per cent, strangers may be silent for "
	    "limits.overload_timeout only." },
	{ "limits.memory", 0, CONF_SIZE, false, ONE(limits.memory), "512M", MIB, 1024 * GIB, ANY, R(SMTPD),
	    "Memory that the connections of clients may hold together, with the messages that come in. At that, new "
	    "strangers are turned away, no stranger begins a message, and those that hold most are sent away; users and "
	    "trusted networks may go half as far again." },
	{ "limits.overload_timeout", 0, CONF_TIME, false, ONE(limits.overload_timeout), "30s", SECOND, HOUR, ANY, R(SMTPD),
	    "How long a stranger may be silent under overload: one who has not logged in and is on no trusted network." },
	{ "limits.connection_rate", 0, CONF_NUMBER, false, ONE(limits.connection_rate), "0", 0, 10000000, ANY, R(SMTPD),
	    "New connections of one client within a minute, trusted networks excepted; 0: no limit." },
	{ "limits.message_rate", 0, CONF_NUMBER, false, ONE(limits.message_rate), "0", 0, 10000000, ANY, R(SMTPD),
	    "Messages that one client may begin within a minute, trusted networks excepted; 0: no limit." },
	{ "limits.recipient_rate", 0, CONF_NUMBER, false, ONE(limits.recipient_rate), "0", 0, 10000000, ANY, R(SMTPD),
	    "Recipients that one client may name within a minute, trusted networks excepted; 0: no limit." },
	{ "limits.unknown_recipients", 0, CONF_NUMBER, false, ONE(limits.unknown_recipients), "100", 0, 10000000, ANY, R(SMTPD),
	    "Unknown recipients that a stranger may name on one connection before it is sent away. 0: no limit." },
	{ "limits.unknown_rate", 0, CONF_NUMBER, false, ONE(limits.unknown_rate), "1000", 0, 10000000, ANY, R(SMTPD),
	    "Unknown recipients that one client may name within a minute; from then on its connections end at the next "
	    "one, while mail to those that exist is taken. 0: no limit." },
	{ "limits.error_rate", 0, CONF_NUMBER, false, ONE(limits.error_rate), "3000", 0, 10000000, ANY, R(SMTPD),
	    "Commands in error of one client within a minute; from then on its connections end at the next one. 0: no limit." },
	{ "limits.tarpit", 0, CONF_TIME, false, ONE(limits.tarpit), "2s", 0, MINUTE, ANY, R(SMTPD),
	    "The longest pause that a stranger with many errors, unknown recipients or wrong passwords has to wait "
	    "between commands; it grows with their number. 0: none." },
	{ "limits.greet_delay", 0, CONF_TIME, false, ONE(limits.greet_delay), "0s", 0, MINUTE, ANY, R(SMTPD),
	    "How long a stranger at an mx listener waits for the greeting. Who speaks before it is refused; with 0 that is who "
	    "had spoken when the connection was taken." },
	{ "limits.min_free", 0, CONF_SIZE, false, ONE(limits.min_free), "100M", 0, 1024 * GIB, ANY,
	    R(QUEUE) | R(MDA) | R(CONTROL), "No mail is taken while the disk has less free space than this." },
	{ "limits.command_line", 0, CONF_SIZE, false, ONE(limits.command_line), "4K", 1000, 64 * KIB, ANY, R(SMTPD),
	    "The longest command line; RFC 5321 asks for 512 bytes, extensions for more." },
	{ "limits.errors", 0, CONF_NUMBER, false, ONE(limits.errors), "20", 1, 10000, ANY, R(SMTPD),
	    "Commands in error before a client is sent away." },
	{ "limits.commands", 0, CONF_NUMBER, false, ONE(limits.commands), "1000", 20, 10000000, ANY, R(SMTPD),
	    "Commands that bring no message on (NOOP, RSET, EHLO, HELP, refused recipients and the like) before a client is "
	    "sent away; each message that is accepted begins the count anew." },
	{ "limits.auth_failures", 0, CONF_NUMBER, false, ONE(limits.auth_failures), "20", 1, 100000, ANY,
	    R(AUTH) | R(SMTPD), "Wrong passwords from one address (IPv6: one /56) within 10 minutes." },
	{ "limits.idle_timeout", 0, CONF_TIME, false, ONE(limits.idle_timeout), "5m", SECOND, HOUR, ANY, R(SMTPD),
	    "How long a client may be silent between commands." },
	{ "limits.data_timeout", 0, CONF_TIME, false, ONE(limits.data_timeout), "3m", SECOND, HOUR, ANY, R(SMTPD),
	    "How long a client may pause within a message." },
	{ "limits.session_timeout", 0, CONF_TIME, false, ONE(limits.session_timeout), "1h", SECOND, DAY, ANY,
	    R(SMTPD), "How long a connection may last." },
	{ "limits.output_timeout", 0, CONF_TIME, false, ONE(limits.output_timeout), "1m", SECOND, HOUR, ANY, R(SMTPD),
	    "How long a client may leave replies unread." },
	{ "limits.data_rate", 0, CONF_SIZE, false, ONE(limits.data_rate), "100", 0, GIB, ANY, R(SMTPD),
	    "The fewest bytes a second, on the average after the first limits.data_timeout, in which a message must come in; "
	    "0: any." },
	{ "limits.queued", 0, CONF_NUMBER, false, ONE(limits.queued), "500000", 1, 10000000, ANY, R(QUEUE),
	    "Messages in the queue before new ones are put off." },
	{ "limits.hops", 0, CONF_NUMBER, false, ONE(limits.hops), "50", 5, 1000, ANY, R(SMTPD) | R(QUEUE),
	    "Received fields in a message before it is taken for a loop." },

	{ "delivery.subaddress_separator", 0, CONF_TEXT, false, ONE(delivery.subaddress_separator), "+", 0, 1, ANY,
	    R(DIRECTORY) | R(MDA), "What parts user from tag in user+tag@domain: one character, or empty for no tags." },
	{ "delivery.junk_folder", 0, CONF_TEXT, false, ONE(delivery.junk_folder), "Junk", 1, 100, ANY,
	    R(QUEUE) | R(MDA) | R(DIRECTORY), "The folder for spam." },
	{ "delivery.default_quota", 0, CONF_SIZE, false, ONE(delivery.default_quota), "0", 0, 1024 * 1024 * GIB, ANY,
	    R(DIRECTORY) | R(MDA), "The quota of users that have none of their own; 0: no limit." },

	{ "metrics.listen", 0, CONF_LISTEN, false, ONE(metrics.listen), none, 0, 0, ANY, R(CONTROL),
	    "IP:PORT where Prometheus may fetch /metrics; empty: nowhere." },
	{ "log.format", 0, CONF_ENUM, false, ONE(log.format), "text", 0, 0, NAMES(format_names), R(CONTROL),
	    "A line as key=value text or as a JSON object." },
	{ "log.level", 0, CONF_ENUM, false, ONE(log.level), "info", 0, 0, NAMES(level_names), R_ROLES,
	    "How much is logged." },
	{ "log.destination", 0, CONF_TEXT, false, ONE(log.destination), "stderr", 1, 1000, ANY, R(CONTROL),
	    "Where lines go: stderr, which systemd keeps in its journal." },
	{ "history.keep", 0, CONF_TIME, false, ONE(history.keep), "30d", MINUTE, 10 * YEAR, ANY, R(CONTROL),
	    "How long events stay available to `tegami trace`." },
};
const size_t conf_n_rows = COUNT(conf_rows);
