# smtp: the grammar of SMTP and the channel (shared with relay), TLS, and smtpd
noinst_LIBRARIES += smtp/proto/libproto.a
smtp_proto_libproto_a_SOURCES = \
	smtp/proto/bdat.h smtp/proto/bdat.c \
	smtp/proto/channel.h smtp/proto/channel_inner.h smtp/proto/channel.c smtp/proto/channel_in.c \
	smtp/proto/channel_io.c smtp/proto/channel_out.c smtp/proto/channel_tls.c \
	smtp/proto/dot.h smtp/proto/dot.c \
	smtp/proto/ip.h smtp/proto/ip.c \
	smtp/proto/line.h smtp/proto/line.c \
	smtp/proto/params.h smtp/proto/params.c \
	smtp/proto/path.h smtp/proto/path.c \
	smtp/proto/proxy.h smtp/proto/proxy.c \
	smtp/proto/reply.h smtp/proto/reply.c \
	smtp/proto/xtext.h smtp/proto/xtext.c
smtp_proto_libproto_a_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS)
SMTP_PROTO_LIBS = smtp/proto/libproto.a $(OPENSSL_LIBS)

# only programs that speak TLS link it
noinst_LIBRARIES += base/libtls.a
base_libtls_a_SOURCES = base/tls.h base/tls.c base/tls_server.c base/tls_pair.h base/tls_pair.c \
	base/tls_binding.h base/tls_binding.c
base_libtls_a_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS)
TLS_LIBS = base/libtls.a $(OPENSSL_LIBS)

role_PROGRAMS += smtp/smtpd
smtp_smtpd_SOURCES = \
	smtp/bdat.c \
	smtp/body.h smtp/body.c \
	smtp/clients.h smtp/clients.c \
	smtp/cmd_auth.c \
	smtp/cmd_hello.c \
	smtp/cmd_mail.c \
	smtp/cmd_misc.c \
	smtp/cmd_rcpt.c \
	smtp/cmd_starttls.c \
	smtp/cmd_xclient.c \
	smtp/command.h smtp/command.c \
	smtp/data.c \
	smtp/deliver.c \
	smtp/eventmem.h smtp/eventmem.c \
	smtp/head.h smtp/head.c \
	smtp/known.h smtp/known.c \
	smtp/listener.h smtp/listener.c \
	smtp/proxied.h smtp/proxied.c \
	smtp/pressure.h smtp/pressure.c \
	smtp/rates.h smtp/rates.c \
	smtp/received.c \
	smtp/seal.c \
	smtp/session.h smtp/session_inner.h smtp/session.c \
	smtp/session_reply.c smtp/session_time.c smtp/session_all.c \
	smtp/smtpd.c \
	smtp/spool.h smtp/spool.c \
	smtp/status.h smtp/status.c \
	smtp/author.h smtp/author.c \
	smtp/submit.c \
	smtp/submit_head.h smtp/submit_head.c \
	smtp/tarpit.h smtp/tarpit.c \
	smtp/transaction.c
smtp_smtpd_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS)
smtp_smtpd_LDADD = smtp/proto/libproto.a base/libtls.a $(ROLE_LIBS) $(OPENSSL_LIBS)

# unit tests
check_PROGRAMS += tests/unit/smtp/test_path tests/unit/smtp/test_line tests/unit/smtp/test_params tests/unit/smtp/test_dot \
	tests/unit/smtp/test_reply tests/unit/smtp/test_head tests/unit/smtp/test_clients \
	tests/unit/smtp/test_bdat tests/unit/smtp/test_xtext tests/unit/smtp/test_command tests/unit/smtp/test_channel tests/unit/smtp/test_known
PROTO_TEST_LIBS = smtp/proto/libproto.a base/libbase.a $(UNIT_LIBS)
tests_unit_smtp_test_path_SOURCES = tests/unit/smtp/test_path.c
tests_unit_smtp_test_path_LDADD = $(PROTO_TEST_LIBS)
tests_unit_smtp_test_bdat_SOURCES = tests/unit/smtp/test_bdat.c
tests_unit_smtp_test_bdat_LDADD = $(PROTO_TEST_LIBS)
tests_unit_smtp_test_xtext_SOURCES = tests/unit/smtp/test_xtext.c
tests_unit_smtp_test_xtext_LDADD = $(PROTO_TEST_LIBS)
tests_unit_smtp_test_line_SOURCES = tests/unit/smtp/test_line.c
tests_unit_smtp_test_line_LDADD = $(PROTO_TEST_LIBS)
tests_unit_smtp_test_params_SOURCES = tests/unit/smtp/test_params.c
tests_unit_smtp_test_params_LDADD = $(PROTO_TEST_LIBS)
check_PROGRAMS += tests/unit/smtp/test_proxy tests/unit/smtp/test_eventmem
tests_unit_smtp_test_eventmem_SOURCES = tests/unit/smtp/test_eventmem.c smtp/eventmem.h smtp/eventmem.c
tests_unit_smtp_test_eventmem_LDADD = $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_smtp_test_proxy_SOURCES = tests/unit/smtp/test_proxy.c
tests_unit_smtp_test_proxy_LDADD = $(PROTO_TEST_LIBS)
tests_unit_smtp_test_dot_SOURCES = tests/unit/smtp/test_dot.c
tests_unit_smtp_test_dot_LDADD = $(PROTO_TEST_LIBS)
tests_unit_smtp_test_reply_SOURCES = tests/unit/smtp/test_reply.c
tests_unit_smtp_test_reply_LDADD = $(PROTO_TEST_LIBS)
tests_unit_smtp_test_head_SOURCES = tests/unit/smtp/test_head.c smtp/head.c
tests_unit_smtp_test_head_LDADD = $(PROTO_TEST_LIBS)
tests_unit_smtp_test_clients_SOURCES = tests/unit/smtp/test_clients.c smtp/clients.c
tests_unit_smtp_test_clients_LDADD = $(PROTO_TEST_LIBS)
tests_unit_smtp_test_command_SOURCES = tests/unit/smtp/test_command.c smtp/command.c
tests_unit_smtp_test_command_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS)
tests_unit_smtp_test_command_LDADD = $(PROTO_TEST_LIBS)

