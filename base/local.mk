# base: what every program links
noinst_LIBRARIES += base/libbase.a
base_libbase_a_SOURCES = \
	base/admin.h base/admin.c \
	base/base64.h base/base64.c \
	base/buf.h base/buf.c \
	base/clock.h base/clock.c \
	base/envelope.h base/envelope.c \
	base/err.h base/err.c \
	base/link.h base/link_state.h base/link.c base/link_out.c base/link_in.c base/link_ask.c \
	base/log.h base/log.c \
	base/msg.h base/msg.c \
	base/pool.h base/pool.c \
	base/process.h base/process.c \
	base/qid.h base/qid.c \
	base/refusal.h base/refusal.c \
	base/report.h base/report.c \
	base/rua.h base/rua.c \
	base/sandbox.h base/sandbox.c \
	base/seven.h base/seven_inner.h base/seven.c base/seven_code.c base/seven_head.c base/seven_out.c \
	base/slice.h base/slice.c \
	base/tickets.h base/tickets.c \
	base/utf8.h base/utf8.c \
	base/wire.h base/wire.c \
	base/worker.h base/worker.c
base_libbase_a_CPPFLAGS = $(AM_CPPFLAGS) $(SECCOMP_CFLAGS)

# the harness of the roles knows conf, so it is a library above it
noinst_LIBRARIES += base/librole.a
base_librole_a_SOURCES = base/role.h base/role_state.h base/role.c base/role_told.c base/role_links.c base/role_events.c
ROLE_LIBS = base/librole.a conf/libconf.a $(BASE_LIBS)

check_PROGRAMS += tests/unit/base/test_utf8 tests/unit/base/test_envelope
tests_unit_base_test_utf8_SOURCES = tests/unit/base/test_utf8.c
tests_unit_base_test_utf8_LDADD = base/libbase.a $(UNIT_LIBS)
tests_unit_base_test_envelope_SOURCES = tests/unit/base/test_envelope.c
tests_unit_base_test_envelope_LDADD = $(BASE_LIBS) $(UNIT_LIBS)

check_PROGRAMS += tests/unit/base/test_seven
tests_unit_base_test_seven_SOURCES = tests/unit/base/test_seven.c
tests_unit_base_test_seven_LDADD = $(BASE_LIBS) $(UNIT_LIBS)
check_PROGRAMS += tests/unit/base/test_base64
tests_unit_base_test_base64_SOURCES = tests/unit/base/test_base64.c
tests_unit_base_test_base64_LDADD = base/libbase.a $(UNIT_LIBS)
check_PROGRAMS += tests/unit/base/test_tickets
tests_unit_base_test_tickets_SOURCES = tests/unit/base/test_tickets.c
tests_unit_base_test_tickets_LDADD = $(BASE_LIBS) $(UNIT_LIBS)
check_PROGRAMS += tests/unit/base/test_link
tests_unit_base_test_link_SOURCES = tests/unit/base/test_link.c
tests_unit_base_test_link_LDADD = $(BASE_LIBS) $(UNIT_LIBS)
check_PROGRAMS += tests/unit/base/test_refusal
tests_unit_base_test_refusal_SOURCES = tests/unit/base/test_refusal.c
tests_unit_base_test_refusal_LDADD = base/libbase.a $(UNIT_LIBS)
check_PROGRAMS += tests/unit/base/test_rua
tests_unit_base_test_rua_SOURCES = tests/unit/base/test_rua.c
tests_unit_base_test_rua_LDADD = base/libbase.a $(UNIT_LIBS)

# fuzzing: ./configure CC=clang, then make tests/fuzz/base_rua
EXTRA_PROGRAMS += tests/fuzz/base_rua
tests_fuzz_base_rua_SOURCES = tests/fuzz/base_rua.c base/rua.c base/slice.c
tests_fuzz_base_rua_CFLAGS = $(AM_CFLAGS) -fsanitize=fuzzer,address,undefined
# fuzzing: ./configure CC=clang, then make tests/fuzz/base_seven
EXTRA_PROGRAMS += tests/fuzz/base_seven
tests_fuzz_base_seven_SOURCES = tests/fuzz/base_seven.c
tests_fuzz_base_seven_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer,address,undefined
tests_fuzz_base_seven_LDADD = $(BASE_LIBS)
