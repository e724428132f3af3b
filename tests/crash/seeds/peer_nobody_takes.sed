# an end counts as held by a record that nobody can get
# file: src/core/peer.c
# finds: channel: put of an end, 2 wait for its end
/^static enum holder follow_trail/,/^}/s/holder != NOBODY\) \{/i == 1) {/