tests_unit_smtp_test_channel_SOURCES = tests/unit/smtp/test_channel.c
tests_unit_smtp_test_channel_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS)
tests_unit_smtp_test_channel_LDADD = smtp/proto/libproto.a base/libtls.a $(BASE_LIBS) $(OPENSSL_LIBS) $(UNIT_LIBS)

check_PROGRAMS += tests/unit/smtp/test_author tests/unit/smtp/test_submit_head
tests_unit_smtp_test_author_SOURCES = tests/unit/smtp/test_author.c smtp/author.c
tests_unit_smtp_test_author_LDADD = $(PROTO_TEST_LIBS)
tests_unit_smtp_test_submit_head_SOURCES = tests/unit/smtp/test_submit_head.c smtp/submit_head.c
tests_unit_smtp_test_submit_head_LDADD = $(PROTO_TEST_LIBS)

# fuzzing: ./configure CC=clang, then make tests/fuzz/smtp_dot and so on
SMTP_FUZZERS = tests/fuzz/smtp_author tests/fuzz/smtp_proxy tests/fuzz/smtp_path tests/fuzz/smtp_line tests/fuzz/smtp_dot tests/fuzz/smtp_reply \
	tests/fuzz/smtp_params tests/fuzz/smtp_bdat tests/fuzz/smtp_xtext

EXTRA_PROGRAMS += $(SMTP_FUZZERS)
SMTP_FUZZ_SOURCES = base/base64.c smtp/proto/bdat.c smtp/proto/xtext.c base/utf8.c smtp/proto/dot.c smtp/proto/line.c smtp/proto/params.c smtp/proto/path.c \
	smtp/proto/reply.c base/slice.c base/buf.c
SMTP_FUZZ_FLAGS = $(AM_CFLAGS) -fsanitize=fuzzer,address,undefined
tests_fuzz_smtp_author_SOURCES = tests/fuzz/smtp_author.c smtp/author.c smtp/submit_head.c base/pool.c $(SMTP_FUZZ_SOURCES)
tests_fuzz_smtp_author_CFLAGS = $(SMTP_FUZZ_FLAGS)
tests_fuzz_smtp_path_SOURCES = tests/fuzz/smtp_path.c $(SMTP_FUZZ_SOURCES)
tests_fuzz_smtp_path_CFLAGS = $(SMTP_FUZZ_FLAGS)
tests_fuzz_smtp_proxy_SOURCES = tests/fuzz/smtp_proxy.c smtp/proto/ip.c smtp/proto/proxy.c base/slice.c
tests_fuzz_smtp_proxy_CFLAGS = $(SMTP_FUZZ_FLAGS)
tests_fuzz_smtp_line_SOURCES = tests/fuzz/smtp_line.c $(SMTP_FUZZ_SOURCES)
tests_fuzz_smtp_line_CFLAGS = $(SMTP_FUZZ_FLAGS)
tests_fuzz_smtp_dot_SOURCES = tests/fuzz/smtp_dot.c $(SMTP_FUZZ_SOURCES)
tests_fuzz_smtp_dot_CFLAGS = $(SMTP_FUZZ_FLAGS)
tests_fuzz_smtp_reply_SOURCES = tests/fuzz/smtp_reply.c $(SMTP_FUZZ_SOURCES)
tests_fuzz_smtp_reply_CFLAGS = $(SMTP_FUZZ_FLAGS)
tests_fuzz_smtp_params_SOURCES = tests/fuzz/smtp_params.c $(SMTP_FUZZ_SOURCES)
tests_fuzz_smtp_params_CFLAGS = $(SMTP_FUZZ_FLAGS)
tests_fuzz_smtp_bdat_SOURCES = tests/fuzz/smtp_bdat.c $(SMTP_FUZZ_SOURCES)
tests_fuzz_smtp_bdat_CFLAGS = $(SMTP_FUZZ_FLAGS)
tests_fuzz_smtp_xtext_SOURCES = tests/fuzz/smtp_xtext.c $(SMTP_FUZZ_SOURCES)
tests_fuzz_smtp_xtext_CFLAGS = $(SMTP_FUZZ_FLAGS)
tests_unit_smtp_test_known_SOURCES = tests/unit/smtp/test_known.c smtp/known.h smtp/known.c
tests_unit_smtp_test_known_LDADD = base/libbase.a $(UNIT_LIBS)
