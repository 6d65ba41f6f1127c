/* file - a configuration file for one test */
#ifndef TESTS_UNIT_CONF_FILE_H
#define TESTS_UNIT_CONF_FILE_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/conf.h"

/* conf_read of a text; what err says of the file's name is cut to "F". */
static inline struct conf *
read_bytes(const char *text, size_t len, struct err *err)
{
	char file[] = "/tmp/tegami-conf-XXXXXX";
	int fd = mkstemp(file);
	struct conf *c;

	err->text[0] = '\0';
	if (fd == -1 || write(fd, text, len) != (ssize_t)len)
		abort();
	close(fd);
	c = conf_read(file, err);
	unlink(file);
	if (strncmp(err->text, file, strlen(file)) == 0) {
		err->text[0] = 'F';
		memmove(err->text + 1, err->text + strlen(file), strlen(err->text + strlen(file)) + 1);
	}
	return c;
}

static inline struct conf *
read_text(const char *text, struct err *err)
{
	return read_bytes(text, strlen(text), err);
}

/* Line 1 to 4. */
#define FIVE_LINES                                                                                 \
	"hostname = \"mx.example.test\"\nstate_dir = \"/srv/t\"\n"                                     \
	"tls { certificate = \"/srv/t/cert.pem\"\nkey = \"/srv/t/key.pem\" }\n"

#endif
