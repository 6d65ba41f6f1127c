/* faults - fails every system call of a role once, with each error that fits it; for LD_PRELOAD
 *
 * A call is known by its kind and by who called whom down to it, so the fsync of a spool file and that of the journal are two. Each
 * fails once with each of its errors, at the first to fourth time that it is made, and with a pause in between. The file CTL is
 * shared with the test (fault.py reads and writes it), and outlives the role. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SITES 16384
#define NOTES 16384
#define DEPTH 12
#define SHORT_COUNT 1000	/* no errno: only half of it is written */
#define START_US 3000000	/* so long is a start */

/* the name of each kind, and its errors */
#define KINDS(X)									\
	X(open, EMFILE, EIO, ENOSPC, 0)							\
	X(read, EINTR, EIO, 0, 0)							\
	X(pread, EIO, EINTR, 0, 0)							\
	X(write, ENOSPC, EIO, EINTR, SHORT_COUNT)					\
	X(sync, EIO, ENOSPC, 0, 0)							\
	X(truncate, EIO, ENOSPC, 0, 0)							\
	X(name, EIO, ENOSPC, 0, 0) /* rename, link, unlink, mkdir */			\
	X(stat, EIO, ENOMEM, 0, 0)							\
	X(statfs, EIO, 0, 0, 0)								\
	X(close, EIO, EINTR, 0, 0)							\
	X(fcntl, EIO, EINTR, 0, 0)							\
	X(send, EINTR, EAGAIN, ENOBUFS, 0)						\
	X(receive, EINTR, EAGAIN, ENOMEM, 0)						\
	X(epoll_wait, EINTR, 0, 0, 0)							\
	X(epoll_ctl, ENOMEM, ENOSPC, 0, 0)						\
	X(map, ENOMEM, 0, 0, 0)								\
	X(readdir, EIO, 0, 0, 0)							\
	X(make, EMFILE, 0, 0, 0) /* a descriptor of no file */				\
	X(thread, EAGAIN, 0, 0, 0)							\
	X(memory, ENOMEM, 0, 0, 0)
#define ROW(name, ...) KIND_##name,
enum kind { KINDS(ROW) };
#undef ROW
#define ROW(name, ...) { __VA_ARGS__ },
static const int errors[][4] = { KINDS(ROW) };

struct site {
	_Atomic uint64_t key;
	_Atomic uint32_t calls;
	_Atomic uint32_t done;	/* how many of its errors it had */
};
struct ctl {
	char role[16];
	uint32_t on, start, memory, pause_us;	/* the test's; start: only what comes in the first START_US of a process, else only what
						 * comes later */
	uint32_t always;	/* one bit a kind: each call fails, with the first of its errors */
	_Atomic uint32_t n_sites, n_notes;
	_Atomic uint64_t last;
	_Atomic uint32_t of_kind[32];
	struct site sites[SITES];
	struct { uint16_t kind, error; } notes[NOTES];	/* what was done */
};

extern char *program_invocation_short_name;
static struct ctl *ctl;
static uint64_t born;
static __thread bool inside;

static uint64_t
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

__attribute__((constructor)) static void
begin(void)
{
	void *frames[DEPTH];
	int fd = open(CTL, O_RDWR | O_CLOEXEC);
	void *at = fd == -1 ? MAP_FAILED : mmap(NULL, sizeof(struct ctl), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd != -1)
		close(fd);
	if (at == MAP_FAILED || strcmp(((struct ctl *)at)->role, program_invocation_short_name) != 0)
		return;
	backtrace(frames, DEPTH); /* it loads a library, the first time */
	born = now();
	ctl = at;
}

/* Who called whom, wherever the libraries lie this time. */
static uint64_t
site_key(enum kind kind)
{
	void *frames[DEPTH];
	int n = backtrace(frames, DEPTH);
	uint64_t key = 14695981039346656037u ^ kind;

	for (int i = 2; i < n; i++) {
		Dl_info info = { 0 };
		uint64_t at = (uint64_t)frames[i];

		if (dladdr(frames[i], &info) != 0)
			at -= (uint64_t)info.dli_fbase;
		key = (key ^ at) * 1099511628211u;
	}
	return key | 1;
}

static struct site *
site_find(uint64_t key)
{
	for (uint64_t i = key >> 32; ; i++) {
		struct site *s = &ctl->sites[i % SITES];
		uint64_t there = 0;

		if (atomic_compare_exchange_strong(&s->key, &there, key)) {
			atomic_fetch_add(&ctl->n_sites, 1);
			return s;
		}
		if (there == key)
			return s;
	}
}

