#if defined(__linux__)
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "CThreads.h"

#if defined(__linux__)

static pthread_once_t once = PTHREAD_ONCE_INIT;
static cpu_set_t allowed;
static int processors;

static void ask(void) { processors = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 0; }

int tomo_thread_self(void) {
    /* The first to call is a thread that nobody has placed yet. */
    pthread_once(&once, ask);
    return (int)syscall(SYS_gettid);
}

void tomo_threads_keep_off_caller(const int *threads, int count) {
    pthread_once(&once, ask);
    int here = sched_getcpu();
    if (processors < 2 || here < 0 || here >= CPU_SETSIZE) return;
    cpu_set_t others = allowed;
    CPU_CLR(here, &others);
    if (CPU_COUNT(&others) == 0) return;
    for (int i = 0; i < count; ++i) sched_setaffinity(threads[i], sizeof others, &others);
}

#else

int tomo_thread_self(void) { return 0; }

void tomo_threads_keep_off_caller(const int *threads, int count) {
    (void)threads;
    (void)count;
}

#endif
