/* own PROGRAM ARGUMENT...: runs it and prints what user and system time it used itself, without its children, in clock
 * ticks: read while it has ended and is not reaped yet. */
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 2)
        return 2;
    pid_t child = fork();
    if (child == 0) {
        execv(argv[1], argv + 1);
        _exit(127);
    }
    siginfo_t end;
    if (waitid(P_PID, child, &end, WEXITED | WNOWAIT) != 0 || end.si_code != CLD_EXITED || end.si_status != 0)
        return 1;
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)child);
    FILE *file = fopen(path, "r");
    size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;
    text[length] = 0;
    char *fields = strrchr(text, ')');
    unsigned long user, system;
    if (!fields || sscanf(fields, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        return 1;
    printf("%lu %lu\n", user, system);
    return 0;
}
