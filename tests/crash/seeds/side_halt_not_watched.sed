# who waits does not sleep on the word that ends all waiting
# file: src/core/side.c
# finds: queue: shut down, 2 wait for room
/^static int more_words/,/^}/s/if \(t->halt != NULL\)/if (false)/
