/* dmarc_record - the tags of a DMARC record
 *
 * One row a tag. Tag names and values are compared without regard to case, the version exactly. A tag
 * that is there twice counts as it stood first. */
#include "filters/dmarc_record.h"

#include <string.h>

#define TAGS_MAX 64 /* more are not read */

/* The values of a tag, by their number; ended by NULL. */
static const char *const policies[] = { "none", "quarantine", "reject", NULL };
static const char *const modes[] = { "r", "s", NULL };
static const char *const yes_no[] = { "n", "y", NULL };
static const char *const psd_values[] = { "u", "y", "n", NULL };
static const char *const percents[] = { "0", NULL }; /* any other is as if 100 */

enum tag { TAG_P, TAG_SP, TAG_NP, TAG_ADKIM, TAG_ASPF, TAG_T, TAG_PSD, TAG_PCT, TAG_RUA, TAGS };
static const struct {
	const char *name;
	const char *const *values; /* NULL: any */
} tags[TAGS] = {
	[TAG_P] = { "p", policies },
	[TAG_SP] = { "sp", policies },
	[TAG_NP] = { "np", policies },
	[TAG_ADKIM] = { "adkim", modes },
	[TAG_ASPF] = { "aspf", modes },
	[TAG_T] = { "t", yes_no },
	[TAG_PSD] = { "psd", psd_values },
	[TAG_PCT] = { "pct", percents },
	[TAG_RUA] = { "rua", NULL },
};

#define NOT_GIVEN -1
#define WRONG -2

struct values {
	int at[TAGS]; /* NOT_GIVEN, WRONG, or the number of the value */
	struct slice rua;
};

const char *
dmarc_policy_name(enum dmarc_policy p)
{
	return policies[p];
}

static void
take_value(struct values *v, enum tag tag, struct slice value)
{
	if (v->at[tag] != NOT_GIVEN)
		return;
	v->at[tag] = WRONG;
	if (tag == TAG_RUA) {
		v->at[tag] = 0;
		v->rua = value;
		return;
	}
	for (int i = 0; tags[tag].values[i] != NULL; i++)
		if (slice_eq_nocase(value, slice_of(tags[tag].values[i])))
			v->at[tag] = i;
}

static void
take_tag(struct values *v, struct slice pair)
{
	struct slice name = slice_trim(slice_cut(&pair, '='));

	for (int i = 0; i < TAGS; i++)
		if (slice_eq_nocase(name, slice_of(tags[i].name)))
			take_value(v, (enum tag)i, slice_trim(pair));
}

/* "v = DMARC1" */
static bool
is_version(struct slice pair)
{
	struct slice name = slice_cut(&pair, '=');

	return slice_eq_nocase(slice_trim(name), SLICE("v")) &&
	       slice_eq(slice_trim(pair), SLICE("DMARC1")) && name.len > 0 && name.at[0] != ' ' &&
	       name.at[0] != '\t';
}

static bool
one_is_uri(struct slice rua)
{
	while (rua.len > 0) {
		struct slice uri = slice_trim(slice_cut(&rua, ','));

		if (slice_starts_nocase(uri, SLICE("mailto:")) && slice_find(uri, '@') > 7)
			return true;
	}
	return false;
}

static enum dmarc_policy
policy_of(const struct values *v, enum tag tag, enum dmarc_policy else_this)
{
	return v->at[tag] >= 0 ? (enum dmarc_policy)v->at[tag] : else_this;
}

bool
dmarc_record_read(struct slice text, struct dmarc_record *out)
{
	struct values v = { .rua = { "", 0 } };

	*out = (struct dmarc_record){ .rua = { "", 0 } };
	if (!is_version(slice_cut(&text, ';')))
		return false;
	for (int i = 0; i < TAGS; i++)
		v.at[i] = NOT_GIVEN;
	for (int n = 0; n < TAGS_MAX && text.len > 0; n++)
		take_tag(&v, slice_cut(&text, ';'));
	out->p = policy_of(&v, TAG_P, DMARC_NONE);
	out->sp = policy_of(&v, TAG_SP, out->p);
	out->np = policy_of(&v, TAG_NP, out->sp);
	out->strict_dkim = v.at[TAG_ADKIM] == 1;
	out->strict_spf = v.at[TAG_ASPF] == 1;
	out->testing = v.at[TAG_T] == 1 || (v.at[TAG_T] == NOT_GIVEN && v.at[TAG_PCT] == 0);
	out->psd = v.at[TAG_PSD] >= 0 ? (enum dmarc_psd)v.at[TAG_PSD] : DMARC_PSD_UNKNOWN;
	out->rua = v.rua;
	if (v.at[TAG_P] < 0 || v.at[TAG_SP] == WRONG || v.at[TAG_NP] == WRONG) {
		out->p = out->sp = out->np = DMARC_NONE;
		out->broken = !one_is_uri(v.rua);
	}
	return true;
}
