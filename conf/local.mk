# conf: options table, parser, checks
noinst_LIBRARIES += conf/libconf.a
conf_libconf_a_SOURCES = conf/conf.h conf/told.h conf/conf.c
conf_libconf_a_CPPFLAGS = $(AM_CPPFLAGS) $(CONFUSE_CFLAGS)
CONF_LIBS = conf/libconf.a
CONF_READ_LIBS = conf/libconf.a $(CONFUSE_LIBS)
