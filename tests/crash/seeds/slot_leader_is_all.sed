# a process whose first thread has ended is dead
# file: src/platform/linux_end.c
# finds: lock: take-over withheld, first
/^static enum cmp_end look_by_pidfd/,/^}/s/return linux_pidfd_ended\(fd\) \?/return linux_pidfd_ended(fd) || (linux_read_stat(q->id->pid, \&line) == 0 \&\& is_zombie(\&line)) ?/
