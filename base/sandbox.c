/* sandbox - what the kernel refuses a role from now on
 *
 * Landlock: nothing of the file system but the paths granted. Only rights of ABI 1 and 2 are
 * handled (Debian 12's kernel), plus truncation (ABI 3) and device ioctls (ABI 5) where the kernel
 * knows them. REFER is granted with WRITE, so renames between folders work.
 *
 * Seccomp: a system call that no group of the role's row names fails with EPERM, so that a
 * library's optional feature is refused and not fatal; the calls of `deadly` (run a program, trace,
 * load code into the kernel) end the process: nothing honest in a role ever makes them. */
#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/process.h"

/* newer than Debian 12's headers */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif

#define FILE_READ LANDLOCK_ACCESS_FS_READ_FILE
#define DIR_READ LANDLOCK_ACCESS_FS_READ_DIR
#define FILE_WRITE (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)
#define DIR_WRITE                                                                       \
	(LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR |                    \
	    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |            \
	    LANDLOCK_ACCESS_FS_REFER)

static struct {
	int fd;
	unsigned access;
} granted[SANDBOX_PATHS_MAX];
static unsigned n_granted;

void
sandbox_grant_fd(int fd, unsigned access)
{
	int copy = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;

	if (copy < 0)
		return;
	if (n_granted == SANDBOX_PATHS_MAX) {
		log_error("sandbox: too many paths");
		close(copy);
		return;
	}
	granted[n_granted].fd = copy;
	granted[n_granted++].access = access;
}

void
sandbox_grant(const char *path, unsigned access)
{
	int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0)
		return;
	sandbox_grant_fd(fd, access);
	close(fd);
}

/* ---- landlock ---- */

static uint64_t
rights_of_abi(int abi)
{
	uint64_t all = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;	/* ABI 1: all up to MAKE_SYM */

	if (abi >= 2)
		all |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= 3)
		all |= LANDLOCK_ACCESS_FS_TRUNCATE;
	if (abi >= 5)
		all |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
	return all;
}

static void
rule_add(int ruleset, unsigned i, uint64_t handled)
{
	struct landlock_path_beneath_attr rule = { .parent_fd = granted[i].fd };
	struct stat st;
	bool is_dir = fstat(granted[i].fd, &st) == 0 && S_ISDIR(st.st_mode);
	uint64_t rights = 0;

	if (granted[i].access & SANDBOX_READ)
		rights |= FILE_READ | (is_dir ? DIR_READ : 0);
	if (granted[i].access & SANDBOX_WRITE)
		rights |= FILE_WRITE | (is_dir ? DIR_WRITE : 0);
	rule.allowed_access = rights & handled;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == -1)
		log_warning("sandbox: a path could not be granted (errno %d)", errno);
}

static void
landlock_enter(void)
{
	struct landlock_ruleset_attr attr = { 0 };
	int abi =
	    (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	int ruleset;

	if (abi < 1) {
		log_warning("this kernel has no landlock: "
		    "files are guarded by their owners and modes only");
		return;
	}
	attr.handled_access_fs = rights_of_abi(abi);
	ruleset =
	    (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr.handled_access_fs, 0);
	if (ruleset < 0) {
		log_warning("landlock cannot be had (errno %d): "
		    "files are guarded by their owners and modes only", errno);
		return;
	}
	for (unsigned i = 0; i < n_granted; i++)
		rule_add(ruleset, i, attr.handled_access_fs);
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) == -1)
		log_warning("landlock refused to confine this process (errno %d)", errno);
	close(ruleset);
}

/* ---- seccomp ---- */

#define CALL(x) SCMP_SYS(x)

