/* table - the rows of an answer as aligned columns for people, or as JSON for programs, from one
 * description */
#ifndef ADMIN_TABLE_H
#define ADMIN_TABLE_H

#include "admin/json.h"
#include "admin/rows.h"

enum column_kind {
	COLUMN_TEXT,
	COLUMN_NUMBER,
	COLUMN_SIZE,  /* bytes */
	COLUMN_QUOTA, /* bytes; 0 is "unlimited" */
	COLUMN_TIME,  /* us since 1970: "3 min ago"; ISO 8601 in JSON; 0 is "never" */
	COLUMN_CLOCK, /* the same as local time of day */
	COLUMN_BOOL,  /* 0/1, true/false: yes, no */
	COLUMN_MILLI, /* thousandths */
	COLUMN_STATE  /* a word with a colour: ok, warning, error ... */
};

struct column {
	const char *key;   /* in the row and in JSON; NULL ends the list */
	const char *title; /* NULL: JSON only */
	enum column_kind kind;
	bool optional; /* the column goes when every row has it empty */
};

struct table_style {
	bool colour;
	bool titles;
	int64_t now; /* us, for times */
};

/* Columns, two blanks apart, numbers to the right, the last column not padded. */
void table_text(struct buf *out, const struct rows *rows, const struct column *columns,
    const struct table_style *style);
/* "Title: value" lines of one row, aligned. */
void table_card(struct buf *out, const struct row *row, const struct column *columns,
    const struct table_style *style);
/* An array of objects; a key that no column names comes last, as text. */
void table_json(struct json *j, const struct rows *rows, const struct column *columns);
/* The members of one row, inside an object that is open. */
void table_json_members(struct json *j, const struct row *row, const struct column *columns);
/* One value as its kind says. */
void table_json_value(struct json *j, enum column_kind kind, const char *value);
/* One value for people; returns the columns it takes. */
size_t table_show(
    struct buf *out, enum column_kind kind, const char *value, const struct table_style *style);
bool table_true(const char *value);

#endif
