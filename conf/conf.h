/* conf - the configuration, as every program sees it
 *
 * One row per option in conf/options.c (name, type, default, range, who is told, sentence); the parser, the defaults,
 * the checks, `config explain`, the sample file and the manual page are made from the rows. Times are milliseconds,
 * sizes bytes. A role gets only the options that its rows say (conf/told.h); the others hold their defaults. */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include "base/err.h"
#include "base/msg.h"

struct conf_strings {
	char **at;
	size_t n;
};

struct conf_listen {		/* listen "NAME" { kind = ... address = {...} } */
	char *name;
	int64_t kind;		/* enum listener_kind */
	bool proxy_protocol;
	struct conf_strings address;	/* "HOST:PORT", "[IPV6]:PORT", ":PORT" (all), or a path for kind = local, lmtp */
};

#define CONF_PAIRS_MAX 2	/* certificates of one name: one for each kind of key */

struct conf_pairs {		/* certificates of one name and their keys, file by file */
	struct conf_strings certificate, key;
};

struct conf_sni {		/* sni "NAME" { certificate = ... key = ... } */
	char *name;
	struct conf_pairs pairs;
};

struct conf_dnsbl {		/* spam { dnsbl "ZONE" { weight = 3 } } */
	char *name;
	int64_t weight;		/* thousandths of a point */
};

struct conf_route {		/* route "DOMAIN" { host = ... tls = ... } ; DOMAIN "*" is every other one */
	char *name;
	char *host;		/* "HOST:PORT" (an address, or a name without MX look-up) */
	char *lmtp;		/* the same, for a host that speaks LMTP; one of the two is "" */
	struct conf_strings domain, sender;	/* whose mail; see delivery/route_match.c */
	int64_t *retry;		/* milliseconds; n_retry 0: relay.retry */
	size_t n_retry;
	int64_t lifetime, warn_after;	/* 0: those of relay */
	int64_t tls;		/* enum conf_tls */
	char *username, *password_file;	/* its login; "": none */
};

enum conf_tls { TLS_NONE, TLS_OPPORTUNISTIC, TLS_REQUIRED, TLS_VERIFIED };
enum conf_prefer { PREFER_IPV4, PREFER_IPV6 };
enum conf_action { ACTION_ACCEPT, ACTION_JUNK, ACTION_REFUSE, ACTION_DEFER };
enum conf_log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

struct conf {
	char *hostname;
	char *state_dir;
	char *mail_dir;			/* default: state_dir/mail */
	struct conf_pairs tls;
	struct conf_sni *sni;
	size_t n_sni;
	struct conf_listen *listen;
	size_t n_listen;
	struct { struct conf_strings servers; int64_t timeout; char *trust_anchor; bool validate; } resolver;
	struct conf_strings trusted_networks;
	struct conf_strings trusted_proxies;
	struct conf_strings normalize_line_ends;
	struct { bool enabled; } spf;
	struct { bool enabled; int64_t check_every, retire_after; } dkim;
	struct { bool enabled; struct conf_strings allow_networks, allow_domains; } dmarc;
	struct { bool enabled; struct conf_strings trusted; bool seal; char *domain; } arc;
	struct { struct conf_strings address; bool dmarc, tls; int64_t interval; char *from; } reports;	/* conf_report_from() */
	struct {
		bool enabled;
		char *database;
		int64_t on_infected, on_error;	/* enum conf_action */
		int64_t workers, max_scan_size, max_depth, max_files, timeout;
	} antivirus;
	struct {
		bool enabled;
		int64_t junk_score, refuse_score;	/* thousandths */
		struct conf_dnsbl *dnsbl;
		size_t n_dnsbl;
	} spam;
	struct {
		int64_t *retry;			/* milliseconds */
		size_t n_retry;
		int64_t lifetime, warn_after;
		int64_t port;
		bool allow_loopback;
		char *smarthost;		/* "" or "HOST:PORT" */
		char *username, *password_file;	/* the login there; "": none */
		int64_t tls;			/* enum conf_tls, towards MX hosts */
		int64_t prefer;			/* enum conf_prefer */
		struct conf_strings source;	/* addresses to connect from, one of a kind */
		bool dane, mta_sts;
		int64_t sts_port;		/* of policy servers */
		int64_t concurrency;		/* sessions per destination */
		int64_t connect_timeout, command_timeout, data_timeout;
		char *ca_bundle;
	} relay;
	struct { bool enabled; } srs;
	struct conf_route *route;
	size_t n_route;
	struct {
		int64_t message_size, recipients, connections, connections_per_client, min_free;
		int64_t command_line;		/* bytes */
		int64_t errors;			/* bad commands before 421 */
		int64_t auth_failures;		/* per client network, in 10 minutes */
		int64_t idle_timeout, data_timeout, session_timeout, output_timeout, overload_timeout;
		int64_t client_network4, client_network6;	/* bits of an address that name a client */
		int64_t connections_per_user;	/* of the local socket, per uid */
		int64_t reserved_connections;	/* beyond `connections`, for who is no stranger */
		int64_t overload;		/* per cent of `connections` and of `memory` */
		int64_t memory;			/* bytes that all sessions together may hold */
		int64_t commands;		/* without a message, before 421 */
		int64_t connection_rate, message_rate, recipient_rate, unknown_rate, error_rate;	/* a minute */
		int64_t unknown_recipients;	/* a connection */
		int64_t data_rate;		/* bytes a second */
		int64_t tarpit, greet_delay;	/* ms */
		int64_t queued;			/* messages in the queue before intake stops */
		int64_t hops;			/* Received fields before a loop is assumed */
	} limits;
	struct { char *subaddress_separator, *junk_folder; int64_t default_quota; } delivery;
	struct { char *listen; } metrics;
	struct { int64_t format, level; char *destination; } log;
	struct { int64_t keep; } history;
};

/* Read a file. NULL and err ("FILE:LINE: what is wrong; what would be right", one line per problem, at most 20) when anything
 * is wrong. Programs only: it reads no other file. conf_free() it. */
struct conf *conf_read(const char *file, struct err *err);
/* All defaults (hostname and state_dir empty). */
struct conf *conf_defaults(void);
void conf_free(struct conf **c);
/* Where the file is when no -c is given: $TEGAMI_CONFIG, else SYSCONFDIR "/tegami/tegami.conf". */
const char *conf_default_file(void);
/* Is there any filter to ask for mail of this kind of listener? Off altogether saves the hop. */
bool conf_filters_on(const struct conf *c);
/* The address that reports to other domains come from: reports.from, or postmaster of the domain above hostname. `out` holds
 * 320 bytes. */
void conf_report_from(const struct conf *c, char out[static 320]);
/* "127.0.0.1:25" -> host and port; false when it is not of that form. `host` holds 256 bytes. */
bool conf_host_port(const char *text, uint16_t default_port, char *host, uint16_t *port);
/* Does `ip` (text, v4 or v6; v4-mapped counts as v4) lie in one of "a.b.c.d/n"? */
bool conf_networks_hold(const struct conf_strings *networks, const char *ip);

#endif
