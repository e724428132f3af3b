# extents lose their name before they are claimed
# file: src/core/block.c
# finds: block: give back
/^static bool strip/,/^}/{
s/load64_seqcst\(&big->place\) == place &&/load64_seqcst(\&big->place) == place \&\& (store64_seqcst(\&big->place, 0), 1) \&\&/
}
