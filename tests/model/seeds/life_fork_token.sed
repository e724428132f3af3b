# FORK_TOKEN: a fork keeps the tokens
# file: core/object.c
# scenarios: life-fork
s/if (++fork_number </if (fork_number </
