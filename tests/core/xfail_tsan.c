/* Description: two threads write a plain word without a lock.  ThreadSanitizer must
   see it. */
#include <pthread.h>
#include <stdio.h>

static long word;

static void *write_word(void *arg)
{
    for (int i = 0; i < 1000; i++)
        word += (long)arg;
    return NULL;
}

int main(void)
{
    pthread_t a, b;
    pthread_create(&a, NULL, write_word, (void *)1L);
    pthread_create(&b, NULL, write_word, (void *)2L);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    printf("%ld\n", word);
    return 0;
}
