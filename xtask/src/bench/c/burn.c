/* burn MILLISECONDS: uses so much CPU time. */
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv) {
    long wanted = argc > 1 ? atol(argv[1]) * 1000000L : 0;
    struct timespec used;
    do
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    while (used.tv_sec * 1000000000L + used.tv_nsec < wanted);
    return 0;
}
