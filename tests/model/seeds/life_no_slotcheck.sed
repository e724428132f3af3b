# NO_SLOTCHECK: tables published during the sweep are not looked at
# file: core/sweep.c
# scenarios: life-fork
s/^        look_at_slots_again(w);//
