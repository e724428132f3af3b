/* Forced into every file of src by `make crash` (-include): CMP_HOOK gets a body.
   Who links such objects defines cmp_at_hook: tests/crash kills there.  */
#ifndef CMP_HOOKS_H
#define CMP_HOOKS_H

void cmp_at_hook(const char *point);

#define CMP_HOOK(point) cmp_at_hook(point)

#endif /* CMP_HOOKS_H */
