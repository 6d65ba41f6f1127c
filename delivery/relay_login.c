/* relay_login - names and passwords for the hosts that want a login
 *
 * Passwords come as open files from the supervisor, the first line counts; they stand in this process alone and are wiped
 * when they are read anew. They are never logged, and no reason in words holds one. */
#include "delivery/relay_login.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/role.h"
#include "conf/conf.h"

#define PASSWORD_MAX 1000
#define PAUSE (60 * CLOCK_SECOND)

static struct {
	struct login *at;
	size_t n;
} logins;

static void
forget(void)
{
	for (size_t i = 0; i < logins.n; i++) {
		if (logins.at[i].password != NULL)
			explicit_bzero(logins.at[i].password, strlen(logins.at[i].password));
		free(logins.at[i].password);
	}
	free(logins.at);
	logins.at = NULL;
	logins.n = 0;
}

/* The first line of the file. NULL: there is none. */
static char *
read_password(int fd)
{
	char text[PASSWORD_MAX + 1];
	ssize_t n = fd >= 0 ? pread(fd, text, sizeof(text) - 1, 0) : -1;
	char *password;

	if (n <= 0)
		return NULL;
	text[n] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	password = text[0] != '\0' ? strdup(text) : NULL;
	explicit_bzero(text, sizeof(text));
	return password;
}

static void
add(const char *kind, const char *title, const char *user)
{
	struct login *l = &logins.at[logins.n];

	if (user == NULL || user[0] == '\0')
		return;
	*l = (struct login){ .user = user, .password = read_password(role_file(SETUP_FILE_PASSWORD, title)) };
	snprintf(l->name, sizeof(l->name), "%s%s", kind, title);
	if (l->password == NULL)
		log_error("the password_file of %s holds no password; write it into its first line, then `tegami reload`",
		    l->name);
	logins.n++;
}

void
logins_read(void)
{
	const struct conf *conf = role_conf();

	forget();
	logins.at = calloc(conf->n_route + 1, sizeof(*logins.at));
	if (logins.at == NULL) {
		log_error("no memory for the logins at other hosts");
		return;
	}
	add(LOGIN_SMARTHOST, "", conf->relay.username);
	for (size_t i = 0; i < conf->n_route; i++)
		add(LOGIN_ROUTE, conf->route[i].name, conf->route[i].username);
}

static struct login *
find(const char *name)
{
	for (size_t i = 0; i < logins.n; i++)
		if (strcmp(logins.at[i].name, name) == 0)
			return &logins.at[i];
	return NULL;
}

const struct login *
login_find(const char *name)
{
	return find(name);
}

void
login_refused(const char *name, const struct result *why)
{
	struct login *l = find(name);

	if (l == NULL)
		return;
	l->paused_until = clock_mono() + PAUSE;
	l->refusal = *why;
	log_warning("%s: %s", name, why->text);
}

bool
login_paused(const char *name, struct result *why)
{
	const struct login *l = find(name);

	if (l == NULL || clock_mono() >= l->paused_until)
		return false;
	*why = l->refusal;
	return true;
}

void
login_options(const char *name, char *out, size_t size)
{
	if (strcmp(name, LOGIN_SMARTHOST) == 0)
		snprintf(out, size, "relay.username and the password in relay.password_file");
	else
		snprintf(out, size, "username and the password in password_file of %.100s", name);
}
