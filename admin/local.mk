# admin: see Makefile.am

# Keys for DKIM as files: for the CLI and tegamid, the only ones that may read them.
noinst_LIBRARIES += filters/libdkimkey.a
filters_libdkimkey_a_SOURCES = filters/dkim_key.h filters/dkim_key.c filters/dkim_state.h filters/dkim_state.c
filters_libdkimkey_a_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS)
DKIM_KEY_LIBS = filters/libdkimkey.a $(OPENSSL_LIBS)

# What the CLI and control share, and all of it that a unit test can reach.
noinst_LIBRARIES += admin/libadmin.a
admin_libadmin_a_SOURCES = admin/rows.h admin/rows.c admin/text.h admin/text.c admin/json.h admin/json.c \
	admin/table.h admin/table.c admin/verbs.h admin/verbs.c admin/story.h admin/story.c \
	admin/cli_args.c admin/cli.h admin/message.h admin/message.c admin/cert.h admin/cert.c \
	admin/spam.h admin/spam.c admin/dmarc_sources.h admin/dmarc_sources.c admin/dkim_rule.h admin/dkim_rule.c
admin_libadmin_a_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS) $(OPENSSL_CFLAGS)

# Reports to other domains, as files and mails.
noinst_LIBRARIES += admin/libtell.a
admin_libtell_a_SOURCES = admin/tell.h admin/tell_dmarc.c admin/tell_tls.c admin/tell_mail.c
admin_libtell_a_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS) $(ZLIB_CFLAGS)
TELL_LIBS = admin/libtell.a admin/libadmin.a $(ZLIB_LIBS)

role_PROGRAMS += admin/control
admin_control_SOURCES = admin/control.h admin/control_main.c admin/control_clients.c admin/control_request.c \
	admin/control_own.c admin/control_learn.c admin/control_check.h admin/control_check.c admin/control_dns.c \
	admin/control_log.c admin/control_events.c admin/control_tls.c admin/control_reports.c \
	admin/control_dkim.h admin/control_dkim.c admin/control_dkim_look.c \
	admin/control_tell.h admin/control_dmarc.c admin/control_tell.c admin/control_tell_dmarc.c \
	admin/control_tell_tls.c admin/control_post.c
admin_control_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
admin_control_LDADD = $(TELL_LIBS) filters/libdkimkey.a admin/libadmin.a $(SCORE_LIBS) $(HISTORY_LIBS) $(DB_LIBS) $(DNS_LIBS) $(ROLE_LIBS)

bin_PROGRAMS += tegami
tegami_SOURCES = admin/cli.c admin/cli_ask.c admin/cli_files.c admin/cli_init.c admin/cli_domain.c admin/cli_user.c \
	admin/cli_alias.c admin/cli_queue.c admin/cli_destination.h admin/cli_destination.c \
	admin/cli_route.c admin/cli_trace.c admin/cli_filter.c admin/cli_spam.c admin/cli_dkim.c admin/cli_dkim_keys.c \
	admin/cli_dns.c admin/cli_records.h admin/cli_records.c admin/cli_dns_check.c \
	admin/cli_dns_look.h admin/cli_dns_look.c admin/cli_dns_records.c admin/cli_findings.h admin/cli_findings.c \
	admin/cli_check.h admin/cli_check.c admin/cli_check_host.c admin/cli_status.c admin/cli_config.c \
	admin/cli_rescue.h admin/cli_rescue.c \
	admin/cli_reports.h admin/cli_reports.c admin/cli_dmarc.c admin/cli_tlsrpt.c
tegami_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS) $(OPENSSL_CFLAGS) $(CONFUSE_CFLAGS) \
	-DTEGAMI_VERSION='"$(PACKAGE_VERSION)"'
tegami_LDADD = admin/libadmin.a filters/libfilter.a $(DKIM_KEY_LIBS) $(PREPARE_LIBS) $(CONF_READ_LIBS) $(BASE_LIBS) $(OPENSSL_LIBS)

# The classic door for local programs.
noinst_LIBRARIES += admin/libsendmail.a
admin_libsendmail_a_SOURCES = admin/sendmail.h admin/sendmail_head.c admin/sendmail_talk.c
sbin_PROGRAMS += sendmail
sendmail_SOURCES = admin/sendmail.c
sendmail_CPPFLAGS = $(AM_CPPFLAGS) -DBINDIR='"$(bindir)"'
sendmail_LDADD = admin/libsendmail.a $(CONF_READ_LIBS) $(BASE_LIBS)

