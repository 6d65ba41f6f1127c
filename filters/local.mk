# filters: filter judges, scan looks for viruses, signer signs

# All of the judging that needs no process; the CLI and tests use it too.
noinst_LIBRARIES += filters/libfilter.a
filters_libfilter_a_SOURCES = filters/judge.h filters/judge.c filters/check.h filters/check.c filters/mime.h filters/mime.c \
	filters/date.h filters/date.c filters/tokens.h filters/tokens.c filters/bayes.h filters/bayes.c \
	filters/spf_record.h filters/spf_record.c filters/spf_macro.h filters/spf_macro.c \
	filters/spf_explain.h filters/spf_explain.c filters/spf_run.h filters/spf_terms.c filters/spf.h filters/spf.c filters/spf_check.c \
	filters/dkim.h filters/dkim.c filters/dkim_field.h filters/dkim_field.c \
	filters/from.h filters/from.c filters/dmarc_record.h filters/dmarc_record.c \
	filters/dmarc_walk.h filters/dmarc_walk.c filters/dmarc.c \
	filters/tags.h filters/tags.c filters/canon.h filters/canon.c filters/pubkey.h filters/pubkey.c \
	filters/arc_chain.h filters/arc_chain.c filters/arc_hash.h filters/arc_hash.c filters/arc.h filters/arc.c \
	filters/dnsbl.c filters/rdns.c filters/helo.c filters/header.c filters/content.c filters/antivirus.c \
	filters/verdict.h filters/verdict.c \
	filters/unpack.h filters/unpack.c filters/report_read.h filters/report_read.c filters/report_build.h filters/report_build.c \
	filters/report_dmarc.c filters/report_tls.c filters/report_xml.c filters/report_json.c filters/report_mail.h filters/report_mail.c
filters_libfilter_a_CPPFLAGS = $(AM_CPPFLAGS) $(OPENDKIM_CFLAGS) $(OPENSSL_CFLAGS) $(SQLITE_CFLAGS) $(EXPAT_CFLAGS) $(ZLIB_CFLAGS)
FILTER_LIBS = filters/libfilter.a $(ADDRESS_LIBS) $(SCORE_LIBS) $(DB_LIBS) $(SPF2_LIBS) $(OPENDKIM_LIBS) $(EXPAT_LIBS) $(ZLIB_LIBS) -lcrypto -lm

role_PROGRAMS += filters/filter
filters_filter_SOURCES = filters/filter.c filters/reports.h filters/reports.c filters/seen.h filters/seen.c
filters_filter_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
filters_filter_LDADD = $(FILTER_LIBS) $(DNS_LIBS) $(ROLE_LIBS)

role_PROGRAMS += filters/scan
filters_scan_SOURCES = filters/scan.c filters/engine.h filters/engine.c filters/canary.h filters/canary.c
filters_scan_CPPFLAGS = $(AM_CPPFLAGS) $(CLAMAV_CFLAGS)
filters_scan_LDADD = $(ROLE_LIBS) $(CLAMAV_LIBS)

# Signing: the library's header reader is libfilter's.
noinst_LIBRARIES += filters/libsign.a
filters_libsign_a_SOURCES = filters/dkim_sign.h filters/dkim_sign.c filters/arc_seal.h filters/arc_seal.c
filters_libsign_a_CPPFLAGS = $(AM_CPPFLAGS) $(OPENDKIM_CFLAGS) $(OPENSSL_CFLAGS)
SIGN_LIBS = filters/libsign.a filters/libfilter.a $(OPENDKIM_LIBS)

role_PROGRAMS += filters/signer
filters_signer_SOURCES = filters/signer.h filters/signer.c filters/signer_keys.h filters/signer_keys.c filters/signer_seal.c
filters_signer_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS)
filters_signer_LDADD = $(SIGN_LIBS) filters/libdkimkey.a $(ROLE_LIBS) $(OPENSSL_LIBS)

# Unit tests.
check_LIBRARIES += tests/unit/filters/libanswers.a
tests_unit_filters_libanswers_a_SOURCES = tests/unit/filters/answers.h tests/unit/filters/answers.c
tests_unit_filters_libanswers_a_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
FILTER_TEST_LIBS = tests/unit/filters/libanswers.a $(FILTER_LIBS) $(CONF_LIBS) $(BASE_LIBS) $(UNIT_LIBS)
check_PROGRAMS += tests/unit/filters/test_mime tests/unit/filters/test_date tests/unit/filters/test_spf \
	tests/unit/filters/test_check tests/unit/filters/test_bayes tests/unit/filters/test_dkim
