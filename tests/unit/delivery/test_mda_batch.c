#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "delivery/mda_batch.h"

/* The linker gives us these in place of the system's: they count, and fail when told to. */
int __real_syncfs(int fd);
int __real_fsync(int fd);
int __wrap_syncfs(int fd);
int __wrap_fsync(int fd);
static unsigned syncfses, fsyncs;
static bool broken;

int
__wrap_syncfs(int fd)
{
	syncfses++;
	errno = EIO;
	return broken ? -1 : __real_syncfs(fd);
}

int
__wrap_fsync(int fd)
{
	fsyncs++;
	errno = EIO;
	return broken ? -1 : __real_fsync(fd);
}

static int root;
static struct stage stage;
static struct event_base *base;
static struct link *queue;
static struct batch batch;
static bool known; /* is /tmp on a file system that syncfs serves? */

static const struct msg_handler none[] = { { MSG_NONE, NULL } };

static int
setup(void **state)
{
	char *dir = strdup("/tmp/tegami-batch-XXXXXX");
	struct err err = { 0 };
	int s[2];

	*state = mkdtemp(dir);
	root = open(dir, O_RDONLY | O_DIRECTORY);
	base = event_base_new();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s) == -1 ||
	    stage_open(&stage, root, STAGE_DIR, true, &err) == -1)
		return -1;
	queue = link_new(base, s[0], ROLE_MDA, ROLE_QUEUE, 0, none, NULL);
	batch.places = places_new(root, &stage, 64);
	batch.work = malloc(BATCH_WORK);
	known = batch.places != NULL && places_common(batch.places)->known;
	return batch.places == NULL || queue == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	char command[100];

	places_free(&batch.places);
	free(batch.work);
	link_free(&queue);
	event_base_free(base);
	stage_close(&stage);
	close(root);
	snprintf(command, sizeof(command), "rm -rf %s", (char *)*state);
	free(*state);
	return system(command);
}

static struct item *
item_of(enum msg type, struct buf *fields, int fd)
{
	struct frame f = { .link = queue, .type = type, .fd = fd };
	struct item *item;

	assert_false(fields->failed);
	assert_true(msg_shape_ok(type, buf_all(fields)));
	wire_init(&f.in, buf_all(fields));
	item = item_new(&f);
	assert_non_null(item);
	buf_free(fields);
	return item;
}

/* n recipients u0.. of d.test. */
static struct item *
stage_item(uint64_t qid, const char *body, int fd, unsigned n)
{
	struct buf b;
	char text[64];

	buf_init(&b, FRAME_MAX);
	wire_put_u64(&b, qid);
	wire_put_u64(&b, 0);
	wire_put_text(&b, "Received: x\r\n");
	wire_put_text(&b, "");
	wire_put_text(&b, body);
	for (unsigned i = 0; i < n; i++) {
		wire_put_u64(&b, i);
		snprintf(text, sizeof(text), "d.test/u%u", i);
		wire_put_text(&b, text);
		wire_put_text(&b, i % 2 == 1 ? "Junk" : "");
		snprintf(text, sizeof(text), "1.M%uQ%uR%u.h", i, (unsigned)qid, i);
		wire_put_text(&b, text);
		wire_put_text(&b, "Return-Path: <>\r\n");
	}
	return item_of(MSG_MDA_STAGE, &b, fd);
}

/* Publish what was staged. */
static struct item *
publish_item(const struct item *staged)
{
	struct buf b;
	char home[64];

	buf_init(&b, FRAME_MAX);
	for (unsigned i = 0; i < staged->n; i++) {
		wire_put_u64(&b, staged->qid);
		wire_put_u64(&b, i);
		snprintf(home, sizeof(home), "d.test/u%u", i);
		wire_put_text(&b, home);
		wire_put_text(&b, i % 2 == 1 ? "Junk" : "");
		wire_put_text(&b, staged->results[i].text);
	}
	return item_of(MSG_MDA_PUBLISH, &b, -1);
}

