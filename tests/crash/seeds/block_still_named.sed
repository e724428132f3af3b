# what is given back is still named
# file: src/core/block.c
# finds: block: give back
/^static bool strip/,/^}/s/store64_seqcst\(&big->place, 0\);//