tests_unit_filters_test_mime_SOURCES = tests/unit/filters/test_mime.c
tests_unit_filters_test_mime_LDADD = filters/libfilter.a $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_filters_test_date_SOURCES = tests/unit/filters/test_date.c
tests_unit_filters_test_date_LDADD = filters/libfilter.a $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_filters_test_spf_SOURCES = tests/unit/filters/test_spf.c
tests_unit_filters_test_spf_LDADD = $(FILTER_TEST_LIBS)
tests_unit_filters_test_check_SOURCES = tests/unit/filters/test_check.c
tests_unit_filters_test_check_LDADD = $(FILTER_TEST_LIBS)
tests_unit_filters_test_bayes_SOURCES = tests/unit/filters/test_bayes.c
tests_unit_filters_test_bayes_LDADD = $(STORAGE_TEST_LIBS) $(FILTER_TEST_LIBS)
check_PROGRAMS += tests/unit/filters/test_dmarc tests/unit/filters/test_from tests/unit/filters/test_tags
tests_unit_filters_test_tags_SOURCES = tests/unit/filters/test_tags.c
tests_unit_filters_test_tags_LDADD = $(FILTER_TEST_LIBS)
tests_unit_filters_test_dmarc_SOURCES = tests/unit/filters/test_dmarc.c
tests_unit_filters_test_dmarc_LDADD = $(FILTER_TEST_LIBS)
tests_unit_filters_test_from_SOURCES = tests/unit/filters/test_from.c
tests_unit_filters_test_from_LDADD = $(FILTER_TEST_LIBS)
tests_unit_filters_test_dkim_SOURCES = tests/unit/filters/test_dkim.c
tests_unit_filters_test_dkim_LDADD = $(STORAGE_TEST_LIBS) filters/libsign.a filters/libdkimkey.a $(FILTER_TEST_LIBS) $(OPENSSL_LIBS)

# fuzzing: ./configure CC=clang CFLAGS='-g -O1 -fsanitize=fuzzer-no-link,address,undefined', then make tests/fuzz/filter_message
EXTRA_PROGRAMS += tests/fuzz/filter_message tests/fuzz/filter_proof tests/fuzz/filter_spf
tests_fuzz_filter_proof_SOURCES = tests/fuzz/filter_proof.c
tests_fuzz_filter_proof_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
tests_fuzz_filter_proof_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer,address,undefined
tests_fuzz_filter_proof_LDADD = $(FILTER_LIBS) $(CONF_LIBS) $(BASE_LIBS)
tests_fuzz_filter_message_SOURCES = tests/fuzz/filter_message.c
tests_fuzz_filter_message_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
tests_fuzz_filter_message_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer,address,undefined
tests_fuzz_filter_message_LDADD = $(FILTER_LIBS) $(CONF_LIBS) $(BASE_LIBS)
tests_fuzz_filter_spf_SOURCES = tests/fuzz/filter_spf.c
tests_fuzz_filter_spf_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
tests_fuzz_filter_spf_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer,address,undefined
tests_fuzz_filter_spf_LDADD = $(FILTER_LIBS) $(CONF_LIBS) $(BASE_LIBS)

check_PROGRAMS += tests/unit/filters/test_report_read
tests_unit_filters_test_report_read_SOURCES = tests/unit/filters/test_report_read.c
tests_unit_filters_test_report_read_CPPFLAGS = $(AM_CPPFLAGS) $(ZLIB_CFLAGS)
tests_unit_filters_test_report_read_LDADD = $(FILTER_LIBS) $(CONF_LIBS) $(BASE_LIBS) $(UNIT_LIBS)

EXTRA_PROGRAMS += tests/fuzz/filter_report_xml tests/fuzz/filter_report_json tests/fuzz/filter_archive
tests_fuzz_filter_report_xml_SOURCES = tests/fuzz/filter_report_xml.c
tests_fuzz_filter_report_xml_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer,address,undefined
tests_fuzz_filter_report_xml_LDADD = $(FILTER_LIBS) $(CONF_LIBS) $(BASE_LIBS)
tests_fuzz_filter_report_json_SOURCES = tests/fuzz/filter_report_json.c
tests_fuzz_filter_report_json_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer,address,undefined
tests_fuzz_filter_report_json_LDADD = $(FILTER_LIBS) $(CONF_LIBS) $(BASE_LIBS)
tests_fuzz_filter_archive_SOURCES = tests/fuzz/filter_archive.c
tests_fuzz_filter_archive_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer,address,undefined
tests_fuzz_filter_archive_LDADD = $(FILTER_LIBS) $(CONF_LIBS) $(BASE_LIBS)