static const int common[] = {
	CALL(read), CALL(readv), CALL(write), CALL(writev), CALL(close), CALL(fstat),
	CALL(newfstatat), CALL(lseek), CALL(mmap), CALL(munmap), CALL(mremap), CALL(madvise),
	CALL(brk), CALL(mprotect), CALL(futex), CALL(restart_syscall), CALL(clock_gettime),
	CALL(clock_getres), CALL(gettimeofday), CALL(time), CALL(nanosleep), CALL(clock_nanosleep),
	CALL(getrandom), CALL(getpid), CALL(gettid), CALL(getuid), CALL(geteuid), CALL(getgid),
	CALL(getegid), CALL(getppid), CALL(getrusage), CALL(epoll_wait), CALL(epoll_pwait),
	CALL(epoll_ctl), CALL(epoll_create1), CALL(poll), CALL(ppoll), CALL(select), CALL(pselect6),
	CALL(eventfd2), CALL(timerfd_create), CALL(timerfd_settime), CALL(sendmsg), CALL(sendto),
	CALL(sendmmsg), CALL(recvmsg), CALL(recvfrom), CALL(recvmmsg), CALL(getsockopt),
	CALL(setsockopt), CALL(shutdown), CALL(dup), CALL(fcntl), CALL(pipe2), CALL(rt_sigaction),
	CALL(rt_sigprocmask), CALL(rt_sigreturn), CALL(sigaltstack), CALL(exit), CALL(exit_group),
	CALL(sched_yield), CALL(sched_getaffinity), CALL(prlimit64), CALL(getrlimit), CALL(uname),
	CALL(sysinfo), CALL(set_robust_list), CALL(rseq), CALL(membarrier), CALL(statx),
	CALL(getcwd),
};
static const int accept_calls[] = { CALL(accept4), CALL(accept), CALL(getpeername),
	CALL(getsockname) };
static const int connect_calls[] = { CALL(connect), CALL(bind), CALL(getpeername),
	CALL(getsockname), CALL(ioctl) };
static const int read_calls[] = { CALL(openat), CALL(open), CALL(openat2), CALL(pread64),
	CALL(preadv), CALL(getdents64), CALL(statfs), CALL(fstatfs), CALL(access), CALL(faccessat),
	CALL(faccessat2), CALL(stat), CALL(lstat), CALL(readlink), CALL(readlinkat),
	CALL(fadvise64), CALL(flock) };
static const int write_calls[] = { CALL(pwrite64), CALL(pwritev), CALL(ftruncate), CALL(truncate),
	CALL(fallocate), CALL(fsync), CALL(fdatasync), CALL(syncfs), CALL(sync_file_range),
	CALL(rename), CALL(renameat), CALL(renameat2), CALL(unlink), CALL(unlinkat), CALL(mkdir),
	CALL(mkdirat), CALL(rmdir), CALL(link), CALL(linkat), CALL(fchmod), CALL(chmod),
	CALL(fchmodat), CALL(utimensat), CALL(umask), CALL(copy_file_range), CALL(sendfile),
	CALL(splice), CALL(fchown) };
static const int thread_calls[] = { CALL(clone3), CALL(set_tid_address), CALL(sched_setaffinity),
	CALL(sched_getparam), CALL(sched_getscheduler), CALL(arch_prctl) };
static const int accept_unix_calls[] = { CALL(accept4), CALL(accept), CALL(getsockname),
	CALL(getpeername) };
static const int fork_calls[] = { CALL(clone), CALL(clone3), CALL(wait4), CALL(waitid),
	CALL(kill) };
static const int deadly[] = { CALL(execve), CALL(execveat), CALL(ptrace), CALL(process_vm_readv),
	CALL(process_vm_writev), CALL(init_module), CALL(finit_module), CALL(kexec_load), CALL(bpf),
	CALL(mount), CALL(umount2), CALL(pivot_root), CALL(chroot), CALL(unshare), CALL(setns),
	CALL(keyctl), CALL(add_key), CALL(perf_event_open), CALL(setuid), CALL(setresuid) };

