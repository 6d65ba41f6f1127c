# storage: SQLite stores, and the programs that own the users and their passwords

# Only what every store needs; enough for a reader of one store.
noinst_LIBRARIES += storage/libdb.a
storage_libdb_a_SOURCES = storage/db.h storage/db.c storage/db_journal.h storage/db_journal.c
storage_libdb_a_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
DB_LIBS = storage/libdb.a $(SQLITE_LIBS)

# How addresses and domains are spelled; no store is needed for that.
noinst_LIBRARIES += storage/libaddress.a
storage_libaddress_a_SOURCES = storage/address.h storage/address.c
ADDRESS_LIBS = storage/libaddress.a $(IDN2_LIBS)

# Domains, users, aliases, credentials.
noinst_LIBRARIES += storage/libstorage.a
storage_libstorage_a_SOURCES = storage/directory.h storage/directory_store.h storage/directory.c storage/directory_alias.c \
	storage/directory_find.c storage/directory_lookup.c storage/directory_sender.c \
	storage/directory_admin.h storage/directory_admin.c storage/directory_check.h storage/directory_check.c \
	storage/directory_forward.c storage/srs.h storage/srs.c
storage_libstorage_a_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS) $(OPENSSL_CFLAGS)
STORAGE_LIBS = storage/libstorage.a $(DB_LIBS) $(ADDRESS_LIBS) -lcrypto

# Who may log in with what.
noinst_LIBRARIES += storage/libcredentials.a
storage_libcredentials_a_SOURCES = storage/password.h storage/password.c storage/verifier.h storage/verifier.c \
	storage/credentials.h storage/credentials.c storage/credentials_admin.h storage/credentials_admin.c
storage_libcredentials_a_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS) $(CRYPT_CFLAGS) $(OPENSSL_CFLAGS)
CREDENTIALS_LIBS = storage/libcredentials.a $(STORAGE_LIBS) $(CRYPT_LIBS) -lcrypto

# What a damaged queue.db still holds.
noinst_LIBRARIES += storage/librescue.a
storage_librescue_a_SOURCES = storage/pages.h storage/pages.c storage/pages_tree.h storage/pages_tree.c storage/rescue.h storage/rescue.c \
	storage/rescue_rows.h storage/rescue_rows.c storage/rescue_files.c
storage_librescue_a_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
RESCUE_LIBS = storage/librescue.a storage/libqueuestore.a storage/libmaildir.a

# The state directory with all its databases: for tegamid and `tegami init`.
noinst_LIBRARIES += storage/libprepare.a
storage_libprepare_a_SOURCES = storage/prepare.h storage/prepare.c
storage_libprepare_a_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
PREPARE_LIBS = storage/libprepare.a $(RESCUE_LIBS) $(SCORE_LIBS) $(HISTORY_LIBS) $(CREDENTIALS_LIBS)

role_PROGRAMS += storage/directory
storage_directory_SOURCES = storage/directory_main.c
storage_directory_LDADD = $(STORAGE_LIBS) $(ROLE_LIBS)

# What the classifier learned: control writes it, filter reads it. Link it before STORAGE_LIBS.
noinst_LIBRARIES += storage/libscore.a
storage_libscore_a_SOURCES = storage/score.c storage/score.h
SCORE_LIBS = storage/libscore.a

# What happened to every message: control writes it. Link it before STORAGE_LIBS.
noinst_LIBRARIES += storage/libhistory.a
storage_libhistory_a_SOURCES = storage/history.c storage/history.h storage/history_admin.c storage/history_admin.h \
	storage/history_tls.c storage/history_tls.h \
	storage/history_received.c storage/history_received.h storage/history_dmarc.c storage/history_dmarc.h \
	storage/history_tls_report.c storage/history_tls_report.h storage/history_waiting.c storage/history_waiting.h
storage_libhistory_a_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
HISTORY_LIBS = storage/libhistory.a

# Accepted mail: queue owns it.
noinst_LIBRARIES += storage/libqueuestore.a
storage_libqueuestore_a_SOURCES = storage/queue_store.h storage/queue_store_state.h storage/queue_store.c storage/queue_store_read.c \
	storage/spool.h storage/spool.c
storage_libqueuestore_a_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)

role_PROGRAMS += storage/auth
storage_auth_SOURCES = storage/auth.h storage/auth_main.c storage/auth_login.c storage/auth_admin.c storage/auth_used.c
storage_auth_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
storage_auth_LDADD = storage/libauth.a $(CREDENTIALS_LIBS) $(GSASL_LIBS) $(ROLE_LIBS)

# The parts of `auth` that stand alone.
noinst_LIBRARIES += storage/libauth.a
storage_libauth_a_SOURCES = storage/auth_limit.h storage/auth_limit.c storage/auth_ticket.h storage/auth_ticket.c \
	storage/auth_exchange.h storage/auth_exchange.c storage/auth_scram.h storage/auth_scram.c
storage_libauth_a_CPPFLAGS = $(AM_CPPFLAGS) $(GSASL_CFLAGS) $(OPENSSL_CFLAGS)

# Unit tests.
check_LIBRARIES += tests/unit/storage/libscratch.a
tests_unit_storage_libscratch_a_SOURCES = tests/unit/storage/scratch.h tests/unit/storage/scratch.c
STORAGE_TEST_LIBS = tests/unit/storage/libscratch.a
check_PROGRAMS += tests/unit/storage/test_db tests/unit/storage/test_address \
	tests/unit/storage/test_directory \
	tests/unit/storage/test_password tests/unit/storage/test_credentials tests/unit/storage/test_auth_limit \
	tests/unit/storage/test_auth_ticket tests/unit/storage/test_auth_exchange tests/unit/storage/test_auth_scram tests/unit/storage/test_prepare
