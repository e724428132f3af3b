# nobody watches who has the other end
# file: src/core/side.c
# finds: channel: wait, first of 3, the last holder is killed
/^static int sit_once/,/^}/s/if \(peer\.hold\.word != NULL\)/if (false)/
