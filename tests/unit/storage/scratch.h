/* scratch - an empty working directory for a test, removed afterwards */
#ifndef TESTS_UNIT_STORAGE_SCRATCH_H
#define TESTS_UNIT_STORAGE_SCRATCH_H

/* cmocka's setup and teardown: a new directory becomes the working directory; back again and gone.
 */
int scratch_enter(void **state);
int scratch_leave(void **state);

#endif
