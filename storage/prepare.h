/* prepare - the state directory as the server needs it: folders, owners, modes, databases of the current version
 *
 * Called by `tegami init` and by tegamid at each start, before it gives up root. */
#ifndef STORAGE_PREPARE_H
#define STORAGE_PREPARE_H

#include <sys/types.h>

#include "base/err.h"
#include "base/msg.h"
#include "conf/conf.h"

struct prepare_owner {		/* who runs as which account; all the caller's own when not root */
	uid_t uid;
	gid_t gid;
};

/* Make what is missing, set owners and modes (when root), create or migrate databases; fsync the folders. `owners` is
 * indexed by enum role. The working directory is left at state_dir.
 *   state_dir       root 0711          directory.db  DIRECTORY 0640    credentials.db AUTH 0600
 *   queue.db        QUEUE 0600         history.db    CONTROL 0600      score.db  CONTROL, group of FILTER 0640
 *   spool/          QUEUE 0700         keys/         root 0700         tmp/scan/ SCAN 0700
 *   mail_dir        MDA 0700 (0711 when made), mail_dir/.stage/ MDA 0700
 * every database with its -wal and -shm (empty ones are made), so that no role has to create a file in state_dir. */
int state_prepare(const struct conf *conf, const struct prepare_owner owners[static ROLE_COUNT], struct err *err);
/* The accounts of base/process.c's table; when not root, everyone is the caller. ERR_USAGE names the missing account and how to
 * make it. */
int state_owners(struct prepare_owner owners[static ROLE_COUNT], struct err *err);

#endif
