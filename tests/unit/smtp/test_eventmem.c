/* test_eventmem - libevent on memory of its own: many descriptors, again and again, more than fit, large things */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <event2/event.h>
#include <sys/socket.h>
#include <unistd.h>

#include "smtp/eventmem.h"

#define PAIRS 200

static unsigned called;

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	char byte;

	(void)what;
	(void)arg;
	assert_int_equal(read(fd, &byte, 1), 1);
	called++;
}

static void
test_many(void **state)
{
	(void)state;
	for (int round = 0; round < 3; round++) {
		struct event_base *base = event_base_new();
		struct event *events[PAIRS];
		int fds[PAIRS][2];

		assert_non_null(base);
		called = 0;
		for (int i = 0; i < PAIRS; i++) {
			assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds[i]), 0);
			events[i] = event_new(base, fds[i][0], EV_READ, on_readable, NULL);
			assert_int_equal(event_add(events[i], NULL), 0);
			assert_int_equal(write(fds[i][1], "x", 1), 1);
		}
		event_base_dispatch(base);
		assert_int_equal(called, PAIRS);
		for (int i = 0; i < PAIRS; i++) {
			event_free(events[i]);
			close(fds[i][0]);
			close(fds[i][1]);
		}
		event_base_free(base);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_many) };

	eventmem_setup();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
