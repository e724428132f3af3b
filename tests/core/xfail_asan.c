/* Description: reads beyond a block of memory.  AddressSanitizer must see it. */
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    volatile size_t n = 16;
    volatile char *block = calloc(n, 1);
    printf("%d\n", block[n]);
    free((void *)block);
    return 0;
}