static void
run(struct item *items)
{
	syncfses = fsyncs = 0;
	batch.items = items;
	batch_run(&batch);
}

static bool
all_are(const struct item *item, enum step_status status)
{
	for (unsigned i = 0; i < item->n; i++)
		if (item->results[i].status != status)
			return false;
	return true;
}

static const char *
read_file(const char *path)
{
	static char text[4096];
	int fd = openat(root, path, O_RDONLY);
	ssize_t n = fd == -1 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd != -1)
		close(fd);
	text[n < 0 ? 0 : n] = 0;
	return n < 0 ? NULL : text;
}

static bool
in_stage(const struct result *r)
{
	return faccessat(stage.fd, r->text + STAGE_ID, F_OK, 0) == 0;
}

static bool
in_new(unsigned user, const struct result *r)
{
	char path[600];

	snprintf(path, sizeof(path), "d.test/u%u/Maildir%s/new/%s", user,
	    user % 2 == 1 ? "/.Junk" : "", r->text + STAGE_ID);
	return read_file(path) != NULL;
}

static void
test_stage_and_publish(void **state)
{
	struct item *s = stage_item(1, "A: b\r\n\r\nHello\r\n", -1, 2), *p, *again;

	(void)state;
	run(s);
	assert_true(all_are(s, STEP_OK));
	assert_true(in_stage(&s->results[0]) && in_stage(&s->results[1]));
	assert_false(in_new(0, &s->results[0]));
	assert_string_equal(strrchr(s->results[0].text, ','), ",S=40");
	assert_int_equal(s->results[0].size, 40);
	p = publish_item(s);
	run(p);
	assert_true(all_are(p, STEP_OK));
	assert_int_equal(p->results[1].qid, 1);
	assert_int_equal(p->results[1].rcpt, 1);
	assert_true(in_new(0, &s->results[0]) && in_new(1, &s->results[1]));
	assert_false(in_stage(&s->results[0]));
	assert_string_equal(read_file("d.test/u0/Maildir/new/1.M0Q1R0.h,S=40"),
	    "Return-Path: <>\nReceived: x\nA: b\n\nHello\n");
	/* asked again: it was delivered, and that is made durable again */
	again = publish_item(s);
	run(again);
	assert_true(all_are(again, STEP_OK));
	assert_true(fsyncs + syncfses > 0);
	item_free(s);
	item_free(p);
	item_free(again);
}

static void
test_which_barrier(void **state)
{
	struct item *few = stage_item(10, "x\r\n", -1, 3), *many = stage_item(11, "x\r\n", -1, 5),
		    *p;

	(void)state;
	/* new folders: their names are made durable as well */
	p = stage_item(13, "x\r\n", -1, 4);
	run(p);
	assert_int_equal(syncfses, known ? 1 : 0);
	item_free(p);
	run(few);
	assert_int_equal(fsyncs, 3 + 1); /* each file, the stage folder */
	assert_int_equal(syncfses, 0);
	p = publish_item(few);
	run(p);
	assert_int_equal(fsyncs, 3 + 1); /* each new/, the stage folder */
	assert_int_equal(syncfses, 0);
	item_free(p);
	run(many);
	if (known) {
		/* two new mailboxes, more than four files */
		assert_int_equal(fsyncs, 0);
		assert_int_equal(syncfses, 1);
	} else {
		assert_int_equal(syncfses, 0);
	}
	/* both kinds of step share the one barrier */
	many->next = NULL;
	p = publish_item(many);
	p->next = stage_item(12, "y\r\n", -1, 5);
	run(p);
	assert_true(all_are(p, STEP_OK) && all_are(p->next, STEP_OK));
	assert_int_equal(syncfses, known ? 1 : 0);
	item_free(p->next);
	item_free(p);
	item_free(few);
	item_free(many);
}

