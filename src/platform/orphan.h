/* orphan.h -- end this process when its parent process dies, without a thread.

   Layout    process-local: what is watched, and which process armed the watch.
   Invariant once cmp_die_with_parent has returned 0, this process ends soon after
             its parent does, whatever it is doing, while one of its threads lets
             the signal through; a stopped process ends when it is continued.
   Ordering  none.
   If a process dies
             the parent, before the call: seen by the checks in it.
             ... between checks and arming: seen by the check after arming.
             ... afterwards: the signal comes.
             the thread that forked this process, the parent living on: the
             signal comes too (PR_SET_PDEATHSIG is about threads); the handler
             sees that getppid() is unchanged and returns.
             the thread of this process that made the call, the process living
             on: the watch is lost.  So call it from the main thread.
   Fork      a forked child is not watched: it makes a call of its own.
   Exec      the handler would be gone and the signal fatal although only a
             thread of the parent ended: cmp_parent_watch_off() before exec.
   Others    setuid and its like clear a watch of the first kind (below): call
             again afterwards.  A signal mask that blocks the signal in every
             thread suspends the watch.  So does a program that installs a
             handler of its own for the signal: SIGRTMAX-3, or the next one down
             that was free.  When the forking thread ends, the parent living on,
             the signal interrupts one system call of this process; C code that
             makes one of those that do not restart (poll, nanosleep) sees EINTR.  */
#ifndef CMP_ORPHAN_H
#define CMP_ORPHAN_H

/* What a process exits with when its parent died. */
#define CMP_EXIT_PARENT_DIED 113

/* From now on end with CMP_EXIT_PARENT_DIED when process parent_pid dies.
   If it is the parent of this process, by the signal of its death.  If not (the
   child of a fork server), by the end of file of sentinel_fd, the read end of a
   pipe, or a socket, of which only parent_pid holds the other end; the caller
   keeps it open, and no other process calls this on the same pipe.
   May be called again, also with another parent or sentinel.  Does not return if
   parent_pid is already dead.  On failure an earlier watch stays.  0; -EINVAL: parent_pid < 1, or the sentinel is
   neither pipe nor socket; -ECHILD: not our parent, and no sentinel (< 0) given;
   -EBADF: sentinel_fd is not open; -EBUSY: every real-time signal is in use; or
   what prctl refused with.  */
int cmp_die_with_parent(int parent_pid, int sentinel_fd);

/* Suspend the watch that this process armed, and take it up again; the latter
   looks once whether the parent died meanwhile.  Without a watch they do
   nothing.  0 or -errno.  */
int cmp_parent_watch_off(void);
int cmp_parent_watch_on(void);

#endif /* CMP_ORPHAN_H */
