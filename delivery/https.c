/* https - speaks HTTPS for relay
 *
 * libcurl does it, on our loop and with addresses from our resolver: it never asks DNS itself
 * (CURLOPT_RESOLVE), reads no file, follows no redirect and takes no proxy. The certificate must be for the
 * URL's host, from an authority of relay.ca_bundle. Addresses inside our own walls are not called, whether DNS
 * leads there or the URL has one in it. Bytes and seconds are bounded. */
#include "delivery/https.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/dns/client.h"
#include "base/role.h"
#include "conf/conf.h"
#include "delivery/relay_address.h"
#include "delivery/relay_tls.h"

#define REQUESTS_MAX 50
#define ADDRESSES_MAX 8
#define CONNECT_S 10L
#define NAMES_KEPT_S 600L /* what DNS said is forgotten by libcurl after that time */

struct exchange {
	char *url, *host; /* curl_free */
	unsigned port;
	struct https_request request; /* `post` and `url` are the asker's: used only in https_ask */
	https_fn *fn;
	void *arg;
	struct dns_query *queries[2];
	char addresses[ADDRESSES_MAX * (INET6_ADDRSTRLEN + 3)];
	unsigned n;
	CURL *curl;
	struct curl_slist *resolve, *fields;
	struct buf body;
};

static CURLM *multi;
static struct event *timer;
static unsigned n_exchanges;

/* -- the end */

static void
exchange_free(struct exchange *x)
{
	if (x->curl != NULL) {
		curl_multi_remove_handle(multi, x->curl);
		curl_easy_cleanup(x->curl);
	}
	curl_slist_free_all(x->resolve);
	curl_slist_free_all(x->fields);
	curl_free(x->url);
	curl_free(x->host);
	buf_free(&x->body);
	free(x);
	n_exchanges--;
}

static void
fail(struct exchange *x, const char *why)
{
	struct https_answer a = { .end = HTTPS_FAILED, .why = why };

	x->fn(x->arg, &a);
	exchange_free(x);
}

static void
http_done(struct exchange *x, CURLcode code)
{
	struct https_answer a = { .end = HTTPS_FAILED, .body = buf_all(&x->body), .why = curl_easy_strerror(code) };
	char *type = NULL;

	curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &a.status);
	curl_easy_getinfo(x->curl, CURLINFO_CONTENT_TYPE, &type);
	a.type = type != NULL ? type : "";
	if (code == CURLE_OK) {
		a.end = HTTPS_ANSWERED;
		a.why = "";
	} else if (code == CURLE_PEER_FAILED_VERIFICATION) {
		a.end = HTTPS_BAD_CERTIFICATE;
		a.why = "its certificate does not verify";
	} else if (code == CURLE_WRITE_ERROR || code == CURLE_FILESIZE_EXCEEDED) {
		a.end = HTTPS_TOO_LONG;
		a.why = "the answer is too long";
	} else if (code == CURLE_OPERATION_TIMEDOUT) {
		a.why = "it took too long";
	}
	x->fn(x->arg, &a);
	exchange_free(x);
}

/* -- libcurl on our loop */

static void
take_ended(void)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(multi, &left)) != NULL) {
		struct exchange *x = NULL;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&x);
		http_done(x, msg->data.result);
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
https_setup(struct err *err)
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
	struct exchange *x = arg;

	return buf_append(&x->body, at, size * n) == 0 ? size * n : 0;
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
set_limits(struct exchange *x)
{
	CURL *c = x->curl;

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
	curl_easy_setopt(c, CURLOPT_DNS_CACHE_TIMEOUT, NAMES_KEPT_S);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
	curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)x->request.seconds);
	curl_easy_setopt(c, CURLOPT_MAXFILESIZE, (long)x->request.most);
}

