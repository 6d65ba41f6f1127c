/* report_xml - XML of a report, by expat: elements become paths
 *
 * expat answers for the syntax; its own memory has a ceiling here, an unfinished token (which it would
 * scan again with every piece) too. A DOCTYPE ends the reading before an entity could be declared.
 * Prefixes of namespaces are dropped: reporters use several, or none. */
#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/report_build.h"

#define MEMORY_MAX (16u << 20)
#define TOKEN_MAX (256 * 1024)
#define TEXT_KEPT 2000 /* of an element; ours are cut shorter later */

struct report_xml {
	XML_Parser parser;
	struct report_build *build;
	char path[REPORT_PATH_MAX];
	unsigned depth;
	char text[TEXT_KEPT];
	size_t n;
	uint64_t fed;
	bool began;
	struct err err;
};

/* -- expat's memory: all parsers of this process together */

static size_t in_use;

struct block {
	_Alignas(16) size_t size;
};

static void *
counted_realloc(void *old, size_t size)
{
	struct block *b = old != NULL ? (struct block *)old - 1 : NULL;
	size_t before = b != NULL ? b->size : 0;

	if (size > MEMORY_MAX || in_use - before + size > MEMORY_MAX)
		return NULL;
	b = realloc(b, sizeof(*b) + size);
	if (b == NULL)
		return NULL;
	in_use = in_use - before + size;
	b->size = size;
	return b + 1;
}

static void *
counted_malloc(size_t size)
{
	return counted_realloc(NULL, size);
}

static void
counted_free(void *old)
{
	if (old == NULL)
		return;
	in_use -= ((struct block *)old - 1)->size;
	free((struct block *)old - 1);
}

/* -- what expat tells */

static void
stop(struct report_xml *x, const char *why)
{
	err_set(&x->err, ERR_PERMANENT, "%s", why);
	XML_StopParser(x->parser, XML_FALSE);
}

static const char *
local_name(const char *name)
{
	const char *colon = strrchr(name, ':');

	return colon != NULL ? colon + 1 : name;
}

static void
on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	struct report_xml *x = arg;
	size_t len = strlen(x->path);

	(void)attributes;
	name = local_name(name);
	if (++x->depth > REPORT_DEPTH_MAX || len + strlen(name) + 2 > sizeof(x->path)) {
		stop(x, "its elements are nested too deep, or their names are too long");
		return;
	}
	if (x->depth == 1 && strcmp(name, "feedback") != 0) {
		stop(x, "it is XML, but no DMARC report (its first element is not <feedback>)");
		return;
	}
	snprintf(x->path + len, sizeof(x->path) - len, "%s%s", len > 0 ? "/" : "", name);
	x->n = 0;
}

static void
on_end(void *arg, const XML_Char *name)
{
	struct report_xml *x = arg;
	char *slash;

	(void)name;
	if (report_dmarc_value(x->build, x->path, (struct slice){ x->text, x->n }, &x->err) == -1) {
		XML_StopParser(x->parser, XML_FALSE);
		return;
	}
	slash = strrchr(x->path, '/');
	*(slash != NULL ? slash : x->path) = '\0';
	x->depth--;
	x->n = 0;
}

static void
on_text(void *arg, const XML_Char *text, int len)
{
	struct report_xml *x = arg;
	size_t n = (size_t)len < sizeof(x->text) - x->n ? (size_t)len : sizeof(x->text) - x->n;

	memcpy(x->text + x->n, text, n);
	x->n += n;
}

static void
on_doctype(void *arg, const XML_Char *name, const XML_Char *sysid, const XML_Char *pubid, int internal)
{
	(void)name;
	(void)sysid;
	(void)pubid;
	(void)internal;
	stop(arg, "it has a DOCTYPE, which no report needs and which could hide a bomb");
}

/* -- */

struct report_xml *
report_xml_new(struct report_build *b)
{
	static const XML_Memory_Handling_Suite memory = { counted_malloc, counted_realloc, counted_free };
	struct report_xml *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return NULL;
	x->build = b;
	x->parser = XML_ParserCreate_MM(NULL, &memory, NULL);
	if (x->parser == NULL) {
		free(x);
		return NULL;
	}
	XML_SetUserData(x->parser, x);
	XML_SetElementHandler(x->parser, on_start, on_end);
	XML_SetCharacterDataHandler(x->parser, on_text);
	XML_SetStartDoctypeDeclHandler(x->parser, on_doctype);
	return x;
}

void
report_xml_free(struct report_xml **x)
{
	if (*x == NULL)
		return;
	XML_ParserFree((*x)->parser);
	free(*x);
	*x = NULL;
}

static int
failed(struct report_xml *x, struct err *err)
{
	enum XML_Error code = XML_GetErrorCode(x->parser);

	if (code == XML_ERROR_ABORTED && x->err.kind != ERR_NONE) {
		*err = x->err;
		return -1;
	}
	if (code == XML_ERROR_NO_MEMORY)
		return err_set(err, ERR_PERMANENT, "its XML takes more memory than any report");
	if (code == XML_ERROR_UNKNOWN_ENCODING || code == XML_ERROR_INCORRECT_ENCODING)
		return err_set(err, ERR_PERMANENT, "its XML is in an encoding that is not read here");
	return err_set(err, ERR_PERMANENT, "its XML is broken at line %lu: %s",
	    (unsigned long)XML_GetCurrentLineNumber(x->parser), XML_ErrorString(code));
}

int
report_xml_feed(struct report_xml *x, struct slice piece, bool last, struct err *err)
{
	/* some write an empty line before the declaration */
	while (!x->began && piece.len > 0 && strchr(" \t\r\n", piece.at[0]) != NULL && piece.at[0] != '\0')
		piece = slice_skip(piece, 1);
	x->began = x->began || piece.len > 0;
	if (XML_Parse(x->parser, piece.at, (int)piece.len, last) != XML_STATUS_OK)
		return failed(x, err);
	x->fed += piece.len;
	if ((int64_t)x->fed - XML_GetCurrentByteIndex(x->parser) > TOKEN_MAX)
		return err_set(err, ERR_PERMANENT, "a single tag in it is longer than 256 KiB");
	return 0;
}
