# delivery: see Makefile.am

# The part of queue that has no state of its own, for its tests too.
noinst_LIBRARIES += delivery/libqueue.a
delivery_libqueue_a_SOURCES = delivery/schedule.h delivery/schedule.c delivery/bounce.h delivery/bounce.c \
	delivery/queue_index.h delivery/queue_index.c delivery/queue_writer.h delivery/queue_writer.c
delivery_libqueue_a_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
QUEUE_LIBS = delivery/libqueue.a storage/libqueuestore.a $(DB_LIBS)

role_PROGRAMS += delivery/queue
delivery_queue_SOURCES = delivery/queue.h delivery/queue.c delivery/queue_admin.c delivery/queue_content.h \
	delivery/queue_content.c delivery/queue_flow.c delivery/queue_intake.c delivery/queue_local.c \
	delivery/queue_remote.c delivery/queue_report.h delivery/queue_report.c delivery/queue_spool.c
delivery_queue_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
delivery_queue_LDADD = $(QUEUE_LIBS) $(ROLE_LIBS)
