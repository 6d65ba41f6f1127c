/* context - libunbound, set up as the configuration says
 *
 * libunbound answers some zones by itself (test, invalid, localhost, private reverse zones ...).
 * When the administrator names servers, those must be asked about everything, and only a
 * configuration *file* can switch the built-in zones off: it is written into a memfd, which stays
 * readable after confinement, so that a reload can make a new context.
 *
 * Validation needs a trust anchor: resolver.trust_anchor, or Debian's root key when we resolve from
 * the root ourselves. Without one every answer is "insecure". */
#include "base/dns/context.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <unbound-event.h>

#include "base/buf.h"
#include "base/log.h"
#include "conf/conf.h"

#define ROOT_KEY "/usr/share/dns/root.key"
#define ROOT_HINTS "/usr/share/dns/root.hints"
#define ANCHOR_MAX (64 * 1024)

static int config_fd[2] = { -1, -1 }; /* [0] resolving from the root, [1] forwarding */
static char *anchor;                  /* text of the configured anchor, or NULL */
static char *root_anchor;             /* text of Debian's */
static FILE *nowhere;                 /* what libunbound wants to log */

/* Bounds first: memory, sockets, questions. A server that was dead is tried again soon. */
static const char common_options[] =
    "server:\n"
    "  verbosity: 0\n"
    "  use-syslog: no\n"
    "  num-queries-per-thread: 2048\n"
    "  outgoing-range: 512\n"
    "  msg-cache-size: 8m\n"
    "  rrset-cache-size: 16m\n"
    "  key-cache-size: 2m\n"
    "  neg-cache-size: 1m\n"
    "  cache-max-ttl: 86400\n"
    "  cache-max-negative-ttl: 300\n"
    "  infra-host-ttl: 60\n"
    "  infra-keep-probing: yes\n"
    "  infra-cache-max-rtt: 4000\n"
    "  do-not-query-localhost: no\n"
    "  minimal-responses: yes\n"
    /* the name that `finish` asks for: answered here and nowhere else */
    "  local-zone: \"ready.tegami.\" static\n";

/* Zones that libunbound answers itself unless told not to. A range "16-31.172..." stands for each
 * number. */
static const char *const built_in_zones[] = { "localhost.", "test.", "invalid.", "onion.",
	"home.arpa.", "127.in-addr.arpa.", "10.in-addr.arpa.", "168.192.in-addr.arpa.",
	"0.in-addr.arpa.", "254.169.in-addr.arpa.", "2.0.192.in-addr.arpa.",
	"100.51.198.in-addr.arpa.", "113.0.203.in-addr.arpa.", "255.255.255.255.in-addr.arpa.",
	"0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa.",
	"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa.",
	"d.f.ip6.arpa.", "8.e.f.ip6.arpa.", "9.e.f.ip6.arpa.", "a.e.f.ip6.arpa.", "b.e.f.ip6.arpa.",
	"8.b.d.0.1.0.0.2.ip6.arpa." };
static const struct {
	int from, to;
	const char *under;
} built_in_ranges[] = { { 16, 31, "172.in-addr.arpa." }, { 64, 127, "100.in-addr.arpa." } };

static void
put_zones_off(struct buf *out)
{
	for (size_t i = 0; i < COUNT(built_in_zones); i++)
		buf_printf(out, "  local-zone: \"%s\" nodefault\n", built_in_zones[i]);
	for (size_t i = 0; i < COUNT(built_in_ranges); i++)
		for (int n = built_in_ranges[i].from; n <= built_in_ranges[i].to; n++)
			buf_printf(out, "  local-zone: \"%d.%s\" nodefault\n", n,
			    built_in_ranges[i].under);
}

/* Write one configuration into a memfd. */
static int
make_config(bool forwarding, struct err *err)
{
	struct buf text;
	int fd = memfd_create("resolver-config", MFD_CLOEXEC);

	if (fd == -1)
		return err_sys(err, "cannot make the resolver's configuration file");
	buf_init(&text, 32 * 1024);
	buf_text(&text, common_options);
	if (forwarding)
		put_zones_off(&text);
	else if (access(ROOT_HINTS, R_OK) == 0)
		buf_text(&text, "  root-hints: \"" ROOT_HINTS "\"\n");
	if (text.failed || write(fd, text.at, text.len) != (ssize_t)text.len) {
		err_sys(err, "cannot write the resolver's configuration file");
		close(fd);
		fd = -1;
	}
	buf_free(&text);
	return fd;
}

