/* eventmem - the small memory of libevent, on pages of its own
 *
 * libevent keeps a few bytes for each descriptor that was ever watched, for good. Between the memory of
 * sessions each of them would keep a page from being given back after a flood. */
#ifndef SMTP_EVENTMEM_H
#define SMTP_EVENTMEM_H

/* Before anything else is asked of libevent, by a program that asks it from one thread only. Without
 * memory for it everything stays as it was. */
void eventmem_setup(void);

#endif
