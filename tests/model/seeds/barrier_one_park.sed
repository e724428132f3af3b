# one park word for all phases
# file: core/barrier.c
# scenarios: barrier-next
s/return &b->park\[phase & 1\];/return \&b->park[0];/