# The supervisor.
sbin_PROGRAMS += tegamid
tegamid_SOURCES = admin/tegamid.c admin/supervisor.h admin/supervisor.c admin/child.c admin/spawn.c admin/setup.c admin/listen.c \
	admin/reload.c admin/relink.c admin/replace.c admin/stop.c admin/watch.c \
	admin/privilege.c admin/dkim_keys.c
tegamid_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
tegamid_LDADD = filters/libdkimkey.a $(PREPARE_LIBS) $(CONF_READ_LIBS) $(BASE_LIBS)

ADMIN_TEST_LIBS = admin/libadmin.a $(SCORE_LIBS) $(DB_LIBS) $(BASE_LIBS) $(UNIT_LIBS)
check_PROGRAMS += tests/unit/admin/test_text tests/unit/admin/test_table tests/unit/admin/test_cli_args \
	tests/unit/admin/test_verbs tests/unit/admin/test_story tests/unit/admin/test_sendmail_head \
	tests/unit/storage/test_history tests/unit/filters/test_dkim_key
tests_unit_admin_test_text_SOURCES = tests/unit/admin/test_text.c
tests_unit_admin_test_text_LDADD = $(ADMIN_TEST_LIBS)
tests_unit_admin_test_table_SOURCES = tests/unit/admin/test_table.c
tests_unit_admin_test_table_LDADD = $(ADMIN_TEST_LIBS)
tests_unit_admin_test_cli_args_SOURCES = tests/unit/admin/test_cli_args.c
tests_unit_admin_test_cli_args_LDADD = $(ADMIN_TEST_LIBS)
tests_unit_admin_test_verbs_SOURCES = tests/unit/admin/test_verbs.c
tests_unit_admin_test_verbs_LDADD = $(ADMIN_TEST_LIBS)
tests_unit_admin_test_story_SOURCES = tests/unit/admin/test_story.c
tests_unit_admin_test_story_LDADD = $(ADMIN_TEST_LIBS)
tests_unit_admin_test_sendmail_head_SOURCES = tests/unit/admin/test_sendmail_head.c
tests_unit_admin_test_sendmail_head_LDADD = admin/libsendmail.a $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_storage_test_history_SOURCES = tests/unit/storage/test_history.c
tests_unit_storage_test_history_LDADD = $(HISTORY_LIBS) $(DB_LIBS) $(BASE_LIBS) $(UNIT_LIBS)
check_PROGRAMS += tests/unit/storage/test_history_dmarc
tests_unit_storage_test_history_dmarc_SOURCES = tests/unit/storage/test_history_dmarc.c
tests_unit_storage_test_history_dmarc_LDADD = $(HISTORY_LIBS) $(DB_LIBS) $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_filters_test_dkim_key_SOURCES = tests/unit/filters/test_dkim_key.c
tests_unit_filters_test_dkim_key_LDADD = admin/libadmin.a $(DKIM_KEY_LIBS) $(BASE_LIBS) $(UNIT_LIBS)

dist_man_MANS += admin/tegami.1 admin/sendmail.1 admin/tegamid.8

# sendmail knows what it is by the name it is called.
install-exec-hook:
	$(MKDIR_P) $(DESTDIR)$(bindir)
	ln -sf $(sbindir)/sendmail $(DESTDIR)$(bindir)/mailq
	ln -sf $(sbindir)/sendmail $(DESTDIR)$(bindir)/newaliases
uninstall-hook:
	rm -f $(DESTDIR)$(bindir)/mailq $(DESTDIR)$(bindir)/newaliases

check_PROGRAMS += tests/unit/admin/test_tell
tests_unit_admin_test_tell_SOURCES = tests/unit/admin/test_tell.c
tests_unit_admin_test_tell_CPPFLAGS = $(AM_CPPFLAGS) $(ZLIB_CFLAGS)
tests_unit_admin_test_tell_LDADD = $(TELL_LIBS) $(BASE_LIBS) $(UNIT_LIBS)
check_PROGRAMS += tests/unit/admin/test_admin
tests_unit_admin_test_admin_SOURCES = tests/unit/admin/test_admin.c
tests_unit_admin_test_admin_LDADD = $(ADMIN_TEST_LIBS)

check_PROGRAMS += tests/unit/admin/test_dkim_rule
tests_unit_admin_test_dkim_rule_SOURCES = tests/unit/admin/test_dkim_rule.c
tests_unit_admin_test_dkim_rule_LDADD = admin/libadmin.a filters/libdkimkey.a $(BASE_LIBS) $(UNIT_LIBS)
