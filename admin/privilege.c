/* privilege - what the supervisor keeps of root, and what it tells systemd */
#include <linux/capability.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/supervisor.h"

#define KEPT                                                                                       \
	(1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_KILL | 1u << CAP_NET_BIND_SERVICE |       \
	    1u << CAP_DAC_READ_SEARCH)

int
privilege_drop(struct err *err)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { .effective = KEPT, .permitted = KEPT } };

	if (geteuid() != 0)
		return 0;
	for (int cap = 0; cap < 64; cap++)
		if (cap >= 32 || (KEPT & 1u << cap) == 0)
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);	/* fails past the last one: fine */
	if (syscall(SYS_capset, &head, data) == -1)
		return err_sys(err, "cannot give up root's capabilities");
	return 0;
}

void
service_notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	size_t len = path != NULL ? strlen(path) : 0;
	int fd;

	if (len == 0 || len >= sizeof sa.sun_path || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(sa.sun_path, path, len);
	if (path[0] == '@')
		sa.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&sa,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(fd);
}
