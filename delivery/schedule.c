/* schedule - when a recipient that could not be reached is tried again
 *
 * Pure arithmetic; never fails. Without steps it waits five minutes. */
#include "delivery/schedule.h"

#include <stdio.h>

#define US_PER_MS 1000
#define STEP_NONE 300000

int64_t
schedule_next(
    const struct schedule *s, int64_t created, unsigned attempts, int64_t now, uint32_t dice)
{
	size_t i = attempts > 0 ? attempts - 1 : 0;
	int64_t end = created + s->lifetime * US_PER_MS;
	int64_t step, next;

	if (s->n_steps == 0)
		step = STEP_NONE;
	else
		step = s->steps[i < s->n_steps ? i : s->n_steps - 1];
	step *= US_PER_MS;
	/* 0.9 to 1.1 of it */
	next = now + step - step / 10 + (int64_t)((double)step * (dice % 1001) / 5000.0);
	if (next > end && end > now)
		next = end;
	return next;
}

bool
schedule_over(const struct schedule *s, int64_t created, int64_t now)
{
	return now >= created + s->lifetime * US_PER_MS;
}

void
schedule_span(int64_t ms, char out[static 40])
{
	static const struct {
		int64_t ms;
		const char *name;
	} units[] = { { 86400000, "day" }, { 3600000, "hour" }, { 60000, "minute" },
		{ 1000, "second" } };
	size_t i = 0;
	int64_t n;

	while (i + 1 < sizeof(units) / sizeof(units[0]) && ms < 2 * units[i].ms &&
	       ms % units[i].ms != 0)
		i++;
	while (i + 1 < sizeof(units) / sizeof(units[0]) && ms < units[i].ms)
		i++;
	n = (ms + units[i].ms / 2) / units[i].ms;
	snprintf(out, 40, "%lld %s%s", (long long)n, units[i].name, n == 1 ? "" : "s");
}
