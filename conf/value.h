/* value - one value of the configuration: from text, to text, away */
#ifndef CONF_VALUE_H
#define CONF_VALUE_H

#include "base/buf.h"
#include "conf/options.h"

/* Read `text` into the row's field below `base` (struct conf, or an element of the row's group); a
 * list gets one item more. `plain`: as roles are told it (bytes, milliseconds, thousandths), else
 * as in the file ("25M", "5d", "1.5"). -1 + err "PATH = TEXT is ...; give ..."; the field is
 * unchanged then. */
int conf_value_set(void *base, const struct conf_row *row, struct slice text, bool plain,
    struct err *err);
/* Empty a list. */
void conf_value_clear(void *base, const struct conf_row *row);
/* Items of a list; 1 otherwise. */
size_t conf_value_count(const void *base, const struct conf_row *row);
/* Print the i-th item (0 when it is no list), plain or as in the file. Texts are not quoted. */
void conf_value_print(const void *base, const struct conf_row *row, size_t i, bool plain,
    struct buf *out);
/* The whole value as it would stand in the file: texts quoted, lists in braces. */
void conf_value_written(const void *base, const struct conf_row *row, struct buf *out);
/* Set all rows of a group (GROUP_NONE: of struct conf itself) to their defaults. `base` must be
 * zeroed. */
int conf_value_defaults(void *base, enum conf_group_id group, struct err *err);
/* Free what the rows of a group hold. */
void conf_value_free(void *base, enum conf_group_id group);
/* "a number from 1 to 1000", "one of mx, lmtp": what would be right for the row. */
void conf_value_wanted(const struct conf_row *row, struct buf *out);

#endif
