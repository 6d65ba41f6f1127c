/* cli_args - options and operands in any order */
#include <string.h>

#include "admin/cli.h"
#include "admin/text.h"

const char *
cli_nearest(const char *word, const char *const *words, size_t n)
{
	const char *best = NULL;
	unsigned least = strlen(word) <= 3 ? 1 : strlen(word) <= 6 ? 2 : 3;

	for (size_t i = 0; i < n; i++) {
		unsigned d = text_distance(word, words[i]);

		if (strlen(word) >= 3 && strncmp(word, words[i], strlen(word)) == 0)
			d = 1;
		if (d <= least && (best == NULL || d < text_distance(word, best)))
			best = words[i];
	}
	return best;
}

static int
unknown_option(const struct cli_option *options, struct slice name, struct err *err)
{
	const char *names[CLI_OPTIONS_MAX], *near;
	char word[41];
	size_t n = 0;

	slice_copy(name, word, sizeof(word));
	for (const struct cli_option *o = options; o != NULL && o->name != NULL && n < COUNT(names);
	     o++)
		names[n++] = o->name;
	near = cli_nearest(word, names, n);
	if (near != NULL)
		return err_set(
		    err, ERR_USAGE, "no such option: --%s; did you mean --%s?", word, near);
	return err_set(err, ERR_USAGE, "no such option: --%s", word);
}

static int
find_option(const struct cli_option *options, struct slice name)
{
	for (int i = 0; options != NULL && options[i].name != NULL && i < CLI_OPTIONS_MAX; i++)
		if (slice_eq(name, slice_of(options[i].name)))
			return i;
	return -1;
}

/* argv[*i] is an option; takes its value too. */
static int
take_option(const struct cli_option *options, int argc, char **argv, int *i, struct cli_args *args,
    struct err *err)
{
	struct slice rest = slice_of(argv[*i] + 2), name = slice_cut(&rest, '=');
	const char *eq = strchr(argv[*i], '=');
	int o = find_option(options, name);

	if (o < 0)
		return unknown_option(options, name, err);
	if (options[o].value == NULL) {
		if (eq != NULL)
			return err_set(err, ERR_USAGE, "--%s takes no value", options[o].name);
		args->value[o] = "";
	} else if (eq != NULL) {
		args->value[o] = eq + 1;
	} else if (*i + 1 < argc) {
		args->value[o] = argv[++*i];
	} else {
		return err_set(
		    err, ERR_USAGE, "--%s needs %s behind it", options[o].name, options[o].value);
	}
	return 0;
}

int
cli_args_parse(
    const struct cli_option *options, int argc, char **argv, struct cli_args *args, struct err *err)
{
	bool ended = false;

	memset(args, 0, sizeof(*args));
	args->options = options;
	args->operand = argv;
	for (int i = 0; i < argc; i++) {
		if (!ended && strcmp(argv[i], "--") == 0)
			ended = true;
		else if (!ended && strncmp(argv[i], "--", 2) == 0) {
			if (take_option(options, argc, argv, &i, args, err) == -1)
				return -1;
		} else if (!ended && argv[i][0] == '-' && argv[i][1] != '\0')
			return err_set(err, ERR_USAGE, "no such option: %.40s", argv[i]);
		else
			args->operand[args->n++] = argv[i];
	}
	return 0;
}

const char *
cli_option(const struct cli_args *args, const char *name)
{
	int o = find_option(args->options, slice_of(name));

	return o < 0 ? NULL : args->value[o];
}
