/* antivirus - has the scan worker looked at it, and what did it say?
 *
 * The row asks for a scan and waits; filter.c sends the request and writes the answer into the
 * judge. Whatever is not a clear "clean" counts as failed here. */
#include "filters/check.h"

enum check_status
check_antivirus(struct judge *j)
{
	if (j->scan == SCAN_NOT_WANTED)
		j->scan = SCAN_WANTED;
	if (j->scan != SCAN_ANSWERED)
		return CHECK_WAIT;
	switch (j->scan_status) {
	case SCAN_CLEAN:
		judge_hit(j, "antivirus", "clean", NULL, 0, "No virus was found");
		break;
	case SCAN_INFECTED:
		judge_hit(j, "antivirus", "infected", NULL, 0, "The message holds the virus %s",
		    j->scan_text);
		break;
	default:
		judge_hit(j, "antivirus", "failed", NULL, 0, "The message could not be scanned: %s",
		    j->scan_text);
	}
	return CHECK_DONE;
}
