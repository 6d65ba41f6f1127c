/* auth_used - when each password was last used
 *
 * A commit for every login would make each wait for the disk, so the times are kept here and
 * written together: every half minute, when the table is full, and at the end. A crash loses at
 * most these times. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "storage/address.h"
#include "storage/auth.h"

#define USED_MAX 256

static struct {
	char address[ADDRESS_SIZE];
	int slot;
	int64_t at;
} used[USED_MAX];
static unsigned n_used;

void
auth_used_write(void)
{
	sqlite3 *db = credentials_db(auth.credentials);
	struct err err;
	unsigned i;
	int rc = 0;

	if (n_used == 0)
		return;
	rc = db_exec(db, "BEGIN IMMEDIATE", &err);
	for (i = 0; i < n_used && rc == 0; i++)
		rc = credentials_used(
		    auth.credentials, used[i].address, used[i].slot, used[i].at, &err);
	if (rc == 0)
		rc = db_exec(db, "COMMIT", &err);
	if (rc == -1) {
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
		log_warning("times of last use were not written: %s", err.text);
	}
	n_used = 0;
}

void
auth_used(const char *address, int slot, int64_t now)
{
	unsigned i;

	for (i = 0; i < n_used; i++)
		if (used[i].slot == slot && strcmp(used[i].address, address) == 0)
			break;
	if (i == USED_MAX) {
		auth_used_write();
		i = 0;
	}
	if (i == n_used)
		n_used++;
	snprintf(used[i].address, sizeof(used[i].address), "%s", address);
	used[i].slot = slot;
	used[i].at = now;
}
