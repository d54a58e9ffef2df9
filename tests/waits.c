/* libfaketime 0.9.10 does not know sem_clockwait, by which Python's threads wait until an instant of the monotonic clock:
   with that clock faked, such a wait would end on the other day. Here it becomes the wait that libfaketime does know. */

#include <semaphore.h>
#include <time.h>

int sem_clockwait(sem_t *sem, clockid_t clock, const struct timespec *until)
{
    struct timespec shown, wall;
    clock_gettime(clock, &shown);
    clock_gettime(CLOCK_REALTIME, &wall);
    wall.tv_sec += until->tv_sec - shown.tv_sec;
    wall.tv_nsec += until->tv_nsec - shown.tv_nsec;
    if (wall.tv_nsec < 0) {
        wall.tv_nsec += 1000000000;
        wall.tv_sec -= 1;
    } else if (wall.tv_nsec >= 1000000000) {
        wall.tv_nsec -= 1000000000;
        wall.tv_sec += 1;
    }
    return sem_timedwait(sem, &wall);
}
