# base/dns: the client call to the resolver, and the resolver itself
noinst_LIBRARIES += base/dns/libdns.a
base_dns_libdns_a_SOURCES = base/dns/client.h base/dns/client.c base/dns/rdata.c base/dns/names.h base/dns/names.c
DNS_LIBS = base/dns/libdns.a

role_PROGRAMS += base/dns/resolver
base_dns_resolver_SOURCES = base/dns/resolver.c base/dns/context.h base/dns/context.c base/dns/packet.h base/dns/packet.c
base_dns_resolver_CPPFLAGS = $(AM_CPPFLAGS) $(UNBOUND_CFLAGS)
# libunbound links the full libevent: so must we, or two copies of its symbols would meet
base_dns_resolver_LDADD = $(DNS_LIBS) $(ROLE_LIBS) $(UNBOUND_LIBS)

check_PROGRAMS += tests/unit/base/dns/test_packet tests/unit/base/dns/test_rdata
tests_unit_base_dns_test_packet_SOURCES = tests/unit/base/dns/test_packet.c base/dns/packet.c
tests_unit_base_dns_test_packet_LDADD = $(DNS_LIBS) $(BASE_LIBS) $(UNIT_LIBS)
tests_unit_base_dns_test_rdata_SOURCES = tests/unit/base/dns/test_rdata.c
tests_unit_base_dns_test_rdata_LDADD = $(DNS_LIBS) $(ROLE_LIBS) $(UNIT_LIBS)

# fuzzing: ./configure CC=clang, then make tests/fuzz/dns_packet
EXTRA_PROGRAMS += tests/fuzz/dns_packet
tests_fuzz_dns_packet_SOURCES = tests/fuzz/dns_packet.c base/dns/packet.c base/dns/names.c base/buf.c base/wire.c base/slice.c \
	base/pool.c
tests_fuzz_dns_packet_CFLAGS = $(AM_CFLAGS) -fsanitize=fuzzer,address,undefined
