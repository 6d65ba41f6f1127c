# delivery: see Makefile.am

# The part of queue that has no state of its own, for its tests too.
noinst_LIBRARIES += delivery/libqueue.a
delivery_libqueue_a_SOURCES = delivery/schedule.h delivery/schedule.c delivery/bounce.h delivery/bounce.c \
	delivery/queue_index.h delivery/queue_index.c delivery/queue_writer.h delivery/queue_writer.c \
	delivery/queue_writer_state.h delivery/queue_writer_thread.c \
	delivery/route_match.h delivery/route_match.c delivery/xtext.h delivery/xtext.c
delivery_libqueue_a_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
QUEUE_LIBS = delivery/libqueue.a storage/libqueuestore.a $(DB_LIBS)

role_PROGRAMS += delivery/queue
delivery_queue_SOURCES = delivery/queue.h delivery/queue.c delivery/queue_admin.c delivery/queue_content.h \
	delivery/queue_content.c delivery/queue_dest.h delivery/queue_dest.c delivery/queue_clock.h delivery/queue_clock.c delivery/queue_flow.c delivery/queue_intake.c delivery/queue_local.h delivery/queue_local.c delivery/queue_owed.c delivery/queue_publish.c \
	delivery/queue_job.h delivery/queue_job.c delivery/queue_remote.c delivery/queue_report.h delivery/queue_report.c \
	delivery/queue_report_state.h delivery/queue_report_commit.c delivery/queue_report_full.c delivery/queue_report_text.c delivery/queue_spool.c delivery/queue_suspend.c delivery/queue_warn.c
delivery_queue_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
delivery_queue_LDADD = $(QUEUE_LIBS) $(ROLE_LIBS)

check_PROGRAMS += tests/unit/delivery/test_schedule tests/unit/delivery/test_bounce tests/unit/delivery/test_queue_index \
	tests/unit/delivery/test_queue_writer tests/unit/delivery/test_xtext
tests_unit_delivery_test_xtext_SOURCES = tests/unit/delivery/test_xtext.c
tests_unit_delivery_test_xtext_LDADD = $(QUEUE_LIBS) $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_delivery_test_schedule_SOURCES = tests/unit/delivery/test_schedule.c
tests_unit_delivery_test_schedule_LDADD = $(QUEUE_LIBS) $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_delivery_test_bounce_SOURCES = tests/unit/delivery/test_bounce.c
tests_unit_delivery_test_bounce_LDADD = $(QUEUE_LIBS) $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_delivery_test_queue_index_SOURCES = tests/unit/delivery/test_queue_index.c
tests_unit_delivery_test_queue_index_LDADD = $(QUEUE_LIBS) $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_delivery_test_queue_writer_SOURCES = tests/unit/delivery/test_queue_writer.c
tests_unit_delivery_test_queue_writer_LDADD = $(STORAGE_TEST_LIBS) $(QUEUE_LIBS) $(BASE_LIBS) $(UNIT_LIBS)

# The relay: everything but its main, as a library for its tests.
noinst_LIBRARIES += delivery/librelay.a
delivery_librelay_a_SOURCES = delivery/route.h delivery/route.c delivery/route_match.h delivery/route_match.c delivery/relay_explain.h delivery/relay_explain.c delivery/https.h delivery/https.c delivery/mx.h delivery/mx.c \
	delivery/relay_address.h delivery/relay_address.c delivery/relay_auth.h delivery/relay_auth.c delivery/relay_body.h delivery/relay_body.c \
	delivery/relay_caps.h delivery/relay_caps.c delivery/relay_connect.h delivery/relay_connect.c delivery/relay_convert.c delivery/relay_count.h delivery/relay_count.c \
	delivery/relay_dane.h delivery/relay_dane.c delivery/relay_hosts.h delivery/relay_hosts.c \
	delivery/relay_idn.h delivery/relay_idn.c \
	delivery/relay_job_state.h delivery/relay_job.c delivery/relay_jobs.h delivery/relay_jobs.c \
	delivery/relay_final.h delivery/relay_final.c delivery/relay_login.h delivery/relay_login.c delivery/relay_mail.h delivery/relay_mail.c \
	delivery/relay_policy.h delivery/relay_policy.c \
	delivery/relay_pool.h delivery/relay_pool.c delivery/relay_report.h delivery/relay_report.c delivery/relay_result.h delivery/relay_result.c \
	delivery/relay_silent.h delivery/relay_silent.c \
	delivery/relay_session.h delivery/relay_session.c delivery/relay_tls.h delivery/relay_tls.c \
	delivery/relay_sts.h delivery/relay_sts.c delivery/sts_fetch.h delivery/sts_fetch.c \
	delivery/sts_text.h delivery/sts_text.c \
	delivery/xtext.h delivery/xtext.c
