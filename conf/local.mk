# conf: options table, parser, checks. Roles are told their options and link libconf.a alone; programs that read the file
# (tegamid, tegami, sendmail) link libconfread.a with it.
noinst_LIBRARIES += conf/libconf.a conf/libconfread.a
conf_libconf_a_SOURCES = conf/conf.h conf/told.h conf/options.h conf/value.h conf/conf.c conf/options.c conf/group.c \
	conf/value_form.h conf/value.c conf/value_number.c conf/value_text.c conf/address.c conf/told.c conf/role_conf.c
CONF_LIBS = conf/libconf.a

conf_libconfread_a_SOURCES = conf/reading.h conf/explain.h conf/read.c conf/scan.c conf/suggest.c conf/check.c \
	conf/explain.c conf/sample.c
conf_libconfread_a_CPPFLAGS = $(AM_CPPFLAGS) $(CONFUSE_CFLAGS)
CONF_READ_LIBS = conf/libconfread.a conf/libconf.a $(CONFUSE_LIBS)

# The manual page is made from the table.
noinst_PROGRAMS += conf/manual
conf_manual_SOURCES = conf/manual.c
conf_manual_LDADD = $(CONF_READ_LIBS) $(BASE_LIBS)
nodist_man_MANS += conf/tegami.conf.5
CLEANFILES += conf/tegami.conf.5
conf/tegami.conf.5: conf/manual$(EXEEXT)
	$(AM_V_GEN)conf/manual$(EXEEXT) >$@.new && mv $@.new $@

check_PROGRAMS += tests/unit/conf/test_value tests/unit/conf/test_address tests/unit/conf/test_told \
	tests/unit/conf/test_read tests/unit/conf/test_explain
tests_unit_conf_test_value_SOURCES = tests/unit/conf/test_value.c
tests_unit_conf_test_value_LDADD = $(CONF_LIBS) $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_conf_test_address_SOURCES = tests/unit/conf/test_address.c
tests_unit_conf_test_address_LDADD = $(CONF_LIBS) $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_conf_test_told_SOURCES = tests/unit/conf/test_told.c
tests_unit_conf_test_told_LDADD = $(CONF_LIBS) $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_conf_test_read_SOURCES = tests/unit/conf/test_read.c tests/unit/conf/file.h
tests_unit_conf_test_read_LDADD = $(CONF_READ_LIBS) $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_conf_test_explain_SOURCES = tests/unit/conf/test_explain.c tests/unit/conf/file.h
tests_unit_conf_test_explain_LDADD = $(CONF_READ_LIBS) $(BASE_LIBS) $(UNIT_LIBS)

# For Dovecot, and for whoever makes the accounts.
dist_pkgdata_DATA += conf/tegami.sysusers conf/tegami.service conf/dovecot.conf.example conf/dovecot-userdb.conf.ext.example \
	conf/dovecot-passdb-0.conf.ext.example conf/dovecot-passdb-1.conf.ext.example conf/dovecot-passdb-2.conf.ext.example \
	conf/dovecot-passdb-3.conf.ext.example conf/dovecot-passdb-4.conf.ext.example conf/dovecot-passdb-5.conf.ext.example \
	conf/dovecot-passdb-6.conf.ext.example conf/dovecot-passdb-7.conf.ext.example conf/dovecot-passdb-8.conf.ext.example
dist_pkgdata_SCRIPTS = conf/accounts
