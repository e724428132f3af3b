# the park word is armed after the last look
# file: src/core/side.c
# finds: ring: get, stopped before it sleeps
/^static int sit_once/,/^}/{
s/xchg_seqcst\(&t->side->park, PARK_ARMED\);//
s/CMP_HOOK\("side\.wait\.looked"\);/xchg_seqcst(\&t->side->park, PARK_ARMED); stands = load_seqcst(guard);/
}
