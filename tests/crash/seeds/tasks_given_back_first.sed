# a consumer's count falls before the item is done with
# file: src/core/tasks.c
# finds: queue: done with one of one, 2 join
/^int cmp_tasks_done/,/^}/{
s/^        give_back\(t\);/        ;/
s/^    cmp_pending\(&t->idle\);/    give_back(t);\n&/
}