delivery_librelay_a_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS) $(CURL_CFLAGS) $(GSASL_CFLAGS)

role_PROGRAMS += delivery/relay
delivery_relay_SOURCES = delivery/relay_main.c
delivery_relay_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS)
delivery_relay_LDADD = delivery/librelay.a $(CURL_LIBS) $(GSASL_LIBS) $(ADDRESS_LIBS) $(DNS_LIBS) $(SMTP_PROTO_LIBS) base/libtls.a $(ROLE_LIBS) $(OPENSSL_LIBS)

# make tests/bench/queue_bench && tests/bench/queue_bench delivery/queue
EXTRA_PROGRAMS += tests/bench/queue_bench
tests_bench_queue_bench_SOURCES = tests/bench/queue_bench.c
tests_bench_queue_bench_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
tests_bench_queue_bench_LDADD = $(QUEUE_LIBS) $(BASE_LIBS)

check_PROGRAMS += tests/unit/delivery/test_mx tests/unit/delivery/test_route tests/unit/delivery/test_relay_result \
	tests/unit/delivery/test_relay_body
RELAY_TEST_LIBS = delivery/librelay.a $(CURL_LIBS) $(GSASL_LIBS) $(ADDRESS_LIBS) $(DNS_LIBS) $(SMTP_PROTO_LIBS) base/libtls.a $(ROLE_LIBS) $(OPENSSL_LIBS) $(UNIT_LIBS)
tests_unit_delivery_test_mx_SOURCES = tests/unit/delivery/test_mx.c
tests_unit_delivery_test_mx_LDADD = $(RELAY_TEST_LIBS)
tests_unit_delivery_test_route_SOURCES = tests/unit/delivery/test_route.c
tests_unit_delivery_test_route_LDADD = $(RELAY_TEST_LIBS)
tests_unit_delivery_test_relay_result_SOURCES = tests/unit/delivery/test_relay_result.c
tests_unit_delivery_test_relay_result_LDADD = $(RELAY_TEST_LIBS)
tests_unit_delivery_test_relay_body_SOURCES = tests/unit/delivery/test_relay_body.c
tests_unit_delivery_test_relay_body_LDADD = $(RELAY_TEST_LIBS)

# mda: everything but its main, as a library for its tests.
noinst_LIBRARIES += delivery/libmda.a
delivery_libmda_a_SOURCES = delivery/mda_batch.h delivery/mda_batch.c delivery/mda_place.h delivery/mda_place.c \
	delivery/mda_sweep.h delivery/mda_sweep.c delivery/mda_text.h delivery/mda_text.c
MDA_LIBS = delivery/libmda.a $(MAILDIR_LIBS)

role_PROGRAMS += delivery/mda
delivery_mda_SOURCES = delivery/mda.c delivery/mda_usage.h delivery/mda_usage.c
delivery_mda_LDADD = $(MDA_LIBS) $(ROLE_LIBS)

# make tests/bench/mda_bench && tests/bench/mda_bench delivery/mda DIR
EXTRA_PROGRAMS += tests/bench/mda_bench
tests_bench_mda_bench_SOURCES = tests/bench/mda_bench.c
tests_bench_mda_bench_LDADD = $(BASE_LIBS)

check_PROGRAMS += tests/unit/delivery/test_mda_batch tests/unit/delivery/test_mda_place tests/unit/delivery/test_mda_sweep \
	tests/unit/delivery/test_mda_text
tests_unit_delivery_test_mda_batch_SOURCES = tests/unit/delivery/test_mda_batch.c
tests_unit_delivery_test_mda_batch_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=syncfs -Wl,--wrap=fsync
tests_unit_delivery_test_mda_batch_LDADD = $(MDA_LIBS) $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_delivery_test_mda_place_SOURCES = tests/unit/delivery/test_mda_place.c
tests_unit_delivery_test_mda_place_LDADD = $(MDA_LIBS) $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_delivery_test_mda_sweep_SOURCES = tests/unit/delivery/test_mda_sweep.c
tests_unit_delivery_test_mda_sweep_LDADD = $(MDA_LIBS) $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_delivery_test_mda_text_SOURCES = tests/unit/delivery/test_mda_text.c
tests_unit_delivery_test_mda_text_LDADD = $(MDA_LIBS) $(BASE_LIBS) $(UNIT_LIBS)

check_PROGRAMS += tests/unit/delivery/test_sts_text
tests_unit_delivery_test_sts_text_SOURCES = tests/unit/delivery/test_sts_text.c
tests_unit_delivery_test_sts_text_LDADD = $(RELAY_TEST_LIBS)
