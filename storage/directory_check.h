/* directory_check - what is odd about the users and aliases, in words, before mail shows it */
#ifndef STORAGE_DIRECTORY_CHECK_H
#define STORAGE_DIRECTORY_CHECK_H

#include "base/admin.h"
#include "storage/directory.h"

/* Rows {name, state, text, advice}; at least one. At most DIRECTORY_CHECK_ROWS of them. */
#define DIRECTORY_CHECK_ROWS 100
int directory_check(struct directory *d, struct admin_out *out, struct err *err);

#endif
