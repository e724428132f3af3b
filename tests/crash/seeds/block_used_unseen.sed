# a free object is used without a second look at what it has
# file: src/core/block.c
# finds: block: recycle, stopped while others give back
/^static int revive/,/^}/s/if \(rc < 0 \|\| .* == s.best_n\)/if (true)/
