# smtp: the grammar of SMTP and the channel (shared with relay), TLS, and smtpd
noinst_LIBRARIES += smtp/proto/libproto.a
smtp_proto_libproto_a_SOURCES = \
	smtp/proto/base64.h smtp/proto/base64.c \
	smtp/proto/channel.h smtp/proto/channel.c \
	smtp/proto/dot.h smtp/proto/dot.c \
	smtp/proto/line.h smtp/proto/line.c \
	smtp/proto/params.h smtp/proto/params.c \
	smtp/proto/path.h smtp/proto/path.c \
	smtp/proto/reply.h smtp/proto/reply.c
smtp_proto_libproto_a_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS)
SMTP_PROTO_LIBS = smtp/proto/libproto.a $(OPENSSL_LIBS)

# only programs that speak TLS link it
noinst_LIBRARIES += base/libtls.a
base_libtls_a_SOURCES = base/tls.h base/tls.c
base_libtls_a_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS)
TLS_LIBS = base/libtls.a $(OPENSSL_LIBS)
