/* spam - learning: the verbs on score.db, for `control` and the CLI alike */
#ifndef ADMIN_SPAM_H
#define ADMIN_SPAM_H

#include "base/admin.h"
#include "storage/score.h"

/* Owner: a struct score.
 *   spam.stats                            -> {spam, ham, tokens}
 *   spam.store {class spam|ham, token*}   -> {changed yes|no}: tokens as `filter` names them, 16
 * hexadecimal digits */
extern const struct admin_verb spam_admin_verbs[];

/* "spam" or "ham"; false when it is neither. */
bool spam_class(const char *word, enum score_class *out);

#endif
