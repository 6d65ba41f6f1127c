/* clock - what time it is */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

#include "base/slice.h"

static int64_t
read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * CLOCK_SECOND + ts.tv_nsec / 1000;
}

int64_t
clock_now(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t
clock_mono(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

void
clock_rfc5322(int64_t us, char out[static 40])
{
	/* not strftime: the names must not follow the locale */
	static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
		"Sep", "Oct", "Nov", "Dec" };
	time_t t = us / CLOCK_SECOND;
	struct tm tm;
	char all[128];
	long zone;

	localtime_r(&t, &tm);
	zone = tm.tm_gmtoff / 60;
	snprintf(all, sizeof all, "%s, %d %s %d %02d:%02d:%02d %c%02ld%02ld", days[tm.tm_wday % 7],
	    tm.tm_mday, months[tm.tm_mon % 12], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec,
	    zone < 0 ? '-' : '+', (zone < 0 ? -zone : zone) / 60, (zone < 0 ? -zone : zone) % 60);
	slice_copy(slice_of(all), out, 40);
}

void
clock_iso(int64_t us, char out[static 40])
{
	time_t t = us / CLOCK_SECOND;
	struct tm tm;
	char all[128];

	gmtime_r(&t, &tm);
	snprintf(all, sizeof all, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year + 1900,
	    tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(us % CLOCK_SECOND));
	slice_copy(slice_of(all), out, 40);
}
