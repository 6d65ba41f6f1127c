/* base64 - by fours and threes */
#include "base/base64.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int
value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool
base64_is_digit(char c)
{
	return value_of(c) >= 0;
}

/* Four letters to one, two or three bytes; -1 when bits that must be zero are not. */
static int
decode_four(const char *in, bool last, char out[static 3])
{
	int pad = !last || in[3] != '=' ? 0 : in[2] == '=' ? 2 : 1;
	unsigned bits = 0;

	for (int i = 0; i < 4; i++) {
		int v = i >= 4 - pad ? 0 : value_of(in[i]);

		if (v < 0)
			return -1;
		bits = bits << 6 | (unsigned)v;
	}
	for (int i = 0; i < 3; i++)
		out[i] = (char)(bits >> (16 - 8 * i) & 0xff);
	if ((pad == 1 && out[2] != 0) || (pad == 2 && (out[1] != 0 || out[2] != 0)))
		return -1;
	return 3 - pad;
}

int
base64_decode(struct buf *out, struct slice text)
{
	char three[3];

	if (text.len % 4 != 0)
		return -1;
	for (; text.len > 0; text = slice_skip(text, 4)) {
		int n = decode_four(text.at, text.len == 4, three);

		if (n < 0 || buf_append(out, three, (size_t)n) == -1)
			return -1;
	}
	return 0;
}

int
base64_encode(struct buf *out, struct slice bytes)
{
	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t left = bytes.len - i;
		unsigned bits = (unsigned)(unsigned char)bytes.at[i] << 16;
		char four[4];

		if (left > 1)
			bits |= (unsigned)(unsigned char)bytes.at[i + 1] << 8;
		if (left > 2)
			bits |= (unsigned char)bytes.at[i + 2];
		for (int k = 0; k < 4; k++)
			four[k] = letters[bits >> (18 - 6 * k) & 63];
		if (left < 3)
			four[3] = '=';
		if (left < 2)
			four[2] = '=';
		if (buf_append(out, four, 4) == -1)
			return -1;
	}
	return 0;
}