tests_unit_storage_test_db_SOURCES = tests/unit/storage/test_db.c
tests_unit_storage_test_db_LDADD = $(STORAGE_TEST_LIBS) $(DB_LIBS) $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_storage_test_address_SOURCES = tests/unit/storage/test_address.c
tests_unit_storage_test_address_LDADD = $(STORAGE_LIBS) $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_storage_test_directory_SOURCES = tests/unit/storage/test_directory.c
tests_unit_storage_test_directory_LDADD = $(STORAGE_TEST_LIBS) $(STORAGE_LIBS) $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_storage_test_password_SOURCES = tests/unit/storage/test_password.c
# It counts the slow hashes of a check.
tests_unit_storage_test_password_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=crypt_r,--wrap=verifier_keys
tests_unit_storage_test_password_LDADD = $(CREDENTIALS_LIBS) $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_storage_test_credentials_SOURCES = tests/unit/storage/test_credentials.c
tests_unit_storage_test_credentials_LDADD = $(STORAGE_TEST_LIBS) $(CREDENTIALS_LIBS) $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_storage_test_auth_limit_SOURCES = tests/unit/storage/test_auth_limit.c
tests_unit_storage_test_auth_limit_LDADD = storage/libauth.a -lcrypto $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_storage_test_auth_ticket_SOURCES = tests/unit/storage/test_auth_ticket.c
tests_unit_storage_test_auth_ticket_LDADD = storage/libauth.a -lcrypto $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_storage_test_auth_exchange_SOURCES = tests/unit/storage/test_auth_exchange.c
tests_unit_storage_test_auth_exchange_LDADD = storage/libauth.a storage/libcredentials.a $(GSASL_LIBS) $(CRYPT_LIBS) -lcrypto \
	$(BASE_LIBS) $(UNIT_LIBS)
tests_unit_storage_test_auth_scram_SOURCES = tests/unit/storage/test_auth_scram.c
tests_unit_storage_test_auth_scram_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS)
tests_unit_storage_test_auth_scram_LDADD = storage/libauth.a storage/libcredentials.a $(CRYPT_LIBS) -lcrypto $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_storage_test_prepare_SOURCES = tests/unit/storage/test_prepare.c
tests_unit_storage_test_prepare_CPPFLAGS = $(AM_CPPFLAGS) -DTOP_SRCDIR='"$(top_srcdir)"'
tests_unit_storage_test_prepare_LDADD = $(STORAGE_TEST_LIBS) $(PREPARE_LIBS) $(BASE_LIBS) $(UNIT_LIBS)

check_PROGRAMS += tests/unit/storage/test_queue_store tests/unit/storage/test_spool
tests_unit_storage_test_queue_store_SOURCES = tests/unit/storage/test_queue_store.c
tests_unit_storage_test_queue_store_LDADD = $(STORAGE_TEST_LIBS) $(RESCUE_LIBS) $(DB_LIBS) $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_storage_test_spool_SOURCES = tests/unit/storage/test_spool.c
tests_unit_storage_test_spool_LDADD = $(STORAGE_TEST_LIBS) storage/libqueuestore.a $(DB_LIBS) $(BASE_LIBS) $(UNIT_LIBS)

# fuzzing: ./configure CC=clang, then make tests/fuzz/auth_scram
EXTRA_PROGRAMS += tests/fuzz/auth_scram
tests_fuzz_auth_scram_SOURCES = tests/fuzz/auth_scram.c storage/auth_scram.c storage/verifier.c base/slice.c base/buf.c
tests_fuzz_auth_scram_CFLAGS = $(AM_CFLAGS) -fsanitize=fuzzer,address,undefined
tests_fuzz_auth_scram_LDADD = -lcrypto

# Maildirs and their quota files, without SQLite: mda writes them.
noinst_LIBRARIES += storage/libmaildir.a
storage_libmaildir_a_SOURCES = storage/maildir.h storage/maildir.c storage/quota.h storage/quota.c
MAILDIR_LIBS = storage/libmaildir.a

check_PROGRAMS += tests/unit/storage/test_maildir tests/unit/storage/test_quota
tests_unit_storage_test_maildir_SOURCES = tests/unit/storage/test_maildir.c
tests_unit_storage_test_maildir_LDADD = $(MAILDIR_LIBS) $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_storage_test_quota_SOURCES = tests/unit/storage/test_quota.c
tests_unit_storage_test_quota_LDADD = $(MAILDIR_LIBS) $(BASE_LIBS) $(UNIT_LIBS)

check_PROGRAMS += tests/unit/storage/test_srs
tests_unit_storage_test_srs_SOURCES = tests/unit/storage/test_srs.c
tests_unit_storage_test_srs_LDADD = $(STORAGE_LIBS) $(BASE_LIBS) $(UNIT_LIBS)

check_PROGRAMS += tests/unit/storage/test_history_received
tests_unit_storage_test_history_received_SOURCES = tests/unit/storage/test_history_received.c
tests_unit_storage_test_history_received_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
tests_unit_storage_test_history_received_LDADD = $(HISTORY_LIBS) $(DB_LIBS) $(BASE_LIBS) $(UNIT_LIBS)