/* A small text file, whole. NULL when it cannot be read. */
static char *
read_text(int fd)
{
	char *text = malloc(ANCHOR_MAX + 1);
	ssize_t n = text != NULL ? pread(fd, text, ANCHOR_MAX, 0) : -1;

	if (n <= 0) {
		free(text);
		return NULL;
	}
	text[n] = '\0';
	return text;
}

static char *
read_path(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text;

	if (fd == -1)
		return NULL;
	text = read_text(fd);
	close(fd);
	return text;
}

int
context_prepare(const struct conf *conf, int anchor_fd, struct err *err)
{
	const char *path = conf->resolver.trust_anchor;

	nowhere = fopen("/dev/null", "we");
	root_anchor = read_path(ROOT_KEY);
	if (anchor_fd != -1)
		anchor = read_text(anchor_fd);
	else if (path != NULL && path[0] != '\0')
		anchor = read_path(path);
	if (anchor == NULL && path != NULL && path[0] != '\0' && conf->resolver.validate)
		log_warning(
		    "resolver.trust_anchor: cannot read %s; answers will not be validated", path);
	config_fd[0] = make_config(false, err);
	config_fd[1] = make_config(true, err);
	return config_fd[0] == -1 || config_fd[1] == -1 ? -1 : 0;
}

/* Hand the anchor's records to the context, a line each. */
static int
add_anchor(struct ub_ctx *ctx, const char *text)
{
	struct slice rest = slice_of(text), line;
	int n = 0;

	while (slice_line(&rest, &line)) {
		char record[2048];

		line = slice_trim(slice_first(line, line.len));
		if (line.len == 0 || line.at[0] == ';' || !slice_copy(line, record, sizeof(record)))
			continue;
		if (ub_ctx_add_ta(ctx, record) == 0)
			n++;
	}
	return n;
}

static int
add_server(struct ub_ctx *ctx, const char *server, struct err *err)
{
	char host[256], address[300];
	uint16_t port;
	int r;

	if (!conf_host_port(server, 53, host, &port))
		return err_set(err, ERR_USAGE,
		    "resolver.servers: \"%s\" is not an address or ADDRESS:PORT", server);
	snprintf(address, sizeof(address), "%s@%u", host, port);
	r = ub_ctx_set_fwd(ctx, address);
	if (r != 0)
		return err_set(
		    err, ERR_USAGE, "resolver.servers: \"%s\": %s", server, ub_strerror(r));
	return 0;
}

/* libunbound reads its remaining files at the first question: ask one that needs no network. */
static void
first_answer(void *arg, int rcode, void *packet, int len, int sec, char *why, int limited)
{
	(void)arg, (void)rcode, (void)packet, (void)len, (void)sec, (void)why, (void)limited;
}

static int
finish(struct ub_ctx *ctx, struct err *err)
{
	int id, r = ub_resolve_event(ctx, "ready.tegami.", 1, 1, NULL, first_answer, &id);

	if (r != 0)
		return err_set(err, ERR_USAGE, "the resolver cannot start: %s", ub_strerror(r));
	return 0;
}

static int
set_up(struct ub_ctx *ctx, const struct conf *conf, struct err *err)
{
	bool forwarding = conf->resolver.servers.n > 0;
	const char *keys = anchor != NULL ? anchor : forwarding ? NULL : root_anchor;
	char path[64];
	int r;

	ub_ctx_debugout(ctx, nowhere);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", config_fd[forwarding]);
	if ((r = ub_ctx_config(ctx, path)) != 0)
		return err_set(
		    err, ERR_TEMPORARY, "cannot configure libunbound: %s", ub_strerror(r));
	for (size_t i = 0; i < conf->resolver.servers.n; i++)
		if (add_server(ctx, conf->resolver.servers.at[i], err) == -1)
			return -1;
	if (!forwarding)
		ub_ctx_hosts(ctx, NULL);
	if (conf->resolver.validate && keys != NULL && add_anchor(ctx, keys) == 0)
		log_warning("the DNSSEC trust anchor holds no usable record; answers will not be "
			    "validated");
	return finish(ctx, err);
}

struct ub_ctx *
context_new(struct event_base *base, const struct conf *conf, struct err *err)
{
	struct ub_ctx *ctx = ub_ctx_create_event(base);

	if (ctx == NULL) {
		err_set(err, ERR_TEMPORARY, "cannot make a libunbound context");
		return NULL;
	}
	if (set_up(ctx, conf, err) == -1) {
		ub_ctx_delete(ctx);
		return NULL;
	}
	return ctx;
}
