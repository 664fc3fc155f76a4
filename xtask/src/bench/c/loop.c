/* loop WAY COUNT JOBS PROGRAM [ARGUMENT]...: the bare limit of launching. clone with shared memory, pidfd and epoll, no
 * record, no output: nothing but births and ends. Children get our environment and the same arguments each, as many as
 * others give them: /bin/true, for one, looks up its locale when it has one argument, and takes half as long again. Ways:
 * `vfork` waits for each execve, `eager` goes on at once, `pinned` does that in one thread for each of two cores. Prints
 * launches a second and own CPU microseconds a launch. */
#define _GNU_SOURCE
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STACK = 16384, MOST = 256 };

static char **arguments;
static int wait_for_exec = 1;
static cpu_set_t anywhere;

struct launcher {
    long left, jobs;
    int core;
    char (*stacks)[STACK];
};

/* Raw calls alone: errno is the launcher's. */
static int born(void *pinned) {
    if (pinned)
        syscall(SYS_sched_setaffinity, 0, sizeof anywhere, &anywhere);
    syscall(SYS_execve, arguments[0], arguments, environ);
    syscall(SYS_exit_group, 127);
    return 0;
}

static void *launch_all(void *it) {
    struct launcher *self = it;
    int epoll = epoll_create1(EPOLL_CLOEXEC), pidfds[MOST], free_slots[MOST], frees = 0;
    long running = 0;
    if (self->core >= 0) {
        cpu_set_t here;
        CPU_ZERO(&here);
        CPU_SET(self->core, &here);
        sched_setaffinity(0, sizeof here, &here);
    }
    for (int slot = 0; slot < self->jobs; slot++)
        free_slots[frees++] = slot;
    while (self->left > 0 || running > 0) {
        for (; self->left > 0 && running < self->jobs; self->left--, running++) {
            int slot = free_slots[--frees];
            int flags = CLONE_VM | CLONE_PIDFD | SIGCHLD | (wait_for_exec ? CLONE_VFORK : 0);
            void *pinned = self->core >= 0 ? self : NULL;
            if (clone(born, self->stacks[slot] + STACK, flags, pinned, &pidfds[slot]) < 0)
                exit(1);
            struct epoll_event event = {.events = EPOLLIN, .data.fd = slot};
            epoll_ctl(epoll, EPOLL_CTL_ADD, pidfds[slot], &event);
        }
        struct epoll_event ended[64];
        int ready = epoll_wait(epoll, ended, 64, -1);
        for (int i = 0; i < ready; i++, running--) {
            int slot = ended[i].data.fd;
            siginfo_t info;
            epoll_ctl(epoll, EPOLL_CTL_DEL, pidfds[slot], NULL);
            waitid(P_PIDFD, pidfds[slot], &info, WEXITED);
            close(pidfds[slot]);
            free_slots[frees++] = slot;
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc < 5 || atol(argv[3]) < 1 || atol(argv[3]) > MOST)
        return 2;
    const char *way = argv[1];
    int pinned = strcmp(way, "pinned") == 0;
    wait_for_exec = strcmp(way, "vfork") == 0;
    arguments = argv + 4;
    long count = atol(argv[2]), jobs = atol(argv[3]);
    sched_getaffinity(0, sizeof anywhere, &anywhere);
    struct launcher launchers[2];
    for (int i = 0; i < 2; i++) {
        launchers[i] = (struct launcher){.left = count, .jobs = jobs, .core = -1};
        if (pinned)
            launchers[i] = (struct launcher){.left = count / 2, .jobs = (jobs + 1) / 2, .core = i};
        launchers[i].stacks = aligned_alloc(16, (size_t)jobs * STACK);
    }
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    pthread_t second;
    if (pinned)
        pthread_create(&second, NULL, launch_all, &launchers[1]);
    launch_all(&launchers[0]);
    if (pinned)
        pthread_join(second, NULL);
    clock_gettime(CLOCK_MONOTONIC, &to);
    struct rusage own;
    getrusage(RUSAGE_SELF, &own);
    double wall = (to.tv_sec - from.tv_sec) + (to.tv_nsec - from.tv_nsec) / 1e9;
    double cpu = own.ru_utime.tv_sec + own.ru_stime.tv_sec + (own.ru_utime.tv_usec + own.ru_stime.tv_usec) / 1e6;
    printf("%.1f %.2f\n", count / wall, cpu / count * 1e6);
    return 0;
}
