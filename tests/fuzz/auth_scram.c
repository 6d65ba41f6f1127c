/* fuzz: two messages of a SCRAM client, the second after a line feed; nothing but a proof ever opens */
#include <stdlib.h>
#include <string.h>

#include "storage/auth_scram.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const unsigned char exporter[32], end_point[48];

static void
play(bool plus, struct slice first, struct slice final)
{
	static const struct scram_bindings both = { { (const char *)exporter, sizeof(exporter) },
		{ (const char *)end_point, sizeof(end_point) } };
	static const char kept[] = "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,"
				   "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
				   "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
	struct password_set set = { .main = "" };
	struct scram *s = scram_new(plus, &both);
	struct verifier salt;
	struct buf out;

	strcpy(set.apps[7], kept);
	buf_init(&out, 4096);
	if (!verifier_read(kept, &salt))
		abort();
	if (scram_first(s, first) == 0) {
		if (scram_user(s)[0] == '\0' || scram_challenge(s, &salt, "xyz", &out) == -1)
			abort();
		if (scram_final(s, final) == 0 && scram_prove(s, &set, &out) != -1)
			abort();
	}
	buf_free(&out);
	scram_free(&s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = { (const char *)data, size }, first;
	struct verifier v;
	char text[2000];

	first = slice_cut(&rest, '\n');
	play(false, first, rest);
	play(true, first, rest);
	slice_copy((struct slice){ (const char *)data, size }, text, sizeof(text));
	if (verifier_read(text, &v) && (v.salt_len == 0 || v.salt_len > VERIFIER_SALT_MAX))
		abort();
	return 0;
}
