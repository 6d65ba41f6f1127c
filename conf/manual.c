/* manual - writes the manual page tegami.conf(5) to standard output, from the table of options; run by make */
#include <stdio.h>
#include <string.h>

#include "conf/explain.h"

/* A sentence as roff text: no line may begin with a control character. */
static void
text(const char *words)
{
	if (*words == '.' || *words == '\'')
		fputs("\\&", stdout);
	for (; *words; words++)
		if (*words == '\\')
			fputs("\\e", stdout);
		else if (*words == '-')
			fputs("\\-", stdout);
		else
			putchar(*words);
	putchar('\n');
}

static void
option(size_t i)
{
	char path[128];
	struct conf_explained e;

	if (!conf_explain_at(i, &e, path))
		return;
	printf(".TP\n.B ");
	text(e.path);
	printf(".RI ( ");
	fputs("\"", stdout);
	fputs(e.type, stdout);
	puts("\" )");
	text(e.sentence);
	printf("Default: ");
	text(e.fallback);
	if (e.range[0]) {
		printf(".br\nRange: ");
		text(e.range);
	}
}

static const char head[] =
    ".TH TEGAMI.CONF 5 \"\" \"tegami\" \"File formats\"\n"
    ".SH NAME\ntegami.conf \\- configuration of the Tegami mail server\n"
    ".SH DESCRIPTION\n"
    "The file consists of options,\n.BI NAME\\~=\\~ VALUE\\fR,\nof sections,\n.BI NAME\\~{ \\~...\\~ }\\fR,\n"
    "and of sections with a title,\n.BI NAME\\~ \"\\(dqTITLE\\(dq\" \\~{ \\~...\\~ }\\fR.\n"
    "A # begins a comment. Texts with other than letters, digits and points stand in double quotes; "
    "lists in braces with commas between their items.\n"
    "Times are a number and one of s, m, h, d, w; sizes a number of bytes, or one and K, M, G, T.\n.PP\n"
    "An option that is unknown, given twice or out of range is an error with file and line:\n.B tegamid \\-t\n"
    "checks. When the file is bad at a reload, the running server keeps its old configuration and says why.\n.PP\n"
    "Options in sections are written with points below:\n.B limits.recipients\nis\n.B recipients\nin section\n.BR limits .\n"
    ".SH EXAMPLE\n.nf\n"
    "hostname  = \"mx.example.org\"\nstate_dir = \"/var/lib/tegami\"\n"
    "tls {\n\tcertificate = \"/etc/tegami/cert.pem\"\n\tkey = \"/etc/tegami/key.pem\"\n}\n.fi\n"
    ".SH OPTIONS\n";

int
main(void)
{
	enum conf_group_id group = GROUP_NONE;

	fputs(head, stdout);
	for (size_t i = 0; i < conf_n_rows; i++) {
		if (conf_rows[i].group != GROUP_NONE && conf_rows[i].group != group) {
			const struct conf_group *g = &conf_groups[conf_rows[i].group];

			printf(".SS \"%s %s\"\n", g->path, g->title_word);
			text(g->sentence);
		} else if (conf_rows[i].group == GROUP_NONE && group != GROUP_NONE) {
			puts(".SS \"\"");
		}
		group = conf_rows[i].group;
		option(i);
	}
	puts(".SH SEE ALSO\n.BR tegamid (8),\n.BR tegami (1)");
	return ferror(stdout) || fflush(stdout) ? 1 : 0;
}
