/* signer - what the files of the signer share */
#ifndef FILTERS_SIGNER_H
#define FILTERS_SIGNER_H

#include "base/link.h"

/* MSG_SEAL: answered at once. */
void signer_on_seal(struct frame *f);

#endif
