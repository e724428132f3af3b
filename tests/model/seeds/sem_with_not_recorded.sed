# `with` takes as a bare acquire does: the permit dies with its holder
# file: core/sem.c
# scenarios: sem-with
s/with ? me : PERMIT_ANON;/PERMIT_ANON;/
