# TOKEN_KEPT: the token stays when another process is given the object
# file: core/object.c
# scenarios: life-spawn
/^static int give_locked/,/^}/s/^    h->token = 0;//
