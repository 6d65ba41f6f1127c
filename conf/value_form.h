/* value_form - how numbers and texts are written, each by the type in the option's row; for value.c
 * alone */
#ifndef CONF_VALUE_FORM_H
#define CONF_VALUE_FORM_H

#include "base/buf.h"
#include "conf/options.h"

/* -- value_number.c: numbers, sizes, times, scores, choices. `plain`: as roles are told them. */
bool value_number_read(const struct conf_row *row, struct slice s, bool plain, int64_t *out);
void value_number_print(const struct conf_row *row, int64_t v, bool plain, struct buf *out);

/* -- value_text.c: texts, names, paths, addresses. `text` is `s` with a NUL. */
bool value_text_ok(const struct conf_row *row, struct slice s, const char *text);

#endif
