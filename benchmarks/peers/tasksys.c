/* The three entry points that ISPC's `launch` and `sync` need, over a small persistent pool of threads.

   A launch of many tasks is one record; threads (the caller among them) draw task numbers from its counter until none is left, so uneven
   tasks balance. A thread without work spins for some tens of microseconds and then sleeps. One launch runs at a time, as in this suite. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <immintrin.h>

typedef void (*task_function)(void *data, int thread, int threads, int task, int tasks, int i0, int i1, int i2, int n0, int n1, int n2);

static int workers = 1; /* the calling thread included */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static atomic_ulong generation;
static atomic_int next_task, unfinished, inside;
static struct { task_function function; void *data; int tasks, n0, n1, n2; } current;

void ISPCSync(void *handle);

static void work(int thread) {
    for (;;) {
        int task = atomic_fetch_add(&next_task, 1);
        if (task >= current.tasks) return;
        int i0 = task % current.n0, i1 = task / current.n0 % current.n1, i2 = task / (current.n0 * current.n1);
        current.function(current.data, thread, workers, task, current.tasks, i0, i1, i2, current.n0, current.n1, current.n2);
        atomic_fetch_sub(&unfinished, 1);
    }
}

static void *loop(void *argument) {
    int thread = (int)(intptr_t)argument;
    unsigned long seen = 0;
    for (;;) {
        int spins = 0;
        while (atomic_load(&generation) == seen && ++spins < 2000) _mm_pause();
        pthread_mutex_lock(&lock);
        while (atomic_load(&generation) == seen) pthread_cond_wait(&wake, &lock);
        seen = atomic_load(&generation);
        atomic_fetch_add(&inside, 1);
        pthread_mutex_unlock(&lock);
        work(thread);
        atomic_fetch_sub(&inside, 1);
    }
    return 0;
}

void tasksys_start(int threads) {
    workers = threads;
    for (intptr_t i = 1; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, 0, loop, (void *)i)) abort();
        pthread_detach(thread);
    }
}

void ISPCLaunch(void **handle, void *function, void *data, int n0, int n1, int n2) {
    ISPCSync(*handle); /* a second launch before `sync` first finishes the one before it */
    pthread_mutex_lock(&lock);
    while (atomic_load(&inside)) _mm_pause(); /* a late thread of the last launch still looks at `current` */
    current.function = (task_function)function;
    current.data = data;
    current.tasks = n0 * n1 * n2;
    current.n0 = n0, current.n1 = n1, current.n2 = n2;
    atomic_store(&unfinished, current.tasks);
    atomic_store(&next_task, 0);
    atomic_fetch_add(&generation, 1);
    pthread_cond_broadcast(&wake);
    pthread_mutex_unlock(&lock);
}

void ISPCSync(void *handle) {
    (void)handle;
    work(0);
    while (atomic_load(&unfinished)) _mm_pause();
}

void *ISPCAlloc(void **handle, int64_t size, int32_t alignment) {
    /* The block holds the arguments of one launch and lives until the next one: a ring is enough, since launches are not nested. */
    static _Alignas(64) char ring[4][4096];
    static int slot;
    (void)alignment;
    if (size > 4096) abort();
    *handle = &ring;
    return ring[slot++ & 3];
}
