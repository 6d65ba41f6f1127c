/* tarpit - strangers that make mistake after mistake wait between commands */
#include "smtp/tarpit.h"

#include "base/role.h"
#include "conf/conf.h"

#define FREE 20    /* faults that an honest client may make */
#define STEP_MS 10 /* more for each further one */
#define HELD_MAX 2000

static unsigned held;

void
tarpit_hold(struct session *s)
{
	int64_t most = role_conf()->limits.tarpit, pause;

	if (s->faults < UINT16_MAX)
		s->faults++;
	if (s->faults <= FREE || most == 0 || (s->hold_ms == 0 && held == HELD_MAX))
		return;
	pause = (int64_t)(s->faults - FREE) * STEP_MS;
	if (s->hold_ms == 0)
		held++;
	s->hold_ms = (uint32_t)(pause < most ? pause : most);
	s->progress = true;
}

void
tarpit_release(struct session *s)
{
	if (s->hold_ms == 0)
		return;
	s->hold_ms = 0;
	s->progress = true;
	held--;
}
