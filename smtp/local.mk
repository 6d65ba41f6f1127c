# smtp: the grammar of SMTP and the channel (shared with relay), TLS, and smtpd
noinst_LIBRARIES += smtp/proto/libproto.a
smtp_proto_libproto_a_SOURCES = \
	smtp/proto/channel.h smtp/proto/channel.c
smtp_proto_libproto_a_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS)
SMTP_PROTO_LIBS = smtp/proto/libproto.a $(OPENSSL_LIBS)