/* What is asked; -1: no memory. */
static int
set_request(struct exchange *x)
{
	const struct https_request *r = &x->request;
	char type[200];

	x->curl = curl_easy_init();
	if (x->curl == NULL)
		return -1;
	curl_easy_setopt(x->curl, CURLOPT_URL, x->url);
	curl_easy_setopt(x->curl, CURLOPT_PRIVATE, x);
	curl_easy_setopt(x->curl, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(x->curl, CURLOPT_WRITEDATA, x);
	set_limits(x);
	if (r->post.len == 0)
		return 0;
	snprintf(type, sizeof(type), "Content-Type: %.100s", r->type);
	x->fields = curl_slist_append(NULL, type);
	if (x->fields == NULL || curl_slist_append(x->fields, "Expect:") == NULL)
		return -1;
	curl_easy_setopt(x->curl, CURLOPT_HTTPHEADER, x->fields);
	curl_easy_setopt(x->curl, CURLOPT_POSTFIELDSIZE, (long)r->post.len);
	return curl_easy_setopt(x->curl, CURLOPT_COPYPOSTFIELDS, r->post.at) == CURLE_OK ? 0 : -1;
}

/* Its addresses are known. */
static void
start(struct exchange *x)
{
	char where[sizeof(x->addresses) + 300];

	/* the "+": libcurl may forget it, which keeps its list short */
	snprintf(where, sizeof(where), "+%.255s:%u:%s", x->host, x->port, x->addresses);
	x->resolve = curl_slist_append(NULL, where);
	if (x->resolve == NULL) {
		fail(x, "no memory");
		return;
	}
	curl_easy_setopt(x->curl, CURLOPT_RESOLVE, x->resolve);
	if (curl_multi_add_handle(multi, x->curl) != CURLM_OK)
		fail(x, "it cannot be asked");
}

/* -- names */

static void
add_address(struct exchange *x, struct slice rdata)
{
	struct address a;
	size_t at = strlen(x->addresses);
	bool six = rdata.len == 16;

	if (x->n >= ADDRESSES_MAX || !address_from_rdata(rdata, 443, &a) || address_is_nobody(&a) ||
	    (address_is_inside(&a) && !role_conf()->relay.allow_loopback))
		return;
	six = six && strchr(a.text, ':') != NULL;
	snprintf(x->addresses + at, sizeof(x->addresses) - at, "%s%s%s%s", x->n++ > 0 ? "," : "",
	    six ? "[" : "", a.text, six ? "]" : "");
}

static void
got_addresses(struct exchange *x, struct dns_query **q, const struct dns_answer *a)
{
	*q = NULL;
	for (size_t i = 0; i < a->n && a->status == DNS_OK; i++)
		add_address(x, a->rdata[i]);
	if (x->queries[0] != NULL || x->queries[1] != NULL)
		return;
	if (x->n == 0)
		fail(x, "its server has no address that may be called");
	else
		start(x);
}

static void
got_a(void *arg, const struct dns_answer *a)
{
	struct exchange *x = arg;

	got_addresses(x, &x->queries[0], a);
}

static void
got_aaaa(void *arg, const struct dns_answer *a)
{
	struct exchange *x = arg;

	got_addresses(x, &x->queries[1], a);
}

/* -- the URL */

/* libcurl reads "127.1" and the like as addresses: what it makes of the host is what counts. */
static bool
host_ok(const char *host)
{
	struct address a;

	return host[0] != '[' && strlen(host) <= 253 && dns_name_ok(slice_of(host)) && !address_parse(host, 443, &a);
}

static bool
parts_ok(struct exchange *x, CURLU *u)
{
	char *scheme = NULL, *port = NULL, *user = NULL;
	uint64_t number = 0;
	bool ok;

	ok = curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0) == CURLUE_OK &&
	     curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK && strcmp(scheme, "https") == 0 &&
	     curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_NO_USER &&
	     curl_url_get(u, CURLUPART_HOST, &x->host, 0) == CURLUE_OK && host_ok(x->host) &&
	     curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
	     slice_to_u64(slice_of(port), &number) && number > 0 && number <= UINT16_MAX &&
	     curl_url_get(u, CURLUPART_URL, &x->url, 0) == CURLUE_OK;
	x->port = (unsigned)number;
	curl_free(scheme);
	curl_free(port);
	curl_free(user);
	return ok;
}

static bool
read_url(struct exchange *x, const char *url)
{
	CURLU *u = curl_url();
	bool ok = u != NULL && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK && parts_ok(x, u);

	curl_url_cleanup(u);
	return ok;
}

int
https_ask(const struct https_request *request, https_fn *fn, void *arg, struct err *err)
{
	struct exchange *x;

	if (n_exchanges >= REQUESTS_MAX || (x = calloc(1, sizeof(*x))) == NULL)
		return err_set(err, ERR_TEMPORARY, "too many are asked just now");
	n_exchanges++;
	x->request = *request;
	x->fn = fn;
	x->arg = arg;
	buf_init(&x->body, request->most);
	if (!read_url(x, request->url)) {
		exchange_free(x);
		return err_set(err, ERR_PERMANENT, "it is no URL of a host's HTTPS server");
	}
	if (set_request(x) == -1) {
		exchange_free(x);
		return err_set(err, ERR_TEMPORARY, "no memory");
	}
	x->queries[0] = dns_ask(x->host, DNS_A, got_a, x);
	x->queries[1] = dns_ask(x->host, DNS_AAAA, got_aaaa, x);
	if (x->queries[0] == NULL && x->queries[1] == NULL) {
		exchange_free(x);
		return err_set(err, ERR_TEMPORARY, "the resolver is not there");
	}
	return 0;
}
