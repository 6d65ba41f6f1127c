/* sts_fetch - get a domain's MTA-STS policy over HTTPS (RFC 8461 3.3), on the event loop
 *
 * libcurl speaks HTTPS, on our loop and with addresses from our resolver: it never asks DNS itself
 * (CURLOPT_RESOLVE), reads no file, follows no redirect and takes no proxy. The certificate must be
 * for mta-sts.DOMAIN, from an authority of relay.ca_bundle. Addresses inside our own walls are not
 * called. Bytes and seconds are bounded, so a bad server costs its own domain a policy. */
#include "delivery/sts_fetch.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/dns/client.h"
#include "base/log.h"
#include "base/role.h"
#include "conf/conf.h"
#include "delivery/relay_address.h"
#include "delivery/relay_tls.h"

#define FETCHES_MAX 50
#define ADDRESSES_MAX 8

struct fetch {
	char host[DNS_NAME_TEXT]; /* mta-sts.DOMAIN */
	sts_fetched_fn *fn;
	void *arg;
	struct dns_query *queries[2];
	char addresses[ADDRESSES_MAX * (INET6_ADDRSTRLEN + 3)];
	unsigned n;
	CURL *curl;
	struct curl_slist *resolve;
	struct buf body;
};

static CURLM *multi;
static struct event *timer;
static unsigned n_fetches;

/* -- the end */

static void
finish(struct fetch *f, enum tls_result result, const char *why)
{
	struct sts_fetched got = { result, buf_all(&f->body), why };

	f->fn(f->arg, &got);
	if (f->curl != NULL) {
		curl_multi_remove_handle(multi, f->curl);
		curl_easy_cleanup(f->curl);
	}
	curl_slist_free_all(f->resolve);
	buf_free(&f->body);
	free(f);
	n_fetches--;
}

static void
http_done(struct fetch *f, CURLcode code)
{
	char why[200], *type = NULL;
	long status = 0;

	curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(f->curl, CURLINFO_CONTENT_TYPE, &type);
	if (code == CURLE_PEER_FAILED_VERIFICATION) {
		finish(f, TLS_STS_WEBPKI, "its certificate does not verify");
	} else if (code != CURLE_OK) {
		finish(f, TLS_STS_FETCH_ERROR,
		    code == CURLE_WRITE_ERROR || code == CURLE_FILESIZE_EXCEEDED
			? "the policy is too large"
			: curl_easy_strerror(code));
	} else if (status != 200) {
		snprintf(why, sizeof(why), "the server answered %ld", status);
		finish(f, TLS_STS_FETCH_ERROR, why);
	} else if (type == NULL || !slice_starts_nocase(slice_of(type), SLICE("text/plain"))) {
		finish(f, TLS_STS_FETCH_ERROR, "what the server sent is not text/plain");
	} else {
		finish(f, TLS_FINE, "");
	}
}

/* -- libcurl on our loop */

static void
take_ended(void)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(multi, &left)) != NULL) {
		struct fetch *f = NULL;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&f);
		http_done(f, msg->data.result);
	}
}

static void
on_socket(evutil_socket_t fd, short what, void *arg)
{
	int running, bits = (what & EV_READ ? CURL_CSELECT_IN : 0) |
			    (what & EV_WRITE ? CURL_CSELECT_OUT : 0);

	(void)arg;
	curl_multi_socket_action(multi, fd, bits, &running);
	take_ended();
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	int running;

	(void)fd, (void)what, (void)arg;
	curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
	take_ended();
}

static int
watch_socket(CURL *curl, curl_socket_t fd, int what, void *arg, void *event)
{
	struct event *e = event;
	short want = (short)((what & CURL_POLL_IN ? EV_READ : 0) |
			     (what & CURL_POLL_OUT ? EV_WRITE : 0) | EV_PERSIST);

	(void)curl, (void)arg;
	if (e != NULL)
		event_free(e);
	e = NULL;
	if (what != CURL_POLL_REMOVE) {
		e = event_new(role_base(), fd, want, on_socket, NULL);
		if (e != NULL)
			event_add(e, NULL);
	}
	curl_multi_assign(multi, fd, e);
	return 0;
}

static int
watch_time(CURLM *m, long ms, void *arg)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	(void)m, (void)arg;
	if (ms < 0)
		evtimer_del(timer);
	else
		evtimer_add(timer, &tv);
	return 0;
}

