/* loop PROGRAM COUNT JOBS: the bare limit of launching. clone3 with shared memory, pidfd and epoll, one thread, no record,
 * no output, no environment, no argument: nothing but births and ends. Prints launches a second and own CPU a launch. */
#define _GNU_SOURCE
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char stack[65536] __attribute__((aligned(16)));
static char *arguments[2];

static int born(void *unused) {
    (void)unused;
    char *none[] = {NULL};
    execve(arguments[0], arguments, none);
    _exit(127);
}

static int launch(void) {
    int pidfd = -1;
    /* glibc's clone gives the child a stack of its own, as clone3 would. */
    int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;
    if (clone(born, stack + sizeof stack, flags, NULL, &pidfd) < 0)
        exit(1);
    return pidfd;
}

int main(int argc, char **argv) {
    if (argc < 4)
        return 2;
    arguments[0] = argv[1];
    long left = atol(argv[2]), count = left, running = 0, jobs = atol(argv[3]);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    while (left > 0 || running > 0) {
        for (; left > 0 && running < jobs; left--, running++) {
            int pidfd = launch();
            struct epoll_event event = {.events = EPOLLIN, .data.fd = pidfd};
            epoll_ctl(epoll, EPOLL_CTL_ADD, pidfd, &event);
        }
        struct epoll_event ended[64];
        int ready = epoll_wait(epoll, ended, 64, -1);
        for (int i = 0; i < ready; i++, running--) {
            int pidfd = ended[i].data.fd;
            siginfo_t info;
            epoll_ctl(epoll, EPOLL_CTL_DEL, pidfd, NULL);
            waitid(P_PIDFD, pidfd, &info, WEXITED);
            close(pidfd);
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    struct rusage own;
    getrusage(RUSAGE_SELF, &own);
    double wall = (to.tv_sec - from.tv_sec) + (to.tv_nsec - from.tv_nsec) / 1e9;
    double cpu = own.ru_utime.tv_sec + own.ru_stime.tv_sec + (own.ru_utime.tv_usec + own.ru_stime.tv_usec) / 1e6;
    printf("%.1f %.2f\n", count / wall, cpu / count * 1e6);
    return 0;
}