/* The error that this call is to have now, or 0. */
static int
due(enum kind kind)
{
	uint64_t t = now(), last, key;
	struct site *s;
	uint32_t done, note;

	if ((t < born + START_US) != (ctl->start != 0) || (kind == KIND_memory && !ctl->memory) ||
	    atomic_load(&ctl->n_sites) > SITES / 2)
		return 0;
	key = site_key(kind);
	s = site_find(key);
	done = atomic_load(&s->done);
	if (atomic_fetch_add(&s->calls, 1) < (key >> 8) % 4 && !ctl->start)
		return 0;
	if (done == 4 || errors[kind][done] == 0)
		return 0;
	last = atomic_load(&ctl->last);
	/* calls that are made often leave the others their turn */
	if (atomic_load(&ctl->of_kind[kind]) * 6 > atomic_load(&ctl->n_notes) + 6 && t < last + 2000000)
		return 0;
	if (t < last + ctl->pause_us || !atomic_compare_exchange_strong(&ctl->last, &last, t) ||
	    !atomic_compare_exchange_strong(&s->done, &done, done + 1))
		return 0;
	atomic_fetch_add(&ctl->of_kind[kind], 1);
	note = atomic_fetch_add(&ctl->n_notes, 1) % NOTES;
	ctl->notes[note].kind = kind;
	ctl->notes[note].error = (uint16_t)errors[kind][done];
	return errors[kind][done];
}

