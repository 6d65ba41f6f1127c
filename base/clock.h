/* clock - what time it is */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_SECOND INT64_C(1000000)

/* Microseconds since 1970 (may jump). */
int64_t clock_now(void);
/* Microseconds since some start (never jumps): for timers and durations. */
int64_t clock_mono(void);
/* "Tue, 24 Nov 2026 05:52:28 +0000" (RFC 5322 3.3) in the local zone; `us` since 1970. `out` holds
 * 40 bytes. */
void clock_rfc5322(int64_t us, char out[static 40]);
/* "2026-11-24T05:52:28.123456Z"; `out` holds 40 bytes. */
void clock_iso(int64_t us, char out[static 40]);

#endif