#define GROUP(may, calls) { may, calls, COUNT(calls) }
static const struct {
	unsigned may;
	const int *calls;
	size_t n;
} groups[] = {
	GROUP(MAY_ACCEPT, accept_calls), GROUP(MAY_CONNECT, connect_calls),
	GROUP(MAY_READ_FILES, read_calls), GROUP(MAY_WRITE_FILES, write_calls),
	GROUP(MAY_THREADS, thread_calls), GROUP(MAY_ACCEPT_UNIX, accept_unix_calls),
	GROUP(MAY_FORK, fork_calls),
};

static int
allow(scmp_filter_ctx ctx, const int *calls, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);

		if (rc != 0 && rc != -EEXIST && rc != -EDOM)
			return rc;
	}
	return 0;
}

/* A thread: clone with CLONE_THREAD. glibc tries clone3 first, whose flags no filter can read: it
 * gets ENOSYS and takes clone. */
static int
allow_threads(scmp_filter_ctx ctx)
{
	const scmp_datum_t thread = 0x00010000;	/* CLONE_THREAD */
	int rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, CALL(clone), 1,
	    SCMP_A0(SCMP_CMP_MASKED_EQ, thread, thread));

	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), CALL(clone3), 0);
	return rc == 0 ? allow(ctx, thread_calls + 1, COUNT(thread_calls) - 1) : rc;
}

/* INET sockets for those who connect; nobody makes any other. */
static int
allow_sockets(scmp_filter_ctx ctx)
{
	static const int families[] = { AF_INET, AF_INET6, AF_NETLINK };
	int rc = 0;

	for (size_t i = 0; i < COUNT(families) && rc == 0; i++)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, CALL(socket), 1,
		    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i], 0));
	return rc;
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1	/* clang says it its own way */
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
/* what the sanitizers' own runtime needs to report */
static const int sanitizer_calls[] = { CALL(openat), CALL(open), CALL(readlink), CALL(stat),
	CALL(access), CALL(ioctl), CALL(prctl), CALL(clone), CALL(wait4), CALL(getdents64),
	CALL(process_vm_readv), CALL(pread64) };
#define SANITIZED 1
#else
static const int sanitizer_calls[1];
#define SANITIZED 0
#endif

static int
rules_add(scmp_filter_ctx ctx, unsigned may)
{
	int rc = allow(ctx, common, COUNT(common));

	/* signals only to itself (abort): all roles may share one uid */
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, CALL(tgkill), 1,
		    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
	for (size_t i = 0; i < COUNT(groups) && rc == 0; i++) {
		if ((may & groups[i].may) == 0)
			continue;
		rc = groups[i].may == MAY_THREADS && (may & MAY_FORK) == 0 && !SANITIZED
		    ? allow_threads(ctx) : allow(ctx, groups[i].calls, groups[i].n);
	}
	if (rc == 0 && (may & MAY_CONNECT) != 0)
		rc = allow_sockets(ctx);
	if (rc == 0 && SANITIZED)
		rc = allow(ctx, sanitizer_calls, COUNT(sanitizer_calls));
	for (size_t i = 0; i < COUNT(deadly) && rc == 0; i++) {
		rc = seccomp_rule_add(ctx, SCMP_ACT_KILL_PROCESS, deadly[i], 0);
		if (rc == -EDOM || rc == -EEXIST || SANITIZED)
			rc = 0;
	}
	return rc;
}

static int
seccomp_enter(unsigned may, struct err *err)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int rc;

	if (ctx == NULL)
		return err_set(err, ERR_TEMPORARY, "seccomp: no memory");
	rc = rules_add(ctx, may);
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	if (rc != 0)
		return err_set(err, ERR_TEMPORARY,
		    "seccomp: the kernel refused the filter (error %d)", -rc);
	return 0;
}

int
sandbox_enter(unsigned may, struct err *err)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return err_sys(err, "cannot set no_new_privs");
	landlock_enter();
	for (unsigned i = 0; i < n_granted; i++)
		close(granted[i].fd);
	n_granted = 0;
	return seccomp_enter(may, err);
}
