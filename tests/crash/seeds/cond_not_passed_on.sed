# what a dead waiter had got is lost
# file: src/core/cond.c
# finds: condition: wait, oldest of 3, notify(1)
/^static bool pass_on/,/^}/s/note_oldest\(c, ticket_of\(mine\)\);//