static int
fault(enum kind kind)
{
	int saved = errno, error;

	if (ctl == NULL || inside)
		return 0;
	if ((ctl->always >> kind & 1) != 0)
		return errno = errors[kind][0];
	if (!ctl->on)
		return 0;
	inside = true;
	error = due(kind);
	inside = false;
	errno = error != 0 ? error : saved;
	return error;
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
/* A call that returns -1 when it fails. */
#define WRAP(kind, type, name, params, args)						\
	type name params								\
	{										\
		REAL(name);								\
		return fault(KIND_##kind) != 0 ? -1 : real args;			\
	}

WRAP(read, ssize_t, read, (int fd, void *b, size_t n), (fd, b, n))
WRAP(pread, ssize_t, pread, (int fd, void *b, size_t n, off_t at), (fd, b, n, at))
WRAP(pread, ssize_t, pread64, (int fd, void *b, size_t n, off64_t at), (fd, b, n, at))
WRAP(truncate, int, ftruncate64, (int fd, off64_t n), (fd, n))
WRAP(truncate, int, ftruncate, (int fd, off_t n), (fd, n))
WRAP(name, int, rename, (const char *a, const char *b), (a, b))
WRAP(name, int, renameat, (int d, const char *a, int e, const char *b), (d, a, e, b))
WRAP(name, int, linkat, (int d, const char *a, int e, const char *b, int f), (d, a, e, b, f))
WRAP(name, int, unlink, (const char *a), (a))
WRAP(name, int, unlinkat, (int d, const char *a, int f), (d, a, f))
WRAP(name, int, mkdirat, (int d, const char *a, mode_t m), (d, a, m))
WRAP(stat, int, fstat, (int fd, struct stat *st), (fd, st))
WRAP(stat, int, fstat64, (int fd, struct stat64 *st), (fd, st))
WRAP(stat, int, fstatat, (int d, const char *a, struct stat *st, int f), (d, a, st, f))
WRAP(stat, int, stat64, (const char *a, struct stat64 *st), (a, st))
WRAP(stat, int, access, (const char *a, int m), (a, m))
WRAP(statfs, int, fstatfs, (int fd, struct statfs *s), (fd, s))
WRAP(statfs, int, fstatvfs, (int fd, struct statvfs *s), (fd, s))
WRAP(statfs, int, statvfs, (const char *a, struct statvfs *s), (a, s))
WRAP(send, ssize_t, sendmsg, (int fd, const struct msghdr *m, int f), (fd, m, f))
WRAP(receive, ssize_t, recvmsg, (int fd, struct msghdr *m, int f), (fd, m, f))
WRAP(receive, int, recvmmsg, (int fd, struct mmsghdr *m, unsigned n, int f, struct timespec *t), (fd, m, n, f, t))
WRAP(epoll_wait, int, epoll_wait, (int fd, struct epoll_event *e, int n, int t), (fd, e, n, t))
WRAP(epoll_ctl, int, epoll_ctl, (int fd, int op, int on, struct epoll_event *e), (fd, op, on, e))
WRAP(make, int, epoll_create1, (int f), (f))
WRAP(make, int, accept4, (int fd, __SOCKADDR_ARG a, socklen_t *restrict n, int f), (fd, a, n, f))
WRAP(make, int, accept, (int fd, __SOCKADDR_ARG a, socklen_t *restrict n), (fd, a, n))
WRAP(make, int, eventfd, (unsigned n, int f), (n, f))

/* Half of the failed barriers were carried out all the same, as on a real disk. */
#define BARRIER(name)									\
	int name(int fd)								\
	{										\
		REAL(name);								\
		int error = fault(KIND_sync);						\
											\
		if (error == 0)								\
			return real(fd);						\
		if (now() & 1)								\
			real(fd);							\
		errno = error;								\
		return -1;								\
	}
BARRIER(fsync)
BARRIER(fdatasync)
BARRIER(syncfs)

/* The descriptor is gone, whatever it says. */
int
close(int fd)
{
	REAL(close);
	int error = fault(KIND_close), rc = real(fd);

	if (error == 0)
		return rc;
	errno = error;
	return -1;
}

ssize_t
write(int fd, const void *b, size_t n)
{
	REAL(write);
	int error = fault(KIND_write);

	if (error == SHORT_COUNT)
		return real(fd, b, n < 2 ? n : n / 2);
	return error != 0 ? -1 : real(fd, b, n);
}

#define PWRITE(name, type)								\
	ssize_t name(int fd, const void *b, size_t n, type at)				\
	{										\
		REAL(name);								\
		int error = fault(KIND_write);						\
											\
		if (error == SHORT_COUNT)						\
			return real(fd, b, n < 2 ? n : n / 2, at);			\
		return error != 0 ? -1 : real(fd, b, n, at);				\
	}
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t
writev(int fd, const struct iovec *v, int n)
{
	REAL(writev);
	int error = fault(KIND_write);

	if (error == SHORT_COUNT)
		return write(fd, v[0].iov_base, v[0].iov_len < 2 ? v[0].iov_len : v[0].iov_len / 2);
	return error != 0 ? -1 : real(fd, v, n);
}

#define OPEN(name)									\
	int name(const char *path, int flags, ...)					\
	{										\
		REAL(name);								\
		va_list ap;								\
		mode_t mode;								\
											\
		va_start(ap, flags);							\
		mode = (flags & O_CREAT) != 0 ? va_arg(ap, mode_t) : 0;			\
		va_end(ap);								\
		return fault(KIND_open) != 0 ? -1 : real(path, flags, mode);		\
	}
OPEN(open)
OPEN(open64)

int
openat(int dir, const char *path, int flags, ...)
{
	REAL(openat);
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = (flags & O_CREAT) != 0 ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return fault(KIND_open) != 0 ? -1 : real(dir, path, flags, mode);
}

long
syscall(long number, ...)
{
	REAL(syscall);
	long a[6];
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	return number == SYS_openat2 && fault(KIND_open) != 0 ? -1 : real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

#define FCNTL(name)									\
	int name(int fd, int what, ...)							\
	{										\
		REAL(name);								\
		va_list ap;								\
		long arg;								\
											\
		va_start(ap, what);							\
		arg = va_arg(ap, long);							\
		va_end(ap);								\
		return fault(KIND_fcntl) != 0 ? -1 : real(fd, what, arg);		\
	}
FCNTL(fcntl)
FCNTL(fcntl64)

#define MMAP(name, type)								\
	void *name(void *at, size_t n, int prot, int flags, int fd, type off)		\
	{										\
		REAL(name);								\
		return fault(KIND_map) != 0 ? MAP_FAILED : real(at, n, prot, flags, fd, off);	\
	}
MMAP(mmap, off_t)
MMAP(mmap64, off64_t)

DIR *
fdopendir(int fd)
{
	REAL(fdopendir);
	return fault(KIND_open) != 0 ? NULL : real(fd);
}

struct dirent *
readdir(DIR *d)
{
	REAL(readdir);
	return fault(KIND_readdir) != 0 ? NULL : real(d);
}

int
pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	REAL(pthread_create);
	int error = fault(KIND_thread);

	return error != 0 ? error : real(t, attr, fn, arg);
}

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);

void *
malloc(size_t n)
{
	return fault(KIND_memory) != 0 ? NULL : __libc_malloc(n);
}

void *
calloc(size_t n, size_t size)
{
	return fault(KIND_memory) != 0 ? NULL : __libc_calloc(n, size);
}

void *
realloc(void *p, size_t n)
{
	return fault(KIND_memory) != 0 ? NULL : __libc_realloc(p, n);
}