int
sts_fetch_setup(struct err *err)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0 || (multi = curl_multi_init()) == NULL ||
	    (timer = evtimer_new(role_base(), on_timer, NULL)) == NULL)
		return err_set(err, ERR_TEMPORARY, "cannot set libcurl up: out of memory");
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, watch_time);
	return 0;
}

/* -- one request */

static size_t
take_body(char *at, size_t size, size_t n, void *arg)
{
	struct fetch *f = arg;

	return buf_append(&f->body, at, size * n) == 0 ? size * n : 0;
}

static CURLcode
use_store(CURL *curl, void *ctx, void *arg)
{
	X509_STORE *store = relay_tls_store();

	(void)curl, (void)arg;
	if (store == NULL)
		return CURLE_OUT_OF_MEMORY;
	SSL_CTX_set1_cert_store(ctx, store);
	return CURLE_OK;
}

static void
set_options(struct fetch *f, const char *url)
{
	CURL *c = f->curl;

	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_PRIVATE, f);
	curl_easy_setopt(c, CURLOPT_RESOLVE, f->resolve);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_CAINFO, NULL);
	curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(c, CURLOPT_SSL_CTX_FUNCTION, use_store);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, 10L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)STS_FETCH_S);
	curl_easy_setopt(c, CURLOPT_MAXFILESIZE, (long)STS_BODY_MAX);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, f);
}

/* Its addresses are known. */
static void
request(struct fetch *f)
{
	unsigned port = (unsigned)role_conf()->relay.sts_port;
	char where[sizeof(f->addresses) + 300], url[400];

	snprintf(where, sizeof(where), "%s:%u:%s", f->host, port, f->addresses);
	snprintf(url, sizeof(url), "https://%s:%u/.well-known/mta-sts.txt", f->host, port);
	f->resolve = curl_slist_append(NULL, where);
	f->curl = curl_easy_init();
	if (f->resolve == NULL || f->curl == NULL) {
		finish(f, TLS_STS_FETCH_ERROR, "no memory");
		return;
	}
	set_options(f, url);
	if (curl_multi_add_handle(multi, f->curl) != CURLM_OK)
		finish(f, TLS_STS_FETCH_ERROR, "it cannot be asked");
}

/* -- names */

static void
add_address(struct fetch *f, struct slice rdata)
{
	struct address a;
	size_t at = strlen(f->addresses);
	bool six = rdata.len == 16;

	if (f->n >= ADDRESSES_MAX || !address_from_rdata(rdata, 443, &a) || address_is_nobody(&a) ||
	    (address_is_inside(&a) && !role_conf()->relay.allow_loopback))
		return;
	six = six && strchr(a.text, ':') != NULL;
	snprintf(f->addresses + at, sizeof(f->addresses) - at, "%s%s%s%s", f->n++ > 0 ? "," : "",
	    six ? "[" : "", a.text, six ? "]" : "");
}

static void
got_addresses(struct fetch *f, struct dns_query **q, const struct dns_answer *a)
{
	*q = NULL;
	for (size_t i = 0; i < a->n && a->status == DNS_OK; i++)
		add_address(f, a->rdata[i]);
	if (f->queries[0] != NULL || f->queries[1] != NULL)
		return;
	if (f->n == 0)
		finish(f, TLS_STS_FETCH_ERROR, "its policy server has no address");
	else
		request(f);
}

static void
got_a(void *arg, const struct dns_answer *a)
{
	struct fetch *f = arg;

	got_addresses(f, &f->queries[0], a);
}

static void
got_aaaa(void *arg, const struct dns_answer *a)
{
	struct fetch *f = arg;

	got_addresses(f, &f->queries[1], a);
}

int
sts_fetch(const char *domain, sts_fetched_fn *fn, void *arg)
{
	struct fetch *f;

	if (n_fetches >= FETCHES_MAX || strlen(domain) > 240 || (f = calloc(1, sizeof(*f))) == NULL)
		return -1;
	f->fn = fn;
	f->arg = arg;
	buf_init(&f->body, STS_BODY_MAX);
	snprintf(f->host, sizeof(f->host), "mta-sts.%.240s", domain);
	f->queries[0] = dns_ask(f->host, DNS_A, got_a, f);
	f->queries[1] = dns_ask(f->host, DNS_AAAA, got_aaaa, f);
	if (f->queries[0] == NULL && f->queries[1] == NULL) {
		free(f);
		return -1;
	}
	n_fetches++;
	return 0;
}