static void
test_spooled(void **state)
{
	FILE *f = tmpfile();
	struct item *s;

	(void)state;
	for (int i = 0; i < 20000; i++)
		fputs("0123456789\r\n", f);
	fflush(f);
	s = stage_item(20, "", dup(fileno(f)), 2);
	run(s);
	assert_true(all_are(s, STEP_OK));
	assert_int_equal(s->results[0].size, 16 + 12 + 20000 * 11);
	assert_string_equal(strrchr(s->results[0].text, ','), ",S=220028");
	assert_true(in_stage(&s->results[0]));
	item_free(s);
	/* a descriptor that is no file */
	s = stage_item(21, "", open("/dev/zero", O_RDONLY), 1);
	run(s);
	assert_true(all_are(s, STEP_TEMPORARY));
	item_free(s);
	fclose(f);
}

/* Everything behind a barrier that failed is answered "later": staged files go, names are found
 * absent the next time. */
static void
test_failed_barrier(void **state)
{
	(void)state;
	for (unsigned n = 2; n <= 8; n += 6) {
		struct item *s = stage_item(30 + n, "x\r\n", -1, n), *p,
			    *failed = stage_item(50 + n, "x\r\n", -1, n);

		run(s);
		assert_true(all_are(s, STEP_OK));
		broken = true;
		p = publish_item(s);
		p->next = failed;
		run(p);
		broken = false;
		assert_true(all_are(failed, STEP_TEMPORARY));
		assert_true(all_are(p, STEP_TEMPORARY));
		assert_non_null(strstr(p->results[0].text, "Input/output error"));
		assert_true(in_new(0, &s->results[0]));
		item_free(p);
		item_free(failed);
		/* the next attempt, under the same name even, writes a new file */
		failed = stage_item(50 + n, "x\r\n", -1, n);
		p = publish_item(s);
		p->next = failed;
		run(p);
		assert_true(all_are(p, STEP_OK) && all_are(failed, STEP_OK));
		assert_true(in_stage(&failed->results[0]));
		if (known)
			assert_int_equal(
			    syncfses, 1); /* even for few: what else is pending nobody knows */
		item_free(p);
		item_free(failed);
		item_free(s);
	}
}

static void
set_field(struct result *r, const char *text)
{
	snprintf(r->text, sizeof(r->text), "%s", text);
}

static void
test_wrong_names(void **state)
{
	static const struct {
		const char *name;
		enum step_status status;
	} rows[] = {
		{ "zzzzzzzz/1.a", STEP_TEMPORARY }, /* another stage folder: not mounted? */
		{ "1.a", STEP_PERMANENT },
		{ "", STEP_PERMANENT },
		{ "zzzzzzzz/../x", STEP_PERMANENT },
		{ "zzzzzzzz/.id", STEP_PERMANENT },
	};
	struct item *s = stage_item(60, "x\r\n", -1, 1), *p;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		set_field(&s->results[0], rows[i].name);
		p = publish_item(s);
		run(p);
		assert_int_equal(p->results[0].status, rows[i].status);
		assert_true(p->results[0].text[0] != 0);
		item_free(p);
	}
	item_free(s);
}

/* The Maildir went away between the steps: it is made again, the mail is not lost. */
static void
test_vanished(void **state)
{
	struct item *s = stage_item(70, "x\r\n", -1, 1), *p;
	char command[100];

	run(s);
	snprintf(command, sizeof(command), "rm -rf %s/d.test/u0", (const char *)*state);
	assert_int_equal(system(command), 0);
	p = publish_item(s);
	run(p);
	assert_true(all_are(p, STEP_OK));
	assert_true(in_new(0, &s->results[0]));
	item_free(p);
	item_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stage_and_publish),
		cmocka_unit_test(test_which_barrier),
		cmocka_unit_test(test_spooled),
		cmocka_unit_test(test_failed_barrier),
		cmocka_unit_test(test_wrong_names),
		cmocka_unit_test(test_vanished),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
