/* hold MEGABYTES BURN_MS SLEEP_MS: takes memory, uses CPU time, waits. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

int main(int argc, char **argv) {
    if (argc < 4)
        return 2;
    size_t bytes = atol(argv[1]) * 1000000UL;
    char *held = malloc(bytes + 1);
    if (!held)
        return 1;
    memset(held, 1, bytes + 1);
    long wanted = atol(argv[2]) * 1000000L, sleep_ms = atol(argv[3]);
    struct timespec used, rest = {sleep_ms / 1000, sleep_ms % 1000 * 1000000L};
    do
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    while (used.tv_sec * 1000000000L + used.tv_nsec < wanted);
    nanosleep(&rest, 0);
    return held[bytes] != 1;
}
